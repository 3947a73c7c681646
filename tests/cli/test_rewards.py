"""Rewards named on a command line, through PPO."""

import json
from pathlib import Path

import pytest
import yaml
from tests.cli.conftest import Palate, some_pairs, write_rows

FUNCTIONS = """
import json
def wanted(prompts, responses, want):
    with open("seen.jsonl", "a") as file:
        for row in zip(prompts, responses, want):
            file.write(json.dumps(row) + "\\n")
    return [float(w in r.split()) for r, w in zip(responses, want)]
def nan(prompts, responses):
    return [float("nan")] * len(responses)
"""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(FUNCTIONS, encoding="utf-8")
    rows = [{"prompt": row["prompt"], "want": f"w{9 + i}"} for i, row in enumerate(some_pairs(12))]
    return write_rows(tmp_path / "prompts.jsonl", rows)


def test_ppo_takes_a_function_whose_columns_come_with_the_prompts(
    palate: Palate, model: Path, recipe: Path, asked: Path
) -> None:
    common = ["ppo", "--config", recipe, "--model", model, "--data", asked, "--max-new-tokens", 4]
    said = palate(*common, "--output-dir", "run", "--reward", "0.5*mine.py:wanted",
                  "--reward", "mine.py:wanted", "--json")  # fmt: skip
    assert said.code == 0, said.err
    want = {row["prompt"]: row["want"] for row in map(json.loads, asked.read_text().splitlines())}
    seen = [json.loads(line) for line in Path("seen.jsonl").read_text().splitlines()]
    assert len(seen) > 8
    for prompt, _, wanted in seen:
        assert want[prompt] == wanted
    # The recipe works from anywhere.
    written = yaml.safe_load(Path("run/recipe.yaml").read_text())
    here = Path.cwd()
    assert written["reward"] == [f"0.5*{here}/mine.py:wanted", f"{here}/mine.py:wanted"]
    said = palate("ppo", "--config", "run/recipe.yaml", "--output-dir", "again", "--json")
    assert said.code == 0, said.err
    assert Path("again/metrics.jsonl").read_bytes() == Path("run/metrics.jsonl").read_bytes()


def test_a_gate_without_a_reward_model_is_told(
    palate: Palate, model: Path, recipe: Path, asked: Path
) -> None:
    said = palate("ppo", "--config", recipe, "--model", model, "--data", asked, "--output-dir",
                  "run", "--max-new-tokens", 4, "--reward", "mine.py:wanted",
                  "--reward-gate", "warn")  # fmt: skip
    assert said.code == 0, said.err
    assert "--reward-gate has no effect: only reward models have a gate" in said.err


@pytest.mark.parametrize(
    ("reward", "code", "words"),
    [
        ("mine.py:nan", 3, "mine.py:nan gave nan for the response"),
        ("mine.py:gone", 2, "gone is not there; mine.py has"),
        ("runs/gone", 2, "there is no such folder"),
    ],
)
def test_a_reward_that_cannot_be_used_is_one_line(
    palate: Palate, model: Path, recipe: Path, asked: Path, reward: str, code: int, words: str
) -> None:
    said = palate("ppo", "--config", recipe, "--model", model, "--data", asked, "--output-dir",
                  "run", "--max-new-tokens", 4, "--reward", reward)  # fmt: skip
    assert said.code == code
    *_, last = said.err.splitlines()  # the sizes of the run may stand before it
    assert last.startswith("error: ")
    assert words in last
    assert "Traceback" not in said.err
