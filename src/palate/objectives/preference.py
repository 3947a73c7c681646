"""Preference losses that are functions of ONE margin in nats.

Where the margin comes from is the only difference between the roads. DPO takes it from four
log-probabilities (`log_ratio_margin`, times β), a reward model from two rewards; both put it into
`bradley_terry_loss`. Losses that look at each response by itself are in `anchored.py`, those that
sort a batch in `transport.py`, those without a reference in `reference_free.py`, those of single
labelled responses in `unpaired.py`.

Log-probabilities are SUMS over the response's tokens unless the caller divides them by its
length. All losses are per pair and unreduced.

Axes: `pair`.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def log_ratio_margin(
    *,
    policy_chosen: Float[Tensor, " pair"],
    policy_rejected: Float[Tensor, " pair"],
    reference_chosen: Float[Tensor, " pair"],
    reference_rejected: Float[Tensor, " pair"],
) -> Float[Tensor, " pair"]:
    """How much more the policy prefers the chosen response than the reference does.

    (log π(chosen) − log π(rejected)) − (log ref(chosen) − log ref(rejected))

    Args:
        policy_chosen: log-probability of the chosen response, nats.
        policy_rejected: of the rejected response.
        reference_chosen: the reference's, of the chosen response.
        reference_rejected: the reference's, of the rejected response.

    Returns:
        Nats, before β; 0 where policy and reference agree.

    Reference:
        Rafailov et al. 2023, arXiv:2305.18290, the bracket of equation 7.
    """
    return (policy_chosen - policy_rejected) - (reference_chosen - reference_rejected)


def implicit_reward(
    *, logprobs: Float[Tensor, " pair"], reference_logprobs: Float[Tensor, " pair"], beta: float
) -> Float[Tensor, " pair"]:
    """The reward under which the policy would be optimal, up to a constant per prompt.

    Args:
        logprobs: the policy's, of one response per pair, nats.
        reference_logprobs: the reference's, of the same responses.
        beta: strength of the pull to the reference, nats per unit of log-ratio, > 0.

    Returns:
        β · (log π − log ref); 0 where policy and reference agree.

    Reference:
        Rafailov et al. 2023, arXiv:2305.18290, equation 5 without its partition function.
    """
    return beta * (logprobs - reference_logprobs)


def bradley_terry_loss(
    *, margin: Float[Tensor, " pair"], label_smoothing: float = 0.0
) -> Float[Tensor, " pair"]:
    """Negative log-likelihood that chosen beats rejected, given their margin.

    −(1 − ε)·log σ(margin) − ε·log σ(−margin)

    Args:
        margin: β · log-ratio margin (DPO) or reward difference (reward model), nats.
        label_smoothing: ε, the share of labels believed to be swapped, in [0, 0.5).

    Returns:
        Nats; log 2 where the margin is 0.

    Raises:
        ValueError: if ε is outside [0, 0.5).

    Reference:
        Rafailov et al. 2023, arXiv:2305.18290, equation 7 (ε = 0); Mitchell 2023, "A note on DPO
        with noisy preferences" (ε > 0, conservative DPO).
    """
    _check_smoothing(label_smoothing)
    loss = -functional.logsigmoid(margin)
    if label_smoothing == 0.0:
        return loss
    return (1 - label_smoothing) * loss - label_smoothing * functional.logsigmoid(-margin)


def robust_loss(
    *, margin: Float[Tensor, " pair"], label_smoothing: float
) -> Float[Tensor, " pair"]:
    """Bradley–Terry loss whose mean over noisy labels is the loss on clean labels.

    (−(1 − ε)·log σ(margin) + ε·log σ(−margin)) / (1 − 2ε)

    A single pair's loss has no lower bound (it falls like −ε·margin): unbiasedness is bought with
    variance, so it wants many pairs.

    Args:
        margin: β · log-ratio margin, nats.
        label_smoothing: ε, the share of labels that are swapped, in [0, 0.5).

    Returns:
        Nats, of either sign; log 2 where the margin is 0.

    Raises:
        ValueError: if ε is outside [0, 0.5).

    Reference:
        Chowdhury et al. 2024, arXiv:2403.00409 (robust DPO).
    """
    _check_smoothing(label_smoothing)
    agree, swapped = -functional.logsigmoid(margin), -functional.logsigmoid(-margin)
    return ((1 - label_smoothing) * agree - label_smoothing * swapped) / (1 - 2 * label_smoothing)


def hinge_loss(*, margin: Float[Tensor, " pair"]) -> Float[Tensor, " pair"]:
    """Zero once the margin reaches 1, linear below: max(0, 1 − margin).

    Args:
        margin: β · log-ratio margin, nats.

    Returns:
        1 where the margin is 0.

    Reference:
        Zhao et al. 2023, arXiv:2305.10425 (SLiC's rank calibration loss). Differs from the paper:
        the margin is relative to the reference, as in Liu et al. 2023, arXiv:2309.06657.
    """
    return torch.relu(1 - margin)


def ipo_loss(*, log_ratio_margin: Float[Tensor, " pair"], beta: float) -> Float[Tensor, " pair"]:
    """Squared distance of the log-ratio margin from its target 1 / (2β).

    Unlike Bradley–Terry it stops pushing once the target is reached, so that pairs whose label is
    certain do not pull the policy away for ever. The paper's τ is called β here.

    Args:
        log_ratio_margin: nats, NOT multiplied by β. In training (`loss_type: ipo`) each response's
            log-ratio is divided by its number of tokens first, as in TRL, whose authors have it
            from IPO's; the paper's formula has whole responses, which is this function on sums
            (with a β that is about the response length times smaller).
        beta: regularization, > 0.

    Returns:
        Nats²; 1 / (4β²) where policy and reference agree.

    Reference:
        Azar et al. 2023, arXiv:2310.12036, equation 17.
    """
    return (log_ratio_margin - 1 / (2 * beta)).square()


def exo_pair_loss(
    *, margin: Float[Tensor, " pair"], label_smoothing: float
) -> Float[Tensor, " pair"]:
    """KL from the policy's preference to the softened label: the REVERSE of cross-entropy.

    With q = σ(margin): q·(log q − log(1 − ε)) + (1 − q)·(log(1 − q) − log ε). Its minimum lies
    where q = 1 − ε, so that a label that is never doubted (ε = 0) would cost infinitely much.

    Args:
        margin: β · log-ratio margin, nats.
        label_smoothing: ε, the probability that the label gives to rejected, in (0, 0.5).

    Returns:
        Nats, ≥ 0; 0 at the margin log((1 − ε)/ε).

    Raises:
        ValueError: if ε is outside (0, 0.5).

    Reference:
        Ji et al. 2024, arXiv:2402.00856, equation 16 with K = 2.
    """
    if not 0 < label_smoothing < 0.5:
        raise ValueError(
            f"label_smoothing is {label_smoothing}, but the exo_pair loss divides by it: give a "
            "number in (0, 0.5); the paper takes 1e-3"
        )
    agree, swapped = functional.logsigmoid(margin), functional.logsigmoid(-margin)
    return agree.exp() * (agree - math.log1p(-label_smoothing)) + swapped.exp() * (
        swapped - math.log(label_smoothing)
    )


def discopop_loss(*, margin: Float[Tensor, " pair"], tau: float) -> Float[Tensor, " pair"]:
    """Logistic loss where the margin is negative, exponential loss where it is positive.

    (1 − s)·(−log σ(margin)) + s·exp(−margin) with the blend s = σ(margin / τ). Not convex: around 0
    it rises from the lower to the higher of the two, and with τ < (1 − log 2)/3 ≈ 0.102 it rises
    AT 0, so that a pair which starts there is first pushed the wrong way, into a dip left of 0.

    Args:
        margin: β · log-ratio margin, nats.
        tau: τ, width of the blend, > 0 (0.05 in the paper).

    Returns:
        (log 2 + 1) / 2 where the margin is 0.

    Raises:
        ValueError: if τ is not positive.

    Reference:
        Lu et al. 2024, arXiv:2406.08414, equation 5 (log-ratio modulated loss).
    """
    if not tau > 0:
        raise ValueError(f"tau is {tau}; the width of the blend must be above 0")
    blend = margin / tau
    # s·exp(−margin) as one exponential: apart, an infinite factor would meet a zero.
    exponential = (functional.logsigmoid(blend) - margin).exp()
    return exponential - torch.sigmoid(-blend) * functional.logsigmoid(margin)


def _check_smoothing(label_smoothing: float) -> None:
    if not 0 <= label_smoothing < 0.5:
        raise ValueError(
            f"label_smoothing is {label_smoothing}; it is the share of swapped labels and must be "
            "in [0, 0.5): at 0.5 a label says nothing"
        )
