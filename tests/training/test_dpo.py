"""DPO: every number against a slow version with the stock model."""

import math

import pytest
import torch
from tests import tiny

from palate.data.trees import Tree, plant
from palate.models.reference import ReferenceCache
from palate.models.roles import Roles
from palate.training.dpo import score_pairs, train_dpo
from palate.training.settings import DPOSettings

PAIRS = tiny.trees(5)


def _roles() -> Roles:
    """A policy away from its reference."""
    roles = tiny.roles_of(tiny.llama(), "policy", "reference")
    tiny.nudge(roles, "policy")
    return roles


def _slow_margins(roles: Roles) -> list[float]:
    sums = {}
    for name in ("policy", "reference"):
        with torch.no_grad(), roles.enter(name):
            sums[name] = [float(x.sum()) for x in tiny.stock_logprobs(roles.model, PAIRS)]
    ratios = [p - r for p, r in zip(sums["policy"], sums["reference"], strict=True)]
    return [ratios[2 * i] - ratios[2 * i + 1] for i in range(len(PAIRS))]


def _score(roles: Roles, pairs: list[Tree], settings: DPOSettings) -> list[float]:
    cache = ReferenceCache()
    cache.fill(roles, pairs)
    with torch.no_grad():
        scores = score_pairs(roles, pairs, plant(pairs), cache=cache, settings=settings)
    found: list[float] = scores.losses.tolist()
    return found


@pytest.mark.parametrize(
    ("loss_type", "smoothing"),
    [("sigmoid", 0.0), ("sigmoid", 0.1), ("robust", 0.1), ("hinge", 0.0), ("ipo", 0.0)],
)
def test_losses_equal_a_slow_computation(loss_type: str, smoothing: float) -> None:
    roles, beta = _roles(), 0.3
    settings = DPOSettings(beta=beta, loss_type=loss_type, label_smoothing=smoothing)  # type: ignore[arg-type]
    expected = []
    for margin in _slow_margins(roles):
        right = math.log(1 + math.exp(-beta * margin))
        wrong = math.log(1 + math.exp(beta * margin))
        expected.append(
            {
                "sigmoid": (1 - smoothing) * right + smoothing * wrong,
                "robust": ((1 - smoothing) * right - smoothing * wrong) / (1 - 2 * smoothing),
                "hinge": max(0.0, 1 - beta * margin),
                "ipo": (margin - 1 / (2 * beta)) ** 2,
            }[loss_type]
        )
    assert _score(roles, PAIRS, settings) == pytest.approx(expected, rel=2e-4, abs=2e-5)


def test_weights_multiply_the_loss_of_their_pair() -> None:
    roles, settings = _roles(), DPOSettings()
    plain = _score(roles, PAIRS, settings)
    weights = [0.0, 0.5, 1.0, 2.0, 3.0]
    weighted = [Tree(t.prompt, t.responses, weight=w) for t, w in zip(PAIRS, weights, strict=True)]
    assert _score(roles, weighted, settings) == pytest.approx(
        [x * w for x, w in zip(plain, weights, strict=True)], rel=1e-5
    )


def test_swapping_a_pair_mirrors_its_margin() -> None:
    roles = _roles()
    swapped = [Tree(t.prompt, t.responses[::-1]) for t in PAIRS]
    cache = ReferenceCache()
    cache.fill(roles, [*PAIRS, *swapped])
    with torch.no_grad():
        there, back = (
            score_pairs(roles, p, plant(p), cache=cache, settings=DPOSettings()).margins
            for p in (PAIRS, swapped)
        )
    torch.testing.assert_close(there, -back, rtol=0, atol=2e-5)


def test_the_first_step_is_at_ln_2_and_then_falls() -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", "reference")
    settings = DPOSettings(
        per_device_train_batch_size=5, max_steps=12, learning_rate=2e-2, warmup_steps=0,
        logging_steps=1,
    )  # fmt: skip
    result = train_dpo(roles, PAIRS, settings)
    first, last = result.history[0], result.history[-1]
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert first["rewards/margins"] == pytest.approx(0.0, abs=1e-6)
    assert last["loss"] < 0.5
    assert last["rewards/accuracies"] == 1.0
    assert last["rewards/margins"] == pytest.approx(
        last["rewards/chosen"] - last["rewards/rejected"], abs=1e-5
    )


def test_runs_that_share_a_reference_share_its_cache() -> None:
    cache = ReferenceCache()
    settings = DPOSettings(per_device_train_batch_size=5, max_steps=2, learning_rate=1e-2)
    roles = tiny.roles_of(tiny.llama(), "policy", "reference")
    alone = train_dpo(roles, PAIRS, settings, cache=cache)
    assert len(cache) == 5
    roles = tiny.roles_of(tiny.llama(), "policy", "reference")
    shared = train_dpo(roles, PAIRS, settings, cache=cache)
    # The start's check alone, as policy and as reference.
    assert roles.meter.tokens["score"] == 2 * sum(t.num_tokens for t in PAIRS)
    assert shared.history == alone.history


def test_evaluation_is_the_mean_over_pairs() -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", "reference")
    settings = DPOSettings(max_steps=1, max_tokens_per_microbatch=30)
    result = train_dpo(roles, PAIRS, settings, eval_pairs=PAIRS[:3])
    losses = _score(roles, PAIRS[:3], settings)
    assert result.metrics["eval_loss"] == pytest.approx(sum(losses) / 3, rel=1e-5)


def test_all_weights_can_be_trained() -> None:
    roles = Roles(tiny.gpt2(), tiny.tokenizer())
    roles.add_policy()
    roles.add_reference()
    settings = DPOSettings(max_steps=4, learning_rate=1e-3, use_peft=False, warmup_steps=0)
    result = train_dpo(roles, PAIRS, settings)
    assert result.history[0]["loss"] < math.log(2)
    assert result.steps == 4
