"""Who votes well: each annotator's figures, and named reasons to doubt some, the worst first.

Every reason is an exact test against what a careful annotator would do, so that a few unlucky votes
raise none; of all reasons that reports give, a share of at most ALARM is expected to be false. What
is compared with others needs others: with one vote an item, only sides, speed, repeats and gold can
speak.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from statistics import median
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import stats

from palate.measures.winrate import sign_test

ALARM = 0.01  # share of false alarms among all; the chance of any where all are careful
FAST_SECONDS = 2.0
FAST_SHARE_OF_MEDIAN = 0.25
# What a careful annotator reaches at least, by habit of the field; fewer is tested for.
CAREFUL_GOLD = 0.8
CAREFUL_REPEATS = 0.75
CAREFUL_FAST = 0.1

_ROUNDS = 50
_MOST_SKILL = 0.99  # nobody is believed without limit after a few votes


@dataclass(frozen=True, slots=True)
class CastVote:
    """One vote.

    Attributes:
        annotator: whose.
        item: on what.
        value: what it says of the item, whatever the sides.
        is_left: whether the left side was pressed; None for neither side.
        is_longer: whether it prefers the longer response; None where it prefers none, or they are
            equally long.
        seconds: from the item on screen to the key; None where unknown.
        gold: the known answer; None for an item that is voted on.
        earlier: what the same annotator said of it before; None where it is no repeat.
    """

    annotator: str
    item: Hashable
    value: str
    is_left: bool | None = None
    is_longer: bool | None = None
    seconds: float | None = None
    gold: str | None = None
    earlier: str | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many."""

    num: int
    of: int

    @property
    def rate(self) -> float | None:
        """In [0, 1]; None of none."""
        return self.num / self.of if self.of else None

    def __str__(self) -> str:
        return f"{self.num} of {self.of}"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an annotator is doubted.

    Attributes:
        code: one_side, disagrees, longer, gold, inconsistent or too_fast.
        words: the finding with its numbers.
        p_value: of a careful annotator showing it by chance.
    """

    code: str
    words: str
    p_value: float


@dataclass(frozen=True, slots=True)
class AnnotatorQuality:
    """What is known of one annotator.

    Attributes:
        annotator: who.
        num_votes: all of them, tests too.
        left: votes for the left side, of those for a side.
        agreeing: items on which they agree with what the others say, who count by their skill, of
            those that others voted on and were not even about.
        peers: how often the others, by their skill, agree with what is said beside them, in [0, 1];
            None without others.
        longer: votes for the longer response, of those for a side.
        gold: gold items answered rightly.
        repeats: repeats answered as before.
        fast: votes faster than 2 s or a quarter of everybody's median.
        median_seconds: of a vote; None where no time is known.
        reasons: the worst first.
    """

    annotator: str
    num_votes: int
    left: Share
    agreeing: Share
    peers: float | None
    longer: Share
    gold: Share
    repeats: Share
    fast: Share
    median_seconds: float | None
    reasons: tuple[Reason, ...]


def judge_annotators(
    votes: Iterable[CastVote], *, excluded: Collection[str] = ()
) -> list[AnnotatorQuality]:
    """Judge everybody who voted.

    The others, with whom one is compared, count by their skill (`estimate_skills`), and the doubted
    ones are not heard in the next round, until nobody new is doubted. So several bad ones neither
    make each other look usual nor good ones unusual. Where the most are wrong in the same way,
    nothing but gold can tell.

    Args:
        votes: that were not taken back.
        excluded: annotators whose votes say nothing about others; they are judged themselves.

    Returns:
        The doubted ones first, the least probable innocence at the head; then the others, those
        who agree least with the rest first.
    """
    cast = list(votes)
    by_annotator: dict[str, list[CastVote]] = defaultdict(list)
    for vote in cast:
        by_annotator[vote.annotator].append(vote)
    if not cast:
        return []
    unheard = frozenset(excluded)
    while True:
        crowd = _Crowd(cast, unheard)
        judged = [_judge(name, theirs, crowd) for name, theirs in by_annotator.items()]
        alarm = _alarm([reason.p_value for one in judged for reason in one.reasons])
        judged = [_with_reasons_below(alarm, one) for one in judged]
        doubted = {one.annotator for one in judged if one.reasons}
        if doubted <= unheard:
            return sorted(judged, key=_doubt)
        unheard |= doubted


def _doubt(quality: AnnotatorQuality) -> tuple[float, float, str]:
    innocence = quality.reasons[0].p_value if quality.reasons else 1.0
    agreement = quality.agreeing.rate
    return innocence, 1.0 if agreement is None else agreement, quality.annotator


class _Crowd:
    """What all votes together say: whom to believe, consensus, length, speed."""

    def __init__(self, votes: Sequence[CastVote], unheard: frozenset[str]) -> None:
        times = [vote.seconds for vote in votes if vote.seconds is not None]
        self.median_seconds = median(times) if times else 0.0
        self._heard = [v for v in votes if _is_plain(v) and v.annotator not in unheard]
        self._by_item: dict[Hashable, list[CastVote]] = defaultdict(list)
        for vote in self._heard:
            self._by_item[vote.item].append(vote)
        self._weights = _weights(self._by_item.values())
        self.agreeing = {
            name: self._agreeing([v for v in votes if v.annotator == name])
            for name in {vote.annotator for vote in votes}
        }

    def _agreeing(self, cast: Sequence[CastVote]) -> Share:
        pairs = [(vote.value, self._consensus(vote)) for vote in cast if _is_plain(vote)]
        known = [value == consensus for value, consensus in pairs if consensus is not None]
        return Share(sum(known), len(known))

    def _consensus(self, vote: CastVote) -> str | None:
        """What the others say of an item, by weight; None where nobody does, or they are even."""
        weights: Counter[str] = Counter()
        for other in self._by_item.get(vote.item, []):
            if other.annotator != vote.annotator:
                weights[other.value] += self._weights[other.annotator]  # type: ignore[assignment]
        ranked = weights.most_common(2)
        if not ranked or ranked[0][1] <= 0:
            return None
        is_even = len(ranked) == 2 and math.isclose(ranked[0][1], ranked[1][1])
        return None if is_even else ranked[0][0]

    def peers(self, annotator: str) -> float | None:
        """How often those who are believed agree with the consensus of their others.

        One imagined item on which they do and one on which they do not keep few items from
        counting as certainty.
        """
        others = [
            (self._weights[name], share)
            for name, share in self.agreeing.items()
            if name != annotator and self._weights.get(name, 0) > 0 and share.of
        ]
        if not others:
            return None
        most = max(weight for weight, _ in others)
        num = math.fsum(weight / most * share.num for weight, share in others)
        of = math.fsum(weight / most * share.of for weight, share in others)
        return (num + 1) / (of + 2)

    def longer(self, annotator: str) -> float | None:
        """How often the others prefer the longer response."""
        said = [
            vote.is_longer
            for vote in self._heard
            if vote.annotator != annotator and vote.is_longer is not None
        ]
        return sum(said) / len(said) if said else None

    def is_fast(self, vote: CastVote) -> bool:
        """Whether nobody can have read the item in that time."""
        limit = max(FAST_SECONDS, FAST_SHARE_OF_MEDIAN * self.median_seconds)
        return vote.seconds is not None and vote.seconds < limit


def _weights(items: Iterable[Sequence[CastVote]]) -> dict[str, float]:
    """What an annotator's word weighs: the log-odds of being right, 0 for a coin and worse."""
    votes = [list(cast) for cast in items]
    names = sorted({vote.annotator for cast in votes for vote in cast})
    rows = {name: row for row, name in enumerate(names)}
    equal, compared = (np.zeros((len(rows), len(rows))) for _ in range(2))
    for cast in votes:
        for one, other in permutations(cast, 2):
            pair = rows[one.annotator], rows[other.annotator]
            compared[pair] += 1
            equal[pair] += one.value == other.value
    skills = np.clip(estimate_skills(equal, compared), 0, _MOST_SKILL)
    return dict(zip(names, (2 * np.arctanh(skills)).tolist(), strict=True))


def estimate_skills(
    equal: Float[NDArray[Any], "annotator other"], compared: Float[NDArray[Any], "annotator other"]
) -> Float[NDArray[Any], " annotator"]:
    """How far each annotator can be believed: 1 always, 0 a coin, −1 always the opposite.

    Two annotators of skills s and t who judge one item by themselves agree with probability
    (1 + s·t) / 2, where an answer is right with probability (1 + s) / 2 and there are two answers.
    So 2 · agreement − 1 is a matrix of rank one; its factor is fitted by least squares, weighted by
    the items compared, under the assumption that together they are more right than wrong.

    Args:
        equal: items on which two agree, symmetric, with a diagonal of zeros.
        compared: items that both judged, likewise.

    Returns:
        0 for who shares no item with anybody.

    Reference:
        Dawid and Skene 1979, Applied Statistics 28(1), 20–28, with one error rate an annotator.
    """
    surplus = 2 * equal - compared  # items · (2 · agreement − 1)
    if not len(surplus):
        return np.zeros(0)
    skills: NDArray[np.float64] = np.linalg.eigh(surplus)[1][:, -1]
    for _ in range(_ROUNDS):
        for row in range(len(skills)):
            known = compared[row] @ skills**2
            skills[row] = np.clip(surplus[row] @ skills / known, -1, 1) if known > 0 else 0.0
    return skills if skills.sum() >= 0 else -skills


def _judge(name: str, cast: Sequence[CastVote], crowd: _Crowd) -> AnnotatorQuality:
    times = [vote.seconds for vote in cast if vote.seconds is not None]
    found = AnnotatorQuality(
        annotator=name,
        num_votes=len(cast),
        left=_share(vote.is_left for vote in cast),
        agreeing=crowd.agreeing[name],
        peers=crowd.peers(name),
        longer=_share(vote.is_longer for vote in cast if _is_plain(vote)),
        gold=_share(vote.value == vote.gold for vote in cast if vote.gold is not None),
        repeats=_share(vote.value == vote.earlier for vote in cast if vote.earlier is not None),
        fast=_share(crowd.is_fast(vote) for vote in cast if vote.seconds is not None),
        median_seconds=median(times) if times else None,
        reasons=(),
    )
    tested = (test(found, crowd) for has_data, test in _TESTS if has_data(found).of)
    return replace(found, reasons=tuple(reason for reason in tested if reason is not None))


def _alarm(p_values: Sequence[float]) -> float:
    """The largest p-value that raises doubt: Benjamini and Hochberg's step-up rule.

    Reference:
        Benjamini and Hochberg 1995, J. R. Stat. Soc. B 57(1), 289–300, equation 1.
    """
    passed = [
        p for rank, p in enumerate(sorted(p_values), start=1) if p <= ALARM * rank / len(p_values)
    ]
    return max(passed, default=0.0)


def _with_reasons_below(alarm: float, one: AnnotatorQuality) -> AnnotatorQuality:
    reasons = [reason for reason in one.reasons if reason.p_value <= alarm]
    return replace(one, reasons=tuple(sorted(reasons, key=lambda reason: reason.p_value)))


def _one_side(found: AnnotatorQuality, crowd: _Crowd) -> Reason:
    num_right = found.left.of - found.left.num
    p_value = sign_test(num_wins=found.left.num, num_losses=num_right)
    side, num = ("left", found.left.num) if found.left.num > num_right else ("right", num_right)
    words = f"pressed {side} in {num} of {found.left.of} votes; the sides are drawn by lot"
    return Reason("one_side", words, p_value)


def _disagrees(found: AnnotatorQuality, crowd: _Crowd) -> Reason | None:
    rate = found.agreeing.rate
    if found.peers is None or rate is None:
        return None
    said = f"agrees with the others on {rate:.0%} of {found.agreeing.of} pairs"
    p_value = _at_most(found.agreeing, found.peers)
    words = f"{said}; careful ones among them on {found.peers:.0%}"
    if rate < 1.2 - found.peers:  # as somebody like the others would whose answers are turned round
        words += " (are the keys swapped?)"
    return Reason("disagrees", words, p_value)


def _longer(found: AnnotatorQuality, crowd: _Crowd) -> Reason | None:
    others = crowd.longer(found.annotator)
    if others is None:
        return None
    words = f"prefers the longer response in {found.longer} votes; the others in {others:.0%}"
    return Reason("longer", words, _at_least(found.longer, max(others, 0.5)))


def _gold(found: AnnotatorQuality, crowd: _Crowd) -> Reason:
    words = f"{found.gold} gold answers are right"
    return Reason("gold", words, _at_most(found.gold, CAREFUL_GOLD))


def _inconsistent(found: AnnotatorQuality, crowd: _Crowd) -> Reason:
    words = f"{found.repeats} pairs that came again were answered as before"
    return Reason("inconsistent", words, _at_most(found.repeats, CAREFUL_REPEATS))


def _too_fast(found: AnnotatorQuality, crowd: _Crowd) -> Reason:
    words = f"{found.fast} votes came faster than anybody reads"
    return Reason("too_fast", words, _at_least(found.fast, CAREFUL_FAST))


_Test = Callable[[AnnotatorQuality, _Crowd], Reason | None]
# What a test looks at, and the test; without data there is nothing to test.
_TESTS: tuple[tuple[Callable[[AnnotatorQuality], Share], _Test], ...] = (
    (lambda found: found.left, _one_side),
    (lambda found: found.agreeing, _disagrees),
    (lambda found: found.longer, _longer),
    (lambda found: found.gold, _gold),
    (lambda found: found.repeats, _inconsistent),
    (lambda found: found.fast, _too_fast),
)


def _at_most(found: Share, rate: float) -> float:
    """P(so many or fewer) at this rate."""
    return float(stats.binom.cdf(found.num, found.of, rate))


def _at_least(found: Share, rate: float) -> float:
    """P(so many or more) at this rate."""
    return float(stats.binom.sf(found.num - 1, found.of, rate))


def _is_plain(vote: CastVote) -> bool:
    return vote.gold is None and vote.earlier is None


def _share(outcomes: Iterable[bool | None]) -> Share:
    known = [outcome for outcome in outcomes if outcome is not None]
    return Share(sum(known), len(known))
