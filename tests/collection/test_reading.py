"""Files become pairs to vote on, with what the store needs beside the texts."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.cli.conftest import write_rows

from palate.collection.reading import read_items
from palate.data.records import Turn
from palate.errors import DataError

PAIR: Mapping[str, object] = {"prompt": "two?", "chosen": "2", "rejected": "3"}


def test_pairs_with_their_columns(tmp_path: Path) -> None:
    more = {"id": 7, "source": "exam", "tags": ["sum"], "gold": True, "margin": 1.5}
    path = write_rows(tmp_path / "pairs.jsonl", [{**PAIR, **more}, {**PAIR, "prompt": "zwei?"}])
    full, plain = read_items(path)
    assert (full.first, full.second) == ("2", "3")
    assert (full.name, full.source, full.tags) == ("7", "exam", ("sum",))
    assert (full.gold, full.margin) == ("first", 1.5)
    assert (plain.name, plain.source) == ("", f"{path}:2")
    assert (plain.gold, plain.margin) == (None, None)


def test_conversations(tmp_path: Path) -> None:
    talk = [{"role": "user", "content": "two?"}]
    row = {
        "prompt": talk,
        "chosen": [{"role": "assistant", "content": "2"}],
        "rejected": [{"role": "assistant", "content": "3"}],
    }
    [item] = read_items(write_rows(tmp_path / "pairs.jsonl", [row]))
    assert (item.prompt, item.first) == ((Turn("user", "two?"),), "2")


def test_unjudged_responses_give_every_two(tmp_path: Path) -> None:
    row = {"prompt": "two?", "responses": ["2", "3", "4"], "id": "q"}
    items = read_items(write_rows(tmp_path / "samples.jsonl", [row]))
    assert [(item.first, item.second) for item in items] == [("2", "3"), ("2", "4"), ("3", "4")]
    assert {item.name for item in items} == {"q"}
    row = {"prompt": "two?", "response_a": "2", "response_b": "3"}
    [item] = read_items(write_rows(tmp_path / "two.jsonl", [row]))
    assert (item.first, item.second) == ("2", "3")


def test_a_battle_is_shown_as_text_not_as_the_list_that_holds_it(tmp_path: Path) -> None:
    won = {"winner_model_a": 1, "winner_model_b": 0, "winner_tie": 0}
    row = {"prompt": '["Hi"]', "response_a": '["Hello!"]', "response_b": '["Yo"]', **won}
    [item] = read_items(write_rows(tmp_path / "arena.jsonl", [row]))
    assert (item.first, item.second) == ("Hello!", "Yo")


def test_margins_of_a_reward_model(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "pairs.jsonl", [PAIR, {**PAIR, "prompt": "zwei?"}])
    row = {"origin": f"{path}:2", "chosen": 1.0, "rejected": 3.0, "margin": -2.0}
    scores = write_rows(tmp_path / "scores.jsonl", [row])
    assert [item.margin for item in read_items(path, scores=scores)] == [None, -2.0]
    for wrong in (path, tmp_path / "missing"):
        with pytest.raises(DataError, match=r"palate score --output|cannot be read"):
            read_items(path, scores=wrong)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({**PAIR, "gold": "chosen"}, "gold is .*not true, false"),
        ({**PAIR, "tags": "sum"}, "tags is .*not a list of texts"),
        ({**PAIR, "rejected": "2"}, "E402"),
        ({"prompt": "two?", "responses": ["2"]}, "cannot be used|no row of 2"),
        ({"prompt": "two?", "responses": ["2", " "]}, "E401"),
    ],
)
def test_bad_rows_are_named_and_may_be_left_out(
    tmp_path: Path, row: Mapping[str, object], words: str
) -> None:
    path = write_rows(tmp_path / "pairs.jsonl", [{**PAIR, "prompt": "good?"}, row])
    with pytest.raises(DataError, match=words) as told:
        read_items(path)
    assert f"{path}:2" in str(told.value)
    assert len(read_items(path, skip_bad=True)) == 1


def test_a_file_without_pairs_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    with pytest.raises(DataError, match="no rows"):
        read_items(empty)
    with pytest.raises(DataError, match="cannot be used|no row of 1"):
        read_items(write_rows(tmp_path / "a.jsonl", [{"prompt": "two?"}]), skip_bad=True)


def test_one_odd_first_row_is_the_one_that_is_skipped(tmp_path: Path) -> None:
    odd: Mapping[str, object] = {"chosen": "The number 1 is", "rejected": "The number 2 is"}
    good = [{**PAIR, "prompt": f"two, {i}?"} for i in range(12)]
    path = write_rows(tmp_path / "pairs.jsonl", [odd, *good])
    assert len(read_items(path, skip_bad=True)) == 12
    with pytest.raises(DataError, match=r"pairs.jsonl:1 E205"):
        read_items(path)
