"""`palate ppo` from the shell: a gold reward, stop texts, runs that end early, what is refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cli.conftest import Palate, write_rows

REWARDS = """
def even(prompts, responses):
    return [sum(1.0 if int(word[1:]) % 2 == 0 else -1.0 for word in r.split()) for r in responses]

def odd(prompts, responses):
    return [-value for value in even(prompts, responses)]

def broken(prompts, responses):
    return [float("nan")] * len(responses)
"""


@pytest.fixture
def rewards(tmp_path: Path) -> Path:
    path = tmp_path / "rewards.py"
    path.write_text(REWARDS, encoding="utf-8")
    return path


@pytest.fixture
def common(model: Path, pairs: Path, rewards: Path, recipe: Path, tmp_path: Path) -> list[Any]:
    return [
        "ppo", "--config", recipe, "--model", model, "--data", pairs, "--max-new-tokens", 4,
        "--output-dir", tmp_path / "run", "--reward", f"{rewards}:even",
    ]  # fmt: skip


def test_a_run_over_its_budget_ends_cleanly_and_says_so(
    palate: Palate, common: list[Any], rewards: Path, tmp_path: Path
) -> None:
    said = palate(
        *common, "--gold", f"{rewards}:odd", "--stop", "w5 w", "--stop", "w9", "--eval-fraction",
        0.3, "--max-steps", 30, "--learning-rate", 0.3, "--warmup-steps", 0, "--kl-budget", 2,
        "--json",
    )  # fmt: skip
    assert said.code == 0
    assert said.json["stop_reason"] == "kl_budget"
    assert 1 < said.json["steps"] < 30
    metrics = said.json["metrics"]
    for prefix in ("", "eval_"):
        assert f"{prefix}objective/gold" in metrics
    assert "4 prompts × 1 responses = 4 responses a rollout" in said.err
    assert "ppo: stopped early (kl_budget): the rollout's KL to the reference is" in said.err
    written = yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text(encoding="utf-8"))
    assert written["stop"] == ["w5 w", "w9"]
    assert written["gold"] == [f"{rewards}:odd"]
    # The recipe alone gives the same run.
    again = palate(
        "ppo",
        "--config",
        tmp_path / "run" / "recipe.yaml",
        "--output-dir",
        tmp_path / "b",
        "--json",
    )
    assert again.code == 0
    assert again.json["metrics"] == metrics


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--value-model", "nowhere"], "value_model is 'nowhere'; it is one of shared, separate"),
        (["--stop", ""], "--stop: stop has an empty text"),
        (["--kl-penalty-in", "loss"], "kl_estimator is k1, but kl_penalty_in is loss"),
        (["--gold-patience", 2, "--eval-steps", 1, "--eval-fraction", 0.3], "no gold reward"),
        (["--max-new-tokens", 500], "pairs.jsonl:1: the prompt has 4 tokens, which with max_new_"),
    ],
)
def test_what_cannot_work_is_one_line_before_anything_is_written(
    palate: Palate, common: list[Any], tmp_path: Path, flags: list[Any], words: str
) -> None:
    said = palate(*common, *flags)
    assert said.code == 2
    assert words in said.error
    assert not (tmp_path / "run").exists()


def test_a_reward_that_is_not_finite_ends_the_run(
    palate: Palate, common: list[Any], rewards: Path
) -> None:
    said = palate(*common[:-1], f"{rewards}:broken")
    assert said.code == 3
    assert "gave nan for the response" in said.err
    assert "Traceback" not in said.err


def test_an_empty_prompt_file_is_refused(palate: Palate, common: list[Any], tmp_path: Path) -> None:
    empty = write_rows(tmp_path / "empty.jsonl", [])
    common[common.index("--data") + 1] = empty
    said = palate(*common)
    assert said.code == 2
    assert "empty.jsonl" in said.error


def test_a_run_is_not_resumed_against_another_reward(
    palate: Palate, common: list[Any], rewards: Path
) -> None:
    assert palate(*common, "--save-steps", 1).code == 0
    said = palate(*common[:-1], f"{rewards}:odd", "--save-steps", 1, "--resume")
    assert said.code == 2
    assert "reward" in said.err.splitlines()[-1]
    assert palate(*common, "--save-steps", 1, "--resume").code == 0


def test_a_run_that_would_only_warm_its_values_up_is_refused(
    palate: Palate, common: list[Any]
) -> None:
    said = palate(*common, "--max-steps", -1, "--value-warmup-steps", 50)
    assert said.code == 2
    assert "value_warmup_steps is 50, but the run has" in said.err.splitlines()[-1]
