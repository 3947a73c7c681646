"""What PPO carries from rollout to rollout, and what its further losses do to the policy."""

import logging
import resource
from pathlib import Path
from typing import Any

import pytest
import torch
from tests import tiny
from tests.training.runs import At, Stop, in_folder, kill, rows_of, settings_of, start, train
from torch import Tensor

from palate.data.trees import plant
from palate.models.attention import plan_forest
from palate.models.protocols import FunctionReward, ModelReward
from palate.models.roles import Roles
from palate.models.scoring import head_rewards
from palate.objectives.controllers import adapted_kl_coef
from palate.training.checkpoint import latest_checkpoint
from palate.training.controls import Controls
from palate.training.folder import RunFolder
from palate.training.ppo import train_ppo
from palate.training.run import Run
from palate.training.settings import PPOSettings


def _same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(v, b[k]) for k, v in a.items())


def _weights(roles: Roles, *names: str) -> dict[str, Tensor]:
    return {key: tensor.clone() for key, tensor in roles.state(names).items()}


# -- from rollout to rollout ----------------------------------------------------------------------


def test_the_adaptive_weight_follows_the_measured_kl() -> None:
    settings = settings_of(
        "ppo", adap_kl_ctrl=True, adap_kl_target=0.05, adap_kl_horizon=20, kl_coef=0.3,
        max_steps=6, logging_steps=1, warmup_steps=0,
    )  # fmt: skip
    history = train("ppo", start("ppo"), settings, evaluate=False).history
    coef = 0.3
    for row in history:
        assert row["objective/kl_coef"] == pytest.approx(coef, rel=1e-12)
        assert row["objective/non_score_reward"] == pytest.approx(
            -coef * row["objective/kl"], rel=1e-4, abs=1e-9
        )
        # Ten prompts, four a rollout and two responses each: every third rollout is short.
        num_responses = 4 if round(row["step"]) % 3 == 0 else 8
        coef = adapted_kl_coef(
            kl_coef=coef, kl=row["objective/kl"], target=0.05, num_responses=num_responses,
            horizon=20,
        )  # fmt: skip
    assert coef != 0.3


def test_the_adaptive_weight_stands_still_while_values_warm_up() -> None:
    """The policy has not moved: that its KL is below the target says nothing."""
    settings = settings_of(
        "ppo", adap_kl_ctrl=True, adap_kl_target=1.0, adap_kl_horizon=20, kl_coef=0.3,
        max_steps=4, logging_steps=1, value_warmup_steps=2,
    )  # fmt: skip
    history = train("ppo", start("ppo"), settings, evaluate=False).history
    coefs = [row["objective/kl_coef"] for row in history]
    assert coefs[:3] == [0.3] * 3
    assert coefs[3] < 0.3


def test_scores_are_scaled_by_all_that_was_seen() -> None:
    kept: dict[str, float] = {}
    settings = PPOSettings(use_score_scaling=True, use_score_norm=True, score_clip=1.2)
    first, second = torch.tensor([1.0, 3.0]), torch.tensor([7.0, 5.0])
    # Mean 2, spread 1; then 1, 3, 7, 5: mean 4, spread √5.
    assert Controls(settings, kept).learned_scores(first).tolist() == [-1.0, 1.0]
    learned = Controls(settings, kept).learned_scores(second)
    assert learned.tolist() == pytest.approx([1.2, 1 / 5**0.5])
    assert kept["score_count"] == 4
    plain = PPOSettings()
    assert torch.equal(Controls(plain, {}).learned_scores(first), first)


def test_all_that_is_carried_is_resumed_to_the_last_bit(tmp_path: Path) -> None:
    """Controller, running statistics and warm-up, killed inside the warm-up and after it."""
    settings = settings_of(
        "ppo", max_steps=6, save_steps=1, eval_steps=2, value_warmup_steps=2, adap_kl_ctrl=True,
        adap_kl_target=0.05, adap_kl_horizon=20, use_score_scaling=True, use_score_norm=True,
        score_clip=1.5, entropy_coef=0.01, kl_estimator="k2", kl_penalty_in="loss",
        load_best_model_at_end=True, kl_budget=50.0, stop=("w4 w", "w9"),
    )  # fmt: skip
    straight, broken = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "broken")
    roles = start("ppo")
    in_folder("ppo", straight, settings, roles)
    for seed, (resume, step) in enumerate([(False, 2), (True, 4)]):
        with pytest.raises(Stop):
            in_folder(
                "ppo", broken, settings, start("ppo", seed=seed), resume=resume,
                listeners=[At(step, kill)],
            )  # fmt: skip
    again = start("ppo", seed=9)
    in_folder("ppo", broken, settings, again, resume=True)
    assert broken.metrics.read_bytes() == straight.metrics.read_bytes()
    assert _same(_weights(again, "policy", "value"), _weights(roles, "policy", "value"))
    one, two = (latest_checkpoint(folder.checkpoints)[0] for folder in (straight, broken))
    assert one.state == two.state
    assert {"kl_coef", "score_count", "score_mean"} <= one.state["standing"]["extra"].keys()


# -- the value function ---------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["shared value", "value"])
def test_the_policy_stands_still_while_values_warm_up(value: str) -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", "reference", value)
    before = _weights(roles, "policy", "value")
    seen: list[dict[str, Tensor]] = []
    listeners = [At(n, lambda: seen.append(_weights(roles, "policy", "value"))) for n in (2, 3)]
    settings = settings_of("ppo", value_warmup_steps=2, warmup_steps=0, weight_decay=0.1)
    train("ppo", roles, settings, run=Run(listeners=listeners))
    warm, after = seen
    for key in before:
        moved = not torch.equal(before[key], warm[key])
        assert moved == key.startswith("value/"), key
    assert any(not torch.equal(warm[k], after[k]) for k in warm if k.startswith("policy/"))


def _reward_folder(folder: Path, kind: str) -> Path:
    roles = Roles(tiny.llama(), tiny.tokenizer())
    roles.add_reward(tiny.lora() if kind == "adapter" else None)
    tiny.nudge(roles, "reward", by=0.05)
    roles.save("reward", folder)
    return folder


@pytest.mark.parametrize("kind", ["adapter", "model"])
def test_the_value_function_can_start_from_a_reward_model(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = _reward_folder(tmp_path, kind)
    roles = tiny.roles_of(tiny.llama(), "policy", "reference")
    roles.add_value(folder=folder)
    trained = Roles(tiny.llama(), tiny.tokenizer())
    trained.load_reward(folder)
    ours, theirs = roles["value"], trained["reward"]
    for name, role in (("value", ours), ("reward", theirs)):
        assert (role.adapter == name) == (kind == "adapter")
    mine = roles.parameters("value")
    assert len(mine) > 1
    own = dict(theirs.trunk.model.named_parameters())
    for key, parameter in mine.items():
        if key != "head.weight":
            assert torch.equal(parameter, own[key.replace(".value.", ".reward.")].float())
    before = _weights(roles, "policy", "value")
    with caplog.at_level(logging.WARNING):
        train("ppo", roles, settings_of("ppo", warmup_steps=0), evaluate=False)
    assert caplog.text == ""
    after = _weights(roles, "policy", "value")
    assert {k for k in after if not torch.equal(before[k], after[k])} == after.keys()


# -- further losses -------------------------------------------------------------------------------

# A thousandth of what matters elsewhere: enough of a gradient for the value function's check.
INDIFFERENT = FunctionReward(lambda _p, responses: [1e-3] * len(responses), str)


def _learn_without_reward(**changes: Any) -> list[dict[str, float]]:
    """No response is better than another, by far: only the further losses pull."""
    settings = settings_of(
        "ppo", max_steps=8, logging_steps=1, eval_steps=0, warmup_steps=0, learning_rate=5e-3,
        missing_eos_penalty=0.0, whiten_advantages=False, per_device_train_batch_size=10,
        num_samples_per_prompt=4, **changes,
    )  # fmt: skip
    assert isinstance(settings, PPOSettings)
    roles = start("ppo")
    tiny.nudge(roles, "policy", by=0.04)
    roles.equal_at_start = False
    result = train_ppo(roles, rows_of("ppo"), settings, reward=INDIFFERENT, end_tokens=())
    return result.history


@pytest.mark.parametrize("estimator", ["k2", "k3"])
def test_a_kl_in_the_loss_pulls_back_to_the_reference(estimator: str) -> None:
    history = _learn_without_reward(kl_penalty_in="loss", kl_estimator=estimator, kl_coef=1.0)
    assert history[-1]["objective/kl_k3"] < 0.5 * history[0]["objective/kl_k3"]
    assert history[0]["loss/kl_avg"] > 0


def test_the_entropy_bonus_raises_the_entropy() -> None:
    history = _learn_without_reward(entropy_coef=0.5, kl_coef=0.0)
    assert history[-1]["objective/entropy"] > history[0]["objective/entropy"] + 0.5


# -- what is told ---------------------------------------------------------------------------------


def test_a_rollout_in_which_nothing_ends_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        _learn_without_reward(entropy_coef=0.1)
    words = "none of the 40 responses of a rollout ended by itself, all were cut at max_new_tokens"
    assert caplog.text.count(words) == 1
    assert "10 prompts × 4 responses = 40 responses a rollout" in caplog.text


def test_an_ensemble_that_disagrees_gives_less() -> None:
    roles = Roles(tiny.llama(), tiny.tokenizer())
    roles.add_reward(tiny.lora(), num_heads=3)
    trees = tiny.trees(4)
    forest = plant(trees)
    plan = plan_forest(forest)
    by_head = head_rewards(roles, forest)
    careful = ModelReward(roles, uncertainty_coef=0.5)(trees, forest, plan)
    torch.testing.assert_close(careful, by_head.mean(1) - 0.5 * by_head.std(1))
    assert float(by_head.std(1).min()) > 0
    torch.testing.assert_close(ModelReward(roles)(trees, forest, plan), by_head.mean(1))


@pytest.mark.slow
def test_memory_is_flat_over_fifty_iterations() -> None:
    """Resident memory at its highest grows no more once ten rollouts have been seen."""
    peaks: list[int] = []

    class Watch:
        def on_step(self, step: int, num_steps: int) -> bool:
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
            return False

        def on_log(self, step: int, metrics: Any) -> None:
            """Nothing."""

    settings = settings_of(
        "ppo", max_steps=60, per_device_train_batch_size=10, num_samples_per_prompt=8,
        max_new_tokens=40, adap_kl_ctrl=True, use_score_scaling=True, eval_steps=10,
    )  # fmt: skip
    train("ppo", start("ppo"), settings, run=Run(listeners=[Watch()]))
    assert len(peaks) == 60
    assert peaks[59] - peaks[9] < 8 * 1024  # KiB; a rollout kept each time would be more
