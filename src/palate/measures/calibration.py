"""Whether a reward margin means what it says: σ(margin) should be the chance of being right.

Every pair is looked at from the side that the reward model favors: its confidence is σ(|margin|),
in [½, 1], and it is right where the chosen response is the favored one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from palate.errors import DataError


@dataclass(frozen=True)
class ReliabilityBin:
    """Pairs of similar confidence; `accuracy` and `confidence` are means over them."""

    low: float
    high: float
    num_pairs: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """How far confidence and accuracy are apart.

    Attributes:
        expected_calibration_error: mean |accuracy − confidence| over pairs, by bin; 0 is perfect.
        overconfidence: mean confidence − accuracy, over all pairs; negative for a shy model.
        log_loss: nats per pair, −log σ(margin); log 2 for a model that knows nothing.
        noise: the expected calibration error that a perfectly calibrated model would show on so
            few pairs, about; what is left above it is the model's own.
        bins: those that have pairs, in order of confidence.
    """

    expected_calibration_error: float
    overconfidence: float
    log_loss: float
    noise: float
    bins: tuple[ReliabilityBin, ...]


def measure_calibration(margins: ArrayLike, *, num_bins: int = 10) -> Calibration:
    """Reliability of reward margins, in bins of equal width over confidence ½ … 1.

    Args:
        margins: [pairs], reward of chosen − reward of rejected, in nats of a Bradley–Terry model.
        num_bins: ≥ 1.

    Raises:
        DataError: if there is no pair, or a margin is not finite.

    Reference:
        Guo et al. 2017, arXiv:1706.04599, equation 3 (expected calibration error).
    """
    nats = np.asarray(margins, dtype=np.float64)
    _check_margins(nats)
    confidences = special.expit(np.abs(nats))
    correct = (1 + np.sign(nats)) / 2  # a margin of 0 is a coin's throw
    edges = np.linspace(0.5, 1.0, num_bins + 1)
    homes = np.clip(np.searchsorted(edges, confidences, side="right") - 1, 0, num_bins - 1)
    bins = tuple(
        ReliabilityBin(
            low=float(edges[home]),
            high=float(edges[home + 1]),
            num_pairs=int((homes == home).sum()),
            confidence=float(confidences[homes == home].mean()),
            accuracy=float(correct[homes == home].mean()),
        )
        for home in np.unique(homes)
    )
    gaps = [b.num_pairs * abs(b.accuracy - b.confidence) for b in bins]
    # The mean distance of a normal variable from its mean is √(2/π) of its standard deviation.
    chances = confidences * (1 - confidences)
    deviations = [np.sqrt(2 / np.pi * chances[homes == home].sum()) for home in np.unique(homes)]
    return Calibration(
        expected_calibration_error=sum(gaps) / nats.size,
        overconfidence=float(confidences.mean() - correct.mean()),
        log_loss=float(-special.log_expit(nats).mean()),
        noise=float(sum(deviations)) / nats.size,
        bins=bins,
    )


def fit_temperature(margins: ArrayLike) -> float | None:
    """The number to divide margins by so that σ(margin) predicts these pairs best.

    Args:
        margins: [pairs], reward of chosen − reward of rejected, in nats.

    Returns:
        1 for a calibrated model, above 1 for one that is too sure of itself; None where no finite
        temperature is best: no pair is wrong, or margins are no better than a coin.

    Raises:
        DataError: if there is no pair, or a margin is not finite.

    Reference:
        Guo et al. 2017, arXiv:1706.04599, section 4.2 (temperature scaling).
    """
    nats = np.asarray(margins, dtype=np.float64)
    _check_margins(nats)

    def slope(inverse: float) -> float:
        """Of the log loss, by the inverse temperature; it only ever rises."""
        return float(-(nats * special.expit(-inverse * nats)).mean())

    if nats.min() >= 0 or slope(0.0) >= 0:
        return None
    high = 1.0
    while slope(high) < 0:
        high *= 2
    return 1 / float(optimize.brentq(slope, 0.0, high))


def _check_margins(nats: NDArray[np.float64]) -> None:
    if nats.size == 0:
        raise DataError("calibration: the set of margins is empty")
    if not np.isfinite(nats).all():
        raise DataError(f"calibration: margin {nats[~np.isfinite(nats)][0]} is not finite")
