"""Battles of Chatbot Arena as the 55k release writes them: texts, and a column for each outcome.

    {prompt, response_a, response_b, winner_model_a, winner_model_b, winner_tie: 1 in one of three}

The three texts may be lists of a conversation's turns, or strings that hold such lists as JSON: the
prompt's are the user's, a response's one model's. The prompt decides how the others are read.
Outcomes are treated as in `arena`.
"""

import json

from palate.data.faults import Refusal, quote
from palate.data.formats.cells import Row, check_pair, finite, require, weight
from palate.data.formats.format import Format, Record
from palate.data.layout import Layout
from palate.data.records import Preference, Text, Turn
from palate.data.turns import check_prompt, parse_text

_OUTCOMES = ("winner_model_a", "winner_model_b", "winner_tie")


def _as_list(value: object) -> list[object] | None:
    """A list, or the list that a string holds as JSON; None for any other value."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return list(value) if isinstance(value, list | tuple) else None


def _texts(row: Row, name: str, *, like: int | None = None) -> list[str]:
    """The texts of a column: `like` says how many a list of the prompt's length has."""
    value = require(row, name)
    listed = _as_list(value)
    if listed is None and like is not None:
        raise Refusal("E203", f"{name} is {quote(value)}, where the prompt is a list of turns")
    if listed is None:
        return [parse_text(value, name=name)]
    if not listed:
        raise Refusal("E301", f"{name} is an empty list")
    if like is not None and len(listed) != like:
        raise Refusal("E203", f"{name} has {len(listed)} turns, the prompt {like}")
    return [parse_text(one, name=f"{name}[{i}]") for i, one in enumerate(listed)]


def _said(row: Row, name: str, asked: list[str]) -> list[str]:
    if _as_list(row["prompt"]) is None:
        return [parse_text(require(row, name), name=name)]
    return _texts(row, name, like=len(asked))


def _conversation(asked: list[str], said: list[str]) -> tuple[Turn, ...]:
    """The turns up to the last question."""
    turns: list[Turn] = []
    for question, answer in zip(asked, said, strict=True):
        turns += [Turn("user", question), Turn("assistant", answer)]
    prompt = tuple(turns[:-1])
    check_prompt(prompt, name="prompt")
    return prompt


def _outcome(row: Row) -> str:
    told = {name: finite(require(row, name), name) for name in _OUTCOMES}
    found = [name for name, value in told.items() if value == 1]
    if len(found) != 1 or {*told.values()} != {0.0, 1.0}:
        values = ", ".join(f"{name} is {value:g}" for name, value in told.items())
        raise Refusal("E501", f"{values}; one of them must be 1 and the others 0")
    return found[0]


def _read(row: Row, layout: Layout, origin: str) -> list[Record]:
    outcome = _outcome(row)
    asked = _texts(row, "prompt")
    said_a, said_b = (_said(row, name, asked) for name in ("response_a", "response_b"))
    prompt = _conversation(asked, said_a)
    if outcome == "winner_tie":
        raise Refusal("W501", "a tie")
    if said_a[:-1] != said_b[:-1]:
        raise Refusal("W504", "the conversations part before their last turn")
    chosen, rejected = (said_a[-1], said_b[-1])[:: 1 if outcome == "winner_model_a" else -1]
    check_pair(chosen=chosen, rejected=rejected)
    return [Preference(prompt, chosen, rejected, weight(row), None, origin)]


def _ask(row: Row) -> Text:
    asked = _texts(row, "prompt")
    return _conversation(asked, _said(row, "response_a", asked))


ARENA_TEXTS = Format(
    "arena-55k", "pairs", "Chatbot Arena's 55k battles: three texts, three columns of the outcome.",
    frozenset({"prompt", "response_a", "response_b", "weight"}),
    lambda row: {"prompt", "response_a", "response_b", "winner_model_a"} <= row.keys(),
    lambda _: "arena battle, texts", _read, ask=_ask,
)  # fmt: skip
