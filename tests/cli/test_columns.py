"""`--format` and `--columns` on every command that reads rows; slips in them are told."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Palate, some_pairs
from tests.cli.test_label import labelling

NAMES = ["--columns", "prompt=question,chosen=good,rejected=bad"]


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve pairs in a CSV file whose columns have names of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "def shorter(prompts, responses):\n    return [-float(len(r)) for r in responses]\n",
        encoding="utf-8",
    )
    path = tmp_path / "rows.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["question", "good", "bad"])
        table.writerows([row["prompt"], row["chosen"], row["rejected"]] for row in some_pairs(12))
    return path


def test_sample_and_compare_ask_the_prompts_of_foreign_columns(
    palate: Palate, foreign: Path, model: Path
) -> None:
    asked = [row["prompt"] for row in some_pairs(12)]
    short = ["--max-new-tokens", 2, *NAMES]
    said = palate("sample", "--model", model, "--prompts", foreign, "--output", "s.jsonl", *short)
    assert said.code == 0, said.err
    assert [row["prompt"] for row in rows_of(Path("s.jsonl"))] == asked
    said = palate(
        "compare", "--arm", f"dpo:same={model}", "--base", model, "--prompts", foreign,
        "--num-samples", 1, "--output-dir", "out", *short,
    )  # fmt: skip
    # Read so far that what is missing is a reward, not a column.
    assert "reward" in said.error


def test_score_judge_and_check_read_pairs_of_foreign_columns(
    palate: Palate, foreign: Path, model: Path
) -> None:
    said = palate("score", "--model", model, "--reference", model, "--beta", 0.1,
                  "--data", foreign, "--output", "scores.jsonl", *NAMES)  # fmt: skip
    assert said.code == 0, said.err
    assert [row["margin"] for row in rows_of(Path("scores.jsonl"))] == [0.0] * 12
    said = palate("judge", "--samples", foreign, "--by", "mine.py:shorter", "--output", "p.jsonl",
                  *NAMES)  # fmt: skip
    assert said.code == 0, said.err
    # People chose the longer reply each time, and the judge the shorter one.
    assert json.loads(Path("p.audit.json").read_text())["audit"]["agreement"]["value"] == 0
    assert palate("check", foreign, *NAMES).code == 0


def test_label_shows_pairs_of_foreign_columns(foreign: Path) -> None:
    with labelling(foreign, *NAMES) as (_, opened):
        assert (opened["num_items"], opened["num_added"]) == (12, 12)


def test_judge_and_label_read_what_format_says(palate: Palate, foreign: Path) -> None:
    """A ranking by its order alone is known by nothing but its name."""
    rows = [{"prompt": "w3", "responses": ["w5 w6", "w7", "w8 w9 w3"]}]
    Path("ranked.jsonl").write_text(json.dumps(rows[0]) + "\n", encoding="utf-8")
    said = palate("judge", "--samples", "ranked.jsonl", "--by", "mine.py:shorter",
                  "--output", "p.jsonl", "--format", "ranking")  # fmt: skip
    assert said.code == 0, said.err
    (pair,) = rows_of(Path("p.jsonl"))  # the best of the row against its worst
    assert (pair["chosen"], pair["rejected"]) == ("w5 w6", "w8 w9 w3")
    for given, num_items in ((["--format", "ranking"], 1), ([], 3)):
        votes = f"{num_items}.votes"
        with labelling("ranked.jsonl", "--votes", votes, *given) as (_, opened):
            assert opened["num_items"] == num_items


COMMANDS: dict[str, list[str]] = {
    "check": ["check", "DATA"],
    "convert": ["convert", "DATA", "out.jsonl"],
    "dpo": ["dpo", "--model", "MODEL", "--data", "DATA", "--output-dir", "run"],
    "sample": ["sample", "--model", "MODEL", "--prompts", "DATA"],
    "score": ["score", "--model", "MODEL", "--data", "DATA", "--beta", "1"],
    "judge": ["judge", "--samples", "DATA", "--by", "mine.py:shorter", "--output", "out.jsonl"],
    "label": ["label", "DATA", "--port", "0", "--no-browser"],
    "compare": ["compare", "--arm", "dpo:a=MODEL", "--base", "MODEL", "--prompts", "DATA"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("prompt=questoin", "no row of DATA has 'questoin'; did you mean question?"),
        ("prompt=question,chosen=x,rejected=bad", "they have 'question', 'good', 'bad'"),
        ("promt=question", "did you mean prompt=question?"),
        ("prompt:question", "write our name, =, the file's name"),
    ],
)
def test_a_slip_in_columns_is_told(
    palate: Palate, foreign: Path, model: Path, command: str, columns: str, words: str
) -> None:
    places = {"DATA": str(foreign), "MODEL": str(model), "dpo:a=MODEL": f"dpo:a={model}"}
    given = [places.get(word, word) for word in COMMANDS[command]]
    said = palate(*given, "--columns", columns)
    assert said.code == 2
    if command == "judge" and columns.startswith("prompt="):  # it ends at the first bad row
        words = "DATA:2 E201 no chosen; the row has "
    assert words.replace("DATA", str(foreign)) in said.error
    assert not Path("out.jsonl").exists()
    said = palate(*given, "--format", "explicitt")
    assert "did you mean explicit?" in said.error
