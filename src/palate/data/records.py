"""What the rest of the program knows about data: four frozen records, and the key of a prompt.

A prompt is plain text or a conversation that ends in a user turn; a response is always the text
of the one assistant turn that follows. Tokens, files and formats are other modules' business.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from palate.errors import DataError

Role = Literal["system", "user", "assistant"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class Turn:
    """One speaker's words in a conversation."""

    role: Role
    content: str

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise DataError(f"Turn: role is {self.role!r}; it must be one of {', '.join(ROLES)}")


Text = str | tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question without an answer: what a policy samples from.

    Attributes:
        prompt: plain text, or a conversation that ends in a user turn.
        id: the name that the data's owner gave it, "" for none.
        origin: where it came from, as "file:line".
        columns: the row's further columns, which a reward function may ask for.
    """

    prompt: Text
    id: str = ""
    origin: str = ""
    columns: Mapping[str, object] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        _require_user_last(self.prompt, self.origin)


@dataclass(frozen=True, slots=True)
class Demonstration:
    """One prompt and the response to imitate.

    Attributes:
        prompt: plain text, or a conversation that ends in a user turn.
        response: the assistant's reply, never blank.
        weight: how often the row counts, > 0.
        origin: where it came from, as "file:line".
        desirable: whether people want such a response; None where nobody has said.
        columns: further columns of the row, where the reader was asked to keep them.
    """

    prompt: Text
    response: str
    weight: float = 1.0
    origin: str = ""
    desirable: bool | None = None
    columns: Mapping[str, object] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        _require_user_last(self.prompt, self.origin)
        _require_text("response", self.response, self.origin)
        _require_weight(self.weight, self.origin)


@dataclass(frozen=True, slots=True)
class Preference:
    """One prompt and two responses, of which people (or a judge) chose one.

    Attributes:
        prompt: plain text, or a conversation that ends in a user turn.
        chosen: the preferred reply, never blank.
        rejected: the other reply, never blank and never equal to `chosen`.
        weight: how often the row counts, > 0.
        margin: how much better `chosen` was rated, in the rater's own unit; None if not rated.
        origin: where it came from, as "file:line".
        columns: further columns of the row, where the reader was asked to keep them.
    """

    prompt: Text
    chosen: str
    rejected: str
    weight: float = 1.0
    margin: float | None = None
    origin: str = ""
    columns: Mapping[str, object] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        _require_user_last(self.prompt, self.origin)
        _require_text("chosen", self.chosen, self.origin)
        _require_text("rejected", self.rejected, self.origin)
        _require_weight(self.weight, self.origin)
        if self.chosen == self.rejected:
            raise DataError(f"{_place(self.origin)}chosen and rejected are the same text")
        if self.margin is not None and not math.isfinite(self.margin):
            raise DataError(f"{_place(self.origin)}margin is {self.margin}; it must be finite")


def prompt_key(prompt: Text, tools: Sequence[Mapping[str, Any]] = ()) -> str:
    """Name a prompt by its content: the same key on every machine and in every run.

    Args:
        prompt: plain text or a conversation.
        tools: shown with it; the same words with other tools are another prompt.

    Returns:
        The SHA-256, in hexadecimal, of the prompt as canonical JSON: a string for plain text, a
        list of [role, content] for a conversation; with tools an object of both. So no two kinds
        share a key.
    """
    canonical: Any = prompt if isinstance(prompt, str) else [[t.role, t.content] for t in prompt]
    if tools:
        canonical = {"prompt": canonical, "tools": [dict(tool) for tool in tools]}
    encoded = json.dumps(canonical, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(encoded.encode("ascii")).hexdigest()


def _place(origin: str) -> str:
    return f"{origin}: " if origin else ""


def _require_user_last(prompt: Text, origin: str) -> None:
    if not isinstance(prompt, str) and (not prompt or prompt[-1].role != "user"):
        raise DataError(f"{_place(origin)}a conversational prompt must end in a user turn")


def _require_text(field: str, value: str, origin: str) -> None:
    if not value.strip():
        raise DataError(f"{_place(origin)}{field} is empty or blank")


def _require_weight(weight: float, origin: str) -> None:
    if not (math.isfinite(weight) and weight > 0):
        raise DataError(f"{_place(origin)}weight is {weight}; it must be finite and > 0")
