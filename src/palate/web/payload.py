"""JSON of a write → a frozen record whose every field has been checked."""

import json
from dataclasses import dataclass, fields
from typing import Any, TypeVar, get_args, get_type_hints

from starlette.exceptions import HTTPException

from palate.collection.events import CHOICES

IDENTITY = "identity"
FLAGS = {
    IDENTITY: "Says what it is or who made it",
    "unsafe": "Unsafe or offensive",
    "broken": "Cut off or broken",
    "personal": "Personal data",
    "prompt": "The prompt makes no sense",
}
SKIP = "skip"
_LONGEST = {"note": 4000, "request": 64, "name": 100}
_MOST_IDS = 1000


@dataclass(frozen=True)
class Fetch:
    """Ask for pairs; `have` names those that the page holds already."""

    have: list[int]


@dataclass(frozen=True)
class Decision:
    """A vote or a skip on a question, and which others the page holds."""

    question: int
    choice: str
    latency_ms: int
    request: str
    have: list[int]

    def __post_init__(self) -> None:
        _one_of("choice", self.choice, (*CHOICES, SKIP))


@dataclass(frozen=True)
class Undo:
    """Take the last decision back."""

    request: str


@dataclass(frozen=True)
class Remark:
    """A note and a flag on a question, in place of earlier ones; empty ones take them back."""

    question: int
    flag: str
    note: str
    request: str

    def __post_init__(self) -> None:
        _one_of("flag", self.flag, ("", *FLAGS))


@dataclass(frozen=True)
class Ruling:
    """An admin's word on a contested pair; an empty choice takes it back."""

    item: int
    choice: str
    note: str
    request: str

    def __post_init__(self) -> None:
        _one_of("choice", self.choice, ("", *CHOICES))


@dataclass(frozen=True)
class Invitation:
    """Somebody who is to get a link."""

    name: str


@dataclass(frozen=True)
class Exclusion:
    """Whether an annotator's votes count."""

    annotator: int
    is_excluded: bool
    reason: str


Payload = TypeVar("Payload")


def read_payload(body: bytes, kind: type[Payload]) -> Payload:
    """Check a body against a record's fields: all there, none else, each of its type.

    Raises:
        HTTPException: 400, saying what is wrong.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is not JSON") from None
    if not isinstance(content, dict):
        raise HTTPException(400, "the body must be a JSON object")
    types = get_type_hints(kind)
    names = [of.name for of in fields(kind)]  # type: ignore[arg-type]
    if set(content) != set(names):
        raise HTTPException(400, f"the body must have exactly these keys: {', '.join(names)}")
    return kind(**{name: _checked(name, content[name], types[name]) for name in names})


def _checked(name: str, value: Any, kind: Any) -> Any:
    if get_args(kind) == (int,):
        is_list = isinstance(value, list) and len(value) <= _MOST_IDS
        if not (is_list and all(_is_number(one) for one in value)):
            raise HTTPException(400, f"{name} must be a list of at most {_MOST_IDS} whole numbers")
    elif kind is int:
        if not _is_number(value):
            raise HTTPException(400, f"{name} must be a whole number, at least 0")
    elif not isinstance(value, kind):
        raise HTTPException(400, f"{name} must be of type {kind.__name__}")
    elif kind is str:
        _check_text(name, value)
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _check_text(name: str, value: str) -> None:
    longest = _LONGEST.get(name, 200)
    if len(value) > longest:
        raise HTTPException(400, f"{name} has {len(value)} characters; at most {longest} are taken")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise HTTPException(400, f"{name} holds half a surrogate pair") from None


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        shown = ", ".join(repr(one) for one in allowed)
        raise HTTPException(400, f"{name} is {value[:40]!r}; it must be one of {shown}")
