"""Rows to judge: which responses are candidates, and what is wrong with others."""

import json
from pathlib import Path
from typing import Any

import pytest

from palate.data.records import Turn
from palate.errors import DataError
from palate.experiments.judging.samples import label_key, read_labels, read_samples


def written(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_samples_by_hand(tmp_path: Path) -> None:
    path = written(
        tmp_path / "s.jsonl",
        {"prompt": "p", "responses": ["a", {"text": "b", "stopped": True}, " a\n"], "level": 3},
        {"prompt": "q", "responses": [{"text": "c"}, {"text": "d", "stopped": False}, " "]},
        {"prompt": [{"role": "user", "content": "r"}],
         "responses": [{"text": "e", "score": 2}, {"text": "f", "score": -0.5}]},
    )  # fmt: skip
    found = read_samples(path)
    assert [one.responses for one in found.candidates] == [("a", "b"), ("e", "f")]
    assert [one.scores for one in found.candidates] == [None, (2.0, -0.5)]
    assert found.candidates[0].prompt.columns == {"level": 3}
    assert found.candidates[0].prompt.origin == f"{path}:1"
    assert found.candidates[1].prompt.prompt == (Turn("user", "r"),)
    counts = (found.num_prompts, found.num_cut, found.num_repeated, found.num_alone)
    assert counts == (3, 2, 1, 1)


def test_pairs_carry_what_people_prefer_in_an_order_that_does_not_tell(tmp_path: Path) -> None:
    path = written(
        tmp_path / "p.jsonl",
        {"prompt": "p", "chosen": "a", "rejected": "b"},
        {"prompt": "q", "chosen": "d", "rejected": "c"},
    )
    first, second = read_samples(path).candidates
    assert (first.responses, first.preferred) == (("a", "b"), 0)
    assert (second.responses, second.preferred) == (("c", "d"), 1)


def test_labels_are_found_whichever_response_stands_first(tmp_path: Path) -> None:
    path = written(tmp_path / "p.jsonl", {"prompt": "p", "chosen": "a", "rejected": "b"})
    labels = read_labels(path)
    assert labels[label_key("p", "b", "a")] == labels[label_key("p", "a", "b")] == "a"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            {"prompt": "p"},
            r"s.jsonl:1 E201 no chosen; .*; a row to judge needs a prompt and responses",
        ),
        ({"responses": ["a", "b"]}, "E201"),
        ({"prompt": "p", "responses": "ab"}, "responses is 'ab', not a list"),
        ({"prompt": "p", "responses": ["a", 7]}, r"responses\[1\] is 7; it must be text"),
        ({"prompt": "p", "responses": [{"response": "a"}]}, "an object with a text"),
        ({"prompt": "p", "responses": [{"text": "a", "stopped": 1}]}, "stopped is 1"),
        ({"prompt": "p", "responses": [{"text": "a", "score": "high"}]}, "score is 'high'"),
        ({"prompt": "p", "responses": ["a", "a"]}, "none of 1 prompts has two different"),
        ({"prompt": "p", "chosen": "a", "rejected": "a"}, "E402"),
        ([1], "E106"),
    ],
)
def test_what_cannot_be_judged_says_where(tmp_path: Path, row: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_samples(written(tmp_path / "s.jsonl", row))


def test_an_empty_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no rows"):
        read_samples(written(tmp_path / "s.jsonl"))
