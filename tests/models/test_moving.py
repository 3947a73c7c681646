"""A reference that follows the policy: weights mixed as the formula says, with LoRA and without."""

from pathlib import Path

import pytest
import torch
from tests import tiny
from torch import Tensor

from palate.data.trees import plant
from palate.errors import ModelError
from palate.models.moving import (
    add_moving_reference,
    frozen_twin,
    mix_reference,
    moving_weights,
)
from palate.models.roles import Roles
from palate.models.scoring import response_logprobs
from palate.training.dpo import train_dpo
from palate.training.settings import DPOSettings

FOREST = plant(tiny.trees(4))


@torch.no_grad()
def _logprobs(roles: Roles, name: str) -> Tensor:
    return response_logprobs(roles, name, FOREST)


def _roles(name: str, *, peft: bool, adapter: Path | None = None) -> Roles:
    roles = Roles(tiny.MODELS[name](), tiny.tokenizer())
    twin = frozen_twin(roles)
    roles.add_policy(tiny.lora() if peft and adapter is None else None, adapter=adapter)
    add_moving_reference(roles, twin)
    return roles


@pytest.mark.parametrize("name", tiny.MODELS)
@pytest.mark.parametrize("peft", [True, False], ids=["lora", "full"])
def test_it_stays_until_it_is_moved_and_then_is_where_the_policy_was(name: str, peft: bool) -> None:
    roles = _roles(name, peft=peft)
    assert roles.equal_at_start
    start = _logprobs(roles, "reference")
    torch.testing.assert_close(_logprobs(roles, "policy"), start, rtol=0, atol=1e-5)
    tiny.nudge(roles, "policy")
    assert torch.equal(_logprobs(roles, "reference"), start)
    moved = _logprobs(roles, "policy")
    assert not torch.allclose(moved, start, atol=1e-2)
    mix_reference(roles, alpha=1.0)
    torch.testing.assert_close(_logprobs(roles, "reference"), moved, rtol=0, atol=1e-4)
    tiny.nudge(roles, "policy", seed=8)
    torch.testing.assert_close(_logprobs(roles, "reference"), moved, rtol=0, atol=1e-4)
    assert not any(p.requires_grad for p in moving_weights(roles).values())


@pytest.mark.parametrize("peft", [True, False], ids=["lora", "full"])
def test_weights_are_mixed_by_alpha(peft: bool) -> None:
    """Twice, so that a mixture is mixed: no adapter of the policy's rank could hold that."""
    roles = _roles("llama", peft=peft)
    expected = {name: w.clone() for name, w in moving_weights(roles).items()}
    for seed in (7, 8):
        tiny.nudge(roles, "policy", seed=seed)
        merged = _merged(roles, peft=peft)
        expected = {name: 0.4 * merged[name] + 0.6 * w for name, w in expected.items()}
        mix_reference(roles, alpha=0.4)
    for name, weight in moving_weights(roles).items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-6)


def _merged(roles: Roles, *, peft: bool) -> dict[str, Tensor]:
    """The policy's weights as one plain model, from the adapters' matrices."""
    state = {k: v.detach() for k, v in roles.model.named_parameters()}
    merged = {k.replace(".base_layer.", "."): v for k, v in state.items() if "lora_" not in k}
    if peft:
        config = tiny.lora()
        scale = config.lora_alpha / config.r
        for key, a in state.items():
            if ".lora_A.policy." in key:
                b = state[key.replace("lora_A", "lora_B")]
                name = key.replace(".lora_A.policy.", ".")
                merged[name] = merged[name] + scale * (b @ a)
    return merged


def test_a_loaded_adapter_is_where_the_reference_begins(tmp_path: Path) -> None:
    first = tiny.roles_of(tiny.llama(), "policy")
    tiny.nudge(first, "policy")
    first.save("policy", tmp_path / "sft")
    roles = _roles("llama", peft=True, adapter=tmp_path / "sft")
    start = _logprobs(first, "policy")
    torch.testing.assert_close(_logprobs(roles, "reference"), start, rtol=0, atol=1e-4)
    torch.testing.assert_close(_logprobs(roles, "policy"), start, rtol=0, atol=1e-4)


@pytest.mark.parametrize("peft", [True, False], ids=["lora", "full"])
def test_a_moved_reference_is_another_function_by_its_fingerprint(peft: bool) -> None:
    roles = _roles("llama", peft=peft)
    start = roles["reference"].fingerprint
    tiny.nudge(roles, "policy")
    assert roles["reference"].fingerprint == start
    mix_reference(roles, alpha=0.5)
    assert roles["reference"].fingerprint != start
    assert _roles("llama", peft=peft)["reference"].fingerprint == start


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_an_adapter_whose_merging_is_rounded_may_start(
    precision: torch.dtype, tmp_path: Path
) -> None:
    """Its twin is further from it than equal starts are; in float32 it is held to be equal."""
    first = tiny.roles_of(tiny.llama().to(precision), "policy")
    tiny.nudge(first, "policy")
    first.save("policy", tmp_path / "sft")
    roles = Roles(tiny.llama().to(precision), tiny.tokenizer())
    twin = frozen_twin(roles)
    roles.add_policy(adapter=tmp_path / "sft")
    add_moving_reference(roles, twin)
    assert roles.equal_at_start == (precision == torch.float32)
    settings = DPOSettings(sync_ref_model=True, max_steps=1)
    assert train_dpo(roles, tiny.trees(4), settings).steps == 1


def test_a_reference_on_the_policys_base_cannot_move() -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", "reference")
    with pytest.raises(ModelError, match="cannot move by itself"):
        mix_reference(roles, alpha=0.5)


def test_a_reference_of_another_architecture_cannot_be_mixed() -> None:
    roles = Roles(tiny.llama(), tiny.tokenizer())
    roles.add_policy(tiny.lora())
    roles.add_reference(tiny.gpt2())
    with pytest.raises(ModelError, match="has no equal in the policy"):
        mix_reference(roles, alpha=0.5)
