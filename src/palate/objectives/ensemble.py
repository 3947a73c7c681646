"""One reward of several heads that may disagree."""

from jaxtyping import Float
from torch import Tensor


def cautious_rewards(
    by_head: Float[Tensor, "response head"], *, uncertainty_coef: float
) -> Float[Tensor, " response"]:
    """The heads' mean less what they disagree by: mean − c · std.

    A policy that finds a response which one head overrates gains little where the others do not.

    Args:
        by_head: rewards as each head gives them.
        uncertainty_coef: c ≥ 0, in standard deviations.

    Returns:
        Reward units; the mean where c is 0 or there is one head.

    Reference:
        Coste et al. 2023, arXiv:2310.02743, section 4 (uncertainty-weighted optimization). Differs
        from the paper: the standard deviation (divisor n − 1) in place of the variance, so that c
        has no unit.
    """
    means = by_head.mean(1)
    if uncertainty_coef and by_head.shape[1] > 1:
        means = means - uncertainty_coef * by_head.std(1)
    return means
