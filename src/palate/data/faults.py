"""What can be wrong with data: one table of codes, and the checks that need no model.

E1xx: bytes and JSON. E2xx: the shape of a row. E3xx: conversations. E4xx: meaning. E5xx: single
formats. An error makes a row unusable; a warning (W) leaves it in use and asks for a look (of W5xx:
the row is in order, but there is nothing in it to learn from).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from palate.data.records import Demonstration, Preference, Prompt, Turn, prompt_key
from palate.errors import DataError

Severity = Literal["error", "warning"]


class Kind(NamedTuple):
    """A kind of fault: what it is called, how bad it is, what to do about it."""

    title: str
    severity: Severity
    fix: str


FAULTS: dict[str, Kind] = {
    "E101": Kind("not UTF-8", "error", "save the file as UTF-8"),
    "E102": Kind("NUL character", "error", "remove the NUL; the file may be binary or damaged"),
    "E103": Kind("UTF-16 or UTF-32 file", "error", "save the file as UTF-8"),
    "E104": Kind("lone surrogate", "error", "write the character whole; half of it is no text"),
    "E105": Kind("not JSON", "error", "write one JSON object a line, each on one line"),
    "E106": Kind("row is not an object", "error", 'write {"prompt": …, "chosen": …, …}'),
    "E107": Kind("duplicate key", "error", "keep one of the two values"),
    "E108": Kind("NaN or Infinity", "error", "leave the field out, or write a finite number"),
    "E109": Kind("nested too deeply", "error", "a row needs no more than a list of turns"),
    "E110": Kind("line too long", "error", "a line holds one row; is a line break missing?"),
    "E111": Kind("no rows", "error", "the file is empty or blank: export it again"),
    "E201": Kind("missing field", "error", "add or rename the column"),
    "E202": Kind("null field", "error", "fill the field in, or remove the row"),
    "E203": Kind("wrong type", "error", "give text, or a list of turns with role and content"),
    "E204": Kind("number out of range", "error", "weight is finite and > 0; margin is finite"),
    "E205": Kind("mixed formats", "error", "keep one format a file; move these rows to another"),
    "E301": Kind("empty conversation", "error", "give at least one user turn, or use plain text"),
    "E302": Kind("unknown role", "error", "use system, user and assistant"),
    "E303": Kind("conversation starts with the assistant", "error", "start with a user turn"),
    "E304": Kind("two turns of one role in a row", "error", "join them, or add the turn between"),
    "E305": Kind("turn without text", "error", "give every turn a role and a string content"),
    "E306": Kind("no single reply", "error", "end in one assistant turn; earlier ones are prompt"),
    "E307": Kind("prompt does not end in a user turn", "error", "end the prompt with a user turn"),
    "E308": Kind("different prefixes", "error", "let the pair differ in its last turn only"),
    "E309": Kind("system turn not first", "error", "move the system turn to the front"),
    "E310": Kind("empty turn", "error", "fill the turn in, or remove it"),
    "E311": Kind("tool call", "error", "write tool calls as plain text, or remove the row"),
    "E312": Kind("prompt given twice", "error", "drop the prompt column, or the turns it repeats"),
    "E401": Kind("empty response", "error", "write the response, or remove the row"),
    "E402": Kind("chosen equals rejected", "error", "remove the row: it prefers nothing"),
    "E403": Kind(
        "chosen and rejected differ in spacing only",
        "error",
        "remove the row: the same words in other blanks or Unicode form are no preference",
    ),
    "E404": Kind("prompt in both parts", "error", "split one file by prompt, or remove the rows"),
    "E501": Kind("unknown winner", "error", "write model_a, model_b, tie or tie (bothbad)"),
    "E502": Kind("no ranking", "error", "give every response a rank or a score"),
    "E503": Kind("broken reply tree", "error", "keep a tree's messages together, under one first"),
    "E504": Kind("wrong number of fields", "error", "give every row as many as the header; quote"),
    "E505": Kind("damaged CSV", "error", 'close every quote, and write " inside one as ""'),
    "E506": Kind("damaged JSON array", "error", "write [row, row, …], or one row a line"),
    "W401": Kind("empty prompt", "warning", "right for free text only; else fill it in"),
    "W402": Kind("responses repeat the prompt", "warning", "cut the prompt off the responses"),
    "W403": Kind("speaker marker inside a turn", "warning", "cut the text where the turn ends"),
    "W404": Kind("invisible characters", "warning", "remove zero-width and direction marks"),
    "W405": Kind("empty system turn", "warning", "remove the turn if it was not meant"),
    "W406": Kind("duplicate row", "warning", "keep one, or say it with a weight"),
    "W407": Kind("contradiction", "warning", "keep both only if raters really disagreed"),
    "W408": Kind("longer is chosen", "warning", "a model will learn length; add pairs against it"),
    "W501": Kind("tie", "warning", "no pair is made; --format arena-labels gives both a label"),
    "W502": Kind("both bad", "warning", "no pair is made; --format arena-labels labels both"),
    "W503": Kind("nothing ranked", "warning", "no pair is made of responses of equal rank"),
    "W504": Kind("different prompts", "warning", "no pair is made of answers to two prompts"),
    "W505": Kind("undesirable response", "warning", "it is not imitated; KTO can learn from it"),
}

# Below this many pairs of unequal length, a one-sided share is no evidence.
MIN_PAIRS_FOR_LENGTH = 20
MAX_LONGER_SHARE = 0.9

# Zero-width space, direction embeddings, overrides and isolates, byte-order mark. Joiners
# (U+200C, U+200D) are left alone: Persian and emoji need them.
_INVISIBLE = re.compile("[\u200b\u202a-\u202e\u2066-\u2069\ufeff]")
_MARKER = re.compile(r"\n\n(?:Human|Assistant):")
# A shorter prompt ("A", "The") may begin a response by chance.
_MIN_REPEATED_PROMPT = 12


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong at one place.

    Attributes:
        code: a key of FAULTS.
        severity: "error" (the row cannot be used) or "warning".
        message: what was found here.
        origin: where, as "file:line".
        fix: what to do about faults of this kind.
    """

    code: str
    severity: Severity
    message: str
    origin: str
    fix: str

    def __str__(self) -> str:
        return f"{self.origin} {self.code} {self.message}"


class Refusal(Exception):
    """Why a row cannot be used, raised inside the readers, where its place is not known."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RowFault(DataError):
    """One row that cannot be used; `fault` says why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"{fault}. Fix: {fault.fix}")
        self.fault = fault


def fault(code: str, message: str, *, origin: str) -> Fault:
    """Make a fault whose severity and fix are the table's."""
    kind = FAULTS[code]
    return Fault(code, kind.severity, message, origin, kind.fix)


def quote(value: object, *, limit: int = 40) -> str:
    """Show foreign data inside a message: cut short, with control characters escaped."""
    text = ascii(value[: limit + 1] if isinstance(value, str) else value)
    return text if len(text) <= limit + 2 else f"{text[:limit]}…"


def warnings_of(record: Prompt | Demonstration | Preference) -> list[Fault]:
    """Find what deserves a look in one usable record: at most one fault of each kind."""
    prompt = record.prompt
    texts = {"prompt": prompt} if isinstance(prompt, str) else _by_turn(prompt)
    responses: dict[str, str] = {}
    if isinstance(record, Preference):
        responses = {"chosen": record.chosen, "rejected": record.rejected}
    elif isinstance(record, Demonstration):
        responses = {"response": record.response}

    found: list[tuple[str, str]] = []
    if isinstance(prompt, str):
        if not prompt.strip():
            found.append(("W401", "the prompt is empty"))
        elif len(prompt) >= _MIN_REPEATED_PROMPT and any(
            response.startswith(prompt) for response in responses.values()
        ):
            found.append(("W402", "a response starts with the whole prompt"))
    elif prompt[0].role == "system" and not prompt[0].content.strip():
        found.append(("W405", "the system turn is empty"))
    # A plain prompt may well be a dialogue with markers; a turn or a response may not.
    spoken = responses if isinstance(prompt, str) else texts | responses
    marked = next((name for name, text in spoken.items() if _MARKER.search(text)), None)
    if marked:
        found.append(("W403", f"{marked} holds a marker of another turn (Human:, Assistant:)"))
    for name, text in (texts | responses).items():
        if match := _INVISIBLE.search(text):
            found.append(("W404", f"{name} holds U+{ord(match[0]):04X}"))
            break
    return [fault(code, message, origin=record.origin) for code, message in found]


def find_duplicates(preferences: Iterable[Preference]) -> list[Fault]:
    """Find pairs that repeat an earlier pair exactly; the fault stands at the repetition."""
    first: dict[tuple[str, str, str], str] = {}
    found = []
    for pair in preferences:
        key = (prompt_key(pair.prompt), pair.chosen, pair.rejected)
        if key in first:
            found.append(fault("W406", f"repeats {first[key]}", origin=pair.origin))
        else:
            first[key] = pair.origin
    return found


def find_contradictions(preferences: Iterable[Preference]) -> list[Fault]:
    """Find pairs that prefer B to A where an earlier pair prefers A to B."""
    first: dict[tuple[str, str, str], str] = {}
    found = []
    for pair in preferences:
        key = prompt_key(pair.prompt)
        if (earlier := first.get((key, pair.rejected, pair.chosen))) is not None:
            message = f"prefers the response that {earlier} rejects, and the other way round"
            found.append(fault("W407", message, origin=pair.origin))
        first.setdefault((key, pair.chosen, pair.rejected), pair.origin)
    return found


def longer_share(preferences: Iterable[Preference]) -> tuple[float | None, int]:
    """Measure how often the longer response was chosen.

    Returns:
        The share in [0, 1] of the pairs whose lengths in characters differ (None without any),
        and the number of those pairs. 0.5 means that length predicts nothing.
    """
    longer = [len(p.chosen) > len(p.rejected) for p in preferences if _lengths_differ(p)]
    return (sum(longer) / len(longer) if longer else None), len(longer)


def find_length_shortcut(preferences: Sequence[Preference]) -> list[Fault]:
    """Warn, at the first row, where over 90 % of at least 20 pairs choose the longer response."""
    share, num_pairs = longer_share(preferences)
    if share is None or num_pairs < MIN_PAIRS_FOR_LENGTH or share <= MAX_LONGER_SHARE:
        return []
    message = f"the longer response is chosen in {share:.0%} of {num_pairs} pairs"
    return [fault("W408", message, origin=preferences[0].origin)]


def find_overlap(
    *,
    train: Iterable[Prompt | Demonstration | Preference],
    evaluation: Iterable[Prompt | Demonstration | Preference],
) -> list[Fault]:
    """Find evaluation rows whose prompt is trained on; the fault stands at the evaluation row."""
    trained: dict[str, str] = {}
    for record in train:
        trained.setdefault(prompt_key(record.prompt), record.origin)
    found = []
    for record in evaluation:
        if (place := trained.get(prompt_key(record.prompt))) is not None:
            found.append(
                fault("E404", f"this prompt is trained on at {place}", origin=record.origin)
            )
    return found


def _by_turn(turns: Sequence[Turn]) -> dict[str, str]:
    return {f"turn {i} ({turn.role})": turn.content for i, turn in enumerate(turns)}


def _lengths_differ(pair: Preference) -> bool:
    return len(pair.chosen) != len(pair.rejected)
