"""Every command end to end, on a model of two layers."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import yaml
from tests.cli.conftest import Palate, some_pairs, write_rows

from palate.experiments import embedded

PROMISED = {
    "output_dir", "train_seconds", "steps", "examples", "tokens", "peak_rss_bytes", "metrics",
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, model: Path, pairs: Path, shown: Path, recipe: Path
) -> dict[str, Path]:
    """One run of each stage, each from the one before, as a user would make them."""
    from palate.cli.app import main

    folder = tmp_path_factory.mktemp("runs")
    runs = {name: folder / name for name in ("sft", "reward", "dpo", "ppo")}
    common = ["--config", str(recipe), "--output-dir"]
    assert (
        main(["sft", *common, str(runs["sft"]), "--model", str(model), "--data", str(shown)]) == 0
    )
    start = ["--model", str(runs["sft"]), "--data", str(pairs)]
    sampled = ["--max-new-tokens", "4"]
    assert main(["reward", *common, str(runs["reward"]), *start, *sampled]) == 0
    assert main(["dpo", *common, str(runs["dpo"]), *start, "--beta", "0.3"]) == 0
    reward = ["--reward", str(runs["reward"]), "--reward-gate", "off"]
    assert main(["ppo", *common, str(runs["ppo"]), *start, *sampled, *reward]) == 0
    return runs


@pytest.mark.parametrize("stage", ["sft", "reward", "dpo", "ppo"])
def test_a_run_folder_has_what_is_promised(runs: dict[str, Path], stage: str) -> None:
    run = runs[stage]
    assert {"recipe.yaml", "manifest.json", "metrics.jsonl", "README.md", "model"} <= {
        path.name for path in run.iterdir()
    }
    written = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
    assert written["stage"] == stage
    assert written["max_steps"] == 2  # from the recipe, over the default
    assert Path(written["data"]).is_absolute()
    assert len((run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) == 2


def test_json_is_one_object_on_standard_output(
    palate: Palate, model: Path, pairs: Path, recipe: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    said = palate(
        "dpo", "--config", recipe, "--model", model, "--data", pairs, "--output-dir", run,
        "--json", "--eval-fraction", 0.3,
    )  # fmt: skip
    assert said.code == 0
    assert said.json.keys() >= PROMISED
    assert said.json["output_dir"] == str(run)
    assert said.json["steps"] == 2
    assert 0 < said.json["examples"] <= 8
    assert said.json["train_seconds"] > 0
    assert said.json["peak_rss_bytes"] > 10_000_000
    # The reference is where training starts: the first loss is ln 2, the last near it.
    assert said.json["metrics"]["loss"] == pytest.approx(0.693, abs=0.1)
    assert said.json["metrics"]["eval_loss"] == pytest.approx(0.693, abs=0.1)


def test_flags_override_the_recipe_and_the_recipe_repeats_the_run(
    palate: Palate, model: Path, pairs: Path, recipe: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    said = palate(
        "dpo", "--config", recipe, "--model", model, "--data", pairs, "--output-dir", first,
        "--beta", 0.7, "--no-use-peft", "--max-steps", 1,
    )  # fmt: skip
    assert said.code == 0
    written = yaml.safe_load((first / "recipe.yaml").read_text(encoding="utf-8"))
    assert (written["beta"], written["use_peft"], written["max_steps"]) == (0.7, False, 1)
    assert written["learning_rate"] == 1e-3  # YAML's 1e-3 is a string
    said = palate("dpo", "--config", first / "recipe.yaml", "--output-dir", second)
    assert said.code == 0
    assert (first / "metrics.jsonl").read_bytes() == (second / "metrics.jsonl").read_bytes()


def test_sft_learns_the_chosen_side_of_pairs(
    palate: Palate, model: Path, pairs: Path, shown: Path, recipe: Path, tmp_path: Path
) -> None:
    common = ["sft", "--config", recipe, "--model", model, "--json"]
    a = palate(*common, "--data", shown, "--output-dir", tmp_path / "a")
    b = palate(*common, "--data", pairs, "--use-chosen", "--output-dir", tmp_path / "b")
    assert (a.code, b.code) == (0, 0)
    assert a.json["metrics"] == b.json["metrics"]


def test_skipped_rows_are_counted_and_kept_for_mending(
    palate: Palate, model: Path, recipe: Path, tmp_path: Path
) -> None:
    rows: list[dict[str, object]] = [dict(row) for row in some_pairs(9)]
    rows[4]["chosen"] = ""
    data = write_rows(tmp_path / "some.jsonl", rows)
    run = tmp_path / "run"
    said = palate(
        "dpo", "--config", recipe, "--model", model, "--data", data, "--output-dir", run,
        "--skip-bad",
    )  # fmt: skip
    assert said.code == 0
    assert f"{data}: 9 rows read, 8 kept, 1 skipped" in said.err
    (reject,) = (run / "rejects.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(reject)["origin"] == f"{data}:5"


def test_dpo_takes_labelled_responses_where_the_loss_does(
    palate: Palate, model: Path, recipe: Path, tmp_path: Path
) -> None:
    rows = [
        {"prompt": row["prompt"], "completion": row[side], "label": side == "chosen"}
        for row in some_pairs(6)
        for side in ("chosen", "rejected")
    ]
    data = write_rows(tmp_path / "labelled.jsonl", rows)
    common = ["dpo", "--config", recipe, "--model", model, "--data", data, "--output-dir"]
    said = palate(*common, tmp_path / "kto", "--loss-type", "kto", "--json")
    assert said.code == 0
    assert "kl" in said.json["metrics"]
    refused = palate(*common, tmp_path / "dpo")
    assert refused.code == 2
    assert "labelled.jsonl:1: 1 responses, where loss_type sigmoid needs" in refused.err


def test_dpo_names_the_nearest_loss(palate: Palate, model: Path, pairs: Path) -> None:
    said = palate("dpo", "--model", model, "--data", pairs, "--loss-type", "simop")
    assert said.code == 2
    assert "--loss-type: loss_type is 'simop', which is unknown; did you mean 'simpo'?" in said.err


@pytest.mark.parametrize("stage", ["sft", "reward", "dpo", "ppo"])
def test_rows_left_out_for_their_length_are_counted_on_both_sides(
    palate: Palate, runs: dict[str, Path], stage: str, recipe: Path, tmp_path: Path
) -> None:
    def long(*which: int, seed: int) -> list[dict[str, str]]:
        rows = some_pairs(8, seed=seed)
        for i in which:
            rows[i]["prompt"] += " w7" * 40
        return rows

    command = [
        stage, "--config", recipe, "--model", runs["sft"], "--overlong", "drop", "--max-steps", 1,
        "--data", write_rows(tmp_path / "train.jsonl", long(2, seed=1)),
        "--eval-data", write_rows(tmp_path / "eval.jsonl", long(0, 4, 5, seed=2)),
    ]  # fmt: skip
    if stage == "sft":
        command.append("--use-chosen")
    if stage == "ppo":
        command.extend(["--reward", runs["reward"], "--reward-gate", "off", "--max-new-tokens", 4])
    said = palate(*command, "--output-dir", tmp_path / "a", "--json")
    assert said.code == 0
    assert (said.json["dropped_overlong"], said.json["dropped_overlong_eval"]) == (1, 3)
    said = palate(*command, "--output-dir", tmp_path / "b")
    assert "  1 rows were longer than --max-length: dropped" in said.out
    assert "  3 held-out rows were longer than --max-length: dropped" in said.out


def test_a_shared_prompt_between_training_and_evaluation_is_told(
    palate: Palate, model: Path, pairs: Path, recipe: Path, tmp_path: Path
) -> None:
    said = palate(
        "dpo", "--config", recipe, "--model", model, "--data", pairs, "--eval-data", pairs,
        "--output-dir", tmp_path / "run",
    )  # fmt: skip
    assert said.code == 0
    assert "warning E404 prompt in both parts: 12 rows" in said.err
    assert f"palate check {pairs} --eval-data {pairs}" in said.err


def test_sample_gives_a_row_a_prompt(
    palate: Palate, runs: dict[str, Path], pairs: Path, tmp_path: Path
) -> None:
    output = tmp_path / "rows.jsonl"
    common = ["sample", "--model", runs["dpo"], "--max-new-tokens", 4, "--seed", 3]
    said = palate(*common, "--prompts", pairs, "--num-samples", 2, "--output", output)
    assert (said.code, said.out) == (0, "")
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 12
    for row in rows:
        assert len(row["responses"]) == 2
        for response in row["responses"]:
            assert set(response) == {"text", "stopped", "temperature", "logprob"}
            assert response["logprob"] < 0
    # A draw depends on seed, prompt and sample number, not on its neighbours.
    said = palate(*common, "--prompt", rows[1]["prompt"], "--num-samples", 2)
    (alone,) = [json.loads(line) for line in said.out.splitlines()]
    assert [one["text"] for one in alone["responses"]] == [
        one["text"] for one in rows[1]["responses"]
    ]


def test_sample_from_a_reward_model_is_refused(palate: Palate, runs: dict[str, Path]) -> None:
    said = palate("sample", "--model", runs["reward"], "--prompt", "w3")
    assert said.code == 2
    assert "reward model" in said.error


@pytest.mark.parametrize("full", [False, True])
def test_implicit_rewards_are_those_of_training(
    palate: Palate, model: Path, pairs: Path, recipe: Path, tmp_path: Path, full: bool
) -> None:
    """Evaluated at the end of the run and scored from disk: the same numbers."""
    run = tmp_path / "run"
    rows = write_rows(tmp_path / "other.jsonl", some_pairs(6, seed=5))
    peft = "--no-use-peft" if full else "--use-peft"
    said = palate(
        "dpo", "--config", recipe, "--model", model, "--data", pairs, "--eval-data", rows,
        "--output-dir", run, "--beta", 0.3, "--json", peft,
    )  # fmt: skip
    trained = said.json["metrics"]
    said = palate("score", "--model", run, "--data", rows, "--json")
    assert said.code == 0
    for name in ("rewards/chosen", "rewards/rejected", "rewards/margins"):
        assert said.json[name] == pytest.approx(trained[f"eval_{name}"], abs=1e-5)
    assert said.json["accuracy"]["value"] == pytest.approx(trained["eval_rewards/accuracies"])
    if full:  # outside its run folder a whole model has no reference
        (run / "recipe.yaml").unlink()
        alone = ["score", "--model", run, "--data", rows, "--json"]
        assert "--beta" in palate(*alone).error
        assert "--reference" in palate(*alone, "--beta", 0.3).error
        given = palate(*alone, "--beta", 0.3, "--reference", model)
        assert given.json["rewards/margins"] == said.json["rewards/margins"]


def test_an_adapter_that_continued_an_adapter_is_scored_against_it(
    palate: Palate, model: Path, pairs: Path, recipe: Path, tmp_path: Path
) -> None:
    sft, run = tmp_path / "sft", tmp_path / "dpo"
    common = ["--config", recipe, "--data", pairs]
    said = palate(
        "sft", *common, "--model", model, "--use-chosen", "--use-peft", "--output-dir", sft
    )
    assert said.code == 0
    rows = write_rows(tmp_path / "other.jsonl", some_pairs(6, seed=5))
    said = palate(
        "dpo", *common, "--model", sft, "--eval-data", rows, "--output-dir", run, "--json"
    )
    trained = said.json["metrics"]
    said = palate("score", "--model", run, "--data", rows, "--json")
    assert said.json["rewards/margins"] == pytest.approx(trained["eval_rewards/margins"], abs=1e-5)


def test_score_by_a_reward_model(
    palate: Palate, runs: dict[str, Path], pairs: Path, tmp_path: Path
) -> None:
    output = tmp_path / "rows.jsonl"
    said = palate("score", "--model", runs["reward"], "--data", pairs, "--output", output)
    assert said.code == 0
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [row["origin"] for row in rows] == [f"{pairs}:{n}" for n in range(1, 13)]
    right = sum(row["chosen"] > row["rejected"] for row in rows) / len(rows)
    assert f"{100 * right:.0f} %" in said.out
    assert "longest_wins" in said.out
    # A pair alone has no interval.
    one = write_rows(tmp_path / "one.jsonl", some_pairs(1))
    said = palate("score", "--model", runs["reward"], "--data", one, "--json")
    assert said.json["accuracy"] is None


def test_a_whole_reward_model_is_scored_too(
    palate: Palate, model: Path, pairs: Path, recipe: Path, tmp_path: Path
) -> None:
    run = tmp_path / "reward"
    rows = write_rows(tmp_path / "other.jsonl", some_pairs(6, seed=5))
    said = palate(
        "reward", "--config", recipe, "--model", model, "--data", pairs, "--eval-data", rows,
        "--no-use-peft", "--output-dir", run, "--max-new-tokens", 4, "--json",
    )  # fmt: skip
    assert said.code == 0
    trained = said.json["metrics"]["eval_accuracy"]
    said = palate("score", "--model", run, "--data", rows, "--json")
    assert said.code == 0
    assert said.json["accuracy"]["value"] == pytest.approx(trained)


def test_compare(
    palate: Palate, model: Path, runs: dict[str, Path], pairs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "comparison"
    arms = ["--arm", f"dpo={runs['dpo']}", "--arm", f"ppo={runs['ppo']}"]
    command = [
        "compare", *arms, "--base", runs["sft"], "--prompts", pairs, "--reward", runs["reward"],
        "--output-dir", out, "--max-new-tokens", 4, "--num-samples", 1,
    ]  # fmt: skip
    said = palate(*command, "--json")
    assert said.code == 0, said.err
    assert {"sft", "dpo", "ppo"} == set(said.json["arms"])
    written = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert written == said.json
    assert written["notes"] == []
    bills = {
        name: json.loads((run / "model" / "palate.json").read_text(encoding="utf-8"))["cost"]
        for name, run in runs.items()
    }
    spent = {name: arm["cost"] for name, arm in written["arms"].items()}
    assert spent["sft"]["wall_s"] == bills["sft"]["wall_s"] > 0
    assert spent["dpo"] == {**bills["dpo"], "amortized": spent["dpo"]["amortized"]}
    # PPO's road is paid with the reward model that it was trained against.
    for what in ("wall_s", "tokens_trained"):
        assert spent["ppo"][what] == bills["ppo"][what] + bills["reward"][what] > 0
    assert f"for {spent['ppo']['wall_s'] / spent['dpo']['wall_s']:.1f} times the time" in str(
        written["verdict"]
    )
    again = palate(*command)
    assert again.code == 2
    assert "--overwrite" in again.error
    over = palate(*command, "--overwrite")
    assert over.code == 0
    assert "ppo" in over.out


def test_compare_says_what_a_verdict_lacks(
    palate: Palate, runs: dict[str, Path], pairs: Path, tmp_path: Path
) -> None:
    common = [
        "compare", "--base", runs["sft"], "--prompts", pairs, "--reward", runs["reward"],
        "--max-new-tokens", 4, "--num-samples", 1,
    ]  # fmt: skip
    said = palate(*common, "--arm", f"mine={runs['dpo']}", "--output-dir", tmp_path / "a")
    assert said.code == 0, said.err
    words = " ".join(said.out.split())
    assert "No verdict: there is no RLHF arm" in words
    assert "palate ppo, or --arm rlhf:NAME=FOLDER" in words
    # An arm whose road nobody knows is noted, with what to say.
    (runs["dpo"] / "model" / "palate.json").rename(tmp_path / "palate.json")
    try:
        said = palate(*common, "--arm", f"mine={runs['dpo']}", "--output-dir", tmp_path / "b")
    finally:
        (tmp_path / "palate.json").rename(runs["dpo"] / "model" / "palate.json")
    assert said.code == 0, said.err
    assert "--arm dpo:mine=" in said.err
    assert "no DPO arm and no RLHF arm" in " ".join(said.out.split())


def test_check_exits_2_where_a_row_cannot_be_used(
    palate: Palate, pairs: Path, tmp_path: Path
) -> None:
    good = palate("check", pairs)
    assert good.code == 0
    assert "12 rows, 12 usable" in good.out
    rows: list[dict[str, object]] = [dict(row) for row in some_pairs(3)]
    rows[1]["rejected"] = ""
    bad = palate("check", write_rows(tmp_path / "bad.jsonl", rows))
    assert bad.code == 2
    assert "bad.jsonl:2" in bad.out
    assert "E401" in bad.out
    assert bad.err == ""
    both = palate("check", pairs, "--eval-data", pairs, "--json")
    assert both.code == 2
    assert both.json["num_errors"] == 12


def test_env_tells_versions(palate: Palate) -> None:
    said = palate("env", "--json")
    assert said.code == 0
    assert {"versions", "python", "platform", "cpu_count", "threads", "device"} <= set(said.json)
    assert said.json["versions"]["torch"] in palate("env").out


def test_demo_passes_its_flags_on(
    palate: Palate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The demo itself is tested where it lives; it takes minutes."""
    given: dict[str, object] = {}

    def demo(**arguments: object) -> dict[str, object]:
        given.update(arguments)
        print("chatter")
        return {"schema": 1}

    monkeypatch.setattr("palate.experiments.demo.run_demo", demo)
    out = tmp_path / "demo"
    said = palate("demo", "--fast", "--seed", 3, "--seeds", 2, "--output-dir", out, "--json")
    assert said.code == 0
    assert said.json == {"schema": 1}
    assert "chatter" in said.err
    assert given == {
        "output_dir": str(out), "seed": 3, "seeds": 2, "fast": True, "overwrite": False,
    }  # fmt: skip


def test_without_model_and_data_ppo_trains_what_it_needs_on_the_embedded_world(
    palate: Palate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    few = replace(embedded.FULL, demonstrations=32, pairs=16, eval_pairs=4)
    small = partial(embedded.world_stage_inputs, sizes=few)
    monkeypatch.setattr("palate.experiments.embedded.world_stage_inputs", small)
    monkeypatch.setattr("palate.cli.held_out.NUM_WORLD_PAIRS", 24)
    run = tmp_path / "run"
    (run / "world-seed-0" / "sft").mkdir(parents=True)  # as a killed run leaves it
    command = [
        "ppo", "--output-dir", run, "--max-steps", 1, "--per-device-train-batch-size", 4,
        "--max-new-tokens", 8, "--num-sample-prompts", 1, "--json",
    ]  # fmt: skip
    refused = palate(*command)
    assert (
        refused.code == 4
    )  # a reward model of sixteen pairs, checked on the world's held-out ones
    assert "the reward model is not fit to be optimized against" in refused.err
    command += ["--reward-gate", "warn"]
    said = palate(*command)
    assert said.code == 0, said.err
    assert "embedded world" in said.err
    assert said.json["steps"] == 1
    written = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
    assert (written["model"], written["data"], written["reward"]) == (None, None, None)
    assert written["learning_rate"] == embedded.world_settings("ppo").learning_rate
    before = (run / "world-seed-0" / "sft" / "manifest.json").stat().st_mtime_ns
    again = palate(*command, "--overwrite")  # with the models that are there
    assert again.code == 0, again.err
    assert again.json["metrics"] == said.json["metrics"]
    assert (run / "world-seed-0" / "sft" / "manifest.json").stat().st_mtime_ns == before
