"""Gates at the start: planted faults are found, sound starts pass in silence."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests import tiny
from tests.training.runs import settings_of, start, train

from palate.data.trees import plant
from palate.errors import GateError, NumericalError
from palate.models.roles import Roles
from palate.models.scoring import response_logprobs
from palate.training.checks import check_gradients, check_ratio_one, check_step_zero
from palate.training.rollout import Rollout, collect
from palate.training.settings import PPOSettings

FOREST = plant(tiny.trees(3))


def _backward(roles: Roles) -> None:
    response_logprobs(roles, "policy", FOREST).sum().backward()  # type: ignore[no-untyped-call]


def test_step_zero_by_hand() -> None:
    reference = torch.tensor([-100.0, -50.0])

    def check(gap: float, dtype: torch.dtype = torch.float32) -> None:
        check_step_zero(policy=reference + gap, reference=reference, dtype=dtype, what="DPO")

    check(0.0)
    check(1.9e-4)  # 1e-4 · (1 + 100/100)
    with pytest.raises(GateError):
        check(2.1e-4)
    with pytest.raises(GateError, match=r"DPO: policy and reference differ by 0\.01") as caught:
        check(0.01)
    assert "SFT adapter that the reference lacks" in str(caught.value)
    assert caught.value.exit_code == 4
    check(0.03, torch.bfloat16)  # 0.02 · (1 + 100/100)
    with pytest.raises(GateError):
        check(0.05, torch.bfloat16)
    with pytest.raises(GateError):
        check(float("nan"))


@pytest.mark.parametrize("stage", ["dpo", "ppo"])
def test_the_wrong_reference_is_found(stage: str) -> None:
    """The policy carries a trained adapter, the reference is the bare base."""
    roles = start(stage)
    tiny.nudge(roles, "policy")
    before = {k: v.clone() for k, v in roles.state(("policy",)).items()}
    with pytest.raises(GateError, match=f"{stage.upper()}: policy and reference differ"):
        train(stage, roles, settings_of(stage))
    assert all(torch.equal(v, before[k]) for k, v in roles.state(("policy",)).items())


@pytest.mark.parametrize("stage", ["dpo", "ppo"])
def test_the_adapter_as_its_own_reference_passes(stage: str, tmp_path: Path) -> None:
    sft = tiny.roles_of(tiny.llama(), "policy")
    tiny.nudge(sft, "policy")
    sft.save("policy", tmp_path / "sft")
    roles = Roles(tiny.llama(), tiny.tokenizer())
    roles.add_policy(adapter=tmp_path / "sft")
    if stage == "ppo":
        roles.add_value()
    assert train(stage, roles, settings_of(stage, max_steps=1)).steps == 1


@pytest.mark.parametrize("stage", ["dpo", "ppo"])
@pytest.mark.parametrize("model", tiny.MODELS)
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_equal_starts_are_equal_in_both_precisions_and_a_small_adapter_is_not(
    stage: str, model: str, precision: torch.dtype
) -> None:
    """However rows are grouped; an adapter of spread 0.005 that the reference lacks is found."""
    names = ("policy", "reference", *(("shared value",) if stage == "ppo" else ()))
    for max_tokens in (1, 50, 4096):
        roles = tiny.roles_of(tiny.MODELS[model]().to(precision), *names)
        settings = settings_of(stage, max_steps=1, max_tokens_per_microbatch=max_tokens)
        assert train(stage, roles, settings, evaluate=False).steps == 1
    roles = tiny.roles_of(tiny.MODELS[model]().to(precision), *names)
    tiny.nudge(roles, "policy", by=0.005)
    with pytest.raises(GateError, match="policy and reference differ"):
        train(stage, roles, settings_of(stage, max_steps=1), evaluate=False)


def test_ratio_by_hand() -> None:
    old = torch.tensor([-1.0, -2.0, -3.0, -4.0])

    def check(gaps: list[float], dtype: torch.dtype = torch.float32) -> None:
        check_ratio_one(logprobs=old + torch.tensor(gaps), old_logprobs=old, dtype=dtype)

    check([0.0, 0.0, 0.0, 0.0])
    check([1e-4, -1e-4, 0.0, 0.0])
    with pytest.raises(GateError, match=r"differ by 0\.0005 nats a token") as caught:
        check([1e-3, 0.0, 0.0, 0.0])  # √(1e-6 / 4)
    assert "dropout" in str(caught.value)
    assert "temperature" in str(caught.value)
    assert caught.value.exit_code == 4
    check([0.03, -0.02, 0.0, 0.0], torch.bfloat16)
    with pytest.raises(GateError):
        check([0.04, 0.03, 0.0, 0.0], torch.bfloat16)  # √(25e-4 / 4)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_sound_ppo_start_has_ratio_one_whatever_the_reference(precision: torch.dtype) -> None:
    roles = tiny.roles_of(tiny.llama().to(precision), "policy")
    tiny.nudge(roles, "policy")
    roles.add_reference(tiny.llama(seed=4).to(precision))
    roles.add_value()
    settings = settings_of(
        "ppo", max_steps=1, num_mini_batches=4, max_tokens_per_microbatch=20, temperature=0.7
    )
    assert train("ppo", roles, settings, evaluate=False).steps == 1


def _moved() -> Roles:
    roles = tiny.roles_of(tiny.llama(), "policy")
    tiny.nudge(roles, "policy", by=0.05)
    roles.add_reference(tiny.llama(seed=4))
    roles.add_value()
    return roles


def test_a_rollout_at_another_temperature_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def hotter(*args: Any, settings: PPOSettings, **kwargs: Any) -> Rollout:
        settings = replace(settings, temperature=settings.temperature * 1.1)
        return collect(*args, settings=settings, **kwargs)

    monkeypatch.setattr("palate.training.ppo.collect", hotter)
    with pytest.raises(GateError, match="ratio must be 1 .*another temperature"):
        train("ppo", _moved(), settings_of("ppo"), evaluate=False)


def test_an_explicit_reference_is_not_compared() -> None:
    roles = tiny.roles_of(tiny.llama(), "policy")
    roles.add_reference(tiny.llama(seed=4))
    result = train("dpo", roles, settings_of("dpo", max_steps=1))
    assert result.metrics["rewards/margins"] != 0


def test_gradients_of_a_sound_start(caplog: pytest.LogCaptureFixture) -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", "reference", "reward")
    _backward(roles)
    with caplog.at_level(logging.WARNING, logger="palate"):
        report = check_gradients(roles, ("policy",))
    assert report.norms["policy"] > 0
    assert report.unreached == ()
    assert not caplog.records


def test_a_role_without_a_gradient_is_found() -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", "reward")
    _backward(roles)
    with pytest.raises(GateError, match="no gradient reached the reward role"):
        check_gradients(roles, ("policy", "reward"))


def test_a_frozen_tensor_with_a_gradient_is_found() -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", "reward")
    _backward(roles)
    frozen = roles.model.get_input_embeddings().weight
    frozen.requires_grad_(True)
    frozen.grad = torch.ones_like(frozen)
    with pytest.raises(GateError, match=r"a frozen tensor has a gradient: model\.embed_tokens"):
        check_gradients(roles, ("policy",))


def test_a_single_unreached_tensor_is_told(caplog: pytest.LogCaptureFixture) -> None:
    roles = tiny.roles_of(tiny.llama(), "policy")
    _backward(roles)
    key, parameter = next((k, p) for k, p in roles.parameters("policy").items() if "lora_B" in k)
    parameter.grad = None
    report = check_gradients(roles, ("policy",))
    assert report.unreached == (f"policy: {key}",)
    assert "no token reached 1 trainable tensors" in caplog.text


def test_a_gradient_that_is_not_finite_is_found() -> None:
    roles = tiny.roles_of(tiny.llama(), "policy")
    _backward(roles)
    parameter = list(roles.parameters("policy").values())[-1]
    assert parameter.grad is not None
    parameter.grad.view(-1)[0] = float("inf")
    with pytest.raises(NumericalError, match="the gradient of policy's .* is not finite"):
        check_gradients(roles, ("policy",))
