"""Single cells of a row → checked values; what is wrong is refused with its code."""

import math
import unicodedata
from collections.abc import Mapping, Sequence

from palate.data.faults import Refusal, quote
from palate.data.hh import parse_dialogue
from palate.data.records import Turn
from palate.data.turns import parse_text, parse_turns

Row = Mapping[str, object]


def require(row: Row, name: str, *, wanted: str | None = None) -> object:
    """The value of a column that must be there; `wanted` names it in the message."""
    if name not in row:
        columns = ", ".join(quote(str(key)) for key in sorted(map(str, row))[:8])
        there = f"the row has {columns}" if columns else "the row has no column"
        raise Refusal("E201", f"no {wanted or name}; {there}")
    if row[name] is None:
        raise Refusal("E202", f"{name} is null")
    return row[name]


def kind(row: Row, name: str) -> str:
    """Whether a column holds "text" or "turns"."""
    value = require(row, name)
    if isinstance(value, str):
        return "text"
    if isinstance(value, list | tuple):
        return "turns"
    raise Refusal("E203", f"{name} is {quote(value)}, neither text nor a list of turns")


def text(row: Row, name: str) -> str:
    """The text of a column that must be there."""
    return parse_text(require(row, name), name=name)


def turns_of(value: object, name: str) -> tuple[Turn, ...]:
    """A list of {role, content}."""
    return parse_turns(value, name=name)


def dialogue_of(value: object, name: str) -> tuple[Turn, ...]:
    """A dialogue written as one string."""
    return parse_dialogue(parse_text(value, name=name))


def number(row: Row, name: str) -> float | None:
    """A finite number; None where the column lacks or is null."""
    value = row.get(name)
    return None if value is None else finite(value, name)


def finite(value: object, name: str) -> float:
    """A value as a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refusal("E203", f"{name} is {quote(value)}, not a number")
    if not abs(value) <= 1e300 or not math.isfinite(value):
        raise Refusal("E204", f"{name} is {quote(value)}")
    return float(value)


def weight(row: Row) -> float:
    """How often the row counts; 1 where it does not say."""
    value = number(row, "weight")
    if value is not None and value <= 0:
        raise Refusal("E204", f"weight is {value:g}; it must be > 0")
    return 1.0 if value is None else value


def label(row: Row, name: str = "label") -> bool:
    """Whether people want a response."""
    value = row.get(name)
    if not isinstance(value, bool | int) or value not in (0, 1):
        raise Refusal("E203", f"{name} is {quote(value)}, neither true nor false")
    return bool(value)


def identity(row: Row) -> str:
    """The row's own name, "" for none."""
    value = row.get("id")
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Refusal("E203", f"id is {quote(value)}, neither text nor an integer")
    return str(value)


def check_pair(*, chosen: str, rejected: str) -> None:
    """Refuse two responses of which none can be preferred."""
    for name, response in (("chosen", chosen), ("rejected", rejected)):
        if not response.strip():
            raise Refusal("E401", f"{name} is empty")
    if chosen == rejected:
        raise Refusal("E402", "chosen and rejected are the same text")
    if plain_form(chosen) == plain_form(rejected):
        raise Refusal("E403", "chosen and rejected differ in outer blanks or Unicode form only")


def check_response(response: str) -> None:
    """Refuse a response without words."""
    if not response.strip():
        raise Refusal("E401", "the response is empty")


def check_repeated_prompt(row: Row, turns: Sequence[Turn]) -> None:
    """Refuse a prompt column that is none of the questions beside it."""
    prompt = row.get("prompt")
    if not isinstance(prompt, str):
        return
    asked = [turn.content.strip() for turn in turns if turn.role == "user"]
    if prompt.strip() not in asked:
        raise Refusal("E312", "the prompt column is not one of the user turns beside it")


def plain_form(text: str) -> str:
    """A text without outer blanks, in one Unicode form: equal where two say the same."""
    return unicodedata.normalize("NFC", text.strip())
