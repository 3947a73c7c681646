"""One scale for many arms: Bradley–Terry strengths from who beat whom.

P(a beats b) = σ(θ_a − θ_b), ties one half (Bradley and Terry 1952, Biometrika 39, 324–345).
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from palate.errors import DataError
from palate.measures.estimate import Estimate

STEPS = 100


def bradley_terry(
    wins: NDArray[np.float64], *, names: Sequence[str], confidence: float = 0.95
) -> dict[str, Estimate]:
    """Strengths in log-odds against the first arm, with intervals over prompts.

    Args:
        wins: [prompts, arms, arms], how often the row's arm beat the column's on a prompt, a tie
            one half to each; the diagonal is not looked at.
        names: of the arms.
        confidence: in (0, 1).

    Returns:
        An entry for every arm but the first, whose strength is 0: σ of it is the chance to beat
        the first arm. The interval is the jackknife's over prompts, with Student's t.

    Raises:
        DataError: fewer than two prompts; or no finite strengths exist, since some arms never lost
            to the others, or never met them.
    """
    count, num_arms = wins.shape[0], wins.shape[1]
    if count < 2:
        raise DataError(f"strengths of arms need at least two prompts, and there is {count}")
    total = wins.sum(axis=0) * (1 - np.eye(num_arms))
    _refuse_separated(total, names)
    strengths = _fit(total, np.zeros(num_arms))
    without = np.stack(
        [_step(total - one * (1 - np.eye(num_arms)), strengths) for one in wins]
    )  # one Newton step from the whole fit is the jackknife to first order
    spread = (count - 1) / count * np.square(without - without.mean(axis=0)).sum(axis=0)
    from scipy.special import stdtrit

    t = float(stdtrit(count - 1, (1 + confidence) / 2))
    found = {}
    for place in range(1, num_arms):
        value, half = float(strengths[place]), t * math.sqrt(float(spread[place]))
        found[names[place]] = Estimate(value, value - half, value + half, count, "log-odds")
    return found


def _fit(total: NDArray[np.float64], strengths: NDArray[np.float64]) -> NDArray[np.float64]:
    for _ in range(STEPS):
        new = _step(total, strengths)
        if float(np.abs(new - strengths).max()) < 1e-10:
            return new
        strengths = new
    return strengths


def _step(total: NDArray[np.float64], strengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """A Newton step of the likelihood, the first strength held at 0."""
    games = total + total.T
    chance = 1 / (1 + np.exp(strengths[None, :] - strengths[:, None]))
    gradient = (total - games * chance).sum(axis=1)[1:]
    weight = games * chance * (1 - chance)
    curvature = (np.diag(weight.sum(axis=1)) - weight)[1:, 1:]
    step = np.linalg.solve(curvature, gradient)
    scale = min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
    return np.concatenate([[0.0], strengths[1:] + scale * step])


def _refuse_separated(total: NDArray[np.float64], names: Sequence[str]) -> None:
    """Finite strengths exist where every arm is beaten, over some chain, by every other (Ford)."""
    reach = (total > 0) | np.eye(len(names), dtype=bool)
    for middle in range(len(names)):
        reach |= reach[:, middle : middle + 1] & reach[middle : middle + 1, :]
    if not reach.all():
        winner, loser = (int(place) for place in np.argwhere(~reach)[0])
        raise DataError(
            f"no finite strengths: {names[winner]} never beat {names[loser]}, over no chain of "
            "arms; measure more prompts, or leave an arm out"
        )
