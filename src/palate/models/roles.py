"""One base in memory, many roles on it: policy, reference, reward, value.

With LoRA a role is an adapter (and for reward and value a small head) on the one frozen base; the
reference is the base with its adapters off, or a frozen copy of the adapter that training started
from. With full fine-tuning each role has its own weights.

What is trainable is decided once, when a role is added; `Roles.enter` never changes it.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from palate.errors import ModelError
from palate.models.adapters import Adapters
from palate.models.load import prepare, refuse_unsafe
from palate.models.meter import Meter
from palate.models.quiet import quiet
from palate.models.reward_folder import (
    add_head,
    read_head,
    read_heads,
    read_model,
    read_reward_adapter,
    read_scale,
    write_heads,
    write_model,
    write_scale,
)
from palate.models.role import Role
from palate.models.trunk import Trunk


class Roles:
    """The models of a run, by role. Build it, add roles, then score, sample and train."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        prepare(model)
        model.requires_grad_(False)
        self.model = model
        self.tokenizer = tokenizer
        self.trunk = Trunk(model)
        self.adapters = Adapters(model)
        self.meter = Meter()
        # Whether policy and reference are the same function before the first step.
        self.equal_at_start = True
        self._roles: dict[str, Role] = {}
        # Roles that stand on another base and are entered there.
        self._lent: dict[str, Roles] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._roles

    def __getitem__(self, name: str) -> Role:
        if name not in self._roles:
            raise ModelError(f"this run has no {name} role; it has {', '.join(self._roles)}")
        return self._roles[name]

    @property
    def device(self) -> torch.device:
        """Where the base stands."""
        device: torch.device = self.model.device
        return device

    @property
    def peft(self) -> PeftModel | None:
        """PEFT's wrapping of the base, where there is an adapter."""
        return self.adapters.peft

    # -- adding roles ----------------------------------------------------------------------------

    def add_policy(self, lora: LoraConfig | None = None, *, adapter: Path | None = None) -> None:
        """The model that is trained: a fresh adapter, a loaded one, or all of the base's weights.

        With a loaded adapter the same adapter is loaded a second time, frozen, as the reference:
        the two are equal, bit for bit, before the first step.
        """
        if adapter is not None:
            self.adapters.load("policy", adapter)
            self.adapters.load("reference", adapter)
            self._roles["reference"] = Role(self.trunk, "reference")
        elif lora is not None:
            self.adapters.make("policy", lora)
        elif self.peft is not None:
            raise ModelError(
                "all weights of a base that carries adapters of other roles cannot be trained: "
                "those roles would change with it; train adapters (--use-peft)"
            )
        self._train(Role(self.trunk, "policy" if self.peft else None, trainable=True), "policy")

    def add_policy_as_is(self, *, adapter: Path | None = None) -> None:
        """A policy to sample from and score with, never to train."""
        if adapter is not None:
            self.adapters.load("policy", adapter)
        self._roles["policy"] = Role(self.trunk, "policy" if adapter is not None else None)

    def add_peft_policy(self, peft: PeftModel) -> None:
        """The caller's PEFT model: its adapter is trained, a frozen copy is the reference."""
        name = self.adapters.adopt(peft, twin="reference")
        self._roles["reference"] = Role(self.trunk, "reference")
        self._train(Role(self.trunk, name, trainable=True), "policy")

    def add_reference(self, model: PreTrainedModel | None = None) -> None:
        """What the policy is held to: an explicit model, or the policy as it stands now."""
        if "reference" in self._roles:
            return
        if model is not None:
            if model.config.vocab_size != self.model.config.vocab_size:
                raise ModelError(
                    f"the reference has {model.config.vocab_size} tokens, the policy "
                    f"{self.model.config.vocab_size}; both must share one vocabulary"
                )
            model = prepare(model)
            model.requires_grad_(False)
            self._roles["reference"] = Role(Trunk(model))
            self.equal_at_start = False
        elif self.peft is not None:
            self._roles["reference"] = Role(self.trunk, None)
        else:
            frozen = copy.deepcopy(self.model)
            frozen.requires_grad_(False)
            self._roles["reference"] = Role(Trunk(frozen))

    def add_start(self, trained: str) -> None:
        """The model that a role starts from: valid until that role is trained."""
        role = self[trained]
        self._roles["start"] = Role(role.trunk, role.adapter)

    def add_start_reference(self, *, adapter: Path | None = None) -> None:
        """The start of a comparison's arms: the base, with the adapter that it started with."""
        if adapter is not None:
            self.adapters.load("reference", adapter)
        self._roles["reference"] = Role(self.trunk, "reference" if adapter is not None else None)

    def add_frozen_reward(self, other: "Roles") -> None:
        """The reward role of other roles, on its own base in memory."""
        self._lent["reward"] = other
        self._roles["reward"] = other["reward"]

    def add_reward(
        self,
        lora: LoraConfig | None = None,
        *,
        adapter: Path | None = None,
        num_heads: int = 1,
    ) -> None:
        """A reward model to be trained: an adapter (fresh or loaded) or all weights, and heads."""
        role = self._own_role("reward", lora, adapter)
        role.trainable = True
        if num_heads > 1:
            role.head = self._new_head(num_heads)
        self._train(role, "reward")

    def add_value(
        self,
        lora: LoraConfig | None = None,
        *,
        adapter: Path | None = None,
        shared: bool = True,
        folder: Path | None = None,
    ) -> None:
        """PPO's value function: a head on the policy's rows, or a trunk (of `folder`)."""
        if folder is not None:
            role, _ = self._role_in("value", folder)
            role.head = self._new_head()
        elif shared:
            policy = self["policy"]
            role = Role(policy.trunk, policy.adapter, self._new_head())
        else:
            role = self._own_role("value", lora, adapter)
        role.trainable = True
        assert role.head is not None
        # A value of zero everywhere is a better start than a random one.
        nn.init.zeros_(role.head.weight)
        self._train(role, "value")
        if role.adapter is None and role.trunk is not self.trunk:
            # A head that the model has already is not used, and would learn nothing.
            role.trunk.model.requires_grad_(False)
            role.trunk.decoder.requires_grad_(True)

    def load_reward(self, folder: Path, *, is_base: bool = False) -> None:
        """Take up a trained reward model, frozen: an adapter on this base, or a model of its own.

        `is_base`: the model of its own is this base, loaded already.

        Raises:
            ModelError: the folder has no head, or belongs to another base.
        """
        role, weight = self._role_in("reward", folder, is_base=is_base)
        if role.adapter is None:
            role.trunk.model.requires_grad_(False)
        weight = read_heads(folder, weight)
        count, width = weight.shape
        head = nn.Linear(width, count, bias=False, device=self.device, dtype=torch.float32)
        head.load_state_dict({"weight": weight})
        head.requires_grad_(False)
        role.head, role.scale = head, read_scale(folder)
        self._roles["reward"] = role

    def drop(self, name: str) -> None:
        """Forget a role and free its adapter (between the arms of a comparison)."""
        role = self._roles.pop(name)
        if self._lent.pop(name, None) is not None:
            return
        shared = any(role.adapter == other.adapter for other in self._roles.values())
        if role.adapter is not None and not shared:
            self.adapters.delete(role.adapter)

    # -- using roles -----------------------------------------------------------------------------

    @contextmanager
    def enter(self, name: str) -> Iterator[Role]:
        """Compute as `name`: its adapter is active inside, the previous state is restored after.

        Where activations are checkpointed the role must still be entered during the backward.
        """
        role = self[name]
        if name in self._lent:
            with self._lent[name].enter(name):
                yield role
            return
        with self.adapters.active(role.adapter):
            yield role

    def shares_trunk(self, name: str, other: str) -> bool:
        """Whether two roles read the same hidden rows (then one pass serves both)."""
        a, b = self[name], self[other]
        return a.trunk is b.trunk and a.adapter == b.adapter

    def parameters(self, name: str) -> dict[str, nn.Parameter]:
        """Trainable parameters of a role by name; a shared trunk belongs to the policy alone."""
        role = self[name]
        found: dict[str, nn.Parameter] = {}
        if role.trainable and not (name == "value" and self.shares_trunk("value", "policy")):
            marker = None if role.adapter is None else f".{role.adapter}."
            for key, parameter in role.trunk.model.named_parameters():
                mine = marker in f"{key}." if marker else "lora_" not in key
                if mine and parameter.requires_grad:
                    found[key] = parameter
        if role.trainable and role.head is not None:
            weight = role.head.weight
            assert isinstance(weight, nn.Parameter)
            found["head.weight"] = weight
        return found

    @contextmanager
    def training(self) -> Iterator[None]:
        """LoRA dropout is on inside (the base's own dropout never is)."""
        with self.adapters.dropout(on=True):
            yield

    @contextmanager
    def scoring(self) -> Iterator[None]:
        """LoRA dropout is off inside, also where training is around it (a rollout of PPO)."""
        with self.adapters.dropout(on=False):
            yield

    def _trunks(self) -> list[Trunk]:
        trunks = [self.trunk, *(role.trunk for role in self._roles.values())]
        return list({id(trunk): trunk for trunk in trunks}.values())

    def weights_resident_bytes(self) -> int:
        """Bytes of all weights in memory, each counted once."""
        heads = [role.head for role in self._roles.values() if role.head is not None]
        modules = [*(trunk.model for trunk in self._trunks()), *heads]
        parameters = {id(p): p for module in modules for p in module.parameters()}
        return sum(p.numel() * p.element_size() for p in parameters.values())

    def models_resident(self) -> int:
        """Whole models in memory; adapters on one base count once."""
        return len(self._trunks())

    # -- saving ----------------------------------------------------------------------------------

    def save(self, name: str, folder: Path) -> None:
        """Write a role as a folder that PEFT or transformers loads unchanged."""
        role = self[name]
        folder.mkdir(parents=True, exist_ok=True)
        if role.adapter is not None:
            self.adapters.save(role.adapter, folder)
            if role.head is not None:
                add_head(folder, role.head.weight.mean(0, keepdim=True))
        elif role.head is not None:
            mean_head = role.head.weight.mean(0, keepdim=True)
            write_model(role.trunk, mean_head, folder, self.tokenizer)
        else:
            with quiet():
                role.trunk.model.save_pretrained(folder)
        if role.head is not None:
            write_heads(folder, role.head.weight)
            write_scale(folder, role.scale, num_heads=role.head.out_features)
        self.tokenizer.save_pretrained(folder)

    def state(self, names: tuple[str, ...]) -> dict[str, Tensor]:
        """Trainable tensors of several roles, for a checkpoint."""
        return {
            f"{name}/{key}": parameter.detach()
            for name in names
            for key, parameter in self.parameters(name).items()
        }

    def restore(self, state: Mapping[str, Tensor], names: tuple[str, ...]) -> None:
        """Put a checkpoint's tensors back.

        Raises:
            ModelError: a tensor is missing, left over, or of another shape.
        """
        mine = self.state(names)
        if mine.keys() != state.keys():
            odd = sorted(mine.keys() ^ state.keys())
            raise ModelError(f"the checkpoint and the model differ in {len(odd)} tensors: {odd[0]}")
        with torch.no_grad():
            for key, tensor in mine.items():
                if tensor.shape != state[key].shape:
                    raise ModelError(f"{key}: {tuple(state[key].shape)} in the checkpoint")
                tensor.copy_(state[key])

    # -- parts ----------------------------------------------------------------------------------

    def _own_role(self, name: str, lora: LoraConfig | None, adapter: Path | None) -> Role:
        if adapter is not None:
            self.adapters.load(name, adapter)
            return Role(self.trunk, name, self._new_head())
        if lora is not None:
            self.adapters.make(name, lora)
            return Role(self.trunk, name, self._new_head())
        model = self.model if name == "reward" and not self._roles else copy.deepcopy(self.model)
        trunk = self.trunk if model is self.model else Trunk(model)
        return Role(trunk, None, self._new_head())

    def _role_in(self, name: str, folder: Path, *, is_base: bool = False) -> tuple[Role, Tensor]:
        """A reward model's folder as a role, and its (mean) head [1, width]."""
        refuse_unsafe(folder)
        if not (folder / "adapter_config.json").exists():
            head, trunk = read_head(folder), self.trunk
            if not is_base:
                trunk = Trunk(prepare(read_model(folder, dtype=self.model.dtype)).to(self.device))
            return Role(trunk), head
        if "policy" in self and self["policy"].trainable and self["policy"].adapter is None:
            raise ModelError(
                f"{folder}: the reward model is an adapter on the base whose weights are all to be "
                "trained, so its rewards would change; train adapters (--use-peft)"
            )
        found = read_reward_adapter(folder)
        self.adapters.fill(name, found, folder)
        assert found.head is not None
        return Role(self.trunk, name), found.head

    def _new_head(self, count: int = 1) -> nn.Linear:
        width = self.model.config.hidden_size
        head = nn.Linear(width, count, bias=False, device=self.device, dtype=torch.float32)
        nn.init.normal_(head.weight, std=1 / (width + 1))
        return head

    def _train(self, role: Role, name: str) -> None:
        if role.adapter is None and not (name == "value" and role.trunk is self.trunk):
            role.trunk.model.requires_grad_(True)
        elif role.adapter is not None:
            for parameter in self.adapters.parameters(role.adapter).values():
                parameter.requires_grad_(True)
                # Small learning rates vanish in bfloat16 weights.
                parameter.data = parameter.data.float()
        self._roles[name] = role
