import pytest

from palate.data.faults import (
    FAULTS,
    fault,
    find_contradictions,
    find_duplicates,
    find_length_shortcut,
    find_overlap,
    longer_share,
    quote,
    warnings_of,
)
from palate.data.records import Demonstration, Preference, Prompt, Turn


def _codes(record: Prompt | Demonstration | Preference) -> list[str]:
    return [found.code for found in warnings_of(record)]


def test_every_code_says_its_severity_and_has_a_fix() -> None:
    for code, kind in FAULTS.items():
        assert kind.severity == {"E": "error", "W": "warning"}[code[0]]
        assert kind.title
        assert kind.fix


def test_a_fault_takes_severity_and_fix_from_the_table() -> None:
    found = fault("E401", "chosen is empty", origin="a.jsonl:3")
    assert str(found) == "a.jsonl:3 E401 chosen is empty"
    assert (found.severity, found.fix) == ("error", FAULTS["E401"].fix)


def test_quoting_cuts_and_escapes() -> None:
    assert quote("a\x1b[0m\u202eb") == r"'a\x1b[0m\u202eb'"
    assert quote("x" * 100, limit=5) == "'xxxx…"
    assert quote([1]) == "[1]"


@pytest.mark.parametrize(
    ("record", "codes"),
    [
        (Preference("What is rust?", "Iron.", "Gold."), []),
        (Preference("", "Iron.", "Gold."), ["W401"]),
        (Preference("What is rust?", "What is rust? Iron.", "Gold."), ["W402"]),
        (Preference("A", "A bee", "Bees"), []),
        (Demonstration("hi", "hello\n\nHuman: bye"), ["W403"]),
        (Prompt("\n\nHuman: hi\n\nAssistant:"), []),
        (Prompt((Turn("user", "hi\n\nAssistant: ho"),)), ["W403"]),
        (Preference("hi", "a\u202eb", "c\u200bd"), ["W404"]),
        (Prompt((Turn("user", "👩\u200d🔬"),)), []),
        (Prompt((Turn("system", " "), Turn("user", "hi"))), ["W405"]),
    ],
)
def test_warnings_of_one_record(
    record: Prompt | Demonstration | Preference, codes: list[str]
) -> None:
    assert _codes(record) == codes


def test_duplicates_and_contradictions_name_both_places() -> None:
    pairs = [
        Preference("q", "a", "b", origin="f:1"),
        Preference("q", "a", "c", origin="f:2"),
        Preference("q", "a", "b", origin="f:3"),
        Preference("q", "b", "a", origin="f:4"),
        Preference("other", "b", "a", origin="f:5"),
    ]
    assert [(f.origin, f.message) for f in find_duplicates(pairs)] == [("f:3", "repeats f:1")]
    contradictions = find_contradictions(pairs)
    assert [f.origin for f in contradictions] == ["f:4"]
    assert "f:1" in contradictions[0].message


def test_the_share_of_longer_chosen_leaves_equal_lengths_out() -> None:
    pairs = [Preference("q", "aa", "b"), Preference("q", "aa", "bbb"), Preference("q", "a", "b")]
    assert longer_share(pairs) == (0.5, 2)
    assert longer_share(pairs[2:]) == (None, 0)


@pytest.mark.parametrize(("num_longer", "num_faults"), [(18, 0), (19, 1)])
def test_the_length_shortcut_is_a_warning_above_nine_tenths(
    num_longer: int, num_faults: int
) -> None:
    pairs = [Preference(f"q{i}", "long", "no") for i in range(num_longer)]
    pairs += [Preference(f"q{i}", "no", "long") for i in range(num_longer, 20)]
    assert len(find_length_shortcut(pairs)) == num_faults


def test_few_pairs_are_no_evidence_of_a_shortcut() -> None:
    assert find_length_shortcut([Preference(f"q{i}", "long", "no") for i in range(19)]) == []


def test_overlap_is_found_at_the_evaluation_row() -> None:
    train = [Prompt("a", origin="t:1"), Prompt("b", origin="t:2")]
    evaluation = [Prompt("c", origin="e:1"), Prompt("b", origin="e:2")]
    found = find_overlap(train=train, evaluation=evaluation)
    assert [(f.code, f.origin) for f in found] == [("E404", "e:2")]
    assert "t:2" in found[0].message
