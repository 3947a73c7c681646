"""What a token or a pair counts: two corrections that go with any loss.

Axes: `token` of a response; `pair`.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def length_desensitized(
    *,
    logprobs: Float[Tensor, " row"],
    tail_logprobs: Float[Tensor, " row"],
    alpha: float,
) -> Float[Tensor, " row"]:
    """Log-probability of a response whose tokens beyond the pair's shorter one count α times.

    Σ over the shared length + α·Σ over the tail = whole − (1 − α)·tail: a longer response no longer
    has a larger gradient by its length alone.

    Args:
        logprobs: of whole responses, SUM over tokens, nats.
        tail_logprobs: of their tokens beyond the shorter response of the pair; 0 for the shorter.
        alpha: α in [0, 1]; 1 leaves log-probabilities as they are, 0 cuts both to one length.

    Returns:
        Nats.

    Raises:
        ValueError: if α is outside [0, 1].

    Reference:
        Liu et al. 2024, arXiv:2409.06411 (LD-DPO), the modified likelihood.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}; the tail's weight must lie in [0, 1]")
    if alpha == 1:
        return logprobs
    return logprobs - (1 - alpha) * tail_logprobs


@torch.no_grad()
def wpo_weights(
    *,
    chosen_aligned: Float[Tensor, " pair"],
    rejected_aligned: Float[Tensor, " pair"],
    chosen_lengths: Int[Tensor, " pair"],
    rejected_lengths: Int[Tensor, " pair"],
) -> Float[Tensor, " pair"]:
    """How much a pair looks like the policy's own samples: such pairs count more.

    w(chosen)·w(rejected), w = exp(mean over tokens of (log p(token) − log Σ_v p(v)²)): the
    probability of a token against the one that a sample has on average, so that a sample of the
    policy weighs about 1 whatever its entropy.

    Args:
        chosen_aligned: Σ over tokens of log p(token) − log Σ_v p(v)², of the chosen response, nats.
        rejected_aligned: of the rejected response.
        chosen_lengths: tokens of the chosen response.
        rejected_lengths: tokens of the rejected response.

    Returns:
        Positive, without gradient.

    Reference:
        Zhou et al. 2024, arXiv:2406.11827 (WPO), equation 2 with sampled alignment.
    """
    return torch.exp(chosen_aligned / chosen_lengths + rejected_aligned / rejected_lengths)
