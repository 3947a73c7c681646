"""KL(policy‖reference): three estimators at sampled tokens, and the exact value over a vocabulary.

With d = log π(token) − log ref(token) at tokens sampled from the policy, the means of k1 = d and
k3 = exp(−d) − 1 + d are the KL; k2 = d²/2 is biased, and close while the KL is small. k1 may be
negative for one token or one batch, k2 and k3 never. Names: Schulman 2020, "Approximating KL
divergence", http://joschu.net/blog/kl-approx.html. All of them are per token, in nats.

As a number, in the reward, k1 is the right one: its policy gradient is that of the KL. As a loss it
is the gradient that counts, and there the order is another (Tang and Munos 2025, arXiv:2506.09477):

    loss   its gradient        mean over the policy's own samples
    k1     ∇log π              0: nothing is learned from it
    k2     d · ∇log π          ∇KL(policy‖reference), the right one
    k3     (1 − e⁻ᵈ) · ∇log π  ∇KL(reference‖policy), close while the two are

A loss per token leaves out that a token changes the states after it; the KL in the reward does not.

Axes: `*tokens` is any shape of tokens, `vocab`.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def kl_k1(
    *, logprobs: Float[Tensor, "*tokens"], reference_logprobs: Float[Tensor, "*tokens"]
) -> Float[Tensor, "*tokens"]:
    """The unbiased estimator d of KL(policy‖reference); the penalty of RLHF, and the noisiest.

    Args:
        logprobs: the policy's, in nats, at tokens sampled from the policy.
        reference_logprobs: the reference's, at the same tokens.

    Returns:
        Nats per token, of either sign; 0 where policy and reference agree.
    """
    return logprobs - reference_logprobs


def kl_k2(
    *, logprobs: Float[Tensor, "*tokens"], reference_logprobs: Float[Tensor, "*tokens"]
) -> Float[Tensor, "*tokens"]:
    """The squared estimator d²/2 of KL(policy‖reference): never negative, low variance, biased.

    Args: as `kl_k1`.

    Returns:
        Nats per token, ≥ 0.
    """
    return (logprobs - reference_logprobs).square() / 2


def kl_k3(
    *, logprobs: Float[Tensor, "*tokens"], reference_logprobs: Float[Tensor, "*tokens"]
) -> Float[Tensor, "*tokens"]:
    """The estimator exp(−d) − 1 + d of KL(policy‖reference): never negative and unbiased.

    Its variance is low while the two are close, and unbounded where the reference gives a sampled
    token far more probability than the policy; beyond a ratio of e⁸⁸ float32 says inf.

    Args: as `kl_k1`.

    Returns:
        Nats per token, ≥ 0.
    """
    log_ratio = logprobs - reference_logprobs
    return torch.expm1(-log_ratio) + log_ratio


KL_ESTIMATORS = {"k1": kl_k1, "k2": kl_k2, "k3": kl_k3}


def kl_exact(
    *,
    policy_logits: Float[Tensor, "*tokens vocab"],
    reference_logits: Float[Tensor, "*tokens vocab"],
) -> Float[Tensor, "*tokens"]:
    """KL(policy‖reference) = Σ p·(log p − log q) over the whole vocabulary.

    Computed as Σ (p·(log p − log q) − p + q), the same number since p and q both sum to 1: a
    rounding error in the normalizers then enters squared, and a KL near 0 does not come out
    negative by more than about 1e-7.

    Args:
        policy_logits: unnormalized log-probabilities; −inf excludes a token.
        reference_logits: of the same vocabulary.

    Returns:
        Nats per token; inf where the policy gives weight to a token that the reference excludes.
    """
    policy = torch.log_softmax(policy_logits, dim=-1)
    reference = torch.log_softmax(reference_logits, dim=-1)
    possible = policy > -torch.inf
    log_ratio = torch.where(possible, policy, 0.0) - torch.where(possible, reference, 0.0)
    policy_probs, reference_probs = policy.exp(), reference.exp()
    return (policy_probs * log_ratio - policy_probs + reference_probs).sum(dim=-1)
