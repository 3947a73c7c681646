"""The tie to the reference as another f-divergence than KL.

Among policies at a given D_f(policy‖reference) the best one has f'(π/ref) = r/β + a constant of
the prompt. So f' of the ratio takes the place of its logarithm in every loss that looks at the
difference of two responses of one prompt, where the constant cancels; nowhere else.

With d = log π − log ref (a SUM over tokens, in nats) and the ratio t = exp(d):

    reverse_kl         f'(t) = log t                      DPO
    forward_kl         f'(t) = 1 − 1/t
    js_divergence      f'(t) = log(2t / (1 + t))
    alpha_divergence   f'(t) = (t^(α−1) − 1) / (α − 1)    α = 1: log t; α = 0: forward_kl

All of them are 0 where policy and reference agree, with slope 1 (½ for js_divergence).

Reference: Wang et al. 2023, arXiv:2309.16240 (f-DPO), table 1. Differs from the paper: α is counted
as in TRL (the paper's α is 1 − α here), and constants that cancel are chosen so that f'(1) = 0.

Axes: `*rows`, any shape.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

# exp of more is not a float32; beyond it the score is flat and has no gradient.
LARGEST_EXPONENT = 80.0


def reverse_kl_score(
    log_ratio: Float[Tensor, "*rows"], alpha: float = 0.5
) -> Float[Tensor, "*rows"]:
    """Log t: the log-ratio itself; `alpha` has no part in it."""
    return log_ratio


def forward_kl_score(
    log_ratio: Float[Tensor, "*rows"], alpha: float = 0.5
) -> Float[Tensor, "*rows"]:
    """1 − 1/t: at most 1, and falls steeply where the policy gives up what the reference does."""
    return -torch.expm1((-log_ratio).clamp(max=LARGEST_EXPONENT))


def js_divergence_score(
    log_ratio: Float[Tensor, "*rows"], alpha: float = 0.5
) -> Float[Tensor, "*rows"]:
    """log(2t/(1+t)): at most log 2, and like log t + log 2 far below."""
    return math.log(2) + functional.logsigmoid(log_ratio)


def alpha_divergence_score(
    log_ratio: Float[Tensor, "*rows"], alpha: float = 0.5
) -> Float[Tensor, "*rows"]:
    """(t^(α−1) − 1)/(α−1), which goes over into log t as α nears 1."""
    power = alpha - 1.0
    if abs(power) < 1e-6:
        return log_ratio
    return torch.expm1((power * log_ratio).clamp(max=LARGEST_EXPONENT)) / power


DIVERGENCE_SCORES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "reverse_kl": reverse_kl_score,
    "forward_kl": forward_kl_score,
    "js_divergence": js_divergence_score,
    "alpha_divergence": alpha_divergence_score,
}
