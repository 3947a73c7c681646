"""Preference losses that look at each response by itself: its own log-ratio is held to an anchor.

A margin says only how far the two responses lie apart; both may lose probability while it grows.
These losses have a term for each response, d = log π − log ref, in nats and as SUMS over tokens,
so that the reference (d = 0) is a fixed point of reference.

Axes: `pair`.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def nca_pair_loss(
    *,
    chosen_log_ratio: Float[Tensor, " pair"],
    rejected_log_ratio: Float[Tensor, " pair"],
    beta: float,
) -> Float[Tensor, " pair"]:
    """Classifies each response as drawn from the better model or from the reference.

    −log σ(βd_chosen) − ½·log σ(−βd_chosen) − ½·log σ(−βd_rejected): the chosen response is the
    one positive example, and each of the two counts as half a negative one.

    Args:
        chosen_log_ratio: log π − log ref of the chosen response, nats.
        rejected_log_ratio: of the rejected response.
        beta: strength of the tie to the reference, > 0.

    Returns:
        Nats; 2·log 2 where policy and reference agree.

    Reference:
        Chen et al. 2024, arXiv:2402.05369 (NCA), the loss for K = 2 and a reward difference that
        is certain.
    """
    chosen, rejected = beta * chosen_log_ratio, beta * rejected_log_ratio
    negatives = functional.logsigmoid(-chosen) + functional.logsigmoid(-rejected)
    return -functional.logsigmoid(chosen) - 0.5 * negatives


def bco_pair_loss(
    *,
    chosen_log_ratio: Float[Tensor, " pair"],
    rejected_log_ratio: Float[Tensor, " pair"],
    beta: float,
) -> Float[Tensor, " pair"]:
    """Binary classification: chosen responses are positive, rejected ones negative.

    −log σ(βd_chosen) − log σ(−βd_rejected)

    Args: as `nca_pair_loss`.

    Returns:
        Nats; 2·log 2 where policy and reference agree.

    Reference:
        Jung et al. 2024, arXiv:2404.04656 (BCO). Differs from the paper: its reward shift δ is 0,
        as in TRL; `unpaired.bco_loss` has it.
    """
    return -functional.logsigmoid(beta * chosen_log_ratio) - functional.logsigmoid(
        -beta * rejected_log_ratio
    )


def sppo_hard_loss(
    *,
    chosen_log_ratio: Float[Tensor, " pair"],
    rejected_log_ratio: Float[Tensor, " pair"],
    beta: float,
) -> Float[Tensor, " pair"]:
    """Squared distances of both log-ratios from ±1 / (2β), the targets of a certain label.

    (d_chosen − 1/(2β))² + (d_rejected + 1/(2β))²

    Args: as `nca_pair_loss`.

    Returns:
        Nats²; 1 / (2β²) where policy and reference agree.

    Reference:
        Wu et al. 2024, arXiv:2405.00675 (SPPO), equation 4.7 with win probabilities 1 and 0.
        Differs from the paper: one round on given pairs, not on the policy's own samples.
    """
    target = 1 / (2 * beta)
    return (chosen_log_ratio - target).square() + (rejected_log_ratio + target).square()


def apo_zero_loss(
    *,
    chosen_log_ratio: Float[Tensor, " pair"],
    rejected_log_ratio: Float[Tensor, " pair"],
    beta: float,
) -> Float[Tensor, " pair"]:
    """Raises the chosen response and lowers the rejected one, each up to a plateau.

    (1 − σ(βd_chosen)) + σ(βd_rejected). For data whose chosen responses are better than the
    model's own.

    Args: as `nca_pair_loss`.

    Returns:
        A number in (0, 2); 1 where policy and reference agree.

    Reference:
        D'Oosterlinck et al. 2024, arXiv:2408.06266 (APO), equation 7.
    """
    return torch.sigmoid(-beta * chosen_log_ratio) + torch.sigmoid(beta * rejected_log_ratio)


def apo_down_loss(
    *,
    chosen_log_ratio: Float[Tensor, " pair"],
    rejected_log_ratio: Float[Tensor, " pair"],
    beta: float,
) -> Float[Tensor, " pair"]:
    """Lowers the chosen response, and the rejected one further.

    σ(βd_chosen) + (1 − σ(β(d_chosen − d_rejected))). For data whose chosen responses are worse
    than the model's own.

    Args: as `nca_pair_loss`.

    Returns:
        A number in (0, 2); 1 where policy and reference agree.

    Reference:
        D'Oosterlinck et al. 2024, arXiv:2408.06266 (APO), equation 8.
    """
    lead = chosen_log_ratio - rejected_log_ratio
    return torch.sigmoid(beta * chosen_log_ratio) + torch.sigmoid(-beta * lead)
