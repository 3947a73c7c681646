"""Win rates at equal length: how often a side would win if no response were longer than the other.

A logistic model of who wins with the difference in length as a covariate, read where it is 0
(Dubois et al. 2024, arXiv 2404.04475). Ours has no term for the difficulty of an instruction,
which needs many models on the same prompts.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from palate.errors import DataError
from palate.measures.estimate import Estimate

# Of the weights, so that separated outcomes have an estimate; far below one comparison's weight.
RIDGE = 1e-2
STEPS = 50


def length_controlled_win_rate(
    outcomes: ArrayLike,
    length_differences: ArrayLike,
    *,
    clusters: ArrayLike,
    confidence: float = 0.95,
    name: str = "win rate",
) -> Estimate:
    """The win rate at equal length, with an interval that treats each prompt as one observation.

    log-odds(win) = a + b · tanh((length − other's length) / spread of these differences); the
    estimate is σ(a). Its interval is the sandwich's over prompts, with Student's t, on log-odds.

    Args:
        outcomes: [n]: 1 where the first side won, ½ for a tie, 0 where it lost.
        length_differences: [n], first side's length − second's, in any unit.
        clusters: [n], the prompt of each comparison.
        confidence: in (0, 1).
        name: what is compared, for the error message.

    Returns:
        The plain win rate where all lengths are equal, up to the ridge.

    Raises:
        DataError: the three have different lengths, or there are fewer than three prompts.
    """
    won = np.asarray(outcomes, dtype=np.float64)
    gaps = np.asarray(length_differences, dtype=np.float64)
    labels = np.unique(np.asarray(clusters), return_inverse=True)[1]
    if not len(won) == len(gaps) == len(labels):
        raise DataError(
            f"{name}: {len(won)} outcomes, {len(gaps)} differences in length, {len(labels)} prompts"
        )
    count = int(labels.max(initial=-1)) + 1
    if count < 3:
        raise DataError(f"{name}: {count} prompts are too few to control for length; give 3")
    spread = float(gaps.std())
    columns = np.stack([np.ones(len(won)), np.tanh(gaps / spread if spread else gaps)], axis=1)
    weights, bread = _fit(columns, won)
    residuals = columns * (won - _sigmoid(columns @ weights))[:, None]
    by_prompt = np.zeros((count, 2))
    np.add.at(by_prompt, labels, residuals)
    # The small-sample factor of clusters and coefficients.
    meat = by_prompt.T @ by_prompt * count / (count - 2)
    error = math.sqrt(float((bread @ meat @ bread)[0, 0]))
    from scipy.special import stdtrit

    half = float(stdtrit(count - 2, (1 + confidence) / 2)) * error
    value, low, high = (float(_sigmoid(weights[0] + move)) for move in (0.0, -half, half))
    return Estimate(value, low, high, count, "win rate")


def _fit(
    columns: NDArray[np.float64], won: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ridge logistic weights by Newton's method, and the inverse Hessian there."""
    weights = np.zeros(columns.shape[1])
    inverse: NDArray[np.float64] = np.eye(columns.shape[1])
    for _ in range(STEPS):
        chance = _sigmoid(columns @ weights)
        gradient = columns.T @ (won - chance) - RIDGE * weights
        curvature = (columns * (chance * (1 - chance))[:, None]).T @ columns
        inverse = np.asarray(np.linalg.inv(curvature + RIDGE * np.eye(len(weights))))
        step = inverse @ gradient
        weights = weights + step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        if float(np.abs(step).max()) < 1e-10:
            break
    return weights, inverse


def _sigmoid(x: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.asarray(x, dtype=np.float64))))
