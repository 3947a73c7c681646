"""What goes wrong in RLHF, on purpose, in small real runs: each is stopped, refused or harmless.

A reward that flattery or length can please is found by the gate:
tests/experiments/test_reward_pathology.py.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from tests import tiny
from tests.training.runs import END, REWARD, in_folder, rows_of, settings_of, start, train

from palate.data.trees import Tree
from palate.errors import ModelError, RecipeError
from palate.models.protocols import FunctionReward, Reward
from palate.models.roles import Roles
from palate.training.folder import RunFolder
from palate.training.ppo import train_ppo
from palate.training.run import Result
from palate.training.settings import PPOSettings, StageSettings


def _words(sign: float) -> Reward:
    """`sign` for even tokens, the opposite for odd ones."""

    def score(_: Sequence[str], responses: Sequence[str]) -> list[float]:
        return [sum(sign if int(w) % 2 == 0 else -sign for w in r.split()) for r in responses]

    return FunctionReward(score, lambda ids: " ".join(map(str, ids)))


# -- the KL blows up ------------------------------------------------------------------------------


def _absurd(**changes: Any) -> StageSettings:
    """With this learning rate the first updates leave the reference far behind."""
    return settings_of(
        "ppo", learning_rate=0.3, lr_scheduler_type="constant", warmup_steps=0, logging_steps=1,
        eval_steps=0, **changes,
    )  # fmt: skip


def test_a_kl_that_blows_up_is_stopped_by_the_budget(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = _absurd(kl_budget=4.0, max_steps=20, save_steps=50)
    folder = RunFolder(tmp_path / "run")
    with caplog.at_level(logging.WARNING):
        result = in_folder("ppo", folder, settings, start("ppo"), evaluate=False)
    assert result.stop_reason == "kl_budget"
    assert "above kl_budget 4; raise kl_coef or lower learning_rate" in caplog.text
    assert 1 < result.steps < 20
    over = [row["objective/kl"] > 4.0 for row in result.history]
    assert over == [False] * (result.steps - 1) + [True]
    # The rollout that was over is not learned from; the run is saved, and is over when resumed.
    assert "loss" not in result.history[-1]
    assert result.history[-1]["objective/kl_budget_used"] > 1
    assert (folder.checkpoints / f"step-{result.steps:06d}").exists()
    again = in_folder("ppo", folder, settings, start("ppo", seed=3), resume=True, evaluate=False)
    assert (again.steps, again.stop_reason) == (result.steps, "kl_budget")

    free = train("ppo", start("ppo"), _absurd(max_steps=result.steps + 1), evaluate=False)
    assert (free.steps, free.stop_reason) == (result.steps + 1, "")
    kls = [row["objective/kl"] for row in free.history]
    assert kls[:-1] == [row["objective/kl"] for row in result.history]


def test_the_best_weights_are_those_within_the_budget(caplog: pytest.LogCaptureFixture) -> None:
    """No evaluation of this run is within a budget of nearly nothing, though all have scores."""
    settings = settings_of(
        "ppo", max_steps=3, eval_steps=1, load_best_model_at_end=True, kl_budget=1e-9,
        warmup_steps=0,
    )  # fmt: skip
    roles = start("ppo")
    tiny.nudge(roles, "policy", by=0.02)
    roles.equal_at_start = False
    with caplog.at_level(logging.WARNING):
        result = train("ppo", roles, settings)
    assert result.metrics["eval_objective/kl"] > 1e-9
    assert "no evaluation could be the best" in caplog.text


# -- the reference or the reward is not what it seems ---------------------------------------------


def test_a_reward_model_that_has_lost_its_head_cannot_load(tmp_path: Path) -> None:
    tiny.roles_of(tiny.llama(), "reward").save("reward", tmp_path)
    path = tmp_path / "adapter_model.safetensors"
    kept = {k: v for k, v in load_file(path).items() if "score" not in k}
    save_file(kept, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"the adapter has no .*score.*not a reward model folder"):
        start("ppo").load_reward(tmp_path)


def test_an_sft_adapter_as_start_has_kl_zero_at_step_zero(tmp_path: Path) -> None:
    trained = tiny.roles_of(tiny.llama(), "policy")
    train("sft", trained, settings_of("sft", max_steps=2), evaluate=False)
    trained.save("policy", tmp_path)
    roles = Roles(tiny.llama(), tiny.tokenizer())
    roles.add_policy(adapter=tmp_path)
    roles.add_reference()
    roles.add_value()
    result = train("ppo", roles, settings_of("ppo", max_steps=2, logging_steps=1), evaluate=False)
    first, second = (row for row in result.history if "objective/kl" in row)
    assert first["objective/kl"] == first["objective/kl_k3"] == 0.0
    assert second["objective/kl"] != 0.0


def test_a_learning_rate_of_nothing_has_ratio_one_for_ever() -> None:
    """1e-30 is lost in the weights' rounding; 0 itself is refused as a setting."""
    settings = settings_of(
        "ppo", learning_rate=1e-30, max_steps=5, num_ppo_epochs=3, logging_steps=1, temperature=0.8
    )
    for row in train("ppo", start("ppo"), settings, evaluate=False).history:
        assert row["val/ratio"] == pytest.approx(1.0, abs=1e-6)
        assert row["policy/approxkl_avg"] < 1e-10
        assert row["policy/clipfrac_avg"] == row["val/clipfrac_avg"] == 0
        assert row["objective/kl"] == 0.0


# -- what is optimized and what is meant part -----------------------------------------------------


def _watched(gold: Reward | None, *, held_out: int = 16, max_steps: int = 24) -> Result:
    settings = settings_of(
        "ppo", per_device_train_batch_size=8, num_samples_per_prompt=4, max_steps=max_steps,
        learning_rate=2e-2, kl_coef=0.01, missing_eos_penalty=0.0, warmup_steps=0,
        gold_patience=2,
    )  # fmt: skip
    assert isinstance(settings, PPOSettings)
    eval_prompts: list[Tree] = rows_of("ppo", held_out, seed=1)
    return train_ppo(
        start("ppo"), rows_of("ppo", 8), settings, reward=REWARD, end_tokens=END, gold=gold,
        eval_prompts=eval_prompts,
    )  # fmt: skip


def test_a_run_ends_where_proxy_and_gold_part(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        result = _watched(_words(-1.0))
    assert result.stop_reason == "proxy_gold_parted"
    assert result.steps < 24
    assert "the reward that is optimized rose from" in caplog.text
    # Gold is logged in rollouts as well as in evaluations.
    assert any("objective/gold" in row for row in result.history)
    last = result.metrics
    assert last["eval_objective/gold"] == pytest.approx(-last["eval_objective/scores"], abs=1e-4)


def test_a_gold_that_rises_with_the_proxy_ends_nothing() -> None:
    result = _watched(_words(1.0), max_steps=8)
    assert (result.steps, result.stop_reason) == (8, "")


def test_watching_needs_a_gold_reward_and_two_prompts() -> None:
    with pytest.raises(RecipeError, match=r"gold_patience is 2, but there is no gold reward"):
        _watched(None)
    with pytest.raises(RecipeError, match="there are 1 evaluation prompts"):
        _watched(REWARD, held_out=1)
