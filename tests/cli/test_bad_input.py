"""Bad input: the right exit code, one line that says what, where, why and what to do, no traces."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Palate, some_pairs, write_rows

Damage = Callable[[list[dict[str, object]]], None]


def _set(index: int, **values: object) -> Damage:
    return lambda rows: rows[index].update(values)


@pytest.mark.parametrize(
    ("damage", "place", "reason"),
    [
        (lambda rows: rows[1].pop("rejected"), ":2", "E201"),
        (_set(2, chosen="w3 w4", rejected="w3 w4"), ":3", "E402"),
        (_set(0, rejected="  "), ":1", "E401"),
        (_set(0, chosen=None), ":1", "E202"),
    ],
    ids=["missing field", "identical", "empty response", "null"],
)
@pytest.mark.parametrize("command", ["dpo", "reward"])
def test_a_bad_row_is_named_and_nothing_is_written(
    palate: Palate,
    model: Path,
    tmp_path: Path,
    command: str,
    damage: Damage,
    place: str,
    reason: str,
) -> None:
    rows: list[dict[str, object]] = [dict(row) for row in some_pairs(4)]
    damage(rows)
    data = write_rows(tmp_path / "bad.jsonl", rows)
    run = tmp_path / "deep" / "run"
    said = palate(command, "--model", model, "--data", data, "--output-dir", run)
    assert said.code == 2
    assert f"bad.jsonl{place} {reason}" in said.error
    assert "Fix:" in said.error
    assert "--skip-bad" in said.error
    assert not run.parent.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["bad.jsonl", "no rows", "empty"]),
        (b'{"prompt": "w3", "chosen": "w4"\n', ["bad.jsonl: not JSON lines", "object a line"]),
        (b'[\n{"prompt": "w3"},\n{"prompt": "w4"}\n]\n', ["bad.jsonl:2 E201", "no chosen"]),
        (b"\xff\xfe\x00", ["bad.jsonl:1", "E103", "UTF-8"]),
        (None, ["bad.jsonl", "no such file", "check the path"]),
    ],
    ids=["empty", "not JSON", "JSON array", "UTF-16", "missing"],
)
def test_a_bad_file_is_named(
    palate: Palate, model: Path, tmp_path: Path, content: bytes | None, words: list[str]
) -> None:
    data = tmp_path / "bad.jsonl"
    if content is not None:
        data.write_bytes(content)
    run = tmp_path / "run"
    said = palate("dpo", "--model", model, "--data", data, "--output-dir", run)
    assert said.code == 2
    for word in words:
        assert word in said.error
    assert not run.exists()


def test_skipping_is_not_offered_where_nothing_would_be_left(
    palate: Palate, model: Path, tmp_path: Path
) -> None:
    data = write_rows(tmp_path / "bad.jsonl", [{**row, "chosen": ""} for row in some_pairs(2)])
    said = palate("dpo", "--model", model, "--data", data, "--output-dir", tmp_path / "run")
    assert said.code == 2
    assert "--skip-bad cannot help" in said.err


def test_several_bad_rows_keep_a_line_each(palate: Palate, model: Path, tmp_path: Path) -> None:
    rows = [{**row, "chosen": ""} for row in some_pairs(3)]
    data = write_rows(tmp_path / "bad.jsonl", rows)
    said = palate("dpo", "--model", model, "--data", data, "--output-dir", tmp_path / "run")
    assert said.code == 2
    for number in (1, 2, 3):
        assert f"\n  {data}:{number} E401" in said.err


def _with_code(folder: Path) -> None:
    (folder / "modeling_mine.py").write_text("raise SystemExit('never run')", encoding="utf-8")


def _with_remote_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["auto_map"] = {"AutoModelForCausalLM": "mine.Model"}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _without_config(folder: Path) -> None:
    (folder / "config.json").unlink()


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (_with_code, "modeling_mine.py"),
        (_with_remote_code, "auto_map"),
        (_pickled, "pytorch_model.bin"),
        (_without_config, "config.json"),
        (lambda folder: shutil.rmtree(folder), "no such folder"),
    ],
    ids=["code", "remote code", "pickle", "no config", "missing"],
)
def test_an_unsafe_or_incomplete_model_is_refused(
    palate: Palate,
    model: Path,
    pairs: Path,
    tmp_path: Path,
    damage: Callable[[Path], None],
    word: str,
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    damage(folder)
    run = tmp_path / "run"
    said = palate("dpo", "--model", folder, "--data", pairs, "--output-dir", run)
    assert said.code == 2
    assert str(folder) in said.error
    assert word in said.error
    assert not run.exists()
    said = palate("sample", "--model", folder, "--prompt", "w3")
    assert (said.code, said.out) == (2, "")
    assert word in said.error


def test_a_reward_folder_with_pickled_weights_is_refused(
    palate: Palate, model: Path, pairs: Path, tmp_path: Path
) -> None:
    reward = tmp_path / "reward"
    shutil.copytree(model, reward)
    _pickled(reward)
    run = tmp_path / "run"
    said = palate("ppo", "--model", model, "--data", pairs, "--reward", reward, "--output-dir", run)
    assert said.code == 2
    assert "pytorch_model.bin" in said.error
    assert not run.exists()


def test_a_policy_given_as_reward_leaves_no_half_written_run(
    palate: Palate, model: Path, pairs: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    said = palate("ppo", "--model", model, "--data", pairs, "--reward", model, "--output-dir", run)
    assert said.code == 2
    assert "palate reward" in said.error
    assert not run.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["dpo", "--bta", "1"], ["--bta", "--beta", "palate dpo --help"]),
        (["dpo", "--lr", "1"], ["--lr", "learning_rate"]),
        (["dpo", "--max-prompt-length", "9"], ["max_length"]),
        (["dpo", "--beta", "much"], ["--beta", "number"]),
        (["dpo", "--loss-type", "squared"], ["--loss-type", "squared", "one of sigmoid", "ipo"]),
        (["dpo", "--beta"], ["--beta", "argument"]),
        (["dpo", "--beta", "-1"], ["--beta: beta is -1.0", "above 0"]),
        (["dpo", "--beta", "nan"], ["--beta: beta is nan", "finite"]),
        (["dpo", "--eval-fraction", "1"], ["--eval-fraction", "[0, 1)"]),
        (["dpo", "--model", "m"], ["--model without --data", "embedded world"]),
        (["dpo", "--data", "d"], ["--data without --model", "embedded world"]),
        (["dpo", "--resume", "--overwrite"], ["--resume", "--overwrite"]),
        (["ppo", "--model", "m", "--data", "d"], ["--reward", "palate reward"]),
        (["dpo", "extra"], ["extra", "palate dpo --help"]),
        (["dopo"], ["dopo", "'dpo'"]),
        (["sample", "--model", "m"], ["--prompt", "--prompts"]),
        (["sample"], ["--model", "palate sample --help"]),
        (["score", "--model", "m", "--data", "d", "--beta", "0"], ["--beta", "above 0"]),
        (["compare", "--arm", "dpo", "--base", "b"], ["--arm dpo", "NAME=FOLDER"]),
        (["compare", "--arm", "dpo=nowhere", "--base", "b"], ["nowhere", "no folder"]),
        (["compare", "--arm", "ppo:x=y", "--base", "b"], ["--arm ppo:x=y", "dpo, rlhf"]),
        (["check"], ["DATA", "palate check --help"]),
        (["demo", "--seeds", "0"], ["--seeds", "equal to 1"]),
        (["dpo", "--config", "nowhere.yaml"], ["nowhere.yaml", "--config"]),
    ],
    ids=" ".join,
)
def test_wrong_usage(
    palate: Palate,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    said = palate(*arguments)
    assert said.code == 2
    assert said.out == ""
    for word in words:
        assert word in said.error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("beta: 0.1\nlr: 3\n", ["tiny.yaml:2", "'lr'", "learning_rate"]),
        ("betta: 0.1\n", ["tiny.yaml:1", "'betta'", "'beta'"]),
        ("beta: much\n", ["tiny.yaml:1", "beta is 'much'", "number"]),
        ("beta: .inf\n", ["tiny.yaml:1", "finite"]),
        ("beta: 0.1\nbeta: 0.2\n", ["tiny.yaml:2", "line 1"]),
        ("beta: [\n", ["tiny.yaml:2", "not YAML"]),
        ("- beta\n", ["tiny.yaml:1", "mapping"]),
        ("", ["tiny.yaml", "empty"]),
        ("seed: 1\nstage: ppo\n", ["tiny.yaml:2", "palate ppo", "not palate dpo"]),
        ("skip_bad: maybe\n", ["tiny.yaml:1", "skip_bad", "true or false"]),
        ("data: 3\n", ["tiny.yaml:1", "data", "path"]),
    ],
    ids=str,
)
def test_a_wrong_recipe_names_its_line(
    palate: Palate, tmp_path: Path, text: str, words: list[str]
) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(text, encoding="utf-8")
    run = tmp_path / "run"
    said = palate("dpo", "--config", recipe, "--output-dir", run)
    assert said.code == 2
    for word in words:
        assert word in said.error
    assert not run.exists()


@pytest.mark.parametrize("place", ["/proc/nothing/run", "file/run"])
def test_a_folder_that_cannot_be_written(
    palate: Palate, model: Path, pairs: Path, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    run = tmp_path / place
    said = palate("dpo", "--model", model, "--data", pairs, "--output-dir", run)
    assert said.code == 2
    assert str(run) in said.error
    assert "cannot be written" in said.error
    assert "--output-dir" in said.error
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_output_folder_that_is_a_file(
    palate: Palate, model: Path, pairs: Path, tmp_path: Path
) -> None:
    (tmp_path / "run").write_text("mine", encoding="utf-8")
    said = palate("dpo", "--model", model, "--data", pairs, "--output-dir", tmp_path / "run")
    assert said.code == 2
    assert "this is a file" in said.error
    assert (tmp_path / "run").read_text(encoding="utf-8") == "mine"


def test_no_comparison_is_put_beside_a_training_run(
    palate: Palate, model: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.yaml").write_text("stage: dpo\n", encoding="utf-8")
    common = ["--base", model, "--output-dir", run, "--overwrite"]
    for command in (["compare", "--arm", f"dpo:x={model}", *common], ["demo", *common[2:]]):
        said = palate(*command)
        assert said.code == 2
        assert "holds a training run (recipe.yaml)" in said.error
        assert "--resume" not in said.error
    assert [path.name for path in run.iterdir()] == ["recipe.yaml"]


@pytest.mark.parametrize("command", [["sample", "--prompt", "w3"], ["score", "--data", "PAIRS"]])
def test_a_model_that_is_not_there_is_what_is_told(
    palate: Palate, pairs: Path, tmp_path: Path, command: list[str]
) -> None:
    given = [str(pairs) if word == "PAIRS" else word for word in command]
    said = palate(*given, "--model", tmp_path / "nowhere")
    assert said.code == 2
    assert f"--model {tmp_path / 'nowhere'}: there is no such folder" in said.error
    assert "check the path" in said.error


def test_an_output_file_that_cannot_be_written_is_found_before_the_work(
    palate: Palate, model: Path, tmp_path: Path
) -> None:
    output = tmp_path / "nowhere" / "rows.jsonl"
    said = palate("sample", "--model", model, "--prompt", "w3", "--output", output)
    assert said.code == 2
    assert f"--output {output}" in said.error


def test_a_folder_with_a_run_is_left_alone(
    palate: Palate, model: Path, pairs: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.yaml").write_text("beta: 0.1\n", encoding="utf-8")
    said = palate("dpo", "--model", model, "--data", pairs, "--output-dir", run)
    assert said.code == 2
    assert "--resume" in said.error
    assert "--overwrite" in said.error
    assert [path.name for path in run.iterdir()] == ["recipe.yaml"]


def test_overwriting_spares_the_old_run_where_the_new_one_cannot_start(
    palate: Palate, model: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    (run / "model").mkdir(parents=True)
    said = palate(
        "dpo", "--model", model, "--data", tmp_path / "none", "--output-dir", run, "--overwrite"
    )
    assert said.code == 2
    assert (run / "model").is_dir()


def test_overwriting_spares_the_old_run_where_a_model_is_unfit(
    palate: Palate, model: Path, pairs: Path, tmp_path: Path
) -> None:
    """The roles are made before the folder is cleared; a policy is no reward model."""
    run = tmp_path / "run"
    (run / "model").mkdir(parents=True)
    (run / "recipe.yaml").write_text("stage: ppo\n", encoding="utf-8")
    said = palate(
        "ppo", "--model", model, "--data", pairs, "--reward", model, "--output-dir", run,
        "--overwrite",
    )  # fmt: skip
    assert said.code == 2
    assert "palate reward" in said.error
    assert {"model", "recipe.yaml"} <= {path.name for path in run.iterdir()}


def test_adapters_on_layers_that_are_not_there(
    palate: Palate, model: Path, pairs: Path, tmp_path: Path
) -> None:
    common = ["--model", model, "--data", pairs, "--lora-target-modules", "nosuch"]
    for command in ("dpo", "reward"):
        said = palate(command, *common, "--output-dir", tmp_path / "run")
        assert said.code == 2
        assert "lora_target_modules is 'nosuch'" in said.error
        assert not (tmp_path / "run").exists()


def test_rows_of_another_stage_are_one_line(
    palate: Palate, model: Path, pairs: Path, shown: Path, tmp_path: Path
) -> None:
    common = ["--model", model, "--output-dir", tmp_path / "run", "--data"]
    said = palate("sft", *common, pairs)
    assert said.code == 2
    assert "no row of 12 can be used" in said.error
    assert "--use-chosen" in said.error
    assert "no chosen" in palate("dpo", *common, shown).error


def test_there_is_nothing_to_resume(
    palate: Palate, model: Path, pairs: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    said = palate("dpo", "--model", model, "--data", pairs, "--output-dir", run, "--resume")
    assert said.code == 2
    assert "without --resume" in said.error
    assert not run.exists()


def test_rows_that_are_too_long_are_refused_with_the_way_out(
    palate: Palate, model: Path, pairs: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    said = palate("dpo", "--model", model, "--data", pairs, "--output-dir", run, "--max-length", 3)
    assert said.code == 2
    assert "--max-length" in said.error
    assert not run.exists()


def test_a_defect_of_ours_points_to_debug(palate: Palate, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> dict[str, object]:
        raise ZeroDivisionError("oops\nsecond line")

    monkeypatch.setattr("palate.training.folder.environment", broken)
    said = palate("env")
    assert said.code == 1
    assert "ZeroDivisionError: oops" in said.error
    assert "--debug" in said.error
    for arguments in (["env", "--debug"], ["--debug", "env"]):
        said = palate(*arguments)
        assert said.code == 1
        assert "Traceback" in said.err


def test_ctrl_c_is_130(palate: Palate, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped() -> dict[str, object]:
        raise KeyboardInterrupt

    monkeypatch.setattr("palate.training.folder.environment", stopped)
    said = palate("env")
    assert (said.code, said.out, said.err) == (130, "", "interrupted\n")


@pytest.mark.parametrize(
    ("name", "code"), [("NumericalError", 3), ("GateError", 4), ("Interrupted", 130)]
)
def test_exit_codes_are_the_errors_own(
    palate: Palate, monkeypatch: pytest.MonkeyPatch, name: str, code: int
) -> None:
    from palate import errors

    def fail() -> dict[str, object]:
        raise getattr(errors, name)("stopped \x1b[31mhere")

    monkeypatch.setattr("palate.training.folder.environment", fail)
    said = palate("env")
    assert said.code == code
    assert "\x1b" not in said.error
