"""How near training came to where its objective leads, as a row of docs/known-optimum.md."""

from dataclasses import dataclass

from torch import Tensor

from palate.training.run import Result


@dataclass(frozen=True)
class Reached:
    """Total-variation distances, each the largest over prompts, and what it took.

    Attributes:
        to_own: the trained policy from its objective's fixed point.
        own_to_optimum: that fixed point from π*.
        start: the policy before training from the fixed point.
        steps: optimizer steps (rollouts).
        tokens: rows of forests trained on.
    """

    to_own: float
    own_to_optimum: float
    start: float
    steps: int
    tokens: int


def reached(
    *, trained: Tensor, own: Tensor, optimum: Tensor, start: Tensor, result: Result
) -> Reached:
    """Distances of probabilities [prompt, string]."""
    return Reached(
        variation(trained, own), variation(own, optimum), variation(start, own), result.steps,
        result.tokens,
    )  # fmt: skip


def variation(one: Tensor, two: Tensor) -> float:
    """The largest total-variation distance over prompts."""
    return float(0.5 * (one - two).abs().sum(-1).max())
