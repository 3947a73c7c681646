"""The reward model: Bradley–Terry on the last token, margin, centering, scale."""

import math
from typing import Any

import pytest
import torch
from tests import tiny

from palate.data.trees import Response, Tree, plant
from palate.errors import RecipeError
from palate.models.roles import Roles
from palate.models.scoring import head_rewards, hidden_rows, raw_rewards_from
from palate.training.reward import measure_scale, train_reward
from palate.training.settings import RewardSettings

PAIRS = tiny.trees(5)
ONE_STEP: dict[str, Any] = {
    "per_device_train_batch_size": 5, "max_steps": 1, "learning_rate": 1e-9,
    "max_new_tokens": 3, "num_scale_samples": 4,
}  # fmt: skip


def _roles() -> Roles:
    roles = tiny.roles_of(tiny.llama(), "reward")
    tiny.nudge(roles, "reward", by=0.2)
    return roles


@torch.no_grad()
def _slow_rewards(roles: Roles) -> list[tuple[float, float]]:
    head = roles["reward"].head
    assert head is not None
    found = []
    for tree in PAIRS:
        pair = []
        for response in tree.responses:
            row = torch.tensor([[*tree.prompt, *response.tokens]])
            with roles.enter("reward"):
                pair.append(
                    float(head(roles.model.base_model(input_ids=row).last_hidden_state[0, -1]))
                )
        found.append((pair[0], pair[1]))
    return found


def _loss(margin: float, smoothing: float = 0.0) -> float:
    right, wrong = (math.log(1 + math.exp(s * margin)) for s in (-1, 1))
    return (1 - smoothing) * right + smoothing * wrong


def test_loss_and_metrics_equal_a_slow_computation() -> None:
    roles = _roles()
    slow = _slow_rewards(roles)
    settings = RewardSettings(**ONE_STEP, label_smoothing=0.1)
    metrics = train_reward(roles, PAIRS, settings, end_tokens=(2,)).metrics
    assert metrics["loss"] == pytest.approx(sum(_loss(a - b, 0.1) for a, b in slow) / 5, abs=1e-5)
    assert metrics["accuracy"] == pytest.approx(sum(a > b for a, b in slow) / 5)
    assert metrics["rewards/chosen"] == pytest.approx(sum(a for a, _ in slow) / 5, abs=1e-5)
    assert metrics["rewards/margins"] == pytest.approx(sum(a - b for a, b in slow) / 5, abs=1e-5)


def test_weights_margins_and_centering() -> None:
    roles = _roles()
    slow = _slow_rewards(roles)
    weights, asked = [1.0, 2.0, 0.0, 0.5, 1.0], [None, 0.5, 1.0, -0.5, 0.0]
    rows = [
        Tree(t.prompt, t.responses, weight=w, margin=m)
        for t, w, m in zip(PAIRS, weights, asked, strict=True)
    ]
    settings = RewardSettings(**ONE_STEP, center_rewards_coefficient=0.01)
    metrics = train_reward(roles, rows, settings, end_tokens=(2,)).metrics
    expected = sum(
        w * (_loss(a - b - (m or 0.0)) + 0.01 * (a + b) ** 2)
        for (a, b), w, m in zip(slow, weights, asked, strict=True)
    )
    assert metrics["loss"] == pytest.approx(expected / 5, abs=1e-5)


def test_the_scale_is_that_of_samples_of_the_model_it_started_from() -> None:
    roles = _roles()
    settings = RewardSettings(**{**ONE_STEP, "learning_rate": 1e-2, "max_steps": 3})
    train_reward(roles, PAIRS, settings, end_tokens=(2,))
    scale = roles["reward"].scale
    assert (scale.mean, scale.spread) != (0.0, 1.0)
    assert "start" not in roles

    # With the scale, those samples have mean 0 and spread 1.
    trees = [Tree((5,), (Response((k, 2)),)) for k in range(3, 12)]
    measured = measure_scale(roles, trees, 20)
    forest = plant(trees)
    with torch.no_grad():
        raw = raw_rewards_from(roles["reward"], hidden_rows(roles, "reward", forest), forest)
    assert measured.mean == pytest.approx(float(raw.mean()), abs=1e-6)
    assert measured.spread == pytest.approx(float(raw.std()), rel=1e-5)


def test_rewards_that_are_all_alike_have_no_scale() -> None:
    roles = tiny.roles_of(tiny.llama(), "reward")
    one = Tree((5,), (Response((4, 2)),))
    assert measure_scale(roles, [one, one, one], 100).spread == 1.0
    assert measure_scale(roles, [one], 100).spread == 1.0


def test_pairs_are_learned() -> None:
    roles = tiny.roles_of(tiny.llama(), "reward")
    settings = RewardSettings(
        per_device_train_batch_size=5, max_steps=15, learning_rate=2e-2, warmup_steps=0,
        num_scale_samples=2, max_new_tokens=2,
    )  # fmt: skip
    result = train_reward(roles, PAIRS, settings, end_tokens=(2,), eval_pairs=PAIRS)
    assert result.metrics["eval_accuracy"] == 1.0
    assert result.metrics["eval_loss"] < 0.2


def _ensemble(num_heads: int) -> Roles:
    roles = Roles(tiny.llama(), tiny.tokenizer())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        roles.add_reward(tiny.lora(), num_heads=num_heads)
    tiny.nudge(roles, "reward", by=0.2)
    return roles


def test_the_loss_of_an_ensemble_is_the_mean_of_its_heads_losses() -> None:
    roles = _ensemble(3)
    with torch.no_grad():
        by_head = head_rewards(roles, plant(PAIRS)).view(5, 2, 3)
    settings = RewardSettings(**ONE_STEP, center_rewards_coefficient=0.01, num_heads=3)
    metrics = train_reward(roles, PAIRS, settings, end_tokens=(2,)).metrics
    each = [
        _loss(float(chosen - rejected)) + 0.01 * float(chosen + rejected) ** 2
        for pair in by_head
        for chosen, rejected in pair.T
    ]
    assert metrics["loss"] == pytest.approx(sum(each) / 15, abs=1e-5)
    margins = by_head.mean(2)[:, 0] - by_head.mean(2)[:, 1]
    assert metrics["rewards/margins"] == pytest.approx(float(margins.mean()), abs=1e-5)
    assert metrics["accuracy"] == pytest.approx(float((margins > 0).float().mean()))


def test_heads_that_start_apart_are_trained_apart_and_agree_where_pairs_speak() -> None:
    roles = _ensemble(3)
    head = roles["reward"].head
    assert head is not None
    before = head.weight.detach().clone()
    settings = RewardSettings(
        per_device_train_batch_size=5, max_steps=15, learning_rate=2e-2, warmup_steps=0,
        num_scale_samples=2, max_new_tokens=2, num_heads=3,
    )  # fmt: skip
    train_reward(roles, PAIRS, settings, end_tokens=(2,))
    assert bool((head.weight != before).any(1).all())
    with torch.no_grad():
        by_head = head_rewards(roles, plant(PAIRS)).view(5, 2, 3)
    assert bool((by_head[:, 0] > by_head[:, 1]).all())
    assert float(by_head.std(2).min()) > 0


def test_a_number_of_heads_below_one_is_refused() -> None:
    with pytest.raises(RecipeError, match="num_heads is 0"):
        RewardSettings(num_heads=0)
