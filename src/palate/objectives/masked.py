"""Statistics over the positions where a mask is True.

What lies under the mask (padding, NaN, Inf) changes neither value nor gradient: it is replaced
BEFORE any arithmetic, because 0 · NaN is NaN, in the backward pass too. Half-precision input is
widened to float32; float64 stays float64.

Axes: `*shape` is any shape; every statistic runs over all of it.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

WHITEN_EPSILON = 1e-8


def masked_sum(values: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Sum of the values that count.

    Raises:
        ValueError: if the mask is False everywhere.
    """
    return _kept(values, mask).sum()


def masked_mean(values: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Mean of the values that count: every True position weighs the same, whatever its row.

    Raises:
        ValueError: if the mask is False everywhere.
    """
    return _kept(values, mask).sum() / mask.sum()


def masked_var(values: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Population variance (divisor n) of the values that count; 0 where only one counts.

    Raises:
        ValueError: if the mask is False everywhere.
    """
    centered = _kept(values, mask) - masked_mean(values, mask)
    return masked_mean(centered.square(), mask)


def masked_whiten(
    values: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"], *, shift_mean: bool = True
) -> Float[Tensor, "*shape"]:
    """Values with variance 1, and mean 0 unless `shift_mean` is False; 0 under the mask.

    PPO whitens advantages with the mean shifted, so that about half of the tokens are pushed up,
    and rewards without, so that the sign of a reward keeps its meaning.

    Args:
        values: in any unit.
        mask: True where a value counts.
        shift_mean: False adds the mean back after scaling.

    Raises:
        ValueError: if the mask is False everywhere.

    Reference:
        Huang et al. 2024, arXiv:2403.17031 (whitening of rewards and advantages in RLHF).
        Differs from TRL: divisor n, not n − 1, so that a single token whitens to 0, not to NaN.
    """
    mean = masked_mean(values, mask)
    whitened = (_kept(values, mask) - mean) * torch.rsqrt(masked_var(values, mask) + WHITEN_EPSILON)
    if not shift_mean:
        whitened = whitened + mean
    return torch.where(mask, whitened, 0.0)


def _kept(values: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    if not mask.any():
        raise ValueError(
            f"the mask of shape {tuple(mask.shape)} is False everywhere, so nothing can be "
            "averaged; drop empty responses before they reach an objective"
        )
    widened = values if values.dtype == torch.float64 else values.float()
    return torch.where(mask, widened, 0.0)
