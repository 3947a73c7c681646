import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.data.check import check_data
from palate.data.hh import format_dialogue, is_dialogue, parse_dialogue
from palate.data.records import Turn
from palate.data.rows import parse_preference

words = st.text(st.characters(codec="utf-8"), min_size=1).filter(
    lambda text: "Human:" not in text and "Assistant:" not in text
)


def test_a_dialogue_becomes_turns() -> None:
    text = "\n\nHuman: What is rust?\n\nAssistant: Iron.\n\nHuman: And?\n\nAssistant: Water."
    assert parse_dialogue(text) == (
        Turn("user", "What is rust?"),
        Turn("assistant", "Iron."),
        Turn("user", "And?"),
        Turn("assistant", "Water."),
    )


def test_turns_span_lines_and_paragraphs() -> None:
    text = "\n\nHuman: one\ntwo\n\nthree Human: four\n\nAssistant:  five\n"
    assert parse_dialogue(text) == (
        Turn("user", "one\ntwo\n\nthree Human: four"),
        Turn("assistant", " five\n"),
    )


def test_a_marker_out_of_turn_is_text_of_the_turn() -> None:
    text = "\n\nHuman: a\n\nAssistant: b\n\nAssistant: c"
    assert parse_dialogue(text) == (
        Turn("user", "a"),
        Turn("assistant", "b\n\nAssistant: c"),
    )


@settings(max_examples=50)
@given(st.lists(words, min_size=1, max_size=6))
def test_formatting_undoes_parsing(contents: list[str]) -> None:
    roles = [
        Turn("user", c) if i % 2 == 0 else Turn("assistant", c) for i, c in enumerate(contents)
    ]
    text = format_dialogue(roles)
    assert is_dialogue(text)
    assert parse_dialogue(text) == tuple(roles)
    assert format_dialogue(parse_dialogue(text)) == text


def test_a_system_turn_stands_in_front() -> None:
    assert format_dialogue((Turn("system", "Be brief."), Turn("user", "hi"))) == (
        "Be brief.\n\nHuman: hi"
    )


@pytest.fixture
def harmless(shared_data: Path) -> Path:
    return shared_data / "hh" / "harmless-base-test.jsonl.gz"


def test_the_published_file_has_four_empty_replies_and_no_other_error(harmless: Path) -> None:
    report = check_data(harmless)
    assert (report.num_rows, report.num_good, report.num_errors) == (2312, 2308, 4)
    assert report.format == "hh-rlhf dialogue"
    errors = [group for group in report.faults if group.severity == "error"]
    assert [(group.code, group.count) for group in errors] == [("E401", 4)]
    lines = [int(found.origin.rsplit(":", 1)[1]) for found in errors[0].places]
    assert lines == [87, 517, 926, 1104]


def test_the_first_published_row_becomes_turns(harmless: Path) -> None:
    with gzip.open(harmless, "rt", encoding="utf-8") as file:
        pair = parse_preference(json.loads(file.readline()), origin="")
    assert isinstance(pair.prompt, tuple)
    assert pair.prompt[0] == Turn("user", "what are some pranks with a pen i can do?")
    assert pair.prompt[1] == Turn("assistant", "Are you looking for practical joke ideas?")
    assert [turn.role for turn in pair.prompt] == ["user", "assistant"] * 2 + ["user"]
    assert pair.chosen.startswith("No, sorry!  All of these involve a pen")
    assert pair.rejected.startswith("There are lots of funny things")
