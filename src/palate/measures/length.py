"""What length has to do with a reward: accuracy by length difference, and a correlation.

Length differences are relative, (chosen − rejected) / the longer of the two, so that they lie in
(−1, 1) for one-line answers and for essays alike.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from palate.errors import DataError
from palate.measures.estimate import Clusters, Estimate, rate_estimate

_EDGES = (-1.0, -0.3, -0.1, 0.1, 0.3, 1.0)
_WORDS = ("much shorter", "shorter", "about as long", "longer", "much longer")


@dataclass(frozen=True)
class LengthBucket:
    """Pairs of similar length difference.

    Attributes:
        chosen_is: what the chosen response is beside the rejected one, in words.
        low: smallest relative difference of the bucket.
        high: largest.
        num_pairs: pairs in it.
        accuracy: share of them whose chosen response has the higher reward; None where they are of
            fewer than two prompts, so that there is no interval.
    """

    chosen_is: str
    low: float
    high: float
    num_pairs: int
    accuracy: Estimate | None


def accuracy_by_length(
    *, margins: ArrayLike, chosen: ArrayLike, rejected: ArrayLike, groups: Clusters
) -> tuple[LengthBucket, ...]:
    """Accuracy in five buckets, from "the chosen response is much shorter" to "much longer".

    A reward model that counts length is right in the last ones and wrong in the first.

    Args:
        margins: [pairs], reward of chosen − reward of rejected.
        chosen: [pairs], length of the chosen response, above 0.
        rejected: [pairs], length of the rejected one, above 0.
        groups: [pairs], the prompt of each pair.

    Returns:
        The buckets that have pairs.
    """
    rewards = np.asarray(margins, dtype=np.float64)
    differences = relative_differences(chosen, rejected)
    homes = np.clip(np.searchsorted(_EDGES, differences, side="right") - 1, 0, len(_WORDS) - 1)
    right = (1 + np.sign(rewards)) / 2
    keys = np.asarray(groups)
    return tuple(
        LengthBucket(
            chosen_is=_WORDS[home],
            low=_EDGES[home],
            high=_EDGES[home + 1],
            num_pairs=int((homes == home).sum()),
            accuracy=_accuracy(right[homes == home], keys[homes == home]),
        )
        for home in np.unique(homes)
    )


def length_correlation(*, margins: ArrayLike, chosen: ArrayLike, rejected: ArrayLike) -> float:
    """Correlation of reward with length inside pairs, in [−1, 1].

    Both are differences of the two responses of one prompt, so a prompt that gets long answers and
    high rewards says nothing; and no mean is taken off, so swapping a pair changes nothing. Its
    square is the share of the margins' variation that length alone explains.

    Returns:
        1 where the reward is a count of length; 0 where rewards or lengths never differ.
    """
    rewards = np.asarray(margins, dtype=np.float64)
    differences = relative_differences(chosen, rejected)
    size = np.sqrt((rewards @ rewards) * (differences @ differences))
    return float(rewards @ differences / size) if size > 0 else 0.0


def relative_differences(chosen: ArrayLike, rejected: ArrayLike) -> NDArray[np.float64]:
    """(chosen − rejected) / the longer of the two, [pairs].

    Raises:
        DataError: the numbers of lengths differ, there is none, or one is not above 0.
    """
    ours, theirs = np.asarray(chosen, dtype=np.float64), np.asarray(rejected, dtype=np.float64)
    if ours.shape != theirs.shape or ours.size == 0 or min(ours.min(), theirs.min()) <= 0:
        raise DataError(
            f"lengths of {ours.size} chosen and {theirs.size} rejected responses; there must be "
            "one of each a pair, all above 0"
        )
    return (ours - theirs) / np.maximum(ours, theirs)


def _accuracy(right: NDArray[np.float64], groups: NDArray[Any]) -> Estimate | None:
    if len(np.unique(groups)) < 2:
        return None
    return rate_estimate(right, unit="accuracy", clusters=groups, name="accuracy by length")
