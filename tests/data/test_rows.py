import json
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.data.doors import COMPARISONS, DEMONSTRATIONS, PREFERENCES, PROMPTS
from palate.data.faults import RowFault
from palate.data.records import Demonstration, Preference, Prompt, Text, Turn
from palate.data.rows import (
    parse_comparison,
    parse_demonstration,
    parse_preference,
    parse_prompt,
    row_format,
    split_shared_beginning,
    to_row,
)

Row = dict[str, object]


def _user(content: str) -> Row:
    return {"role": "user", "content": content}


def _assistant(content: str) -> Row:
    return {"role": "assistant", "content": content}


HI = (Turn("user", "hi"),)


@pytest.mark.parametrize(
    ("row", "form", "record"),
    [
        (
            {"prompt": "q ", "chosen": "a", "rejected": "b"},
            "explicit prompt, text",
            Preference("q ", "a", "b"),
        ),
        (
            {"prompt": [_user("hi")], "chosen": [_assistant("a")], "rejected": [_assistant("b")]},
            "explicit prompt, turns",
            Preference(HI, "a", "b"),
        ),
        (
            {"prompt": [_user("hi")], "chosen": "a", "rejected": "b"},
            "explicit prompt, turns",
            Preference(HI, "a", "b"),
        ),
        (
            {"chosen": "Q: hi A: yes", "rejected": "Q: hi A: no"},
            "shared beginning, text",
            Preference("Q: hi A:", " yes", " no"),
        ),
        (
            {
                "chosen": [_user("hi"), _assistant("a")],
                "rejected": [_user("hi"), _assistant("b")],
            },
            "shared beginning, turns",
            Preference(HI, "a", "b"),
        ),
        (
            {
                "prompt": "hi",
                "chosen": [_user("hi"), _assistant("a")],
                "rejected": [_user("hi"), _assistant("b")],
            },
            "shared beginning, turns",
            Preference(HI, "a", "b"),
        ),
        (
            {
                "chosen": "\n\nHuman: hi\n\nAssistant: a",
                "rejected": "\n\nHuman: hi\n\nAssistant: b",
            },
            "hh-rlhf dialogue",
            Preference(HI, "a", "b"),
        ),
        (
            {"prompt": "q", "chosen": "a", "rejected": "b", "weight": 2, "margin": -1, "x": 1},
            "explicit prompt, text",
            Preference("q", "a", "b", weight=2.0, margin=-1.0),
        ),
        (
            {"prompt": "q", "chosen": "a", "rejected": "b", "weight": None, "margin": None},
            "explicit prompt, text",
            Preference("q", "a", "b"),
        ),
    ],
)
def test_preferences_in_every_format(row: Row, form: str, record: Preference) -> None:
    assert row_format(PREFERENCES, row) == form
    assert parse_preference(row, origin="") == record
    demonstration = parse_demonstration(row, origin="", use_chosen=True)
    assert demonstration == Demonstration(record.prompt, record.chosen, record.weight)
    assert parse_prompt(row, origin="") == Prompt(record.prompt)


@pytest.mark.parametrize(
    ("row", "form", "record"),
    [
        ({"prompt": "q", "completion": "a"}, "prompt and completion, text", ("q", "a")),
        ({"prompt": "q", "response": "a"}, "prompt and response, text", ("q", "a")),
        (
            {"prompt": [_user("hi")], "completion": [_assistant("a")]},
            "prompt and completion, turns",
            (HI, "a"),
        ),
        ({"messages": [_user("hi"), _assistant("a")]}, "messages", (HI, "a")),
        ({"prompt": "hi", "messages": [_user("hi"), _assistant("a")]}, "messages", (HI, "a")),
        ({"text": "Once upon a time"}, "text", ("", "Once upon a time")),
    ],
)
def test_demonstrations_in_every_format(row: Row, form: str, record: tuple[Text, str]) -> None:
    assert row_format(DEMONSTRATIONS, row) == form
    assert parse_demonstration(row, origin="") == Demonstration(*record)


@pytest.mark.parametrize(
    ("row", "form", "record"),
    [
        ({"prompt": "q", "id": 7}, "prompt, text", Prompt("q", "7")),
        ({"prompt": [_user("hi")], "id": "a"}, "prompt, turns", Prompt(HI, "a")),
        ({"messages": [_user("hi")]}, "messages", Prompt(HI)),
        ({"messages": [_user("hi"), _assistant("a")]}, "messages", Prompt(HI)),
    ],
)
def test_prompts_in_every_format(row: Row, form: str, record: Prompt) -> None:
    assert row_format(PROMPTS, row) == form
    assert parse_prompt(row, origin="") == record


PLAIN: Row = {"prompt": "q", "chosen": "a", "rejected": "b"}
CHAT: Row = {"prompt": [_user("q")], "chosen": [_assistant("a")], "rejected": [_assistant("b")]}


@pytest.mark.parametrize(
    ("row", "code", "message"),
    [
        ({"prompt": "q", "chosen": "a"}, "E201", "no rejected; the row has 'chosen', 'prompt'"),
        ({}, "E201", "no chosen; the row has no column"),
        (PLAIN | {"chosen": None}, "E202", "chosen is null"),
        (PLAIN | {"prompt": None}, "E202", "prompt is null"),
        (PLAIN | {"chosen": 3}, "E203", "chosen is 3"),
        (PLAIN | {"prompt": {"a": 1}}, "E203", "prompt is {'a': 1}"),
        (PLAIN | {"rejected": [_assistant("b")]}, "E203", "chosen is text, but rejected is turns"),
        (PLAIN | {"weight": 0}, "E204", "weight is 0"),
        (PLAIN | {"weight": float("inf")}, "E204", "weight is inf"),
        (PLAIN | {"weight": 10**400}, "E204", "weight is 1000"),
        (PLAIN | {"weight": "2"}, "E203", "weight is '2', not a number"),
        (PLAIN | {"weight": True}, "E203", "weight is True"),
        (PLAIN | {"margin": float("nan")}, "E204", "margin is nan"),
        (PLAIN | {"chosen": ""}, "E401", "chosen is empty"),
        (PLAIN | {"rejected": " \n"}, "E401", "rejected is empty"),
        (PLAIN | {"rejected": "a"}, "E402", "same text"),
        (PLAIN | {"rejected": " a\n"}, "E403", "outer blanks"),
        (PLAIN | {"chosen": "caf\u00e9", "rejected": "cafe\u0301"}, "E403", "Unicode form"),
        (PLAIN | {"chosen": "a\0"}, "E102", "chosen holds a NUL"),
        (PLAIN | {"prompt": "\ud83d"}, "E104", "prompt holds"),
        (CHAT | {"prompt": []}, "E301", "prompt is an empty list"),
        (CHAT | {"prompt": [_assistant("q")]}, "E303", "starts with an assistant"),
        (CHAT | {"prompt": [_user("q"), _user("q")]}, "E304", "both of role user"),
        (CHAT | {"prompt": [_user("q"), _assistant("q")]}, "E307", "of role assistant"),
        (CHAT | {"chosen": [_user("a")]}, "E306", "must be one assistant turn; it is: 'user'"),
        (CHAT | {"chosen": [_assistant("a"), _user("b")]}, "E306", "'assistant, user'"),
        (CHAT | {"chosen": [_user("q"), _assistant("a")]}, "E312", "repeats the turns of prompt"),
        (CHAT | {"chosen": [_assistant(" ")]}, "E401", "chosen is empty"),
        (CHAT | {"rejected": [_assistant("a")]}, "E402", "same text"),
        (
            {"chosen": [_user("q"), _assistant("a")], "rejected": [_user("p"), _assistant("b")]},
            "E308",
            "differ before their last turn",
        ),
        (
            {
                "prompt": "other",
                "chosen": [_user("q"), _assistant("a")],
                "rejected": [_user("q"), _assistant("b")],
            },
            "E312",
            "not one of the user turns",
        ),
        ({"chosen": "same", "rejected": "same"}, "E402", "same text"),
        ({"chosen": "q a", "rejected": "q "}, "E401", "rejected is empty"),
        (
            {"chosen": "\n\nHuman: q", "rejected": "\n\nHuman: q\n\nAssistant: b"},
            "E306",
            "of role user",
        ),
        (
            {"chosen": "\n\nAssistant: a", "rejected": "\n\nAssistant: b"},
            "E303",
            "lone assistant turn",
        ),
        (
            {
                "chosen": "\n\nHuman: q\n\nAssistant: ",
                "rejected": "\n\nHuman: q\n\nAssistant: b",
            },
            "E401",
            "chosen is empty",
        ),
    ],
)
def test_bad_preferences(row: Row, code: str, message: str) -> None:
    with pytest.raises(RowFault, match=message) as error:
        parse_preference(row, origin="a.jsonl:3")
    assert (error.value.fault.code, error.value.fault.origin) == (code, "a.jsonl:3")


@pytest.mark.parametrize(
    ("row", "code", "message"),
    [
        ({"question": "q"}, "E201", "no prompt and completion, prompt and response, messages"),
        ({"prompt": "q"}, "E201", "no completion or response"),
        (PLAIN, "E201", "use_chosen"),
        ({"prompt": "q", "completion": None}, "E202", "completion is null"),
        ({"prompt": "q", "completion": " "}, "E401", "the response is empty"),
        ({"prompt": "q", "completion": [_assistant("a")]}, "E203", "completion is"),
        ({"messages": [_user("q")]}, "E306", "of role user"),
        ({"messages": "q"}, "E203", "not a list of turns"),
        ({"messages": [_user("q"), _assistant("a")], "prompt": "p"}, "E312", "prompt column"),
    ],
)
def test_bad_demonstrations(row: Row, code: str, message: str) -> None:
    with pytest.raises(RowFault, match=message) as error:
        parse_demonstration(row, origin="a.jsonl:3")
    assert error.value.fault.code == code


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"question": "q"}, "E201"),
        ({"prompt": None}, "E202"),
        ({"prompt": 3}, "E203"),
        ({"prompt": "q", "id": 1.5}, "E203"),
        ({"prompt": [_user("q"), _assistant("a")]}, "E307"),
        (PLAIN | {"chosen": ""}, "E401"),
    ],
)
def test_bad_prompts(row: Row, code: str) -> None:
    with pytest.raises(RowFault) as error:
        parse_prompt(row, origin="a.jsonl:3")
    assert error.value.fault.code == code


@pytest.mark.parametrize(
    ("chosen", "rejected", "prompt"),
    [
        ("Q: x? A: yes", "Q: x? A: no", "Q: x? A:"),
        ("The cat", "The car", "The"),
        ("Q\n\nyes", "Q\n\nno", "Q"),
        ("Question\nAnswer:yes", "Question\nAnswer:no", "Question\nAnswer:"),
        ("[INST] x [/INST]yes", "[INST] x [/INST]no", "[INST] x [/INST]"),
        ("at 10:30", "at 10:45", "at"),
        ("yes", "no", ""),
        ("one two", "one two three", "one"),
    ],
)
def test_the_shared_beginning_ends_at_a_border(chosen: str, rejected: str, prompt: str) -> None:
    parted = split_shared_beginning(chosen=chosen, rejected=rejected)
    assert parted == (prompt, chosen.removeprefix(prompt), rejected.removeprefix(prompt))


text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
spoken = text.filter(str.strip)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Turn, ...]:
    contents = draw(st.lists(spoken, min_size=1, max_size=5).filter(lambda c: len(c) % 2 == 1))
    turns = [Turn("user" if i % 2 == 0 else "assistant", c) for i, c in enumerate(contents)]
    return (*([Turn("system", draw(text))] if draw(st.booleans()) else []), *turns)


prompts = st.one_of(st.text(st.characters(codec="utf-8", exclude_characters="\0")), conversations())
weights = st.floats(0.01, 100.0)


@settings(max_examples=100)
@given(prompts, spoken, weights, st.none() | st.floats(-9.0, 9.0))
def test_preferences_survive_the_round_trip(
    prompt: Text, response: str, weight: float, margin: float | None
) -> None:
    record = Preference(prompt, response, response + "!", weight, margin, "here")
    assert parse_preference(_through_json(to_row(record)), origin="here") == record


@settings(max_examples=50)
@given(prompts, spoken, weights)
def test_demonstrations_and_prompts_survive_the_round_trip(
    prompt: Text, response: str, weight: float
) -> None:
    demonstration = Demonstration(prompt, response, weight, "here")
    assert parse_demonstration(_through_json(to_row(demonstration)), origin="here") == demonstration
    named = Prompt(prompt, "7", "here")
    assert parse_prompt(_through_json(to_row(named)), origin="here") == named


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(
        ["", "q", "a b", "a c", "\n\nHuman: q\n\nAssistant: a", "\ud800", "\0", "user", "assistant"]
    )
)
turn_like = st.fixed_dictionaries(
    {},
    optional={"role": st.sampled_from(["user", "assistant", "system", "x", 1]), "content": scalars},
)
columns = [
    "prompt",
    "chosen",
    "rejected",
    "weight",
    "margin",
    "id",
    "messages",
    "completion",
    "text",
]
rows = st.dictionaries(
    st.sampled_from(columns), scalars | st.lists(scalars | turn_like, max_size=4), max_size=9
)


@settings(max_examples=200)
@given(rows)
def test_any_row_is_read_or_refused_with_a_code(row: Row) -> None:
    for parse in (parse_preference, parse_demonstration, parse_prompt):
        try:
            place = parse(row, origin="here").origin
        except RowFault as error:
            place = error.fault.origin
        assert place == "here"


def _through_json(row: Mapping[str, object]) -> Row:
    parsed = json.loads(json.dumps(row))
    assert isinstance(parsed, dict)
    return parsed


@pytest.mark.parametrize(
    ("row", "form", "record"),
    [
        (
            {"prompt": "q", "completion": " a", "label": True},
            "prompt and completion, text, label",
            Demonstration("q", " a", desirable=True, origin="x:1"),
        ),
        (
            {"prompt": [_user("hi")], "completion": [_assistant("no")], "label": 0, "weight": 2},
            "prompt and completion, turns, label",
            Demonstration(HI, "no", 2.0, desirable=False, origin="x:1"),
        ),
        (
            {"prompt": "q", "chosen": " a", "rejected": " b", "label": 1},
            "explicit prompt, text",
            Preference("q", " a", " b", origin="x:1"),
        ),
    ],
)
def test_comparisons_are_pairs_or_labelled_responses(
    row: Row, form: str, record: Preference | Demonstration
) -> None:
    assert row_format(COMPARISONS, row) == form
    assert parse_comparison(row, origin="x:1") == record
    assert parse_comparison(to_row(record), origin="x:1") == record


@pytest.mark.parametrize("label", ["yes", None, 2, 0.5])
def test_a_label_is_true_or_false(label: object) -> None:
    with pytest.raises(RowFault, match="label is .*, neither true nor false"):
        parse_comparison({"prompt": "q", "completion": "a", "label": label}, origin="x:1")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"prompt": "q", "chosen": "a", "rejected": "b", "weight": "2"},
            "weight is '2', not a number",
        ),
        ({"prompt": "q", "chosen": 3, "rejected": "b"}, "chosen is 3, neither text nor a list"),
    ],
)
def test_the_fix_of_a_wrong_type_leaves_the_wanted_one_to_the_message(
    row: dict[str, object], message: str
) -> None:
    with pytest.raises(RowFault) as error:
        parse_preference(row, origin="f:1")
    assert error.value.fault.code == "E203"
    assert message in error.value.fault.message
    assert error.value.fault.fix.startswith("give what the message asks for: a number")
