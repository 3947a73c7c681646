"""`palate convert`, and the options by which every command reads other people's files."""

import json
from pathlib import Path

import pytest
import yaml
from tests.cli.conftest import Palate, some_pairs, write_rows

from palate.data.sources import read_preferences


def battles(*winners: str) -> list[dict[str, object]]:
    def side(reply: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": "w1"}, {"role": "assistant", "content": reply}]

    return [
        {"conversation_a": side("w2"), "conversation_b": side("w3"), "winner": winner, "judge": "j"}
        for winner in winners
    ]


def test_battles_become_pairs_and_the_rest_is_counted(palate: Palate, tmp_path: Path) -> None:
    source = write_rows(
        tmp_path / "in.jsonl", battles("model_a", "tie", "model_b", "tie (bothbad)")
    )
    target = tmp_path / "out.jsonl"
    said = palate("convert", source, target, "--json")
    assert (said.code, said.json["num_read"], said.json["num_written"]) == (0, 4, 2)
    assert said.json["without"] == {"tie": 1, "both bad": 1}
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert [row["chosen"][0]["content"] for row in rows] == ["w2", "w3"]
    assert [(row["winner"], row["judge"]) for row in rows] == [("model_a", "j"), ("model_b", "j")]
    labels = palate("convert", source, "-", "--format", "arena-labels")
    found = [json.loads(line)["label"] for line in labels.out.splitlines()]
    assert found == [True, False, True, True, False, True, False, False]
    assert "4 rows (arena battle, labels); -: 8" in labels.err


def test_a_system_turn_is_refused_by_hh_rlhf_which_has_none(palate: Palate, tmp_path: Path) -> None:
    prompt = [{"role": "system", "content": "w1"}, {"role": "user", "content": "w2"}]
    replies = {n: [{"role": "assistant", "content": n}] for n in ("chosen", "rejected")}
    source = write_rows(tmp_path / "in.jsonl", [{"prompt": prompt, **replies}])
    said = palate("convert", source, tmp_path / "out.jsonl", "--to", "hh-rlhf")
    assert said.code == 2
    assert f"{source}:1: hh-rlhf has no system turn" in said.error
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.jsonl.gz"])
def test_an_output_below_a_plain_file_is_one_clear_error(
    palate: Palate, tmp_path: Path, name: str
) -> None:
    source = write_rows(tmp_path / "in.jsonl", [*some_pairs(3), {"prompt": "no pair"}])
    below = tmp_path / "in.jsonl" / name
    for flags in ([], ["--skip-bad"]):
        said = palate("convert", source, below, *flags)
        assert said.code == 2
        assert "cannot be written" in said.error
    said = palate("check", source, "--write-clean", below)
    assert (said.code, "cannot be written" in said.error) == (2, True)


def test_a_row_that_a_format_cannot_hold_is_told(palate: Palate, tmp_path: Path) -> None:
    rows = [{"prompt": "q", "chosen": "a", "rejected": "b", "tag": 1}]
    source, target = write_rows(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    said = palate("convert", source, target, "--to", "alpaca-pairs")
    assert "1 are not quite the same" in said.err
    assert "in.jsonl:1" in said.err
    written = {"instruction": "q", "input": "", "chosen": "a", "rejected": "b", "tag": 1}
    assert json.loads(target.read_text()) == written
    same = palate("convert", source, tmp_path / "same.jsonl", "--to", "explicit")
    assert "not quite" not in same.err


def test_bad_rows_refuse_a_conversion_or_are_set_aside(palate: Palate, tmp_path: Path) -> None:
    good = {"prompt": "q", "chosen": "a", "rejected": "b"}
    source = write_rows(tmp_path / "in.jsonl", [good, good | {"chosen": ""}])
    target = tmp_path / "out.parquet"
    refused = palate("convert", source, target)
    assert refused.code == 2
    assert "in.jsonl:2 E401" in refused.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl"]
    assert palate("convert", source, target, "--skip-bad").code == 0
    assert len(read_preferences(target).records) == 1
    rejects = tmp_path / "out.parquet.rejects.jsonl"
    assert json.loads(rejects.read_text())["origin"] == f"{source}:2"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["in.jsonl", "out.txt"], ["out.txt", "must end in", ".parquet"]),
        (["in.jsonl", "out.parquet.gz"], ["must end in"]),
        (["in.jsonl", "there.jsonl"], ["there.jsonl exists", "--overwrite"]),
        (["in.jsonl", "in.jsonl", "--overwrite"], ["this file is being read"]),
        (["in.jsonl", "gone/out.jsonl"], ["gone/out.jsonl: cannot be written"]),
        (["gone.jsonl", "out.jsonl"], ["gone.jsonl", "no such file"]),
        (["in.jsonl", "out.jsonl", "--format", "trl"], ["format is 'trl'", "it must be one of"]),
        (["in.jsonl", "out.jsonl", "--format", "hh-rlfh"], ["did you mean hh-rlhf?"]),
        (["in.jsonl", "out.jsonl", "--to", "scored"], ["--to scored", "only read"]),
        (["in.jsonl", "out.jsonl", "--to", "messages"], ["--to messages writes demonstrations",
                                                        "in.jsonl:1 holds pairs"]),
        (["in.jsonl", "out.jsonl", "--columns", "prompt"], ["columns is 'prompt'", "good"]),
        (["in.jsonl", "out.jsonl", "--columns", "a=x,b=x"], ["takes 'x' twice"]),
        (["in.jsonl", "out.jsonl", "--columns", "chosen=best"], ["no row of in.jsonl has 'best'"]),
    ],
)  # fmt: skip
def test_what_cannot_be_converted_is_one_line(
    palate: Palate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str],
    words: list[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "in.jsonl", [{"prompt": "q", "chosen": "a", "rejected": "b"}])
    (tmp_path / "there.jsonl").write_text("kept")
    said = palate("convert", *arguments)
    assert said.code == 2
    for word in words:
        assert word in said.error
    assert {p.name for p in tmp_path.iterdir()} == {"in.jsonl", "there.jsonl"}
    assert (tmp_path / "there.jsonl").read_text() == "kept"


def test_check_reads_what_it_is_told_to(palate: Palate, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("q,good,bad\nwhy,a,b\nwho,c,d\n")
    said = palate("check", path, "--columns", "prompt=q,chosen=good,rejected=bad", "--json")
    assert (said.code, said.json["num_good"], said.json["format"]) == (
        0,
        2,
        "explicit prompt, text",
    )
    said = palate("check", path, "--json")
    assert (said.code, said.json["num_errors"]) == (2, 2)


def test_training_reads_and_remembers_how_its_rows_are_to_be_read(
    palate: Palate, model: Path, tmp_path: Path, recipe: Path
) -> None:
    rows = [
        {"question": row["prompt"], "good": row["chosen"], "bad": row["rejected"]}
        for row in some_pairs(8)
    ]
    data = tmp_path / "rows.parquet"
    source = write_rows(tmp_path / "rows.jsonl", rows)
    columns = "prompt=question,chosen=good,rejected=bad"
    assert palate("convert", source, data, "--columns", columns, "--to", "explicit").code == 0
    run = tmp_path / "run"
    said = palate(
        "dpo", "--config", recipe, "--model", model, "--data", source, "--columns", columns,
        "--format", "explicit", "--eval-fraction", "0.4", "--output-dir", run, "--json",
    )  # fmt: skip
    assert said.code == 0, said.err
    kept = yaml.safe_load((run / "recipe.yaml").read_text())
    assert (kept["columns"], kept["format"]) == (columns, "explicit")
    again = palate("dpo", "--config", run / "recipe.yaml", "--output-dir", tmp_path / "again")
    assert again.code == 0, again.err
    other = palate(
        "dpo", "--config", recipe, "--model", model, "--data", data, "--eval-fraction", "0.4",
        "--output-dir", tmp_path / "other", "--json",
    )  # fmt: skip
    assert other.json["metrics"]["loss"] == said.json["metrics"]["loss"]
    wrong = palate("dpo", "--model", model, "--data", data, "--format", "alpaca", "--output-dir",
                   tmp_path / "wrong")  # fmt: skip
    assert "format alpaca holds demonstrations, where pairs" in wrong.error
