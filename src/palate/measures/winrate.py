"""Who wins, how sure that is, and how many prompts would settle it.

Ties count one half. All samples of a prompt meet all of the other side's samples of that prompt,
so that the result does not depend on their order; prompts are the independent units.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from palate.errors import DataError
from palate.measures.estimate import Clusters, Estimate, rate_estimate

Scores = Sequence[float] | Sequence[Sequence[float]] | Sequence[NDArray[Any]] | NDArray[np.floating]


@dataclass(frozen=True)
class WinRate:
    """The first side against the second.

    Attributes:
        rate: probability that the first side wins, ties as one half; n prompts.
        p_value: two-sided exact sign test over prompts; prompts that are level are left out.
        tie_rate: share of comparisons that are ties.
        num_comparisons: comparisons made, over all prompts.
        minimum_detectable_effect: distance of the true rate from ½ that this many prompts would
            detect with the stated power.
    """

    rate: Estimate
    p_value: float
    tie_rate: float
    num_comparisons: int
    minimum_detectable_effect: float

    @property
    def is_distinguishable(self) -> bool:
        """Whether the interval leaves ½ out."""
        return not self.rate.low <= 0.5 <= self.rate.high


def win_rate(
    *,
    first: Scores,
    second: Scores,
    confidence: float = 0.95,
    power: float = 0.8,
    name: str = "win rate",
) -> WinRate:
    """How often the first side's score beats the second side's on the same prompt.

    Args:
        first: a prompt each, [samples] scores, or one number.
        second: the same prompts in the same order; the number of samples may differ.
        confidence: of the interval, in (0, 1).
        power: of the minimum detectable effect, in (0, 1).
        name: what is compared, for the error message.

    Returns:
        A rate of ½ and a p-value of 1 for a side against itself.

    Raises:
        DataError: if the sides have different numbers of prompts, a prompt has no score, a score
            is not a number, or there are fewer than two prompts.
    """
    if len(first) != len(second):
        raise DataError(
            f"{name}: {len(first)} prompts against {len(second)}; both sides need the same prompts"
        )
    wins, losses, comparisons = (np.zeros(len(first)) for _ in range(3))
    for index, (ours, theirs) in enumerate(zip(first, second, strict=True)):
        a = np.atleast_1d(np.asarray(ours, dtype=np.float64))
        b = np.atleast_1d(np.asarray(theirs, dtype=np.float64))
        if a.size == 0 or b.size == 0 or np.isnan(a).any() or np.isnan(b).any():
            raise DataError(f"{name}: prompt {index} has no score, or one that is not a number")
        wins[index] = (a[:, None] > b).sum()
        losses[index] = (a[:, None] < b).sum()
        comparisons[index] = a.size * b.size
    return _win_rate(_Tally(wins, losses, comparisons), confidence, power, name)


def win_rate_from_verdicts(
    verdicts: ArrayLike,
    *,
    clusters: Clusters | None = None,
    confidence: float = 0.95,
    power: float = 0.8,
    name: str = "win rate",
) -> WinRate:
    """The same from a judge's verdicts.

    Args:
        verdicts: [n]: 1 where the first side won, ½ for a tie, 0 where it lost.
        clusters: [n], the prompt of each verdict; None: a prompt each.
        confidence: of the interval, in (0, 1).
        power: of the minimum detectable effect, in (0, 1).
        name: what is compared, for the error message.

    Raises:
        DataError: if a verdict is none of 0, ½, 1, or there are fewer than two prompts.
    """
    numbers = np.asarray(verdicts, dtype=np.float64)
    if len(numbers) == 0:
        raise DataError(f"{name}: the set of verdicts is empty")
    wrong = np.flatnonzero(~np.isin(numbers, (0.0, 0.5, 1.0)))
    if len(wrong):
        raise DataError(
            f"{name}: verdict {numbers[wrong[0]]} at index {wrong[0]} is none of 0, 0.5 and 1"
        )
    if clusters is not None and len(clusters) != len(numbers):
        raise DataError(f"{name}: {len(numbers)} verdicts, but {len(clusters)} cluster keys")
    keys = np.arange(len(numbers)) if clusters is None else np.asarray(clusters)
    labels = np.unique(keys, return_inverse=True)[1]
    tally = _Tally(
        wins=np.bincount(labels[numbers == 1], minlength=labels.max() + 1).astype(np.float64),
        losses=np.bincount(labels[numbers == 0], minlength=labels.max() + 1).astype(np.float64),
        comparisons=np.bincount(labels).astype(np.float64),
    )
    return _win_rate(tally, confidence, power, name)


def sign_test(*, num_wins: int, num_losses: int) -> float:
    """Two-sided exact p-value that wins and losses are equally likely; ties take no part.

    Returns:
        1 where nobody won; 2·(½)ⁿ at most where one side won all of n.

    Reference:
        Dixon and Mood 1946, J. Am. Stat. Assoc. 41, 557–566.
    """
    if num_wins + num_losses == 0:
        return 1.0
    return float(stats.binomtest(num_wins, num_wins + num_losses, 0.5).pvalue)


def half_width(*, variance: float, num_prompts: int, confidence: float = 0.95) -> float:
    """Half-width of the interval that so many prompts will give.

    Args:
        variance: of one prompt's outcome, from a pilot; ¼ at most, for one sample and no ties.
        num_prompts: ≥ 1.
        confidence: in (0, 1).
    """
    return _z((1 + confidence) / 2) * math.sqrt(variance / num_prompts)


def minimum_detectable_effect(
    *, variance: float, num_prompts: int, confidence: float = 0.95, power: float = 0.8
) -> float:
    """Distance from ½ that so many prompts detect with the stated power.

    Larger than the half-width, by 1.43 at the defaults: a true effect of one half-width is found
    in half of the experiments only.
    """
    return (_z((1 + confidence) / 2) + _z(power)) * math.sqrt(variance / num_prompts)


def num_prompts_for_half_width(*, variance: float, width: float, confidence: float = 0.95) -> int:
    """Prompts that give this half-width: 385 for 0.05 and 1,068 for 0.03 at variance ¼."""
    return math.ceil(variance * (_z((1 + confidence) / 2) / width) ** 2)


def num_prompts_to_detect(
    *, variance: float, effect: float, confidence: float = 0.95, power: float = 0.8
) -> int:
    """Prompts that detect this distance from ½: 785 for 0.05 at variance ¼ and 80 % power."""
    return math.ceil(variance * ((_z((1 + confidence) / 2) + _z(power)) / effect) ** 2)


@dataclass(frozen=True, eq=False)
class _Tally:
    wins: NDArray[np.float64]  # [prompts]
    losses: NDArray[np.float64]  # [prompts]
    comparisons: NDArray[np.float64]  # [prompts]


def _win_rate(tally: _Tally, confidence: float, power: float, name: str) -> WinRate:
    net = tally.wins - tally.losses
    rate = rate_estimate(
        (1 + net / tally.comparisons) / 2, unit="win rate", confidence=confidence, name=name
    )
    critical = _z((1 + confidence) / 2)
    num_comparisons = int(tally.comparisons.sum())
    num_decided = int(tally.wins.sum() + tally.losses.sum())
    return WinRate(
        rate=rate,
        p_value=sign_test(num_wins=int((net > 0).sum()), num_losses=int((net < 0).sum())),
        tie_rate=1 - num_decided / num_comparisons,
        num_comparisons=num_comparisons,
        minimum_detectable_effect=rate.half_width * (critical + _z(power)) / critical,
    )


def _z(probability: float) -> float:
    return float(stats.norm.ppf(probability))
