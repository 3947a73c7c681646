import pytest

from palate.data.faults import (
    FAULTS,
    fault,
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
