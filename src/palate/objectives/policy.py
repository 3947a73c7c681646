"""PPO's two clipped losses, per token and unreduced: the caller knows which tokens count.

Axes: `*tokens` is any shape of tokens, as a rule the flat tokens of a forest.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

# exp(30) ≈ 1e13: far beyond any sane ratio, far below what would overflow to inf, whose product
# with a zero gradient is NaN.
MAX_LOG_RATIO = 30.0


@dataclass(frozen=True)
class PolicyLoss:
    """Losses, with what the metrics need; `clipped` is True where clipping changed the loss."""

    losses: Float[Tensor, "*tokens"]
    ratios: Float[Tensor, "*tokens"]
    clipped: Bool[Tensor, "*tokens"]


@dataclass(frozen=True)
class ValueLoss:
    """Losses, with what the metrics need; `clipped` is True where clipping changed the loss."""

    losses: Float[Tensor, "*tokens"]
    clipped: Bool[Tensor, "*tokens"]


def clipped_policy_loss(
    *,
    logprobs: Float[Tensor, "*tokens"],
    old_logprobs: Float[Tensor, "*tokens"],
    advantages: Float[Tensor, "*tokens"],
    clip_range: float,
    clip_range_high: float | None = None,
) -> PolicyLoss:
    """PPO's pessimistic surrogate: no reward for moving a token's probability beyond the range.

    ratio = exp(logprob − old);  loss = −min(ratio · A, clip(ratio, 1 − ε, 1 + ε) · A)

    Args:
        logprobs: the policy's, nats; the only input whose gradient matters.
        old_logprobs: of the policy that sampled the tokens, nats.
        advantages: reward units; constants.
        clip_range: ε > 0; 0.2 in the paper.
        clip_range_high: ε above 1 where it is another than below (clip-higher: unlikely tokens may
            gain more; Yu et al. 2025, arXiv:2503.14476, DAPO, equation 10); None: the same.

    Returns:
        Losses in reward units, −advantage where policy and old policy agree (ratio 1).

    Reference:
        Schulman et al. 2017, arXiv:1707.06347, equation 7. Differs from the paper: the log-ratio
        is bounded at ±30, where the gradient is 0.
    """
    log_ratio = (logprobs - old_logprobs).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    ratios = log_ratio.exp()
    free = -ratios * advantages
    high = clip_range if clip_range_high is None else clip_range_high
    bounded = -ratios.clamp(1 - clip_range, 1 + high) * advantages
    return PolicyLoss(
        losses=torch.maximum(free, bounded), ratios=ratios.detach(), clipped=bounded > free
    )


def clipped_value_loss(
    *,
    values: Float[Tensor, "*tokens"],
    old_values: Float[Tensor, "*tokens"],
    returns: Float[Tensor, "*tokens"],
    clip_range_value: float,
) -> ValueLoss:
    """Half the squared error to the returns; no gain from moving beyond the range of the old value.

    loss = ½ · max((v − R)², (clip(v, old − ε, old + ε) − R)²)

    Args:
        values: the value function's, reward units; the only input whose gradient matters.
        old_values: those that the advantages were made with.
        returns: the targets.
        clip_range_value: ε > 0, in reward units.

    Returns:
        Losses in squared reward units; 0 where a value equals its return and its old value.

    Reference:
        Huang et al. 2022, "The 37 implementation details of proximal policy optimization",
        detail 9; not in Schulman et al. 2017.
    """
    near = torch.clamp(values, old_values - clip_range_value, old_values + clip_range_value)
    free, bounded = (values - returns).square(), (near - returns).square()
    return ValueLoss(losses=torch.maximum(free, bounded) / 2, clipped=bounded > free)


def entropy_surrogate(
    *, logprobs: Float[Tensor, "*tokens"], baseline: float
) -> Float[Tensor, "*tokens"]:
    """A loss whose gradient raises the entropy; its value means nothing.

    loss = ½ · (log π − b)²;  mean of its gradient = E[(log π − b) · ∇log π] = −∇entropy

    The entropy itself would need the whole vocabulary with gradient at every token; this needs the
    log-probabilities that are there. −log π as a loss would not do: its gradient has the mean 0.

    Args:
        logprobs: the policy's, nats, at tokens sampled from it.
        baseline: a constant in nats, which takes off variance and no bias; their mean is a good
            one.

    Returns:
        Nats², ≥ 0; 0 where every log-probability is the baseline.

    Reference:
        The entropy bonus of Schulman et al. 2017, arXiv:1707.06347, equation 9. Differs from the
        paper: estimated at sampled tokens, as k2 estimates the gradient of the KL.
    """
    return (logprobs - baseline).square() / 2
