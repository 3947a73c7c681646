"""Battles of Chatbot Arena: two conversations and who won.

    {conversation_a, conversation_b, winner: model_a | model_b | tie | tie (bothbad)}

Read as `arena`, a win is a pair; a tie (W501) and both bad (W502) prefer nothing, give no pair and
are counted apart. Read as `arena-labels`, each side is a response with a label: the winner and both
sides of a tie are desirable, the loser and both sides of "both bad" are not.

A battle of several turns is a pair only where the two sides share all turns but the last; else the
responses answer different prompts (W504).
"""

from collections.abc import Mapping
from typing import Literal

from palate.data.faults import Refusal, quote
from palate.data.formats.cells import Row, check_pair, check_response, require, weight
from palate.data.formats.format import Format, Record
from palate.data.formats.write import turns_out, whole
from palate.data.layout import Layout
from palate.data.records import Demonstration, Preference, Text, Turn
from palate.data.turns import parse_turns, split_reply

Outcome = Literal["a", "b", "tie", "both bad"]
_OUTCOMES: dict[object, Outcome] = {
    "model_a": "a",
    "model_b": "b",
    "tie": "tie",
    "tie (bothbad)": "both bad",
    "both_bad": "both bad",
}


def _side(row: Row, name: str) -> tuple[tuple[Turn, ...], str]:
    return split_reply(parse_turns(require(row, name), name=name), name=name)


def _outcome(row: Row) -> Outcome:
    winner = require(row, "winner")
    outcome = _OUTCOMES.get(winner) if isinstance(winner, str) else None
    if outcome is None:
        allowed = ", ".join(str(name) for name in _OUTCOMES)
        raise Refusal("E501", f"winner is {quote(winner)}, none of {allowed}")
    return outcome


def _read_pairs(row: Row, layout: Layout, origin: str) -> list[Record]:
    outcome = _outcome(row)
    prompt, reply_a = _side(row, "conversation_a")
    other, reply_b = _side(row, "conversation_b")
    if outcome == "tie":
        raise Refusal("W501", "a tie")
    if outcome == "both bad":
        raise Refusal("W502", "both are bad")
    if prompt != other:
        raise Refusal("W504", "the conversations part before their last turn")
    chosen, rejected = (reply_a, reply_b) if outcome == "a" else (reply_b, reply_a)
    check_pair(chosen=chosen, rejected=rejected)
    return [Preference(prompt, chosen, rejected, weight(row), None, origin)]


def _read_labels(row: Row, layout: Layout, origin: str) -> list[Record]:
    outcome = _outcome(row)
    shown: list[Record] = []
    for side in ("a", "b"):
        prompt, reply = _side(row, f"conversation_{side}")
        check_response(reply)
        desirable = outcome in (side, "tie")
        shown.append(Demonstration(prompt, reply, weight(row), origin, desirable))
    return shown


def _ask(row: Row) -> Text:
    return _side(row, "conversation_a")[0]


def _write(record: Record) -> Mapping[str, object]:
    assert isinstance(record, Preference)
    return {
        "conversation_a": turns_out(whole(record.prompt, record.chosen)),
        "conversation_b": turns_out(whole(record.prompt, record.rejected)),
        "winner": "model_a",
    } | ({"weight": record.weight} if record.weight != 1 else {})


def _matches(row: Row) -> bool:
    return "conversation_a" in row and "conversation_b" in row


# The winner stays beside the record: with model_a and model_b it says whose response was chosen.
_COLUMNS = frozenset({"conversation_a", "conversation_b", "weight"})

ARENA = Format(
    "arena", "pairs", "Chatbot Arena: wins are pairs; ties and both bad are told, never guessed.",
    _COLUMNS, _matches, lambda _: "arena battle", _read_pairs, ask=_ask, write=_write,
)  # fmt: skip
ARENA_LABELS = Format(
    "arena-labels", "labelled", "Chatbot Arena, each side a response with a label; only by name.",
    _COLUMNS, lambda _: False, lambda _: "arena battle, labels", _read_labels,
)  # fmt: skip
