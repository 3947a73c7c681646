"""Which pair comes next: random, coverage, disagreement, reward-model uncertainty; tests between.

    random        one shuffled order for all: the votes on a pair come close together in time, so
                  agreement is known early
    coverage      the pairs with the fewest votes first: every pair one vote before any has two
    disagreement  the pairs whose votes so far differ most first, then those that have any
    uncertainty   the pairs that a reward model finds closest first (`margin`), unscored ones last

Every draw is a hash of the salt, so the same log gives the same questions.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from palate.collection.events import Side, Verdict
from palate.collection.settings import CollectionSettings, Strategy
from palate.collection.state import Purpose, Showing, State

# A pair comes back for the same eyes only after so many others, lest it be remembered.
REPEAT_AFTER = 10


@dataclass(frozen=True, slots=True)
class Card:
    """What choosing needs to know of a pair besides the log.

    Attributes:
        item: its id.
        key: its name by content.
        gold: the known answer, None for a pair to be voted on.
        margin: a reward model's, None where there is none.
        longer: the response of more characters, None where they are equal.
    """

    item: int
    key: str
    gold: Verdict | None = None
    margin: float | None = None
    longer: Side | None = None


@dataclass(frozen=True, slots=True)
class Draw:
    """What is to be shown, and how."""

    item: int
    purpose: Purpose
    shown_left: Side


class Deck:
    """All pairs, in the order that strategies start from."""

    def __init__(self, cards: Sequence[Card], settings: CollectionSettings) -> None:
        shuffled = sorted(cards, key=lambda card: chance(settings.salt, "order", card.key))
        self.cards = {card.item: card for card in cards}
        self.gold = [card for card in shuffled if card.gold is not None]
        self.plain = [card for card in shuffled if card.gold is None]
        self.settings = settings
        if settings.strategy == "uncertainty":
            self.plain.sort(key=lambda c: math.inf if c.margin is None else abs(c.margin))

    def draw(self, state: State, annotator: int, now: float) -> Draw | None:
        """The next question of an annotator; None where nothing is left for them."""
        chosen = self._label(state, annotator, now)
        if chosen is None:
            return None
        salt, seen = self.settings.salt, state.showings_of(annotator)
        test = chance(salt, "test", annotator, len(seen))
        if test < self.settings.repeat_share:
            again = self._repeat(state, annotator)
            if again is not None:
                other: Side = "second" if again.shown_left == "first" else "first"
                return Draw(again.item, "repeat", other)
        elif test < self.settings.repeat_share + self.settings.gold_share:
            met = {showing.item for showing in seen}
            for card in self.gold:
                if card.item not in met:
                    return Draw(card.item, "gold", self._side(card, annotator))
        return Draw(chosen.item, "label", self._side(chosen, annotator))

    def _label(self, state: State, annotator: int, now: float) -> Card | None:
        closed = {
            s.item
            for s in state.showings_of(annotator)
            if s.decision is not None or state.is_open(s, now)
        }

        def is_free(card: Card) -> bool:
            return card.item not in closed and state.has_place(card.item, now)

        return _PICKS[self.settings.strategy](self, state, is_free)

    def _repeat(self, state: State, annotator: int) -> Showing | None:
        repeated = {s.item for s in state.showings_of(annotator) if s.purpose == "repeat"}
        for showing_id in state.decided_by(annotator)[:-REPEAT_AFTER]:
            showing = state.showings[showing_id]
            is_plain = showing.purpose == "label" and showing.verdict is not None
            if is_plain and showing.item not in repeated:
                return showing
        return None

    def _side(self, card: Card, annotator: int) -> Side:
        is_first = chance(self.settings.salt, "side", annotator, card.key) < 0.5
        return "first" if is_first else "second"


def chance(*parts: object) -> float:
    """A number in [0, 1) that the parts decide."""
    text = "\n".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def disagreement(verdicts: Sequence[Verdict]) -> float:
    """Entropy of a pair's votes, in nats: 0 where they agree, log 2 for one against one."""
    counts = Counter(verdicts).values()
    return -sum(n / len(verdicts) * math.log(n / len(verdicts)) for n in counts)


IsFree = Callable[[Card], bool]


def _in_order(deck: Deck, state: State, is_free: IsFree) -> Card | None:
    return next(filter(is_free, deck.plain), None)


def _fewest_votes(deck: Deck, state: State, is_free: IsFree) -> Card | None:
    best: Card | None = None
    for card in filter(is_free, deck.plain):
        if state.num_votes(card.item) == 0:
            return card
        if best is None or state.num_votes(card.item) < state.num_votes(best.item):
            best = card
    return best


def _most_disagreement(deck: Deck, state: State, is_free: IsFree) -> Card | None:
    def worth(card: Card) -> tuple[float, float]:
        votes = [s.verdict for s in state.votes_on(card.item) if s.verdict is not None]
        return disagreement(votes), -chance(deck.settings.salt, "order", card.key)

    begun = filter(is_free, (deck.cards[item] for item in state.items_with_votes()))
    return max(begun, key=worth, default=None) or _in_order(deck, state, is_free)


_PICKS: dict[Strategy, Callable[[Deck, State, IsFree], Card | None]] = {
    "random": _in_order,
    "coverage": _fewest_votes,
    "disagreement": _most_disagreement,
    "uncertainty": _in_order,
}
