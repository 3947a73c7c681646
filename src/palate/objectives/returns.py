"""From scores to advantages: KL-shaped rewards and generalized advantage estimation.

The time line of one response of three tokens, padded to five:

    token          y1     y2     y3     pad    pad
    response_mask  T      T      T      F      F
    logprobs       p1     p2     p3                    log π(y_t | prompt, y_<t)
    values         v1     v2     v3                    made before y_t, on its predicting row
    rewards        -k1    -k2    -k3                   β · KL estimate of each token ...
                                 +score                ... and the score on the last real token
    bootstrap                         0                nothing follows the last real token

Axes: `batch` responses, `time` steps, `response` padded response tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from palate.objectives.divergence import kl_k1

KLEstimator = Callable[..., Tensor]


@dataclass(frozen=True)
class Advantages:
    """What GAE gives to the policy (advantages) and to the value function (returns)."""

    advantages: Float[Tensor, "batch time"]
    returns: Float[Tensor, "batch time"]


def kl_shaped_rewards(
    *,
    scores: Float[Tensor, " batch"],
    logprobs: Float[Tensor, "batch response"],
    reference_logprobs: Float[Tensor, "batch response"],
    response_mask: Bool[Tensor, "batch response"],
    kl_coef: float,
    missing_eos_penalty: float | None,
    stopped: Bool[Tensor, " batch"],
    estimator: KLEstimator = kl_k1,
) -> Float[Tensor, "batch response"]:
    """Rewards per token: −kl_coef · (log π − log ref), and the score on the last real token.

    The last real token is the EOS of a response that stopped, and the token at the limit of one
    that was cut.

    Args:
        scores: the reward model's, one per response.
        logprobs: the sampling policy's, nats.
        reference_logprobs: at the same tokens, nats.
        response_mask: True on the response's tokens, EOS included.
        kl_coef: score units per nat, ≥ 0.
        missing_eos_penalty: score units subtracted where the response did not stop; None for none.
        stopped: True where the response ended with EOS.
        estimator: of the KL per token; k1 is log π − log ref, the papers' penalty.

    Returns:
        Score units; 0 under the mask. A row's sum is score − kl_coef · Σ k1.

    Raises:
        ValueError: if a response has no token.

    Reference:
        Ziegler et al. 2019, arXiv:1909.08593, equation 2; Ouyang et al. 2022, arXiv:2203.02155,
        equation 2.
    """
    has_token = response_mask.any(dim=1)
    if not has_token.all():
        empty = [row for row, filled in enumerate(has_token.tolist()) if not filled]
        raise ValueError(f"responses {empty} have no token, so there is no place for their score")
    if missing_eos_penalty is not None:
        scores = torch.where(stopped, scores, scores - missing_eos_penalty)
    divergence = estimator(logprobs=logprobs, reference_logprobs=reference_logprobs)
    penalties = torch.where(response_mask, -kl_coef * divergence, 0.0)
    steps = torch.arange(response_mask.shape[1], device=response_mask.device)
    last = torch.where(response_mask, steps, -1).amax(dim=1, keepdim=True)
    return penalties.scatter_add(1, last, scores.to(penalties.dtype)[:, None])


def gae(
    *,
    rewards: Float[Tensor, "batch time"],
    values: Float[Tensor, "batch time+1"],
    discounts: Float[Tensor, "batch time"],
    lam: float,
) -> Advantages:
    """Generalized advantage estimation, with a discount per step.

        step        0        1      ...    T-1      T
        values      v0       v1     ...    vT-1     vT   (bootstrap)
        rewards         r0       r1     ...     rT-1
        discounts       g0       g1     ...     gT-1     (0: the episode ends here)

        error_t     = r_t + g_t · v_{t+1} − v_t
        advantage_t = error_t + g_t · λ · advantage_{t+1}
        return_t    = advantage_t + v_t

    Args:
        rewards: r_t, for the step from t to t + 1.
        values: one longer than rewards; the last one is the bootstrap.
        discounts: factor on what follows step t, in [0, 1].
        lam: λ in [0, 1]: 0 trusts the values (low variance), 1 the rewards (no bias).

    Returns:
        Advantages and returns, in reward units; gradients flow, so a training loop calls it
        without gradient.

    Reference:
        Schulman et al. 2015, arXiv:1506.02438, equation 16.
    """
    errors = rewards + discounts * values[:, 1:] - values[:, :-1]
    tail = torch.zeros_like(errors[:, 0])
    advantages: list[Tensor] = []
    for step in reversed(range(rewards.shape[1])):
        tail = errors[:, step] + discounts[:, step] * lam * tail
        advantages.append(tail)
    stacked = torch.stack(advantages[::-1], dim=1)
    return Advantages(advantages=stacked, returns=stacked + values[:, :-1])


def response_gae(
    *,
    rewards: Float[Tensor, "batch response"],
    values: Float[Tensor, "batch response"],
    response_mask: Bool[Tensor, "batch response"],
    gamma: float,
    lam: float,
) -> Advantages:
    """`gae` over padded responses: the episode ends, with nothing to bootstrap, at the last token.

    Args:
        rewards: per token, as from `kl_shaped_rewards`.
        values: made before each token, in reward units.
        response_mask: True on the response's tokens, which are contiguous in a row.
        gamma: discount per token; 1 for RLHF.
        lam: λ in [0, 1].

    Returns:
        Advantages and returns; 0 under the mask, whatever stood there.
    """
    rewards = torch.where(response_mask, rewards, 0.0)
    values = torch.where(response_mask, values, 0.0)
    nothing = torch.zeros_like(values[:, :1])
    goes_on = torch.cat([response_mask[:, 1:], torch.zeros_like(response_mask[:, :1])], dim=1)
    estimated = gae(
        rewards=rewards,
        values=torch.cat([values, nothing], dim=1),
        discounts=gamma * goes_on.to(values.dtype),
        lam=lam,
    )
    return Advantages(
        advantages=torch.where(response_mask, estimated.advantages, 0.0),
        returns=torch.where(response_mask, estimated.returns, 0.0),
    )
