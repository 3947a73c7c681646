"""What is the case now: a pure function of the log, line after line.

`State.apply` takes one line at a time, so that a running program need not read the whole log again;
`replay` of the whole log gives the same state (a test holds the two together). Time enters only as
the time of lines and the `now` of the questions about leases.

    show ──► open ──► vote or skip ──► undo ──► open again …
              │ the lease runs out: the place is free for others
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from palate.collection.events import Event, Side, Verdict
from palate.collection.settings import CollectionSettings, settings_from

Purpose = Literal["label", "repeat", "gold"]
Role = Literal["annotate", "admin"]


@dataclass(frozen=True, slots=True)
class Annotator:
    """Somebody who votes.

    Attributes:
        id: from 1 on.
        name: as the people of the project call them.
        role: "admin" may see quality, adjudicate, exclude and export; "annotate" only votes.
        token_hash: SHA-256 of the secret that they show; the secret itself is nowhere.
    """

    id: int
    name: str
    role: Role
    token_hash: str


@dataclass(slots=True)
class Showing:
    """One pair as it was put before one annotator.

    Attributes:
        id: `seq` of its "show".
        item: id of the pair.
        annotator: whose it is.
        purpose: "label" counts for the pair; "repeat" and "gold" test the annotator.
        shown_left: the response on the left.
        since: when its place was last kept, in seconds since 1970; 0: it keeps none.
        guideline_version: of the guidelines beside it.
        decision: its vote or skip that was not undone.
        flag: why somebody should look at it, "" for no flag.
        flags_taken_back: reasons of flags that stood and that the annotator took back.
        note: the annotator's words, "" for none.
    """

    id: int
    item: int
    annotator: int
    purpose: Purpose
    shown_left: Side
    since: float
    guideline_version: int = 0
    decision: Event | None = None
    flag: str = ""
    flags_taken_back: frozenset[str] = frozenset()
    note: str = ""

    @property
    def verdict(self) -> Verdict | None:
        """What its vote says of the pair; None where it is open or skipped."""
        return self.decision.verdict if self.decision else None

    @property
    def is_counted(self) -> bool:
        """Whether its vote fills one of the pair's places."""
        decision = self.decision
        if decision is None or decision.kind != "vote" or self.purpose != "label":
            return False
        return not decision.content["late"]


@dataclass
class State:
    """Everything that the log says.

    Attributes:
        settings: the last ones said.
        guidelines: all versions, version 1 first.
        annotators: by id.
        num_items: pairs imported; their ids are 1 … num_items.
        showings: by id, in the order of their showing.
        adjudications: the last word on a pair, by item.
        excluded: annotators whose votes and flags do not count, with the reason.
        last: the last line of the log.
    """

    settings: CollectionSettings = field(default_factory=CollectionSettings)
    guidelines: list[str] = field(default_factory=list)
    annotators: dict[int, Annotator] = field(default_factory=dict)
    num_items: int = 0
    showings: dict[int, Showing] = field(default_factory=dict)
    adjudications: dict[int, Event] = field(default_factory=dict)
    excluded: dict[int, str] = field(default_factory=dict)
    last: Event | None = None
    _num_votes: Counter[int] = field(default_factory=Counter)
    _of_item: dict[int, list[Showing]] = field(default_factory=lambda: defaultdict(list))
    _of_annotator: dict[int, list[Showing]] = field(default_factory=lambda: defaultdict(list))
    _decided: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))

    def apply(self, event: Event) -> None:
        """Take the next line of the log."""
        match event.kind:
            case "settings":
                self.settings = settings_from(event.content)
            case "guidelines":
                self.guidelines.append(event.content["text"])
            case "annotator":
                said = event.content
                one = Annotator(said["id"], said["name"], said["role"], said["token_hash"])
                self.annotators[one.id] = one
            case "import":
                self.num_items = event.content["last"]
            case "show":
                self._show(event)
            case "renew":
                self.showings[event.question].since = event.time
            case "vote" | "skip":
                self.showings[event.question].decision = event
                self._count(self.showings[event.question], +1)
                self._decided[event.annotator].append(event.question)
            case "undo":
                showing = self.showings[event.question]
                self._count(showing, -1)
                showing.decision = None
                showing.since = event.time if event.content["keeps_place"] else 0.0
                self._decided[event.annotator].remove(event.question)
            case "flag":
                showing, reason = self.showings[event.question], event.content["reason"]
                if showing.flag and not reason:
                    showing.flags_taken_back |= {showing.flag}
                showing.flag = reason
            case "note":
                self.showings[event.question].note = event.content["text"]
            case "adjudicate":
                self.adjudications.pop(event.item, None)
                if event.choice is not None:
                    self.adjudications[event.item] = event
            case "exclude":
                self.excluded[event.content["annotator"]] = event.content["reason"]
                self._count_anew()
            case "include":
                self.excluded.pop(event.content["annotator"], None)
                self._count_anew()
        self.last = event

    def _show(self, event: Event) -> None:
        assert event.shown_left is not None
        showing = Showing(
            id=event.seq,
            item=event.item,
            annotator=event.annotator,
            purpose=event.content["purpose"],
            shown_left=event.shown_left,
            since=event.time,
            guideline_version=event.guideline_version,
        )
        self.showings[showing.id] = showing
        self._of_item[showing.item].append(showing)
        self._of_annotator[showing.annotator].append(showing)

    def _count(self, showing: Showing, change: int) -> None:
        if showing.is_counted and showing.annotator not in self.excluded:
            self._num_votes[showing.item] += change

    def _count_anew(self) -> None:
        self._num_votes.clear()
        for showing in self.showings.values():
            self._count(showing, +1)

    def showings_of(self, annotator: int) -> list[Showing]:
        """All that an annotator was shown, in order."""
        return self._of_annotator.get(annotator, [])

    def decided_by(self, annotator: int) -> list[int]:
        """Ids of the showings that an annotator voted on or skipped, in order; undone ones gone."""
        return self._decided.get(annotator, [])

    def showings_on(self, item: int) -> list[Showing]:
        """All times that a pair was shown, in order."""
        return self._of_item.get(item, [])

    def votes_on(self, item: int) -> list[Showing]:
        """Showings whose votes count for a pair: not late, not of an excluded annotator."""
        return [
            s for s in self.showings_on(item) if s.is_counted and s.annotator not in self.excluded
        ]

    def flagged_on(self, item: int) -> list[Showing]:
        """Showings whose flags count for a pair, voted on or not: not of an excluded annotator."""
        return [s for s in self.showings_on(item) if s.flag and s.annotator not in self.excluded]

    def num_votes(self, item: int) -> int:
        """How many votes count for a pair: the number of `votes_on`."""
        return self._num_votes[item]

    def items_with_votes(self) -> list[int]:
        """Ids of the pairs that have any vote that counts."""
        return [item for item, number in self._num_votes.items() if number > 0]

    def holds_lease(self, showing: Showing, now: float) -> bool:
        """Whether an open question keeps a place of its pair."""
        is_open = showing.purpose == "label" and showing.decision is None
        is_kept = now < showing.since + self.settings.lease_seconds
        return is_open and is_kept

    def is_open(self, showing: Showing, now: float) -> bool:
        """Whether a question stands before its annotator: undecided, and its lease not run out.

        Tests of the annotator have no lease to run out, nor has a question that an undo brought
        back after its place was taken.
        """
        if showing.decision is not None:
            return False
        return showing.purpose != "label" or not showing.since or self.holds_lease(showing, now)

    def leases_on(self, item: int, now: float) -> list[Showing]:
        """Open questions that keep a place of a pair from others."""
        return [
            s
            for s in self.showings_on(item)
            if self.holds_lease(s, now) and s.annotator not in self.excluded
        ]

    def has_place(self, item: int, now: float) -> bool:
        """Whether a pair needs one more annotator than it has."""
        free = self.settings.votes_per_item - self.num_votes(item)
        return free > 0 and len(self.leases_on(item, now)) < free

    def is_complete(self, item: int) -> bool:
        """Whether a pair has all its votes."""
        return self.num_votes(item) >= self.settings.votes_per_item

    def votes(self) -> Iterator[Showing]:
        """All votes that were not undone: late ones, repeats and gold too, of everybody."""
        return (s for s in self.showings.values() if s.verdict is not None)


def replay(events: Iterable[Event]) -> State:
    """The state after these lines, which start the log."""
    state = State()
    for event in events:
        state.apply(event)
    return state
