"""How often a label is wrong, from comparisons that were made more than once."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from palate.errors import DataError
from palate.measures.estimate import Estimate, rate_estimate


@dataclass(frozen=True, slots=True)
class Repeats:
    """One comparison that was made several times: how often each way."""

    one_way: int
    other_way: int

    @property
    def num_pairs(self) -> int:
        """Pairs of its judgments."""
        number = self.one_way + self.other_way
        return number * (number - 1) // 2

    @property
    def disagreement(self) -> float:
        """Share of its pairs of judgments that differ, in [0, 1]."""
        return self.one_way * self.other_way / self.num_pairs


def label_noise(repeats: Sequence[Repeats]) -> Estimate:
    """Estimate the share of labels that are flipped.

    If each label is wrong with probability e, independently, two judgments of one comparison
    differ with probability d = 2·e·(1 − e), so

        e = (1 − √(1 − 2·d)) / 2

    and d ≥ ½ gives ½: labels that are worth a coin. Copies of one judgment look like agreement,
    so a file with copied rows gives too low a number.

    Args:
        repeats: comparisons of at least two judgments each, at least two comparisons.

    Returns:
        e in [0, ½], with an interval over comparisons (each weighs the same).

    Raises:
        DataError: there are fewer than two comparisons, or one of a single judgment.

    Reference:
        The one-coin case of Dawid and Skene 1979, Applied Statistics 28(1), 20–28.
    """
    if any(repeat.num_pairs < 1 for repeat in repeats):
        raise DataError("label noise: a comparison that was made once says nothing of noise")
    differ = rate_estimate(
        np.array([repeat.disagreement for repeat in repeats]), unit="share", name="disagreement"
    )
    return Estimate(
        _flip_rate(differ.value), _flip_rate(differ.low), _flip_rate(differ.high), differ.n, "share"
    )


def _flip_rate(disagreement: float) -> float:
    return (1 - sqrt(max(0.0, 1 - 2 * disagreement))) / 2
