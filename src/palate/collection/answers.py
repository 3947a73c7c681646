"""What the store answers: questions, receipts, progress and contested pairs, all of them blind."""

from collections.abc import Sequence
from dataclasses import dataclass

from palate.collection.events import Choice, Event, Side
from palate.collection.items import Item
from palate.collection.state import Showing, State
from palate.data.records import Text


@dataclass(frozen=True, slots=True)
class Question:
    """A pair before an annotator, blind: nothing here says where a response came from.

    Attributes:
        id: name it in votes, skips, flags and notes.
        prompt: plain text, or a conversation that ends in a user turn.
        left: the response to show left.
        right: the response to show right.
        guideline_version: of the guidelines that hold for it; 0: there are none.
        flag: why its annotator wants it looked at, "" for no flag.
        flags_taken_back: reasons of flags that stood and that its annotator took back.
        note: its annotator's words, "" for none.
    """

    id: int
    prompt: Text
    left: str
    right: str
    guideline_version: int
    flag: str
    flags_taken_back: frozenset[str]
    note: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What has been written.

    Attributes:
        event: place in the log.
        question: what it was about; 0: no question.
        is_late: true for a vote that came when others had taken the pair's places; it is kept in
            the log and does not count.
    """

    event: int
    question: int
    is_late: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the whole is, and one annotator's part.

    Attributes:
        num_items: pairs to vote on (gold not among them).
        num_complete: pairs that have all their votes.
        num_votes: votes that count.
        num_wanted: votes wanted in all.
        num_mine: the annotator's votes, tests and late ones too.
        num_skipped: the annotator's skips.
    """

    num_items: int
    num_complete: int
    num_votes: int
    num_wanted: int
    num_mine: int
    num_skipped: int


@dataclass(frozen=True, slots=True)
class Ballot:
    """What one annotator said of a contested pair, by the sides that the adjudicator sees.

    Attributes:
        annotator: their name.
        choice: None where they flagged the pair and did not vote.
        note: their words, "" for none.
        flag: why they want it looked at, "" for no flag.
    """

    annotator: str
    choice: Choice | None
    note: str
    flag: str


@dataclass(frozen=True, slots=True)
class Contest:
    """A complete pair on which the votes differ, or that somebody flagged; blind as a question.

    Attributes:
        item: name it in `adjudicate`.
        prompt: plain text, or a conversation that ends in a user turn.
        left: the response to show left.
        right: the response to show right.
        ballots: the votes that count, and flags of those who did not vote.
        ruling: the last adjudication, by the same sides; None for none.
    """

    item: int
    prompt: Text
    left: str
    right: str
    ballots: tuple[Ballot, ...]
    ruling: Choice | None


def question_from(showing: Showing, item: Item) -> Question:
    """A pair as its annotator sees it."""
    left, right = sides_of(item, showing.shown_left)
    return Question(
        id=showing.id,
        prompt=item.prompt,
        left=left,
        right=right,
        guideline_version=showing.guideline_version,
        flag=showing.flag,
        flags_taken_back=showing.flags_taken_back,
        note=showing.note,
    )


def progress_of(state: State, items: Sequence[int], annotator: int) -> Progress:
    """How far these pairs are, and one annotator's part."""
    wanted = state.settings.votes_per_item
    counts = [state.num_votes(item) for item in items]
    mine = [state.showings[number] for number in state.decided_by(annotator)]
    num_mine = sum(showing.verdict is not None for showing in mine)
    return Progress(
        num_items=len(counts),
        num_complete=sum(count >= wanted for count in counts),
        num_votes=sum(counts),
        num_wanted=wanted * len(counts),
        num_mine=num_mine,
        num_skipped=len(mine) - num_mine,
    )


def receipt_from(event: Event) -> Receipt:
    """What a line of the log is to the one who wrote it."""
    return Receipt(event.seq, event.question, bool(event.content.get("late", False)))


def sides_of(item: Item, shown_left: Side) -> tuple[str, str]:
    """The left and the right response."""
    first_is_left = shown_left == "first"
    return (item.first, item.second) if first_is_left else (item.second, item.first)
