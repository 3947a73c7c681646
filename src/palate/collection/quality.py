"""How good the votes are: agreement with its interval, and who should be looked at first."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from palate.collection.questions import Card, chance
from palate.collection.state import Showing, State
from palate.errors import DataError
from palate.measures.agreement import count_values, krippendorff_alpha
from palate.measures.annotators import AnnotatorQuality, CastVote, judge_annotators
from palate.measures.estimate import Estimate


@dataclass(frozen=True)
class QualityReport:
    """The votes as they stand.

    Attributes:
        num_votes: votes that count.
        num_late: votes that came when others had taken the places, and do not count.
        num_complete: pairs that have all their votes.
        num_contested: of them, pairs whose votes differ.
        alpha: Krippendorff's α, nominal, over pairs with two votes; None where there are fewer than
            two of them, or all votes are equal.
        annotators: the doubted ones first.
        excluded: names of those whose votes do not count, with the reason.
    """

    num_votes: int
    num_late: int
    num_complete: int
    num_contested: int
    alpha: Estimate | None
    annotators: tuple[AnnotatorQuality, ...]
    excluded: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return asdict(self)


def quality_report(state: State, cards: Mapping[int, Card]) -> QualityReport:
    """Judge the votes of a log.

    Args:
        state: what follows from the log.
        cards: what is known of the pairs, by id.
    """
    counted = [s for s in state.votes() if s.is_counted and s.annotator not in state.excluded]
    verdicts: dict[int, set[str]] = {}
    for showing in counted:
        verdicts.setdefault(showing.item, set()).add(str(showing.verdict))
    complete = [item for item in verdicts if state.is_complete(item)]
    excluded = {state.annotators[who].name: why for who, why in state.excluded.items()}
    return QualityReport(
        num_votes=len(counted),
        num_late=sum(s.purpose == "label" and not s.is_counted for s in state.votes()),
        num_complete=len(complete),
        num_contested=sum(len(verdicts[item]) > 1 for item in complete),
        alpha=_alpha(counted, cards),
        annotators=tuple(judge_annotators(cast_votes(state, cards), excluded=excluded)),
        excluded=excluded,
    )


def cast_votes(state: State, cards: Mapping[int, Card]) -> list[CastVote]:
    """The votes of a log as statistics take them; a repeat knows what was said before."""
    earlier = {(s.annotator, s.item): s for s in state.votes() if s.purpose == "label"}
    return [
        _cast(s, state, cards[s.item], earlier.get((s.annotator, s.item)))
        for s in state.votes()
        if s.purpose != "repeat" or (s.annotator, s.item) in earlier
    ]


def _cast(showing: Showing, state: State, card: Card, earlier: Showing | None) -> CastVote:
    decision, verdict = showing.decision, showing.verdict
    assert decision is not None
    assert verdict is not None
    is_sided = verdict in ("first", "second")
    is_repeat = showing.purpose == "repeat" and earlier is not None
    return CastVote(
        annotator=state.annotators[showing.annotator].name,
        item=showing.item,
        value=verdict,
        is_left=verdict == showing.shown_left if is_sided else None,
        is_longer=verdict == card.longer if is_sided and card.longer else None,
        seconds=None if decision.latency_ms is None else decision.latency_ms / 1000,
        gold=card.gold,
        earlier=earlier.verdict if is_repeat and earlier else None,
    )


def _alpha(counted: list[Showing], cards: Mapping[int, Card]) -> Estimate | None:
    values = [_by_lot(s, cards[s.item]) for s in counted]
    try:
        return krippendorff_alpha(count_values([s.item for s in counted], values))
    except DataError:  # too few votes, or all equal: there is no α yet
        return None


def _by_lot(showing: Showing, card: Card) -> str:
    """A vote with the pair's two responses named by lot.

    Files often have the better response first. Then nearly all votes are "first", agreement looks
    like chance and α is near 0, however much people agree.
    """
    verdict = str(showing.verdict)
    if chance("named by lot", card.key) < 0.5:
        return {"first": "second", "second": "first"}.get(verdict, verdict)
    return verdict
