from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from palate.data.checks.across import contradictions, duplicates, overlaps
from palate.data.checks.seen import Seen, fingerprint_of
from palate.data.faults import Fault
from palate.data.records import Demonstration, Preference, Prompt, Turn
from palate.measures.noise import Repeats

Record = Prompt | Demonstration | Preference


def filled(seen: Seen, train: Sequence[Record], held_out: Sequence[Record] = ()) -> Seen:
    """Rows with places "f:1", "f:2" …, held-out ones "e:1" …."""
    for number, record in enumerate(train):
        seen.add(number, replace(record, origin=f"f:{number + 1}"))
    for number, record in enumerate(held_out):
        seen.add(len(train) + number, replace(record, origin=f"e:{number + 1}"), held_out=True)
    return seen


def told(faults: Sequence[Fault]) -> list[tuple[str, str, str]]:
    return [(found.code, found.origin, found.message) for found in faults]


@pytest.mark.parametrize("is_on_disk", [False, True])
def test_duplicates_and_contradictions_name_both_places(tmp_path: Path, is_on_disk: bool) -> None:
    pairs = [
        Preference("q", "a", "b"),
        Preference("q", "a", "c"),
        Preference("q", "a", "b"),
        Preference("q", "b", "a"),
        Preference("other", "b", "a"),
        Preference("q", "b", "a"),
    ]
    with Seen(tmp_path if is_on_disk else None) as seen:
        filled(seen, pairs)
        assert told(list(duplicates(seen))) == [
            ("W406", "f:3", "repeats f:1"),
            ("W406", "f:6", "repeats f:4"),
        ]
        assert told(list(contradictions(seen))) == [
            ("W407", "f:4", "f:1 says the opposite"),
            ("W407", "f:6", "f:1 says the opposite"),
        ]
        assert list(seen.repeats()) in ([Repeats(2, 2)], [Repeats(2, 2)])
        assert seen.num_prompts() == 2
    assert (tmp_path / "seen.sqlite3").exists() == is_on_disk


def test_labels_of_one_response_may_repeat_and_contradict() -> None:
    rows = [
        Demonstration("q", "a", desirable=True),
        Demonstration("q", "a", desirable=True),
        Demonstration("q", "b", desirable=False),
        Demonstration("q", "a", desirable=False),
    ]
    with filled(Seen(), rows) as seen:
        assert [f.origin for f in duplicates(seen)] == ["f:2"]
        assert [f.origin for f in contradictions(seen)] == ["f:4"]
        assert list(seen.repeats()) == [Repeats(one_way=2, other_way=1)]


def test_overlap_is_found_at_the_evaluation_row_and_can_be_cured_at_the_other() -> None:
    train = [Prompt("a"), Prompt("b"), Prompt("b")]
    with filled(Seen(), train, [Prompt("c"), Prompt("b")]) as seen:
        assert told(list(overlaps(seen))) == [("E404", "e:2", "this prompt is trained on at f:2")]
        assert [row.origin for row in seen.overlapped()] == ["f:2", "f:3"]
        # Held-out rows are neither repetitions nor prompts of the file.
        assert [f.origin for f in duplicates(seen)] == ["f:3"]
        assert seen.num_prompts() == 2


def test_a_question_is_the_same_whoever_is_chosen_and_text_is_not_a_conversation() -> None:
    one, other = Preference("q", "a", "b"), Preference("q", "b", "a")
    assert fingerprint_of(one).question == fingerprint_of(other).question
    assert {fingerprint_of(one).vote, fingerprint_of(other).vote} == {0, 1}
    turns = Preference((Turn("user", "q"),), "a", "b")
    assert fingerprint_of(turns).question != fingerprint_of(one).question


def test_more_rows_than_are_written_at_a_time_are_all_there() -> None:
    rows = [Prompt(f"q{number % 6000}") for number in range(12_000)]
    with filled(Seen(), rows) as seen:
        assert seen.num_prompts() == 6000
        assert len(list(duplicates(seen))) == 6000


def test_blanks_and_unicode_form_hide_no_repetition() -> None:
    pairs = [
        Preference("Ask caf\u00e9", "a b", "c"),
        Preference(" Ask  cafe\u0301\n", "a  b ", "c"),
        Preference("Ask caf\u00e9 ", "c", "a b"),
    ]
    with Seen() as seen:
        filled(seen, pairs)
        assert told(list(duplicates(seen))) == [("W406", "f:2", "repeats f:1")]
        assert told(list(contradictions(seen))) == [("W407", "f:3", "f:1 says the opposite")]


def test_a_pair_that_is_about_blanks_keeps_them() -> None:
    pairs = [Preference("q", "a b", "a  b"), Preference("q", "a  b", "a b")]
    with Seen() as seen:
        filled(seen, pairs)
        assert not list(duplicates(seen))
        assert [found.origin for found in contradictions(seen)] == ["f:2"]


def test_a_prompt_leaks_in_other_blanks_form_or_case() -> None:
    talk = (Turn("user", "Ask caf\u00e9"),)
    held = [Prompt(" ask  CAFE\u0301 "), Prompt((Turn("user", "ask caf\u00e9\n"),)), Prompt("ask")]
    with Seen() as seen:
        filled(seen, [Prompt("Ask caf\u00e9"), Prompt(talk)], held)
        assert [found.origin for found in overlaps(seen)] == ["e:1", "e:2"]


def test_rows_that_differ_in_their_tools_alone_ask_different_things() -> None:
    pair = Preference("q", "a", "b", origin="f:1")
    tools = {"tools": [{"name": "look_up"}]}
    other = Preference("q", "a", "b", origin="f:2", columns=tools)
    assert fingerprint_of(pair) != fingerprint_of(other)
    assert fingerprint_of(other) == fingerprint_of(Preference("q", "a", "b", columns=tools))
