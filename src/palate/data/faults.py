"""What can be wrong with data: one table of codes, and what one record shows by itself.

1xx: bytes and JSON. 2xx: the shape of a row. 3xx: conversations. 4xx: meaning. 5xx: formats. 6xx:
columns. An error (E) makes a row unusable; a warning (W) leaves it in use and asks for a look (a
row of W501–W505 is in order, but gives nothing to learn from). `fault_kinds.py` says in words
which kinds of bad rows have which code; `checks/` finds what takes more than one record, or slowly,
or with a tokenizer.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from palate.data.records import Demonstration, Preference, Prompt, Turn
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
    "E203": Kind(
        "wrong type",
        "error",
        "give what the message asks for: a number, true or false, text, or turns (role, content)",
    ),
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
    "E404": Kind(
        "prompt in both parts",
        "error",
        "split one file by prompt, or remove the rows; as it is, the evaluation flatters",
    ),
    "E405": Kind(
        "chosen and rejected are the same tokens",
        "error",
        "remove the row: they differ only in what the tokenizer or chat template drops",
    ),
    "E406": Kind(
        "cannot be rendered",
        "error",
        "remove what the message names; give a chat as a list of turns, not as rendered text",
    ),
    "E501": Kind("unknown winner", "error", "write model_a, model_b, tie or tie (bothbad)"),
    "E502": Kind("no ranking", "error", "give every response a rank or a score"),
    "E503": Kind("broken reply tree", "error", "keep a tree's messages together, under one first"),
    "E504": Kind("wrong number of fields", "error", "give every row as many as the header; quote"),
    "E505": Kind("damaged CSV", "error", 'close every quote, and write " inside one as ""'),
    "E506": Kind("damaged JSON array", "error", "write [row, row, …], or one row a line"),
    "E507": Kind("other delimiter", "error", "put commas between the fields of .csv, tabs in .tsv"),
    "W401": Kind("empty prompt", "warning", "right for free text only; else fill it in"),
    "W402": Kind("responses repeat the prompt", "warning", "cut the prompt off the responses"),
    "W403": Kind("speaker marker inside a turn", "warning", "cut the text where the turn ends"),
    "W404": Kind("invisible characters", "warning", "remove zero-width and direction marks"),
    "W405": Kind("empty system turn", "warning", "remove the turn if it was not meant"),
    "W406": Kind("duplicate row", "warning", "keep one, or say it with a weight"),
    "W407": Kind("contradiction", "warning", "keep both only if raters really disagreed"),
    "W408": Kind("longer is chosen", "warning", "a model will learn length; add pairs against it"),
    "W409": Kind(
        "longer than max_length",
        "warning",
        "raise --max-length; training refuses the row, or leaves it out with --overlong drop",
    ),
    "W410": Kind(
        "a cut at max_length would take the whole response",
        "warning",
        "shorten the prompt or raise --max-length; a program that cuts would train on nothing",
    ),
    "W411": Kind(
        "responses differ only beyond max_length",
        "warning",
        "raise --max-length; for a program that cuts, the pair prefers nothing",
    ),
    "W412": Kind("extreme length ratio", "warning", "look whether the short response is whole"),
    "W413": Kind("another language than the prompt", "warning", "right for translation; else drop"),
    "W414": Kind("secret", "warning", "remove it from the text, and revoke it at its issuer"),
    "W415": Kind("personal data", "warning", "remove it, unless its owner agreed to its use"),
    "W416": Kind(
        "special token in text",
        "warning",
        "remove it; another program may read it as the end of a turn",
    ),
    "W417": Kind("near duplicate", "warning", "keep one, unless the difference is the point"),
    "W418": Kind("one-sided labels", "warning", "unpaired losses need rows of both labels"),
    "W419": Kind(
        "told apart without reading",
        "warning",
        "a model will learn the shortcut; add pairs in which it fails",
    ),
    "W420": Kind(
        "prompt nearly in both parts",
        "warning",
        "keep variants of a prompt in one part; as it is, the evaluation may flatter",
    ),
    "W501": Kind("tie", "warning", "no pair is made; --format arena-labels gives both a label"),
    "W502": Kind("both bad", "warning", "no pair is made; --format arena-labels labels both"),
    "W503": Kind("nothing ranked", "warning", "no pair is made of responses of equal rank"),
    "W504": Kind("different prompts", "warning", "no pair is made of answers to two prompts"),
    "W505": Kind("undesirable response", "warning", "it is not imitated; KTO can learn from it"),
    "W506": Kind("tools", "warning", "only a chat template shows tools: give the prompt as turns"),
    "W601": Kind("unknown column", "warning", "kept and not used; is a known name misspelt?"),
}

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


def _by_turn(turns: Sequence[Turn]) -> dict[str, str]:
    return {f"turn {i} ({turn.role})": turn.content for i, turn in enumerate(turns)}
