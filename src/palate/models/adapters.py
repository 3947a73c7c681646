"""LoRA adapters by name on one base: made, loaded, switched, written.

PEFT's own `set_adapter` and `disable_adapter` toggle `requires_grad`, which drops gradients where
a forward pass of one role lies between forward and backward of another. `active` therefore sets
the active adapter on the tuner layers themselves and touches nothing else; every adapter is frozen
when it is made, and what is trainable is decided once, by whoever takes it for training.
"""

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import set_peft_model_state_dict
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from palate.errors import ModelError
from palate.models.fused.lora_linear import fit_lora
from palate.models.load import refuse_unsafe
from palate.models.reward_folder import SavedAdapter, read_adapter


class Adapters:
    """The adapters on one base; `peft` is PEFT's wrapping of it, once there is an adapter."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.peft: PeftModel | None = None
        self.layers: list[BaseTunerLayer] = []

    # -- made and loaded -------------------------------------------------------------------------

    def make(self, name: str, lora: LoraConfig) -> None:
        """A fresh adapter, frozen; it draws from the global generator.

        Raises:
            ModelError: it would be more than plain LoRA, or lie on the language-model head.
        """
        refuse_beyond_lora(lora, name)
        config = copy.deepcopy(lora)
        config.fan_in_fan_out = any(isinstance(m, Conv1D) for m in self.model.modules())
        with warnings.catch_warnings():
            # PEFT still asks transformers by a name that it has renamed.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            if self.peft is None:
                self._take(get_peft_model(self.model, config, adapter_name=name))
            else:
                self.peft.add_adapter(name, config)
        self._freeze(name)

    def load(self, name: str, folder: Path) -> None:
        """The adapter of a folder, frozen.

        Raises:
            ModelError: it belongs to another base, changes nothing, or is not plain LoRA.
        """
        refuse_unsafe(folder)
        self.fill(name, read_adapter(folder), folder)
        if not any(
            bool(bank[name].weight.any())
            for layer in self.layers
            for bank in (layer.lora_B,)
            if name in bank
        ):
            raise ModelError(
                f"{folder}: every LoRA B matrix is zero, so the adapter changes nothing; was it "
                "saved under other parameter names?"
            )

    def fill(self, name: str, found: SavedAdapter, folder: Path) -> None:
        """An adapter of weights that were read from `folder`.

        Raises:
            ModelError: its tensors are not those that this base has.
        """
        self.make(name, found.config)
        report = set_peft_model_state_dict(self.peft, found.weights, adapter_name=name)
        missing = [key for key in report.missing_keys if f".{name}." in key]
        if missing or report.unexpected_keys:
            odd = [*missing, *report.unexpected_keys]
            raise ModelError(
                f"{folder}: its adapter and this base differ in {len(odd)} tensors (first: "
                f"{odd[0]}); was it trained on another model?"
            )

    def adopt(self, peft: PeftModel, *, twin: str) -> str:
        """Take up the caller's PEFT model; a frozen copy of its adapter is called `twin`.

        Returns:
            The name of the caller's adapter.

        Raises:
            ModelError: it carries several adapters, or more than plain LoRA.
        """
        name = peft.active_adapter
        if not isinstance(name, str) or len(peft.peft_config) != 1:
            raise ModelError(
                f"the PeftModel carries adapters {sorted(peft.peft_config)}; give one with one"
            )
        config = copy.deepcopy(peft.peft_config[name])
        refuse_beyond_lora(config, "the PeftModel")
        self._take(peft)
        peft.add_adapter(twin, config)
        own = dict(self.model.named_parameters())
        with torch.no_grad():
            for key, parameter in own.items():
                other = f"{key}.".replace(f".{name}.", f".{twin}.")[:-1]
                if other != key:
                    own[other].copy_(parameter)
        self._freeze(twin)
        return name

    def delete(self, name: str) -> None:
        """Forget an adapter and its weights."""
        assert self.peft is not None
        # Deleting the active adapter would activate another one and make it trainable.
        for layer in self.layers:
            layer._active_adapter = []
        self.peft.delete_adapter(name)
        self._find_layers()

    # -- used ------------------------------------------------------------------------------------

    @contextmanager
    def active(self, name: str | None) -> Iterator[None]:
        """Only this adapter (None: none) works inside; the previous state is restored after."""
        before = [(layer._disable_adapters, layer._active_adapter) for layer in self.layers]
        for layer in self.layers:
            layer._disable_adapters = name is None
            layer._active_adapter = [] if name is None else [name]
        try:
            yield
        finally:
            for layer, (disabled, active) in zip(self.layers, before, strict=True):
                layer._disable_adapters, layer._active_adapter = disabled, active

    @contextmanager
    def dropout(self, *, on: bool) -> Iterator[None]:
        """LoRA dropout is on or off inside; the base's own dropout is always off."""
        drops = [drop for layer in self.layers for drop in layer.lora_dropout.values()]
        before = [drop.training for drop in drops]
        for drop in drops:
            drop.train(on)
        try:
            yield
        finally:
            for drop, was in zip(drops, before, strict=True):
                drop.train(was)

    def parameters(self, name: str) -> dict[str, nn.Parameter]:
        """The weights of one adapter."""
        return {
            key: parameter
            for key, parameter in self.model.named_parameters()
            if f".{name}." in f"{key}."
        }

    def save(self, name: str, folder: Path) -> None:
        """Write an adapter as a folder that PEFT loads unchanged."""
        assert self.peft is not None
        self.peft.save_pretrained(str(folder), selected_adapters=[name])
        nested = folder / name
        if nested.is_dir():
            # PEFT writes an adapter that is not called "default" into a folder of its name.
            for path in nested.iterdir():
                path.replace(folder / path.name)
            nested.rmdir()

    # -- PEFT's habits ---------------------------------------------------------------------------

    def _take(self, peft: PeftModel) -> None:
        self.peft = peft
        peft.eval()

    def _find_layers(self) -> None:
        self.layers = [m for m in self.model.modules() if isinstance(m, BaseTunerLayer)]
        if isinstance(self.model.get_output_embeddings(), BaseTunerLayer):
            # Log-probabilities are computed from the head's own weight, without the module.
            raise ModelError(
                "an adapter on the language-model head is not supported; leave lm_head out of the "
                "LoRA target modules"
            )
        for layer in self.layers:
            fit_lora(layer)

    def _freeze(self, name: str) -> None:
        """Undo what PEFT marks trainable on its own."""
        self._find_layers()
        for key, parameter in self.model.named_parameters():
            if "lora_" not in key or f".{name}." in f"{key}.":
                parameter.requires_grad_(False)
        self.model.eval()


def refuse_beyond_lora(config: PeftConfig, where: str) -> None:
    """Roles are told apart by LoRA layers alone: whatever else an adapter trains, all would share.

    Raises:
        ModelError: the adapter is not plain LoRA.
    """
    if not isinstance(config, LoraConfig):
        raise ModelError(f"{where}: a {config.peft_type} adapter; only LoRA adapters are supported")
    for name, harmless in (
        ("modules_to_save", None), ("trainable_token_indices", None), ("bias", "none"),
        ("lora_bias", False), ("use_dora", False),
    ):  # fmt: skip
        given = getattr(config, name)
        if given and given != harmless:
            raise ModelError(
                f"{where}: the adapter has {name} = {given!r}, which policy and reference would "
                "share; only plain LoRA adapters are supported: merge it into the base first"
            )
