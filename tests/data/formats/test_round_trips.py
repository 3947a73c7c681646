"""What each format can carry comes back as it was: rows written by a format, read by it.

Said where a format cannot carry something: alpaca and sharegpt have no plain prompts (they become
user turns), hh-rlhf no system turn and no text that holds its markers, an implicit pair only what
stands before the first difference.
"""

import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from palate.data.doors import ANY
from palate.data.formats import FORMATS
from palate.data.formats.format import Record
from palate.data.formats.write import to_row
from palate.data.layout import AS_THEY_SAY, Layout
from palate.data.records import Demonstration, Preference, Prompt, Text, Turn

text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
spoken = text.filter(str.strip)
weights = st.just(1.0) | st.floats(0.01, 100.0)
margins = st.none() | st.floats(-9.0, 9.0)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Turn, ...]:
    contents = draw(st.lists(spoken, min_size=1, max_size=5).filter(lambda c: len(c) % 2 == 1))
    turns = [Turn("user" if i % 2 == 0 else "assistant", c) for i, c in enumerate(contents)]
    return (*([Turn("system", draw(text))] if draw(st.booleans()) else []), *turns)


plain = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
anything = plain | conversations()
# Parts of records: the type checker of the tests draws random numbers, which a strategy must not.
Parts = dict[str, object]


def pairs(prompts: st.SearchStrategy[Text]) -> st.SearchStrategy[Parts]:
    ends = st.sampled_from(["!", " more", "\u00e9"])
    replies = st.tuples(spoken, ends).map(lambda two: {"chosen": two[0], "rejected": "".join(two)})
    parts = st.fixed_dictionaries({"prompt": prompts, "weight": weights, "margin": margins})
    return st.tuples(parts, replies).map(lambda two: {**two[0], **two[1]})


def shown(prompts: st.SearchStrategy[Text], *, labelled: bool) -> st.SearchStrategy[Parts]:
    labels: st.SearchStrategy[object] = st.booleans() if labelled else st.none()
    return st.fixed_dictionaries(
        {"prompt": prompts, "response": spoken, "weight": weights, "desirable": labels}
    )


RECORDS: dict[str, st.SearchStrategy[Parts]] = {
    "explicit": pairs(anything),
    "implicit": pairs(conversations()),
    "hh-rlhf": pairs(conversations()),
    "alpaca-pairs": pairs(conversations()),
    "sharegpt-pairs": pairs(conversations()),
    "arena": pairs(conversations()),
    "unpaired": shown(anything, labelled=True),
    "alpaca-kto": shown(conversations(), labelled=True),
    "sharegpt-kto": shown(conversations(), labelled=True),
    "prompt-completion": shown(anything, labelled=False),
    "messages": shown(conversations(), labelled=False),
    "alpaca": shown(conversations(), labelled=False),
    "sharegpt": shown(conversations(), labelled=False),
    "text": shown(st.just(""), labelled=False),
    "prompts": st.fixed_dictionaries({"prompt": anything, "id": st.sampled_from(["", "7"])}),
}


def record_of(parts: Parts) -> Record:
    kind: Any = Preference if "chosen" in parts else Demonstration if "weight" in parts else Prompt
    made: Record = kind(**parts, origin="here")
    return made


def carries(name: str, record: Record) -> bool:
    """Whether a format can hold a record whole."""
    if name == "arena" and isinstance(record, Preference):
        return record.margin is None
    if name != "hh-rlhf" or isinstance(record.prompt, str):
        return True
    assert isinstance(record, Preference)
    said = [t.content for t in record.prompt] + [record.chosen, record.rejected]
    # One blank after a marker belongs to the marker, and another marker would be another turn.
    return record.prompt[0].role == "user" and not any("\n\n" in s for s in said)


def through_json(row: object) -> dict[str, object]:
    parsed = json.loads(json.dumps(row))
    assert isinstance(parsed, dict)
    return parsed


# A handful in every run; a thousand by `make round-trips`.
EXAMPLES = pytest.mark.parametrize("examples", [25, pytest.param(1000, marks=pytest.mark.slow)])


@EXAMPLES
@pytest.mark.parametrize("name", RECORDS)
def test_a_written_row_is_known_and_reads_as_what_was_written(name: str, examples: int) -> None:
    form = FORMATS[name]
    write = form.write
    assert write is not None

    @settings(max_examples=examples, deadline=None)
    @given(RECORDS[name])
    def check(parts: Parts) -> None:
        record = record_of(parts)
        assume(carries(name, record))
        row = through_json(write(record))
        assert ANY.find(row, AS_THEY_SAY).name == name
        assert list(form.read(row, AS_THEY_SAY, "here")) == [record]
        assert through_json(write(record)) == row

    check()


@EXAMPLES
@pytest.mark.parametrize("name", RECORDS)
def test_every_format_survives_the_way_over_trl(name: str, examples: int) -> None:
    """Import, export as TRL writes it, import again: the same record."""

    @settings(max_examples=examples, deadline=None)
    @given(RECORDS[name])
    def check(parts: Parts) -> None:
        record = record_of(parts)
        row = through_json(to_row(record))
        again = ANY.take(ANY.find(row, AS_THEY_SAY), row, AS_THEY_SAY, "here")
        assert list(again) == [record]

    check()


def test_every_writer_is_tested() -> None:
    assert set(RECORDS) == {name for name, form in FORMATS.items() if form.write is not None}


@settings(max_examples=60)
@given(st.lists(spoken, min_size=2, max_size=5, unique_by=str.strip), st.data())
def test_every_pair_of_a_ranking_is_in_order(texts: list[str], data: st.DataObject) -> None:
    scores = data.draw(st.lists(st.integers(0, 3), min_size=len(texts), max_size=len(texts)))
    assume(len({*scores}) > 1)
    row: dict[str, object] = {"prompt": "q", "responses": texts, "scores": scores}

    def read(how: Layout) -> list[Record]:
        return list(ANY.take(FORMATS["scored"], row, how, ""))

    rated = dict(zip(texts, scores, strict=True))
    every = [(p.chosen, p.rejected) for p in read(Layout(rule="all")) if isinstance(p, Preference)]
    expected = {(a, b) for a in texts for b in texts if rated[a] > rated[b]}
    assert (len(every), {*every}) == (len(expected), expected)
    (best,) = read(AS_THEY_SAY)
    assert isinstance(best, Preference)
    assert (rated[best.chosen], rated[best.rejected]) == (max(scores), min(scores))
