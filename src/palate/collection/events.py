"""One line of the log: what happened, when, by whom, chained to the line before by its hash.

Everything that the program knows about votes is a function of these lines (state.py). A line is
never changed or removed; an undo is a line of its own.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from palate.errors import StoreError

Kind = Literal[
    "settings",  # content: CollectionSettings
    "guidelines",  # content: text
    "annotator",  # content: name, role, token_hash; said again, the last one counts
    "import",  # content: first, last (ids of pairs), digest (of their texts)
    "show",  # a pair is given to an annotator; content: purpose, guidelines
    "renew",  # … and goes on being theirs
    "vote",  # content: late
    "skip",  # content: reason
    "undo",  # of the question's vote or skip; content: keeps_place
    "flag",  # content: reason
    "note",  # content: text
    "adjudicate",  # choice None takes an earlier word back; content: note
    "exclude",  # content: annotator, reason
    "include",  # content: annotator
]
KINDS: tuple[Kind, ...] = get_args(Kind)

# What an annotator sees and presses; "left" and "right" mean a response through `shown_left`.
Choice = Literal["left", "right", "tie", "both_bad"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
Side = Literal["first", "second"]
# What a vote says about a pair, whatever the sides.
Verdict = Literal["first", "second", "tie", "both_bad"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

START = ""  # what the first line is chained to


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the log.

    Attributes:
        kind: what happened.
        annotator: id of who did it; 0: the program.
        item: id of the pair; 0: none.
        question: id of the showing that it is about (the `seq` of its "show"); 0: none.
        choice: what was pressed; None where nothing was.
        shown_left: the response that stood left; None where none was shown.
        latency_ms: milliseconds from the pair on screen to the key; None where unknown.
        guideline_version: of the guidelines that the page showed; 0: there were none.
        app_version: of Palate.
        request: the caller's idempotency key, "" for none.
        content: what else belongs to the kind.
        seq: place in the log, from 1 on without gaps.
        time: seconds since 1970 (UTC); never less than the line before.
        previous: hash of the line before.
        digest: hash of this line and `previous`.
    """

    kind: Kind
    annotator: int = 0
    item: int = 0
    question: int = 0
    choice: Choice | None = None
    shown_left: Side | None = None
    latency_ms: int | None = None
    guideline_version: int = 0
    app_version: str = ""
    request: str = ""
    content: Mapping[str, Any] = field(default_factory=dict)
    seq: int = 0
    time: float = 0.0
    previous: str = START
    digest: str = ""

    @property
    def verdict(self) -> Verdict | None:
        """What the choice says about the pair; None where nothing was chosen."""
        if self.choice is None or self.choice in ("tie", "both_bad"):
            return self.choice
        return verdict_of(self.choice, shown_left=self.shown_left or "first")


def verdict_of(choice: Choice, *, shown_left: Side) -> Verdict:
    """Translate what was pressed into what it says about the pair."""
    if choice == "tie" or choice == "both_bad":
        return choice
    is_first = (choice == "left") == (shown_left == "first")
    return "first" if is_first else "second"


def hash_of(event: Event) -> str:
    """The SHA-256, in hexadecimal, of a line as canonical JSON, all fields but `digest` itself."""
    values = [getattr(event, f.name) for f in fields(Event) if f.name != "digest"]
    text = json.dumps(values, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def check_chain(events: Iterable[Event], *, after: Event | None = None) -> None:
    """Find out whether lines were changed, removed or put in since they were written.

    Args:
        events: in their order.
        after: the line before the first of them; None: they start the log.

    Raises:
        StoreError: naming the first line that does not fit.
    """
    seq, previous = (after.seq, after.digest) if after else (0, START)
    for event in events:
        if event.seq != seq + 1 or event.previous != previous or hash_of(event) != event.digest:
            raise StoreError(
                f"event {seq + 1} of the log is not what was written (its hash does not fit): "
                "somebody changed the database by hand, or the disk did; go back to a backup"
            )
        seq, previous = event.seq, event.digest
