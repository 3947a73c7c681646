"""Mean and spread of all numbers seen so far, without keeping them."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """Count, mean, and sum of squared distances from the mean; three floats that JSON keeps."""

    count: float = 0.0
    mean: float = 0.0
    squares: float = 0.0

    @property
    def spread(self) -> float:
        """Population standard deviation; 1 until two different numbers were seen."""
        return math.sqrt(self.squares / self.count) if self.squares > 0 else 1.0

    def joined(self, values: Float[Tensor, " count"]) -> "Moments":
        """The moments of what was seen before and of `values` together, in float64.

        Reference:
            Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm for computing
            sample variances", equations 2.1.
        """
        numbers = values.double()
        fresh = len(numbers)
        if fresh == 0:
            return self
        total, mean = self.count + fresh, float(numbers.mean())
        gap = mean - self.mean
        squares = float((numbers - mean).square().sum())
        return Moments(
            count=total,
            mean=self.mean + gap * fresh / total,
            squares=self.squares + squares + gap**2 * self.count * fresh / total,
        )


def scaled_scores(
    scores: Float[Tensor, " batch"],
    *,
    moments: Moments | None = None,
    center: bool = False,
    clip: float = 0.0,
    whiten: bool = False,
) -> Float[Tensor, " batch"]:
    """Scores as they are learned from: scaled by what was seen before, cut, scaled in the rollout.

    Args:
        scores: one per response, reward units.
        moments: of the scores so far; None leaves them in their unit.
        center: take the moments' mean off as well.
        clip: bound of what comes out of that, > 0; 0 for none.
        whiten: divide by the spread within these scores; the mean stays.
    """
    if moments is not None:
        scores = (scores - (moments.mean if center else 0.0)) / moments.spread
    if clip:
        scores = scores.clamp(-clip, clip)
    if whiten:
        spread = scores.std(correction=0)
        scores = scores / torch.where(spread > 0, spread, 1.0)
    return scores
