"""Whether a reward margin means what it says: σ(margin) should be the chance of being right.

Every pair is looked at from the side that the reward model favors: its confidence is σ(|margin|),
in [½, 1], and it is right where the chosen response is the favored one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

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
        bins: those that have pairs, in order of confidence.
    """

    expected_calibration_error: float
    overconfidence: float
    log_loss: float
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
    if nats.size == 0:
        raise DataError("calibration: the set of margins is empty")
    if not np.isfinite(nats).all():
        raise DataError(f"calibration: margin {nats[~np.isfinite(nats)][0]} is not finite")
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
    return Calibration(
        expected_calibration_error=sum(gaps) / nats.size,
        overconfidence=float(confidences.mean() - correct.mean()),
        log_loss=float(-special.log_expit(nats).mean()),
        bins=bins,
    )
