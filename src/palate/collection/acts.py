"""One act of one person: a line of the log, written once however often it is asked for."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

from palate.collection.answers import Receipt, receipt_from
from palate.collection.events import CHOICES, Event, Kind, Side
from palate.collection.log import Log
from palate.collection.state import Showing, State
from palate.errors import UsageError

APP_VERSION = version("palate")
# A note, a reason: words beside a vote, not a document.
MAX_WORDS = 10_000
MAX_REQUEST = 200


@dataclass
class Act:
    """What an act finds, and its line once there is one.

    Attributes:
        state: what is the case; it follows what is written.
        now: seconds since 1970.
        answer: the line; before anything is written, that of an earlier call of the same request.
    """

    state: State
    now: float
    answer: Event | None
    _log: Log
    _asked: Event

    def own_question(self) -> Showing:
        """The question that the act is about.

        Raises:
            UsageError: it is not this annotator's.
        """
        return showing_of(self.state, self._asked.annotator, self._asked.question)

    def open_question(self) -> Showing:
        """The question that the act is about.

        Raises:
            UsageError: it is not this annotator's, or it is answered.
        """
        showing = self.own_question()
        if showing.decision is not None:
            raise UsageError("this question is answered already; undo the answer to change it")
        return showing

    def write_on(
        self, showing: Showing, content: Mapping[str, Any], *, latency_ms: int | None = None
    ) -> None:
        """Write the line, about a question.

        Raises:
            UsageError: the latency is none.
        """
        if latency_ms is not None and not 0 <= latency_ms < 2**53:
            raise UsageError(f"latency_ms is {latency_ms}; it must be at least 0")
        about = replace(
            self._asked,
            item=showing.item,
            question=showing.id,
            shown_left=showing.shown_left,
            latency_ms=latency_ms,
            guideline_version=showing.guideline_version,
            content=content,
        )
        self.answer = append(self._log, about)

    def write(self, shown_left: Side, content: Mapping[str, Any]) -> None:
        """Write the line, about the pair that was asked for."""
        about = replace(self._asked, shown_left=shown_left, content=content)
        self.answer = append(self._log, about)

    @property
    def receipt(self) -> Receipt:
        """What has been written."""
        assert self.answer is not None
        return receipt_from(self.answer)


@contextmanager
def acting(
    log: Log,
    kind: Kind,
    *,
    annotator: int,
    request: str,
    question: int = 0,
    item: int = 0,
    choice: str | None = None,
) -> Iterator[Act]:
    """A transaction around one act.

    Raises:
        UsageError: nobody has this id, the choice is none, or the request was another act.
        StoreError: it cannot be written; nothing was.
    """
    pressed = next((known for known in CHOICES if known == choice), None)
    if pressed != choice:
        raise UsageError(f"choice is {choice!r}; it must be one of {', '.join(CHOICES)}")
    if len(request) > MAX_REQUEST or not (request.isascii() and request.isprintable()):
        raise UsageError(f"request {request[:50]!r}: give at most {MAX_REQUEST} ASCII characters")
    asked = Event(
        kind, annotator=annotator, item=item, question=question, choice=pressed, request=request
    )
    with log.writing() as state:
        require_annotator(state, annotator)
        done = log.event_of_request(annotator, request) if request else None
        if done is not None:
            is_same = (done.kind, done.choice) == (kind, choice)
            if not is_same or question not in (0, done.question) or item not in (0, done.item):
                raise another_act(request)
        yield Act(state, log.now(), done, log, asked)


def remark(
    log: Log, kind: Kind, annotator: int, question: int, said: Mapping[str, str], request: str
) -> Receipt:
    """Write words beside a question.

    Raises:
        UsageError: they are too many, or the request was another act.
    """
    for field, words in said.items():
        require_words(field, words)
    with acting(log, kind, annotator=annotator, request=request, question=question) as act:
        if act.answer is None:
            act.write_on(act.own_question(), said)
        elif act.answer.content != said:
            raise another_act(request)
    return act.receipt


def another_act(request: str) -> UsageError:
    """The error of a request name that is used twice."""
    return UsageError(f"request {request!r} was another act; give each its own name")


def showing_of(state: State, annotator: int, question: int) -> Showing:
    """A question of an annotator.

    Raises:
        UsageError: it is not theirs.
    """
    showing = state.showings.get(question)
    if showing is None or showing.annotator != annotator:
        raise UsageError(f"there is no question {question} of yours; load the page again")
    return showing


def append(log: Log, event: Event) -> Event:
    """Add a line of this version of Palate, inside a transaction."""
    return log.append(event, app_version=APP_VERSION)


def require_annotator(state: State, annotator: int) -> None:
    """Refuse an id that is nobody's.

    Raises:
        UsageError: nobody has it.
    """
    if annotator not in state.annotators:
        raise UsageError(f"there is no annotator {annotator}")


def require_words(what: str, words: str) -> None:
    """Refuse words that are too many.

    Raises:
        UsageError: they are.
    """
    if len(words) > MAX_WORDS:
        raise UsageError(f"{what}: {len(words)} characters; {MAX_WORDS} are the most")
