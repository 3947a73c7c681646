"""Losses of single responses that are labelled desirable or not: no pair is needed.

The log-ratio d = log π − log ref is a SUM over tokens, in nats. A pair is two such responses, the
chosen one desirable, the rejected one not.

Axes: `row`, one response each.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional


def kto_loss(
    *,
    log_ratio: Float[Tensor, " row"],
    desirable: Bool[Tensor, " row"],
    kl: Float[Tensor, ""],
    beta: float,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Float[Tensor, " row"]:
    """Value of a response against a point of reference, as prospect theory has it.

    λ_D·(1 − σ(β(d − z))) for a desirable response, λ_U·(1 − σ(β(z − d))) for another, where the
    point of reference z is the policy's KL to the reference: what is gained beyond drift.

    Args:
        log_ratio: d of each response, nats.
        desirable: True for responses that people want.
        kl: z ≥ 0, nats, without gradient; see `mismatched_kl`.
        beta: strength of the tie to the reference, > 0.
        desirable_weight: λ_D, > 0.
        undesirable_weight: λ_U, > 0; the two are there to balance unequal numbers.

    Returns:
        A number in (0, λ); λ/2 where policy and reference agree.

    Reference:
        Ethayarajh et al. 2024, arXiv:2402.01306 (KTO), equations 7 and 8.
    """
    gain = torch.where(desirable, log_ratio - kl, kl - log_ratio)
    return _label_weights(
        log_ratio, desirable, desirable_weight, undesirable_weight
    ) * torch.sigmoid(-beta * gain)


def mismatched_kl(
    *, log_ratio: Float[Tensor, " row"], weights: Float[Tensor, " row"] | None = None
) -> Float[Tensor, ""]:
    """KTO's estimate of KL(policy‖reference) from responses to OTHER prompts, never below 0.

    max(0, mean d) over pairs of a prompt and a response that belongs to another one. Biased, and
    cheap: no sampling is needed.

    Args:
        log_ratio: log π − log ref of the mismatched responses, nats.
        weights: how often each counts; by default once.

    Returns:
        Nats, ≥ 0, without gradient.

    Reference:
        Ethayarajh et al. 2024, arXiv:2402.01306 (KTO), section 4.1, the estimate of z₀.
    """
    return _mean(log_ratio.detach(), weights).clamp(min=0)


def apo_zero_unpaired_loss(
    *,
    log_ratio: Float[Tensor, " row"],
    desirable: Bool[Tensor, " row"],
    beta: float,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Float[Tensor, " row"]:
    """KTO's loss with the reference itself as the point of reference (z = 0).

    Args: as `kto_loss`.

    Returns:
        A number in (0, λ); λ/2 where policy and reference agree.

    Reference:
        D'Oosterlinck et al. 2024, arXiv:2408.06266 (APO), equation 7, a response at a time.
    """
    return kto_loss(
        log_ratio=log_ratio,
        desirable=desirable,
        kl=log_ratio.new_zeros(()),
        beta=beta,
        desirable_weight=desirable_weight,
        undesirable_weight=undesirable_weight,
    )


def bco_loss(
    *,
    log_ratio: Float[Tensor, " row"],
    desirable: Bool[Tensor, " row"],
    shift: Float[Tensor, ""],
    beta: float,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Float[Tensor, " row"]:
    """Binary classification of responses by their implicit reward βd against a moving threshold δ.

    −λ_D·log σ(βd − δ) for a desirable response, −λ_U·log σ(δ − βd) for another.

    Args:
        log_ratio: d of each response, nats.
        desirable: True for responses that people want.
        shift: δ, in rewards (βd), without gradient: see `reward_shift`.
        beta: strength of the tie to the reference, > 0.
        desirable_weight: λ_D, > 0.
        undesirable_weight: λ_U, > 0.

    Returns:
        Nats; λ·log 2 where the reward is δ.

    Reference:
        Jung et al. 2024, arXiv:2404.04656 (BCO). Differs from the paper: no density
        ratio between prompts of desirable and undesirable rows.
    """
    lead = beta * log_ratio - shift
    return -_label_weights(
        log_ratio, desirable, desirable_weight, undesirable_weight
    ) * functional.logsigmoid(torch.where(desirable, lead, -lead))


def reward_shift(
    *,
    rewards: Float[Tensor, " row"],
    desirable: Bool[Tensor, " row"],
    weights: Float[Tensor, " row"] | None = None,
) -> Float[Tensor, ""]:
    """BCO's δ of one batch: midway between the mean rewards of the two labels.

    Args:
        rewards: βd of each response.
        desirable: True for responses that people want.
        weights: how often each counts; by default once.

    Returns:
        (mean over desirable + mean over the others) / 2, without gradient; the mean of the one
        label where the batch has only one.

    Reference:
        Jung et al. 2024, arXiv:2404.04656 (BCO), the reward shift. Differs from the paper and from
        TRL's former trainer: no moving average inside; training keeps one.
    """
    each = torch.ones_like(rewards) if weights is None else weights
    means = [
        _mean(rewards.detach()[kind], each[kind])
        for kind in (desirable, ~desirable)
        if bool(kind.any())
    ]
    return torch.stack(means).mean()


def _mean(values: Tensor, weights: Tensor | None) -> Tensor:
    return values.mean() if weights is None else (weights * values).sum() / weights.sum()


def _label_weights(
    log_ratio: Float[Tensor, " row"],
    desirable: Bool[Tensor, " row"],
    desirable_weight: float,
    undesirable_weight: float,
) -> Float[Tensor, " row"]:
    return torch.where(
        desirable,
        log_ratio.new_tensor(desirable_weight),
        log_ratio.new_tensor(undesirable_weight),
    )
