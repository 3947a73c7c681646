"""Taking pairs in and putting them before annotators: what stands before one stays there."""

from collections.abc import Iterable

from palate.collection.acts import append
from palate.collection.events import Event
from palate.collection.items import Item, digest_of
from palate.collection.log import Log
from palate.collection.questions import Deck, Draw
from palate.collection.state import Showing, State


def serve_questions(
    log: Log, state: State, deck: Deck, *, annotator: int, count: int
) -> list[Showing]:
    """The questions that stand before an annotator, filled up to `count`; inside a transaction.

    Places that are half through their time are kept anew.
    """
    now = log.now()
    standing = [s for s in state.showings_of(annotator) if state.is_open(s, now)]
    for showing in standing:
        is_old = now - showing.since > state.settings.lease_seconds / 2
        if is_old and state.holds_lease(showing, now):
            _renew(log, showing)
    while len(standing) < count:
        draw = deck.draw(state, annotator, now)
        if draw is None:
            break
        standing.append(_show(log, state, annotator, draw))
    return sorted(standing, key=lambda showing: showing.id)


def take_items(log: Log, items: Iterable[Item]) -> int:
    """Add pairs that are not there yet, and one line that says which; how many were added."""
    with log.writing() as state:
        before = state.num_items
        keys: list[str] = []
        for item in items:
            if log.add_item(before + len(keys) + 1, item):
                keys.append(item.key)
        if keys:
            content = {
                "first": before + 1,
                "last": before + len(keys),
                "digest": digest_of(keys),
            }
            append(log, Event("import", content=content))
        return len(keys)


def _show(log: Log, state: State, annotator: int, draw: Draw) -> Showing:
    if draw.purpose == "label":
        for showing in state.showings_of(annotator):
            if showing.item == draw.item:  # theirs before; its time ran out and nobody took it
                _renew(log, showing)
                return showing
    shown = Event(
        "show",
        annotator=annotator,
        item=draw.item,
        shown_left=draw.shown_left,
        guideline_version=len(state.guidelines),
        content={"purpose": draw.purpose},
    )
    return state.showings[append(log, shown).seq]


def _renew(log: Log, showing: Showing) -> None:
    renewed = Event(
        "renew",
        annotator=showing.annotator,
        item=showing.item,
        question=showing.id,
        shown_left=showing.shown_left,
        guideline_version=showing.guideline_version,
    )
    append(log, renewed)
