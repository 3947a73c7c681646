"""Many roles on one base: which adapter computes, what is trainable, what a folder holds."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, PrefixTuningConfig, TaskType, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from tests import tiny
from torch import Tensor
from transformers import AutoModelForCausalLM

from palate.data.trees import Forest, plant
from palate.errors import ModelError
from palate.models.load import weights_hash
from palate.models.roles import Roles
from palate.models.scoring import (
    hidden_rows,
    raw_rewards_from,
    response_logprobs,
    rewards,
    values_from,
)

FOREST = plant(tiny.trees(4))


@torch.no_grad()
def _logprobs(roles: Roles, name: str, forest: Forest = FOREST) -> Tensor:
    return response_logprobs(roles, name, forest)


def _trainable(roles: Roles) -> set[str]:
    return {key for key, p in roles.model.named_parameters() if p.requires_grad}


def _state(roles: Roles) -> list[tuple[bool, list[str]]]:
    return [
        (layer._disable_adapters, list(layer._active_adapter)) for layer in roles.adapters.layers
    ]


# -- reference --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", tiny.MODELS)
@pytest.mark.parametrize("peft", [True, False], ids=["lora", "full"])
def test_policy_and_reference_are_equal_to_the_last_bit_at_the_start(name: str, peft: bool) -> None:
    roles = Roles(tiny.MODELS[name](), tiny.tokenizer())
    roles.add_policy(tiny.lora() if peft else None)
    roles.add_reference()
    assert roles.equal_at_start
    start = _logprobs(roles, "reference")
    assert torch.equal(_logprobs(roles, "policy"), start)

    tiny.nudge(roles, "policy")
    assert torch.equal(_logprobs(roles, "reference"), start)
    assert not torch.allclose(_logprobs(roles, "policy"), start, atol=1e-2)


@pytest.mark.parametrize("name", tiny.MODELS)
def test_a_loaded_adapter_is_policy_and_frozen_reference(name: str, tmp_path: Path) -> None:
    folder = _sft_adapter(name, tmp_path)
    roles = Roles(tiny.MODELS[name](), tiny.tokenizer())
    with torch.random.fork_rng():
        roles.add_policy(adapter=folder)
    assert "reference" in roles
    start = _logprobs(roles, "reference")
    assert torch.equal(_logprobs(roles, "policy"), start)

    # The reference is base + adapter, as stock PEFT has it.
    stock = PeftModel.from_pretrained(tiny.MODELS[name](), str(folder))
    expected = torch.stack([x.sum() for x in tiny.stock_logprobs(stock, tiny.trees(4))])
    torch.testing.assert_close(start, expected.detach(), rtol=0, atol=2e-5)

    assert not any(".reference." in key for key in _trainable(roles))
    tiny.nudge(roles, "policy")
    assert torch.equal(_logprobs(roles, "reference"), start)


def test_a_peft_model_of_the_caller_is_treated_alike() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mine = get_peft_model(tiny.llama(), LoraConfig(r=3, target_modules=["q_proj", "v_proj"]))
    with torch.no_grad():
        for key, parameter in mine.named_parameters():
            if "lora_B" in key:
                parameter.fill_(0.05)
    expected = torch.stack([x.sum() for x in tiny.stock_logprobs(mine, tiny.trees(4))]).detach()

    base = mine.get_base_model()
    roles = Roles(base, tiny.tokenizer())
    roles.add_peft_policy(mine)
    start = _logprobs(roles, "reference")
    torch.testing.assert_close(start, expected, rtol=0, atol=2e-5)
    assert torch.equal(_logprobs(roles, "policy"), start)
    assert all(".default." in key for key in roles.parameters("policy"))
    tiny.nudge(roles, "policy")
    assert torch.equal(_logprobs(roles, "reference"), start)


def test_an_explicit_reference_must_share_the_vocabulary() -> None:
    roles = tiny.roles_of(tiny.llama(), "policy")
    with pytest.raises(ModelError, match="the reference has 50 tokens, the policy 48"):
        roles.add_reference(tiny.llama(vocab=50))
    roles.add_reference(tiny.llama(seed=1))
    assert not roles.equal_at_start
    expected = tiny.stock_logprobs(tiny.llama(seed=1), tiny.trees(4))
    torch.testing.assert_close(
        _logprobs(roles, "reference"),
        torch.stack([x.sum() for x in expected]).detach(),
        rtol=0,
        atol=2e-5,
    )


def test_a_policy_as_it_is_and_the_start_of_arms(tmp_path: Path) -> None:
    folder = _sft_adapter("llama", tmp_path)
    roles = Roles(tiny.llama(), tiny.tokenizer())
    roles.add_policy_as_is(adapter=folder)
    roles.add_start_reference(adapter=folder)
    assert torch.equal(_logprobs(roles, "policy"), _logprobs(roles, "reference"))
    assert roles.parameters("policy") == {}
    assert not _trainable(roles)

    bare = Roles(tiny.llama(), tiny.tokenizer())
    bare.add_policy_as_is()
    bare.add_start_reference()
    assert torch.equal(_logprobs(bare, "policy"), _logprobs(bare, "reference"))
    assert not torch.allclose(_logprobs(bare, "policy"), _logprobs(roles, "policy"), atol=1e-2)


def test_a_reward_lent_by_other_roles_scores_there_and_is_given_back() -> None:
    owner = tiny.roles_of(tiny.llama(seed=1), "reward")
    tiny.nudge(owner, "reward")
    expected = rewards(owner, FOREST)
    roles = tiny.roles_of(tiny.llama(), "policy", "reference")
    roles.add_frozen_reward(owner)
    tiny.nudge(roles, "policy")
    assert torch.equal(rewards(roles, FOREST), expected)
    roles.drop("reward")
    assert "reward" not in roles
    assert torch.equal(rewards(owner, FOREST), expected)


# -- entering ---------------------------------------------------------------------------------


def test_entering_restores_what_was_and_leaves_gradients_alone() -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", "reference", "reward", "value")
    before, trainable = _state(roles), _trainable(roles)
    with roles.enter("reward"):
        inside = _state(roles)
        assert all(state == (False, ["reward"]) for state in inside)
        with roles.enter("reference"):
            assert all(disabled for disabled, _ in _state(roles))
            assert _trainable(roles) == trainable
        assert _state(roles) == inside
    assert _state(roles) == before
    with pytest.raises(RuntimeError, match="inside"), roles.enter("value"):
        raise RuntimeError("inside")
    assert _state(roles) == before
    assert _trainable(roles) == trainable
    with pytest.raises(ModelError, match="no start role; it has policy, reference"):
        roles["start"]


@pytest.mark.parametrize("name", tiny.MODELS)
@pytest.mark.parametrize("other", ["value", "reward", "reference"])
def test_other_roles_between_forward_and_backward_do_not_move_the_gradient(
    name: str, other: str
) -> None:
    def gradients(*, between: bool) -> dict[str, Tensor]:
        roles = tiny.roles_of(tiny.MODELS[name](), "policy", "reference", "reward", "value")
        for trained in ("policy", "reward", "value"):
            tiny.nudge(roles, trained)
        loss = response_logprobs(roles, "policy", FOREST).sum()
        if between:
            with torch.set_grad_enabled(other != "reference"):
                hidden = hidden_rows(roles, other, FOREST)
            if other != "reference":
                read = values_from if other == "value" else raw_rewards_from
                read(roles[other], hidden, FOREST).sum().backward()  # type: ignore[no-untyped-call]
        loss.backward()  # type: ignore[no-untyped-call]
        found = {}
        for key, parameter in roles.parameters("policy").items():
            assert parameter.grad is not None
            found[key] = parameter.grad
        return found

    alone, between = gradients(between=False), gradients(between=True)
    assert all(bool(g.any()) for g in alone.values())
    for key, gradient in alone.items():
        assert torch.equal(gradient, between[key]), key


def test_the_private_attributes_of_peft_that_entering_relies_on_exist() -> None:
    roles = tiny.roles_of(tiny.llama(), "policy")
    layers = [m for m in roles.model.modules() if isinstance(m, BaseTunerLayer)]
    assert len(layers) == 14
    for layer in layers:
        assert layer._disable_adapters is False
        assert layer._active_adapter == ["policy"] or layer._active_adapter == "policy"
        assert layer.lora_dropout.keys() == {"policy"}


# -- parameters -------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["value", "shared value"])
def test_roles_share_no_parameter_and_cover_what_is_trainable(value: str) -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", "reference", "reward", value)
    owned = {n: roles.parameters(n) for n in ("policy", "reference", "reward", "value")}
    ids = [id(p) for found in owned.values() for p in found.values()]
    assert len(ids) == len(set(ids))
    assert owned["reference"] == {}
    assert owned["policy"].keys() == {k for k in _trainable(roles) if ".policy." in k}
    assert "head.weight" in owned["reward"]
    assert (len(owned["value"]) == 1) == (value == "shared value")
    heads = 2
    assert len(ids) == len(_trainable(roles)) + heads


def test_full_fine_tuning_gives_each_role_its_own_weights() -> None:
    roles = Roles(tiny.llama(), tiny.tokenizer())
    for name in ("policy", "reference", "reward", "value"):
        tiny.add(roles, name, None)
    owned = {n: roles.parameters(n) for n in ("policy", "reference", "reward", "value")}
    ids = [id(p) for found in owned.values() for p in found.values()]
    assert len(ids) == len(set(ids))
    assert owned["reference"] == {}
    before = {n: _logprobs(roles, n) for n in ("policy", "reference")}
    tiny.nudge(roles, "reward")
    tiny.nudge(roles, "value")
    assert all(torch.equal(_logprobs(roles, n), x) for n, x in before.items())
    assert roles.models_resident() == 4


def test_a_full_reward_model_alone_uses_the_base_itself() -> None:
    roles = Roles(tiny.llama(), tiny.tokenizer())
    roles.add_reward()
    assert roles["reward"].trunk is roles.trunk
    assert roles.models_resident() == 1


def test_the_base_stays_what_it_was_whatever_is_trained() -> None:
    roles = tiny.roles_of(tiny.gpt2(), "policy", "reward", "value")
    assert weights_hash(roles.model) == weights_hash(tiny.gpt2())
    for name in ("policy", "reward", "value"):
        tiny.nudge(roles, name)
    assert weights_hash(roles.model) == weights_hash(tiny.gpt2())
    with torch.no_grad():
        next(iter(roles.model.parameters())).view(-1)[0] += 1e-6
    assert weights_hash(roles.model) != weights_hash(tiny.gpt2())


def test_trained_adapters_of_a_bfloat16_base_are_float32() -> None:
    roles = tiny.roles_of(tiny.llama().to(torch.bfloat16), "policy", "reward")
    for name in ("policy", "reward"):
        assert all(p.dtype == torch.float32 for p in roles.parameters(name).values())
    roles.add_reference()
    assert torch.equal(_logprobs(roles, "policy"), _logprobs(roles, "reference"))


def test_dropping_a_role_frees_it_and_makes_nothing_else_trainable(tmp_path: Path) -> None:
    folder = _sft_adapter("llama", tmp_path)
    roles = Roles(tiny.llama(), tiny.tokenizer())
    with torch.random.fork_rng():
        roles.add_policy(adapter=folder)
        roles.add_reward(tiny.lora())
    start, full = _logprobs(roles, "reference"), roles.weights_resident_bytes()
    reward = [p for k, p in roles.model.named_parameters() if ".reward." in k]

    roles.drop("policy")
    assert "policy" not in roles
    assert not any(".policy." in key for key, _ in roles.model.named_parameters())
    assert roles.weights_resident_bytes() < full
    assert not any(".reference." in key for key in _trainable(roles))
    assert all(p.requires_grad for p in reward)
    assert torch.equal(_logprobs(roles, "reference"), start)

    # The next arm, with another rank.
    with torch.random.fork_rng():
        roles.add_policy(tiny.lora(r=2))
    assert {p.shape[0] for k, p in roles.parameters("policy").items() if "lora_A" in k} == {2}


def test_the_last_adapter_can_be_dropped_and_added_again() -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", "reference")
    start = _logprobs(roles, "policy")
    tiny.nudge(roles, "policy")
    roles.drop("policy")
    with torch.random.fork_rng():
        roles.add_policy(tiny.lora(r=2))
    assert torch.equal(_logprobs(roles, "policy"), start)


def test_dropout_is_on_in_training_and_off_in_scoring() -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", dropout=0.5)
    tiny.nudge(roles, "policy")
    quiet = _logprobs(roles, "policy")
    assert torch.equal(_logprobs(roles, "policy"), quiet)
    with torch.random.fork_rng(), roles.training():
        assert not torch.allclose(_logprobs(roles, "policy"), quiet, atol=1e-3)
        with roles.scoring():
            assert torch.equal(_logprobs(roles, "policy"), quiet)
        assert not torch.allclose(_logprobs(roles, "policy"), quiet, atol=1e-3)
    assert torch.equal(_logprobs(roles, "policy"), quiet)


def test_state_goes_back_and_odd_states_are_refused() -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", "reward")
    names = ("policy", "reward")
    saved = {k: v.clone() for k, v in roles.state(names).items()}
    for name in names:
        tiny.nudge(roles, name)
    roles.restore(saved, names)
    assert all(torch.equal(v, saved[k]) for k, v in roles.state(names).items())

    some = next(iter(saved))
    with pytest.raises(ModelError, match="differ in 1 tensors"):
        roles.restore({k: v for k, v in saved.items() if k != some}, names)
    with pytest.raises(ModelError, match="in the checkpoint"):
        roles.restore(saved | {some: torch.zeros(1)}, names)


# -- folders ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", tiny.MODELS)
def test_a_saved_policy_loads_in_stock_peft_with_equal_logits(name: str, tmp_path: Path) -> None:
    folder = _sft_adapter(name, tmp_path)
    assert (folder / "adapter_model.safetensors").exists()
    assert not (folder / "policy").exists()
    roles = tiny.roles_of(tiny.MODELS[name](), "policy")
    tiny.nudge(roles, "policy")

    rows = torch.tensor([[3, 4, 5, 6]])
    stock = PeftModel.from_pretrained(tiny.MODELS[name](), str(folder))
    with torch.no_grad(), roles.enter("policy"):
        assert torch.equal(stock(input_ids=rows).logits, roles.model(input_ids=rows).logits)


def test_a_policy_with_all_weights_is_a_stock_model_folder(tmp_path: Path) -> None:
    roles = Roles(tiny.llama(), tiny.tokenizer())
    roles.add_policy()
    tiny.nudge(roles, "policy", by=0.02)
    roles.save("policy", tmp_path / "model")
    stock = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    rows = torch.tensor([[3, 4, 5, 6]])
    with torch.no_grad():
        assert torch.equal(stock(input_ids=rows).logits, roles.model(input_ids=rows).logits)
    assert (tmp_path / "model" / "tokenizer.json").exists()


def test_an_adapter_that_changes_nothing_is_refused(tmp_path: Path) -> None:
    tiny.roles_of(tiny.llama(), "policy").save("policy", tmp_path / "zero")
    with pytest.raises(ModelError, match="every LoRA B matrix is zero"):
        Roles(tiny.llama(), tiny.tokenizer()).add_policy(adapter=tmp_path / "zero")


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = _sft_adapter("llama", tmp_path)
    weights = load_file(folder / "adapter_model.safetensors")
    odd = {k.replace("layers.1.", "layers.7."): v for k, v in weights.items()}
    save_file(odd, folder / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=r"differ in 28 tensors .*trained on another model"):
        Roles(tiny.llama(), tiny.tokenizer()).add_policy(adapter=folder)


@pytest.mark.parametrize(
    ("extra", "word"),
    [
        ({"modules_to_save": ["embed_tokens"]}, "modules_to_save"),
        ({"bias": "all"}, "bias"),
        ({"use_dora": True}, "use_dora"),
        ({"trainable_token_indices": [3]}, "trainable_token_indices"),
    ],
)
def test_adapters_beyond_plain_lora_are_refused(extra: dict[str, object], word: str) -> None:
    """Their extra weights would be shared by policy and reference, silently."""
    config = LoraConfig(r=2, target_modules=["q_proj"], **extra)
    with pytest.raises(ModelError, match=word):
        Roles(tiny.llama(), tiny.tokenizer()).add_policy(config)


def test_other_refusals_of_adapters() -> None:
    with pytest.raises(ModelError, match="leave lm_head out"):
        Roles(tiny.llama(), tiny.tokenizer()).add_policy(
            LoraConfig(r=2, target_modules=["lm_head", "q_proj"])
        )
    prefix = get_peft_model(
        tiny.llama(), PrefixTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=2)
    )
    with pytest.raises(ModelError, match="only LoRA adapters are supported"):
        Roles(prefix.get_base_model(), tiny.tokenizer()).add_peft_policy(prefix)
    roles = tiny.roles_of(tiny.llama(), "reward")
    with pytest.raises(ModelError, match="carries adapters of other roles"):
        roles.add_policy()


def _sft_adapter(name: str, folder: Path) -> Path:
    """A trained adapter on disk."""
    roles = tiny.roles_of(tiny.MODELS[name](), "policy")
    tiny.nudge(roles, "policy")
    roles.save("policy", folder / "sft")
    return folder / "sft"
