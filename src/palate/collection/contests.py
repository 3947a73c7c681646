"""Pairs that need a word from above: their votes differ, or somebody flagged them.

The adjudicator sees sides drawn for them, as voters do, and not which response came from where.
"""

from palate.collection.answers import Ballot, Contest, sides_of
from palate.collection.events import Choice, Side, Verdict
from palate.collection.items import Item
from palate.collection.questions import Deck, chance
from palate.collection.state import State


def contested_items(state: State, deck: Deck) -> list[int]:
    """Ids of complete pairs whose votes differ and of flagged ones; those without ruling first."""
    found = [card.item for card in deck.plain if _is_contested(state, card.item)]
    return sorted(found, key=lambda item: (item in state.adjudications, item))


def contest(state: State, deck: Deck, admin: int, number: int, item: Item) -> Contest:
    """A contested pair as an adjudicator sees it."""
    shown_left = side_for(deck, admin, number)
    left, right = sides_of(item, shown_left)
    ruling = state.adjudications.get(number)
    return Contest(
        item=number,
        prompt=item.prompt,
        left=left,
        right=right,
        ballots=tuple(
            Ballot(
                annotator=state.annotators[showing.annotator].name,
                choice=_choice_of(showing.verdict, shown_left),
                note=showing.note,
                flag=showing.flag,
            )
            for showing in state.showings_on(number)
            if showing.annotator not in state.excluded and (showing.is_counted or showing.flag)
        ),
        ruling=_choice_of(ruling.verdict, shown_left) if ruling else None,
    )


def side_for(deck: Deck, admin: int, item: int) -> Side:
    """The response that an adjudicator sees left: always the same for the same person."""
    is_first = chance(deck.settings.salt, "contest", admin, deck.cards[item].key) < 0.5
    return "first" if is_first else "second"


def _is_contested(state: State, item: int) -> bool:
    verdicts = {showing.verdict for showing in state.votes_on(item)}
    differ = len(verdicts) > 1 and state.is_complete(item)
    return differ or item in state.adjudications or bool(state.flagged_on(item))


def _choice_of(verdict: Verdict | None, shown_left: Side) -> Choice | None:
    if verdict in (None, "tie", "both_bad"):
        return verdict
    return "left" if verdict == shown_left else "right"
