"""check-reward, PPO's gate, ensembles and scores through the shell."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Palate, some_pairs, write_rows

from palate.experiments.world import base_model_path


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("rows") / "held-out.jsonl", some_pairs(24, seed=9))


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, model: Path, recipe: Path, held_out: Path
) -> dict[str, Path]:
    """Reward models of pairs that one word tells apart, and of the same pairs turned round."""
    from palate.cli.app import main

    folder = tmp_path_factory.mktemp("rewards")
    rows = some_pairs(60, seed=1)
    turned = [{**row, "chosen": row["rejected"], "rejected": row["chosen"]} for row in rows]
    found = {}
    for name, some in (("good", rows), ("poor", turned)):
        found[name] = folder / name
        data = write_rows(folder / f"{name}.jsonl", some)
        run = [
            "reward", "--config", recipe, "--model", model, "--data", data, "--eval-data", held_out,
            "--max-new-tokens", 4, "--output-dir", found[name], "--max-steps", 25,
            "--learning-rate", 1e-2,
        ]  # fmt: skip
        assert main([str(word) for word in run]) == 0
    return found


def test_check_reward_prints_stores_and_exits_by_the_checks(
    palate: Palate, trained: dict[str, Path], held_out: Path
) -> None:
    said = palate("check-reward", "--reward", trained["poor"], "--data", held_out, "--json",
                  "--max-new-tokens", 4)  # fmt: skip
    assert said.code == 4
    report = said.json
    assert report["passed"] is False
    assert "accuracy" in {c["name"] for c in report["checks"] if c["passed"] is False}
    assert report["samples"]["num_samples"] == 24
    stored = json.loads((trained["poor"] / "model" / "gate.json").read_text())
    assert {k: v for k, v in stored.items() if k in report} == report
    assert len(stored["weights"]) == len(stored["data"]) == 64
    # The same in words, from the pairs that the run itself held out.
    said = palate("check-reward", "--reward", trained["poor"])
    assert said.code == 4
    for part in ("longest wins", "bag of words", "wrong-prompt", "not fit to be optimized against"):
        assert part in " ".join(said.out.split())


def test_ppo_refuses_a_reward_model_below_the_gate_before_anything_is_trained(
    palate: Palate, trained: dict[str, Path], model: Path, recipe: Path, pairs: Path, tmp_path: Path
) -> None:
    (trained["poor"] / "model" / "gate.json").unlink(missing_ok=True)
    run = tmp_path / "ppo"
    command = [
        "ppo", "--config", recipe, "--model", model, "--data", pairs, "--output-dir", run,
        "--max-new-tokens", 4, "--reward", trained["poor"],
    ]  # fmt: skip
    said = palate(*command)
    assert said.code == 4
    assert "accuracy (low end of its interval" in said.err
    assert "--reward-gate warn" in said.err
    assert not run.exists()
    # It was checked on the spot, and the report is there for the next time.
    assert (trained["poor"] / "model" / "gate.json").exists()
    said = palate(*command, "--reward-gate", "warn")
    assert said.code == 0, said.err
    assert "not fit to be optimized against" in said.err
    written = (run / "recipe.yaml").read_text(encoding="utf-8")
    assert "reward_gate: warn" in written
    said = palate(*command, "--reward-gate", "never")
    assert said.code == 2


def test_ppo_takes_a_reward_model_whose_report_says_that_it_is_fit(
    palate: Palate, trained: dict[str, Path], model: Path, recipe: Path, pairs: Path, tmp_path: Path
) -> None:
    folder = trained["good"] / "model"
    said = palate("check-reward", "--reward", trained["good"], "--json", "--max-new-tokens", 4)
    report = said.json
    accuracy = next(c for c in report["checks"] if c["name"] == "accuracy")
    assert accuracy["passed"]
    # What is left are faults of so small a model; PPO goes by the stored verdict alone.
    stored = json.loads((folder / "gate.json").read_text())
    (folder / "gate.json").write_text(json.dumps({**stored, "passed": True, "verdict": "fit"}))
    said = palate(
        "ppo", "--config", recipe, "--model", model, "--data", pairs, "--max-new-tokens", 4,
        "--reward", trained["good"], "--output-dir", tmp_path / "ppo",
    )  # fmt: skip
    assert said.code == 0, said.err
    assert f"{folder} is fit" in said.err


def test_check_reward_without_pairs_asks_for_them(
    palate: Palate, model: Path, pairs: Path, recipe: Path, tmp_path: Path
) -> None:
    run = tmp_path / "reward"
    assert palate(
        "reward", "--config", recipe, "--model", model, "--data", pairs, "--output-dir", run,
        "--max-new-tokens", 4,
    ).code == 0  # fmt: skip
    said = palate("check-reward", "--reward", run)
    assert said.code == 2
    assert "--data is missing" in said.error
    few = write_rows(tmp_path / "few.jsonl", some_pairs(4))
    said = palate("check-reward", "--reward", run, "--data", few)
    assert said.code == 2
    assert "at least 5 prompts, and there are 4" in said.err
    # Its own run may have parted its file.
    parted = tmp_path / "parted"
    assert palate(
        "reward", "--config", recipe, "--model", model, "--data", pairs, "--output-dir", parted,
        "--max-new-tokens", 4, "--eval-fraction", 0.5,
    ).code == 0  # fmt: skip
    said = palate("check-reward", "--reward", parted, "--json")
    assert said.code == 4
    assert 5 <= said.json["num_pairs"] < 12


@pytest.mark.parametrize("kind", ["--use-peft", "--no-use-peft"])
def test_scores_of_a_reward_folder_are_those_of_training(
    palate: Palate,
    model: Path,
    pairs: Path,
    held_out: Path,
    recipe: Path,
    tmp_path: Path,
    kind: str,
) -> None:
    """Evaluated at the end of the run and scored from disk: the same numbers, heads and all."""
    run = tmp_path / "reward"
    said = palate(
        "reward", "--config", recipe, "--model", model, "--data", pairs, "--eval-data", held_out,
        "--output-dir", run, "--max-new-tokens", 4, "--num-heads", 3, "--json", kind,
    )  # fmt: skip
    assert said.code == 0, said.err
    trained = said.json["metrics"]
    output = tmp_path / "rows.jsonl"
    said = palate("score", "--model", run, "--data", held_out, "--json", "--output", output)
    for name in ("rewards/chosen", "rewards/rejected", "rewards/margins"):
        assert said.json[f"raw_{name}"] == pytest.approx(trained[f"eval_{name}"], abs=1e-5)
    assert said.json["accuracy"]["value"] == pytest.approx(trained["eval_accuracy"])
    scale = json.loads((run / "model" / "reward_scale.json").read_text())
    assert scale["num_heads"] == 3
    assert said.json["rewards/chosen"] == pytest.approx(
        (trained["eval_rewards/chosen"] - scale["mean"]) / scale["spread"], abs=1e-4
    )
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    mean = sum(r["chosen_uncertainty"] + r["rejected_uncertainty"] for r in rows) / 48
    assert said.json["rewards/uncertainty"] == pytest.approx(mean)
    assert mean > 0
    assert "rewards/uncertainty" in palate("score", "--model", run, "--data", held_out).out


def test_one_head_has_no_uncertainty(
    palate: Palate, trained: dict[str, Path], held_out: Path
) -> None:
    said = palate("score", "--model", trained["good"], "--data", held_out, "--json")
    assert said.json["rewards/uncertainty"] is None


def _turns(prompt: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]


ANSWERS = [
    (f"Where is my order {n}?", f"Order {n} ships on Monday.", f"You are right, order {n}.")
    for n in range(40, 52)
]
FORMS: dict[str, list[dict[str, Any]]] = {
    "text": [{"prompt": f"{p}\nReply:", "chosen": f" {c}", "rejected": f" {r}"}
             for p, c, r in ANSWERS],
    "text, implicit": [{"chosen": f"{p}\nReply: {c}", "rejected": f"{p}\nReply: {r}"}
                       for p, c, r in ANSWERS],
    "turns": [{"prompt": _turns(p, "")[:1], "chosen": _turns(p, c)[1:],
               "rejected": _turns(p, r)[1:]} for p, c, r in ANSWERS],
    "turns, implicit": [{"chosen": _turns(p, c), "rejected": _turns(p, r)}
                        for p, c, r in ANSWERS],
}  # fmt: skip


@pytest.mark.parametrize("kind", ["text", "turns"])
def test_implicit_prompts_train_the_same_reward_model(
    palate: Palate, recipe: Path, tmp_path: Path, kind: str
) -> None:
    logs = []
    for form in (kind, f"{kind}, implicit"):
        run = tmp_path / form.replace(", ", "-")
        said = palate(
            "reward", "--config", recipe, "--model", base_model_path(), "--output-dir", run,
            "--data", write_rows(tmp_path / f"{run.name}.jsonl", FORMS[form]),
            "--max-new-tokens", 4, "--max-length", 64, "--num-scale-samples", 2,
        )  # fmt: skip
        assert said.code == 0, said.err
        logs.append((run / "metrics.jsonl").read_bytes())
    assert logs[0] == logs[1]
