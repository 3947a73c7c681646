import json
import logging
from pathlib import Path
from typing import Any

import pytest

from palate.collection.reading import read_items
from palate.data.check import check_data
from palate.data.convert import convert
from palate.data.layout import Layout
from palate.data.sources import read_demonstrations, read_preferences, read_prompts

PAIR = {"prompt": "What opens at nine?", "chosen": "The shop.", "rejected": "Nothing."}
RATED = PAIR | {"score_chosen": 4.0, "score_rejected": 1.0}
SCORED = {"prompt": "What opens at nine?", "responses": ["The shop.", "No."], "scores": [4, 1]}
BOTH = Layout(rule="all", margins=True)


def _told(caplog: pytest.LogCaptureFixture) -> list[str]:
    told = [r.getMessage().split(" has no effect")[0] for r in caplog.records]
    caplog.clear()
    return told


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (PAIR, ["margins", "rule"]),
        (RATED, ["rule"]),
        (RATED | {"margin": 2.0}, ["margins", "rule"]),
        (SCORED, []),
    ],
)
def test_options_that_no_row_heeds_are_told_by_every_reader(
    row: dict[str, Any], told: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="palate")
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(row) + "\n")
    read_preferences(path, layout=BOTH)
    assert _told(caplog) == told
    convert(str(path), str(tmp_path / "b.jsonl"), layout=BOTH)
    assert _told(caplog) == told
    check_data(path, layout=BOTH)
    assert _told(caplog) == told
    read_items(path, layout=BOTH)
    assert _told(caplog) == told
    read_preferences(path)
    assert _told(caplog) == []


def test_the_message_says_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(PAIR) + "\n")
    read_preferences(path, layout=Layout(rule="adjacent"))
    assert caplog.messages == [
        "rule has no effect: it chooses pairs of several ranked responses, and the rows from "
        f'{path}:1 on ("explicit prompt, text") ask for none of that'
    ]


def test_prompts_heed_neither_and_the_chosen_side_heeds_the_rule(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(SCORED) + "\n")
    read_prompts(path, layout=BOTH)
    assert _told(caplog) == ["margins", "rule"]
    read_demonstrations(path, use_chosen=True, layout=BOTH)
    assert _told(caplog) == ["margins"]


def test_helpsteers_rows_heed_what_changes_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.jsonl"
    steps = {"context": "q", "response1": "a", "response2": "b", "overall_preference": -2}
    path.write_text(json.dumps(steps) + "\n")
    assert read_preferences(path, layout=BOTH).records[0].margin == 2
    assert _told(caplog) == ["rule"]
