import json
from pathlib import Path

import pytest

from palate.data.check import Lengths, check_data
from palate.errors import DataError


def _write(path: Path, rows: list[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_clean_file_is_silent_and_measured(tmp_path: Path) -> None:
    rows: list[object] = [
        {"prompt": "q", "chosen": "aa", "rejected": "b"},
        {"prompt": "qq", "chosen": "a", "rejected": "bbbb"},
        {"prompt": "qq", "chosen": "aaa", "rejected": "b"},
    ]
    report = check_data(_write(tmp_path / "a.jsonl", rows))
    assert report.faults == ()
    assert (report.num_rows, report.num_good, report.num_errors, report.num_warnings) == (
        3,
        3,
        0,
        0,
    )
    assert report.lengths == {
        "prompt": Lengths(mean=5 / 3, median=2.0, p95=2, max=2),
        "chosen": Lengths(mean=2.0, median=2.0, p95=3, max=3),
        "rejected": Lengths(mean=2.0, median=1.0, p95=4, max=4),
    }
    assert report.share_chosen_longer == pytest.approx(2 / 3)
    assert report.num_distinct_prompts == 2


def test_p95_is_the_least_length_that_95_percent_do_not_exceed(tmp_path: Path) -> None:
    rows: list[object] = [
        {"prompt": f"q{i}", "chosen": "a" * (i + 1), "rejected": "b"} for i in range(100)
    ]
    report = check_data(_write(tmp_path / "a.jsonl", rows))
    assert report.lengths["chosen"].p95 == 95


def test_faults_are_grouped_counted_and_placed(tmp_path: Path) -> None:
    rows: list[object] = [{"prompt": f"q{i}", "chosen": " ", "rejected": "b"} for i in range(7)]
    rows += [{"prompt": "q", "chosen": "a", "rejected": "b"}] * 2
    rows += [{"prompt": "q", "chosen": "b", "rejected": "a"}]
    path = _write(tmp_path / "a.jsonl", rows)
    report = check_data(path)
    assert [(g.code, g.count) for g in report.faults] == [("E401", 7), ("W406", 1), ("W407", 1)]
    assert [f.origin for f in report.faults[0].places] == [f"{path}:{i}" for i in range(1, 6)]
    assert (report.num_errors, report.num_warnings, report.num_good) == (7, 2, 3)
    written = json.loads(json.dumps(report.to_json()))
    assert written["num_errors"] == 7
    assert written["faults"][0]["places"][0]["origin"] == f"{path}:1"


def test_evaluation_prompts_that_are_trained_on_are_errors(tmp_path: Path) -> None:
    train = _write(tmp_path / "t.jsonl", [{"prompt": "q", "chosen": "a", "rejected": "b"}])
    rows: list[object] = [
        {"prompt": "q", "chosen": "c", "rejected": "d"},
        {"prompt": "p", "chosen": "c", "rejected": ""},
    ]
    evaluation = _write(tmp_path / "e.jsonl", rows)
    report = check_data(train, eval_path=evaluation)
    places = [(g.code, g.places[0].origin) for g in report.faults]
    assert places == [("E401", f"{evaluation}:2"), ("E404", f"{evaluation}:1")]


@pytest.mark.parametrize("content", [b"", b"\n \r\n"])
def test_a_file_without_rows_is_a_fault(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    report = check_data(path)
    assert [(g.code, g.count) for g in report.faults] == [("E111", 1)]
    assert report.lengths == {}
    assert report.share_chosen_longer is None


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        check_data(tmp_path / "nowhere.jsonl")


def test_a_secret_in_the_evaluation_file_is_told(tmp_path: Path) -> None:
    pair = {"prompt": "q", "chosen": "good", "rejected": "bad"}
    train, held_out = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    train.write_text(json.dumps(pair) + "\n")
    secret = {**pair, "prompt": "other", "rejected": f"my key: sk-{'a1B2' * 8}"}
    held_out.write_text(json.dumps(secret) + "\n")
    found = check_data(train, eval_path=held_out).faults
    assert [(g.code, g.places[0].origin) for g in found if g.code == "W414"] == [
        ("W414", f"{held_out}:1")
    ]


def test_who_stands_first_is_known_of_every_layout_of_battles(tmp_path: Path) -> None:
    path = tmp_path / "arena.jsonl"
    won = {"winner_model_a": 1, "winner_model_b": 0, "winner_tie": 0}
    rows = [
        {"prompt": f"q{n}", "response_a": f"yes {n}", "response_b": f"no {n}", **won}
        for n in range(60)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert check_data(path).shortcuts["first wins"].value == 1.0
