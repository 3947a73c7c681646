"""Losses of a whole batch by optimal transport: distributions are compared, not pairs.

In one dimension the optimal coupling of two samples sorts both, so that the k-th smallest of one
meets the k-th smallest of the other; first-order stochastic dominance is that every such pair is
in order. The numbers are SUMS over tokens, in nats. The result depends on which rows stand in the
batch together: in training it is the batch of the optimizer step.

Axes: `pair` of the inputs; `quantile` of the result, from the smallest, as many.
"""

from jaxtyping import Float
from torch import Tensor

from palate.objectives.preference import bradley_terry_loss


def aot_loss(
    *,
    policy_margin: Float[Tensor, " pair"],
    reference_margin: Float[Tensor, " pair"],
    beta: float,
    label_smoothing: float = 0.0,
) -> Float[Tensor, " quantile"]:
    """The policy's margins are to dominate the reference's, quantile by quantile.

    Bradley–Terry loss of β·(sort(log π(chosen) − log π(rejected)) − sort(the reference's)).

    Args:
        policy_margin: log π(chosen) − log π(rejected) of each pair, nats.
        reference_margin: the reference's.
        beta: strength of the tie to the reference, > 0.
        label_smoothing: ε, as in `bradley_terry_loss`.

    Returns:
        Nats; log 2 where the two distributions agree.

    Raises:
        ValueError: if ε is outside [0, 0.5).

    Reference:
        Melnyk et al. 2024, arXiv:2406.05882 (AOT, paired).
    """
    lead = policy_margin.sort().values - reference_margin.sort().values
    return bradley_terry_loss(margin=beta * lead, label_smoothing=label_smoothing)


def aot_unpaired_loss(
    *,
    chosen_log_ratio: Float[Tensor, " pair"],
    rejected_log_ratio: Float[Tensor, " pair"],
    beta: float,
    label_smoothing: float = 0.0,
) -> Float[Tensor, " quantile"]:
    """Log-ratios of chosen responses are to dominate those of rejected ones.

    Which rejected response belongs to which chosen one is not used.

    Args:
        chosen_log_ratio: log π − log ref of each chosen response, nats.
        rejected_log_ratio: of as many rejected responses.
        beta: strength of the tie to the reference, > 0.
        label_smoothing: ε, as in `bradley_terry_loss`.

    Returns:
        Nats; log 2 where policy and reference agree.

    Raises:
        ValueError: if ε is outside [0, 0.5).

    Reference:
        Melnyk et al. 2024, arXiv:2406.05882 (AOT, unpaired).
    """
    lead = chosen_log_ratio.sort().values - rejected_log_ratio.sort().values
    return bradley_terry_loss(margin=beta * lead, label_smoothing=label_smoothing)
