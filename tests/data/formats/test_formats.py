"""Each format: known by its rows, read to the record that they mean, refused where it is broken."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from palate.data.doors import ANY, COMPARISONS, DEMONSTRATIONS, PREFERENCES, PROMPTS, Door
from palate.data.faults import FAULTS, Refusal, RowFault
from palate.data.formats import FORMATS, named_format
from palate.data.formats.open_assistant import trees_of
from palate.data.layout import AS_THEY_SAY, Layout
from palate.data.lines import Line
from palate.data.records import Demonstration, Preference, Prompt, Turn
from palate.data.rows import row_format
from palate.data.stream import read_row, stream
from palate.errors import RecipeError

Row = dict[str, object]
Record = Preference | Demonstration | Prompt


def user(content: str) -> Row:
    return {"role": "user", "content": content}


def assistant(content: str) -> Row:
    return {"role": "assistant", "content": content}


def said(speaker: str, value: str) -> Row:
    return {"from": speaker, "value": value}


def read(row: Row, layout: Layout = AS_THEY_SAY) -> list[Record]:
    return list(ANY.take(ANY.find(row, layout), row, layout, "a:1"))


HI = (Turn("user", "hi"),)
LATER = (
    Turn("system", "be brief"),
    Turn("user", "a"),
    Turn("assistant", "b"),
    Turn("user", "c\nd"),
)
BATTLE: Row = {
    "model_a": "m",
    "model_b": "n",
    "conversation_a": [user("hi"), assistant("yes")],
    "conversation_b": [user("hi"), assistant("no")],
}
SCORED: Row = {"prompt": "q", "responses": ["low", "high", "mid"], "scores": [1, 5, 3.5]}
TREE: Row = {
    "message_tree_id": "t",
    "prompt": {
        "role": "prompter",
        "text": "hi",
        "replies": [
            {"role": "assistant", "text": "worse", "rank": 1, "replies": []},
            {
                "role": "assistant",
                "text": "better",
                "rank": 0,
                "replies": [
                    {
                        "role": "prompter",
                        "text": "and?",
                        "replies": [
                            {"role": "assistant", "text": "x", "rank": 1},
                            {"role": "assistant", "text": "y", "rank": 0},
                            {"role": "assistant", "text": "z", "rank": 2, "deleted": True},
                        ],
                    }
                ],
            },
        ],
    },
}
TEXTS: Row = {
    "prompt": '["a", "c\\nd"]', "response_a": '["b", "x"]', "response_b": '["b", "y"]',
    "winner_model_a": 0, "winner_model_b": 1, "winner_tie": 0,
}  # fmt: skip
RATED: Row = {
    "prompt": "q",
    "ratings": [
        {"response": "x", "helpfulness": 1, "verbosity": 4},
        {"response": "y", "helpfulness": 3},
    ],
}
STEPS: Row = {
    "context": [user("hi")],
    "response1": "x",
    "response2": "y",
    "overall_preference": -2,
}
MORE = (*HI, Turn("assistant", "better"), Turn("user", "and?"))

EXAMPLES: list[tuple[str, Row, list[Record]]] = [
    (
        "alpaca-pairs",
        {"instruction": "c", "input": "d", "chosen": "x", "rejected": "y", "system": "be brief",
         "history": [["a", "b"]]},
        [Preference(LATER, "x", "y", origin="a:1")],
    ),
    (
        "alpaca-ranking",
        {"instruction": "hi", "input": "", "output": ["x", "y"]},
        [Preference(HI, "x", "y", origin="a:1")],
    ),
    ("alpaca", {"instruction": "hi", "output": "x"}, [Demonstration(HI, "x", origin="a:1")]),
    (
        "alpaca-kto",
        {"instruction": "hi", "input": None, "output": "x", "kto_tag": False},
        [Demonstration(HI, "x", origin="a:1", desirable=False)],
    ),
    (
        "sharegpt",
        {"conversations": [said("human", "hi"), said("gpt", "x")]},
        [Demonstration(HI, "x", origin="a:1")],
    ),
    (
        "sharegpt-pairs",
        {"conversations": [said("human", "a"), said("gpt", "b"), said("human", "c\nd")],
         "system": "be brief", "chosen": said("gpt", "x"), "rejected": said("gpt", "y")},
        [Preference(LATER, "x", "y", origin="a:1")],
    ),
    (
        "sharegpt-kto",
        {"conversations": [said("human", "hi"), said("gpt", "x")], "kto_tag": True},
        [Demonstration(HI, "x", origin="a:1", desirable=True)],
    ),
    ("arena", BATTLE | {"winner": "model_a"}, [Preference(HI, "yes", "no", origin="a:1")]),
    ("arena", BATTLE | {"winner": "model_b"}, [Preference(HI, "no", "yes", origin="a:1")]),
    ("arena-55k", TEXTS, [Preference(LATER[1:], "y", "x", origin="a:1")]),
    ("arena-55k", TEXTS | {"prompt": ["hi"], "response_a": ["x"], "response_b": ["y"]},
     [Preference(HI, "y", "x", origin="a:1")]),
    ("arena-55k", TEXTS | {"prompt": "[hi", "response_a": '["x"]', "response_b": "y"},
     [Preference((Turn("user", "[hi"),), "y", '["x"]', origin="a:1")]),
    ("helpsteer2", RATED, [Preference("q", "y", "x", origin="a:1")]),
    ("helpsteer3", STEPS, [Preference(HI, "x", "y", origin="a:1")]),
    ("helpsteer3", STEPS | {"context": "q", "overall_preference": 1},
     [Preference("q", "y", "x", origin="a:1")]),
    ("scored", SCORED, [Preference("q", "high", "low", origin="a:1")]),
    (
        "scored",
        {"instruction": "hi", "completions": [
            {"response": "x", "overall_score": 2.0}, {"response": "y", "overall_score": 7.5}]},
        [Preference(HI, "y", "x", origin="a:1")],
    ),
    (
        "ranking",
        {"prompt": "q", "responses": ["x", "y", "z"], "ranking": [2, 1, 3]},
        [Preference("q", "y", "z", origin="a:1")],
    ),
    (
        "ranking",
        {"prompt": "\n\nHuman: hi\n\nAssistant: ", "answers": [
            {"answer": "x", "rank": 2.0}, {"answer": "y", "rank": 1.0}]},
        [Preference(HI, "y", "x", origin="a:1")],
    ),
    (
        "open-assistant",
        TREE,
        [Preference(HI, "better", "worse", origin="a:1"), Preference(MORE, "y", "x", origin="a:1")],
    ),
    ("explicit", {"prompt": "q", "chosen": "x", "rejected": "y"},
     [Preference("q", "x", "y", origin="a:1")]),
    ("implicit", {"chosen": "Q: x", "rejected": "Q: y"},
     [Preference("Q:", " x", " y", origin="a:1")]),
    (
        "hh-rlhf",
        {"chosen": "\n\nHuman: hi\n\nAssistant: x", "rejected": "\n\nHuman: hi\n\nAssistant: y"},
        [Preference(HI, "x", "y", origin="a:1")],
    ),
    ("unpaired", {"prompt": "q", "completion": "x", "label": 1},
     [Demonstration("q", "x", origin="a:1", desirable=True)]),
    ("messages", {"messages": [user("hi"), assistant("x")]},
     [Demonstration(HI, "x", origin="a:1")]),
    ("prompt-completion", {"prompt": "q", "response": "x"},
     [Demonstration("q", "x", origin="a:1")]),
    ("text", {"text": "once"}, [Demonstration("", "once", origin="a:1")]),
    ("prompts", {"prompt": [user("hi")], "id": 3}, [Prompt(HI, "3", "a:1")]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "row", "records"), EXAMPLES)
def test_a_row_is_known_and_read(name: str, row: Row, records: list[Record]) -> None:
    assert ANY.find(row, AS_THEY_SAY).name == name
    assert read(row) == records
    assert read(row, Layout(format=name)) == records
    assert row_format(ANY, row)


def test_every_format_has_an_example_or_is_only_read_by_name() -> None:
    assert {name for name, _, _ in EXAMPLES} == set(FORMATS) - {"arena-labels"}


@pytest.mark.parametrize(("name", "row", "records"), EXAMPLES)
def test_every_row_has_a_prompt_to_sample_from(name: str, row: Row, records: list[Record]) -> None:
    if name == "text":
        with pytest.raises(Refusal, match="no prompt"):
            PROMPTS.take(PROMPTS.find(row, AS_THEY_SAY), row, AS_THEY_SAY, "")
        return
    found = PROMPTS.take(PROMPTS.find(row, AS_THEY_SAY), row, AS_THEY_SAY, "")
    assert found[0].prompt == records[0].prompt


@pytest.mark.parametrize(
    ("row", "code", "words"),
    [
        (BATTLE | {"winner": "model_c"}, "E501", "winner is 'model_c'"),
        (BATTLE, "E201", "no winner"),
        (BATTLE | {"winner": "tie"}, "W501", "tie"),
        (BATTLE | {"winner": "tie (bothbad)"}, "W502", "bad"),
        (BATTLE | {"winner": "model_a", "conversation_b": [user("ho"), assistant("no")]}, "W504",
         "part before"),
        (BATTLE | {"winner": "model_a", "conversation_b": [user("hi")]}, "E306", "role user"),
        (TEXTS | {"winner_model_b": 0, "winner_tie": 1}, "W501", "tie"),
        (TEXTS | {"winner_tie": 1}, "E501", "one of them must be 1"),
        (TEXTS | {"winner_model_b": 2}, "E501", "winner_model_b is 2"),
        (TEXTS | {"response_b": '["e", "y"]'}, "W504", "part before"),
        (TEXTS | {"response_b": '["y"]'}, "E203", "response_b has 1 turns, the prompt 2"),
        (TEXTS | {"response_b": "y"}, "E203", "the prompt is a list"),
        (TEXTS | {"response_b": '["b", null]'}, "E202", "response_b[1] is null"),
        (TEXTS | {"response_b": '["b", " "]'}, "E401", "chosen is empty"),
        (RATED | {"ratings": [{"response": "x", "helpfulness": 1}]}, "W503", "one response alone"),
        (RATED | {"ratings": [{"response": r, "helpfulness": 1} for r in "xy"]}, "W503", "none of"),
        (RATED | {"ratings": [{"response": "x", "helpfulness": "4"}]}, "E203",
         "helpfulness of response 1 of 1"),
        (STEPS | {"overall_preference": 0}, "W501", "tie"),
        (STEPS | {"overall_preference": 4}, "E501", "overall_preference is 4"),
        (STEPS | {"overall_preference": 0.5}, "E501", "no whole number"),
        (STEPS | {"response1": "y"}, "E402", "the same text"),
        (SCORED | {"scores": [1, 2]}, "E502", "2 numbers for 3 responses"),
        (SCORED | {"scores": [1, "2", 3]}, "E203", "scores[1] is '2'"),
        (SCORED | {"scores": [2, 2, 2]}, "W503", "none of the 3"),
        (SCORED | {"responses": ["a"], "scores": [1]}, "E502", "1 responses"),
        (SCORED | {"responses": ["a", " ", "b"]}, "E401", "response 2 of 3"),
        (SCORED | {"responses": ["same", "same", "same"]}, "W503", "none"),
        ({"prompt": "q", "completions": [{"response": "a"}, {}]}, "E502", "completions[1] has no"),
        ({"instruction": "q", "chosen": "a", "rejected": 3}, "E203", "rejected is 3"),
        ({"instruction": "q", "output": "a", "kto_tag": "yes"}, "E203", "kto_tag is 'yes'"),
        ({"instruction": "q", "output": "a", "history": [["x"]]}, "E203", "history[0]"),
        ({"instruction": " ", "output": "a"}, "E310", "is empty"),
        ({"conversations": [said("human", "q"), said("observation", "a")]}, "E311", "observation"),
        ({"conversations": [said("bing", "q"), said("gpt", "a")]}, "E302", "'bing'"),
        ({"conversations": [said("human", "q")]}, "E306", "role user"),
        ({"conversations": [{"from": "human"}]}, "E305", "no text"),
        ({"conversations": []}, "E301", "empty list"),
        ({"conversations": [said("human", "q")], "chosen": said("human", "a"),
          "rejected": said("gpt", "b")}, "E306", "from user"),
        (TREE | {"prompt": {"role": "prompter", "text": "hi", "replies": []}}, "W503", "no "),
        (TREE | {"prompt": {"role": "prompter", "text": "hi", "replies": ["x"]}}, "E503", "'x'"),
        (TREE | {"prompt": {"role": "user", "text": "hi"}}, "E302", "'user'"),
    ],
)  # fmt: skip
def test_a_broken_row_is_refused_with_its_code(row: Row, code: str, words: str) -> None:
    with pytest.raises(Refusal) as caught:
        read(row)
    assert caught.value.code == code
    assert words in str(caught.value)
    assert FAULTS[code].severity == ("warning" if code.startswith("W") else "error")


@pytest.mark.parametrize(
    ("rule", "pairs"),
    [
        ("best-worst", [("a", "d")]),
        ("all", [("a", "b"), ("a", "c"), ("a", "d"), ("b", "d"), ("c", "d")]),
        ("adjacent", [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]),
    ],
)
def test_the_rule_says_which_pairs_are_made(rule: str, pairs: list[tuple[str, str]]) -> None:
    row: Row = {"prompt": "q", "responses": ["d", "b", "a", "c"], "scores": [1, 3, 9, 3]}
    found = read(row, Layout(rule=rule))  # type: ignore[arg-type]
    assert [(p.chosen, p.rejected) for p in found if isinstance(p, Preference)] == pairs


def test_of_equal_scores_the_first_in_the_row_is_taken() -> None:
    row: Row = {"prompt": "q", "responses": ["a", "b", "c", "d"], "scores": [1, 5, 5, 1]}
    assert read(row) == [Preference("q", "b", "a", origin="a:1")]


def test_margins_are_differences_of_scores_where_asked_for() -> None:
    (pair,) = read(SCORED)
    assert isinstance(pair, Preference)
    assert pair.margin is None
    assert pair.columns == {"score_chosen": 5.0, "score_rejected": 1.0}
    (asked,) = read(SCORED, Layout(margins=True))
    assert isinstance(asked, Preference)
    assert asked.margin == 4.0
    scored_pair: Row = {"prompt": "q", "chosen": "x", "rejected": "y", "score_chosen": 7.5,
                        "score_rejected": 7.0}  # fmt: skip
    found = [read(scored_pair, Layout(margins=m))[0] for m in (True, False)]
    assert [p.margin for p in found if isinstance(p, Preference)] == [0.5, None]


def test_steps_of_preference_are_margins_where_asked_for() -> None:
    (pair,) = read(STEPS, Layout(margins=True))
    assert isinstance(pair, Preference)
    assert pair.margin == 2.0


def rated(prompt: object, response: str, helpfulness: int) -> Row:
    rest = dict.fromkeys(("correctness", "coherence", "complexity", "verbosity"), 2)
    return {"prompt": prompt, "response": response, "helpfulness": helpfulness, **rest}


def test_neighbouring_rated_rows_are_one_prompts_responses() -> None:
    rows = [rated("p", "a", 1), rated("p", "b", 4), rated("q", "c", 2), rated("p", "d", 4),
            rated("p", "e", 4), rated(None, "f", 4)]  # fmt: skip
    lines = [Line(f"a:{i}", row) for i, row in enumerate(rows)]
    found = list(stream(lines, PREFERENCES, AS_THEY_SAY))
    assert [(one.origin, [w.code for w in one.faults]) for one in found] == [
        ("a:0", []), ("a:2", ["W503"]), ("a:3", ["W503"]), ("a:5", ["E202"]),
    ]  # fmt: skip
    assert found[0].records == (
        Preference("p", "b", "a", origin="a:0",
                   columns={"score_chosen": 4.0, "score_rejected": 1.0}),
    )  # fmt: skip


def test_rated_rows_are_imitated_one_by_one() -> None:
    lines = [Line(f"a:{i}", rated("p", text, 4)) for i, text in enumerate("xy")]
    for layout in (AS_THEY_SAY, Layout(format="prompt-completion")):
        found = [one.records for one in stream(lines, DEMONSTRATIONS, layout)]
        assert found == [(Demonstration("p", t, origin=f"a:{i}"),) for i, t in enumerate("xy")]


@pytest.mark.parametrize(
    ("winner", "labels"),
    [
        ("model_a", [True, False]),
        ("model_b", [False, True]),
        ("tie", [True, True]),
        ("tie (bothbad)", [False, False]),
        ("both_bad", [False, False]),
    ],
)
def test_a_battle_read_as_labels(winner: str, labels: list[bool]) -> None:
    found = read(BATTLE | {"winner": winner}, Layout(format="arena-labels"))
    assert [(r.response, r.desirable) for r in found if isinstance(r, Demonstration)] == list(
        zip(["yes", "no"], labels, strict=True)
    )


def test_only_desirable_responses_are_imitated() -> None:
    row: Row = {"prompt": "q", "completion": "x", "label": True}
    layout = AS_THEY_SAY
    form = DEMONSTRATIONS.find(row, layout)
    assert DEMONSTRATIONS.take(form, row, layout, "") == [Demonstration("q", "x")]
    with pytest.raises(Refusal) as caught:
        DEMONSTRATIONS.take(form, row | {"label": False}, layout, "")
    assert caught.value.code == "W505"


def test_a_name_that_is_no_format_gets_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean sharegpt"):
        named_format("shargpt")
    with pytest.raises(RecipeError, match="it must be one of .*hh-rlhf"):
        named_format("qqq")
    with pytest.raises(RecipeError, match="format alpaca holds demonstrations, where pairs"):
        PREFERENCES.named("alpaca")
    with pytest.raises(RecipeError, match="--use-chosen"):
        DEMONSTRATIONS.named("arena")
    assert COMPARISONS.named("arena-labels").gives == "labelled"


def test_a_named_format_stands_above_what_a_row_looks_like() -> None:
    row: Row = {"prompt": "told elsewhere", "chosen": "Q: x", "rejected": "Q: y"}
    assert read(row) == [Preference("told elsewhere", "Q: x", "Q: y", origin="a:1")]
    assert read(row, Layout(format="implicit")) == [Preference("Q:", " x", " y", origin="a:1")]


def test_columns_know_what_a_format_does_not() -> None:
    known: Mapping[str, object] = BATTLE | {"winner": "tie"}
    assert known.keys() - FORMATS["arena"].columns == {"model_a", "model_b", "winner"}


JUNK: list[object] = [None, 3, "\ud800", [[]], {"a": 1}]


def spoiled(value: object) -> Iterator[object]:
    """The value with one part of it lost or replaced, in every way."""
    yield from JUNK
    if isinstance(value, dict):
        for name, part in value.items():
            yield {key: kept for key, kept in value.items() if key != name}
            for other in spoiled(part):
                yield value | {name: other}
    elif isinstance(value, list):
        for number, part in enumerate(value):
            for other in spoiled(part):
                yield [*value[:number], other, *value[number + 1 :]]


def code_of(line: Line, door: Door[Any], layout: Layout) -> str:
    try:
        return read_row(line, door, layout).format and ""
    except RowFault as error:
        return error.fault.code


@pytest.mark.parametrize(("name", "row"), [(name, row) for name, row, _ in EXAMPLES])
def test_a_row_with_any_part_spoiled_is_read_or_refused_with_a_code(name: str, row: Row) -> None:
    for broken in spoiled(row):
        if isinstance(broken, dict):
            line = Line("a:1", broken)
            for door, layout in ((ANY, AS_THEY_SAY), (PROMPTS, AS_THEY_SAY), (ANY, Layout(name))):
                assert code_of(line, door, layout) in {"", *FAULTS}


def test_a_message_with_any_part_spoiled_is_read_or_refused_with_a_code() -> None:
    rows = [
        {"message_id": str(i), "parent_id": None if i == 0 else "0", "message_tree_id": "t",
         "text": f"t{i}", "role": "assistant" if i else "prompter", "rank": i}
        for i in range(3)
    ]  # fmt: skip
    for number in range(3):
        for broken in spoiled(rows[number]):
            if isinstance(broken, dict):
                lines = [Line("a:1", row) for row in [*rows[:number], broken, *rows[number + 1 :]]]
                for read in stream(trees_of(lines), ANY, AS_THEY_SAY):
                    assert all(found.code in FAULTS for found in read.faults)
