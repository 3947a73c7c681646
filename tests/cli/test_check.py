"""`palate check` through the shell: the clean file, the page, the model's part, what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Palate, some_pairs, write_rows

ESCAPE = "\x1b]52;c;cm0gLXJm\x07"
PAYLOAD = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def flawed(tmp_path: Path) -> Path:
    """Twelve rows: the third is empty, the fifth repeats the fourth, the last has a tag."""
    rows: list[dict[str, Any]] = [dict(row) for row in some_pairs(12)]
    rows[2]["chosen"] = ""
    rows[4] = dict(rows[3])
    rows[11]["tags"] = ["café"]
    return write_rows(tmp_path / "flawed.jsonl", rows)


def test_the_clean_file_and_the_rejects_hold_every_row_once(
    palate: Palate, flawed: Path, tmp_path: Path
) -> None:
    clean, rejects = tmp_path / "out.jsonl", tmp_path / "rejects.jsonl"
    said = palate("check", flawed, "--write-clean", clean, "--drop", "W406")
    assert said.code == 2
    assert f"{clean}: 10 rows; 2 in {rejects}" in said.err
    before = rows_of(flawed)
    assert rows_of(clean) == [row for number, row in enumerate(before) if number not in (2, 4)]
    assert [(r["code"], r["origin"]) for r in rows_of(rejects)] == [
        ("E401", f"{flawed}:3"),
        ("W406", f"{flawed}:5"),
    ]
    again = palate("check", clean, "--json")
    assert (again.code, again.json["num_good"], again.json["num_errors"]) == (0, 10, 0)
    assert [group["code"] for group in again.json["faults"]] == []

    mended = rows_of(rejects)
    mended[0]["row"]["chosen"] = "w3 w4"
    assert palate("check", write_rows(tmp_path / "mended.jsonl", mended)).code == 0


@pytest.mark.parametrize("name", ["out.jsonl", "rejects.jsonl"])
def test_a_clean_file_replaces_nothing_unasked(
    palate: Palate, flawed: Path, tmp_path: Path, name: str
) -> None:
    clean, rejects = tmp_path / "out.jsonl", tmp_path / "rejects.jsonl"
    (tmp_path / name).write_text("hours of work")
    said = palate("check", flawed, "--write-clean", clean)
    assert said.code == 2
    assert f"{tmp_path / name} would be replaced" in said.error
    assert "--overwrite" in said.error
    assert (tmp_path / name).read_text() == "hours of work"
    palate("check", flawed, "--write-clean", clean, "--overwrite")
    assert (len(rows_of(clean)), len(rows_of(rejects))) == (11, 1)


def test_every_place_of_a_fault_is_listed_where_it_is_asked_for(
    palate: Palate, tmp_path: Path
) -> None:
    rows: list[dict[str, Any]] = [dict(row) for row in some_pairs(20)]
    for row in rows[3:12]:
        row["chosen"] = ""
    rows[15] = dict(rows[14])
    path, places = write_rows(tmp_path / "rows.jsonl", rows), tmp_path / "places.jsonl"
    said = palate("check", path, "--places", places, "--json")
    (errors, _) = said.json["faults"]
    assert (errors["code"], errors["count"], len(errors["places"])) == ("E401", 9, 5)
    expected = [("E401", f"{path}:{line}") for line in range(4, 13)] + [("W406", f"{path}:16")]
    assert [(row["code"], row["origin"]) for row in rows_of(places)] == expected
    assert rows_of(places)[0]["severity"] == "error"
    said = palate("check", path, "--places", places)
    assert "--overwrite" in said.error
    said = palate("check", path, "--places", path, "--overwrite")
    assert "being read" in said.error
    assert rows_of(path) == rows


def test_training_rows_whose_prompt_is_evaluated_on_go_to_the_rejects(
    palate: Palate, pairs: Path, tmp_path: Path
) -> None:
    held_out = write_rows(tmp_path / "held-out.jsonl", rows_of(pairs)[:3])
    clean = tmp_path / "out.jsonl"
    said = palate("check", pairs, "--eval-data", held_out, "--write-clean", clean)
    assert said.code == 2
    assert rows_of(clean) == rows_of(pairs)[3:]
    assert {row["code"] for row in rows_of(tmp_path / "rejects.jsonl")} == {"E404"}
    assert palate("check", clean, "--eval-data", held_out).code == 0


def test_foreign_text_acts_neither_on_the_terminal_nor_on_the_page(
    palate: Palate, tmp_path: Path
) -> None:
    row = {PAYLOAD + ESCAPE: 1, "prompt": "q", "chosen": f"a {ESCAPE}", "rejected": 3}
    path = write_rows(tmp_path / f"{PAYLOAD.replace('/', '')}.jsonl", [row, *some_pairs(3)])
    page = tmp_path / "page.html"
    said = palate("check", path, "--html", page)
    assert said.code == 2
    assert "\x1b" not in said.out
    html = page.read_text(encoding="utf-8")
    assert "E203" in html
    assert "&lt;script&gt;" in html
    assert "<script" not in html
    assert "<img" not in html
    assert "\x1b" not in html


def test_labelled_rows_are_told_from_pairs(palate: Palate, tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"prompt": f"q{i}", "completion": f"answer {i}", "label": i == 0} for i in range(30)
    ]
    rows.append(rows[0] | {"label": False})
    rows.append(dict(rows[1]))
    report = palate("check", write_rows(tmp_path / "kto.jsonl", rows), "--json").json
    assert {group["code"]: group["count"] for group in report["faults"]} == {
        "W406": 1, "W407": 1, "W418": 1,
    }  # fmt: skip
    assert report["share_desirable"] == 1 / 32
    assert report["num_repeated"] == 2
    # One of two repeated questions is answered both ways: d = ½, so a label is worth a coin.
    assert report["label_noise"]["value"] == 0.5


def test_a_model_adds_what_its_tokenizer_makes_of_the_rows(
    palate: Palate, model: Path, tmp_path: Path
) -> None:
    path = write_rows(tmp_path / "pairs.jsonl", some_pairs(40))
    said = palate("check", path, "--model", model, "--max-length", 9, "--json")
    assert said.code == 0
    report = said.json
    # Four words of prompt; five of the longer response, and its end.
    assert report["lengths"]["tokens"] == {"mean": 10.0, "median": 10.0, "p95": 10, "max": 10}
    assert {g["code"]: g["count"] for g in report["faults"]}["W409"] == 40
    told = palate("check", path, "--model", model)
    assert told.code == 0
    assert f"SFT first? {report_of_fit(palate, path, model)['verdict']}" in told.out


def report_of_fit(palate: Palate, path: Path, model: Path) -> dict[str, Any]:
    fit = palate("check", path, "--model", model, "--json").json["fit"]
    assert isinstance(fit, dict)
    return fit


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--drop", "W406"], ["--drop", "--write-clean"]),
        (["--overwrite"], ["--overwrite", "--write-clean"]),
        (["--write-clean", "OUT", "--drop", "E401"], ["--drop E401", "W406"]),
        (["--write-clean", "DATA"], ["--write-clean", "being read"]),
        (["--write-clean", "nowhere/out.jsonl"], ["--write-clean", "cannot be written"]),
        (["--html", "nowhere/page.html"], ["--html", "cannot be written"]),
        (["--max-length", "9"], ["--max-length", "--model"]),
        (["--format", "explicitt"], ["explicitt", "did you mean explicit"]),
    ],
)
def test_contradictions_are_refused_in_one_line(
    palate: Palate, pairs: Path, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    places = {"DATA": str(pairs), "OUT": str(tmp_path / "out.jsonl")}
    said = palate("check", pairs, *(places.get(word, word) for word in arguments))
    assert said.code == 2
    assert all(word in said.error for word in words), said.error
    assert said.out == ""
    assert not (tmp_path / "out.jsonl").exists()


def test_standard_input_cannot_be_read_twice(palate: Palate, tmp_path: Path) -> None:
    said = palate("check", "-", "--write-clean", tmp_path / "out.jsonl")
    assert said.code == 2
    assert "standard input comes once" in said.error


def test_training_says_what_may_spoil_it_a_line_a_kind(
    palate: Palate, model: Path, recipe: Path, tmp_path: Path
) -> None:
    rows = some_pairs(8)
    rows += [rows[0], {**rows[1], "chosen": rows[1]["rejected"], "rejected": rows[1]["chosen"]}]
    path = write_rows(tmp_path / "pairs.jsonl", rows)
    said = palate(
        "dpo", "--config", recipe, "--model", model, "--data", path,
        "--output-dir", tmp_path / "run",
    )  # fmt: skip
    assert said.code == 0
    told = [line for line in said.err.splitlines() if line.startswith(f"{path}: warning")]
    assert [line.split()[2] for line in told] == ["W406", "W407"]
    assert f"1 row, first {path}:9: repeats {path}:1" in told[0]


def test_few_prompts_give_no_verdict_and_that_is_said(
    palate: Palate, model: Path, pairs: Path
) -> None:
    said = palate("check", pairs, "--model", model)
    assert said.code == 0
    assert "SFT first? not told: fewer than 20 prompts" in said.out


def test_a_page_never_replaces_what_is_read_nor_another_file_unasked(
    palate: Palate, pairs: Path, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(pairs.read_bytes())
    said = palate("check", rows, "--html", rows, "--overwrite")
    assert (said.code, "is being read" in said.error) == (2, True)
    said = palate("check", pairs, "--eval-data", rows, "--html", rows)
    assert said.code == 2
    assert rows.read_bytes() == pairs.read_bytes()
    page = tmp_path / "page.html"
    assert palate("check", rows, "--html", page).code == 0
    said = palate("check", rows, "--html", page)
    assert (said.code, "--overwrite" in said.error) == (2, True)
    assert palate("check", rows, "--html", page, "--overwrite").code == 0
