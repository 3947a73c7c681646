"""`palate online` through the shell: every method runs, resumes and stands in a comparison."""

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Palate, write_rows

from palate.experiments.passport import read_passport


@pytest.fixture(scope="module")
def reward(tmp_path_factory: pytest.TempPathFactory, model: Path, pairs: Path) -> Path:
    """A reward model of two steps; good enough to be scored with."""
    from palate.cli.app import main

    run = tmp_path_factory.mktemp("rewards") / "reward"
    command = [
        "reward", "--model", model, "--data", pairs, "--max-steps", 2, "--max-new-tokens", 4,
        "--per-device-train-batch-size", 4, "--lora-r", 4, "--output-dir", run,
    ]  # fmt: skip
    assert main([str(word) for word in command]) == 0
    return run


@pytest.fixture
def command(model: Path, pairs: Path, reward: Path, recipe: Path) -> list[object]:
    return [
        "online", "--config", recipe, "--model", model, "--data", pairs, "--reward", reward,
        "--reward-gate", "off", "--max-new-tokens", 4, "--num-samples-per-prompt", 2,
    ]  # fmt: skip


@pytest.mark.parametrize("method", ["grpo", "iterated-dpo"])
def test_a_method_leaves_a_run_that_can_be_compared(
    palate: Palate, command: list[object], model: Path, reward: Path, tmp_path: Path, method: str
) -> None:
    run = tmp_path / "run"
    said = palate(*command, "--method", method, "--output-dir", run, "--json")
    assert said.code == 0, said.err
    assert said.json["stage"] == "online"
    assert said.json["steps"] == 2
    assert {"reward_std", "objective/scores"} <= said.json["metrics"].keys()
    passport = read_passport(run / "model")
    assert passport is not None
    assert passport.settings["method"] == method
    assert passport.reward is not None
    assert passport.cost is not None
    assert passport.cost.tokens_sampled > 0
    assert (run / "rounds").exists() == (method == "iterated-dpo")
    prompts = write_rows(tmp_path / "prompts.jsonl", [{"prompt": f"w{i} w4"} for i in range(3, 9)])
    report = tmp_path / "compared"
    said = palate(
        "compare", "--base", model, "--arm", f"it={run}", "--prompts", prompts,
        "--reward", reward, "--max-new-tokens", 4, "--output-dir", report, "--json",
    )  # fmt: skip
    assert said.code == 0, said.err
    arm = json.loads((report / "results.json").read_text(encoding="utf-8"))["arms"]["it"]
    assert arm["kind"] == "online"
    assert arm["settings"]["method"] == method
    assert arm["cost"]["tokens_sampled"] > 0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--method", "grop"], ["--method", "grop", "grpo"]),
        (["--method", "grpo", "--loss-type", "ipo"], ["--loss-type", "dapo, bnpo, grpo, dr_grpo"]),
        (["--method", "online-dpo", "--loss-type", "kto"], ["--loss-type", "pairs", "sigmoid"]),
        (["--num-samples-per-prompt", "1"], ["--num-samples-per-prompt", "2 or more"]),
        (["--beta", "0.1"], ["--beta", "kl_coef"]),
        (["--num-generations", "8"], ["--num-generations", "num_samples_per_prompt"]),
        (["--vf-coef", "0.1"], ["--vf-coef"]),
    ],
)
def test_what_cannot_be_is_one_line_before_anything_runs(
    palate: Palate, command: list[object], tmp_path: Path, flags: list[str], words: list[str]
) -> None:
    run = tmp_path / "run"
    said = palate(*command, *flags, "--output-dir", run)
    assert said.code == 2
    assert all(word in said.error for word in words), said.error
    assert not run.exists()


def test_without_a_reward_model_the_error_says_where_to_get_one(
    palate: Palate, model: Path, pairs: Path
) -> None:
    said = palate("online", "--model", model, "--data", pairs)
    assert said.code == 2
    assert "--reward" in said.error
    assert "palate reward" in said.error
