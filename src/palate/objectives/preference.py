"""Preference losses: each is a function of ONE margin in nats.

Where the margin comes from is the only difference between the roads. DPO takes it from four
log-probabilities (`log_ratio_margin`, times β), a reward model from two rewards; both put it into
`bradley_terry_loss`. `LOSSES` gives the DPO family one signature, for a recipe's `loss_type`.

Log-probabilities are SUMS over the response's tokens unless the caller divides them by its
length. All losses are per pair and unreduced.

Axes: `pair`.
"""

from typing import Protocol

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
        log_ratio_margin: nats, NOT multiplied by β. The paper's margin is of whole responses, so
            sums over tokens are the default. TRL averages each response's log-ratio over its
            tokens first; to reproduce it, divide by the lengths before taking the margin and
            choose β per token (a β for sums is about the response length times smaller).
        beta: regularization, > 0.

    Returns:
        Nats²; 1 / (4β²) where policy and reference agree.

    Reference:
        Azar et al. 2023, arXiv:2310.12036, equation 17.
    """
    return (log_ratio_margin - 1 / (2 * beta)).square()


class PreferenceLoss(Protocol):
    """One signature for the losses that DPO's `loss_type` can name."""

    def __call__(
        self,
        *,
        log_ratio_margin: Float[Tensor, " pair"],
        beta: float,
        label_smoothing: float = 0.0,
    ) -> Float[Tensor, " pair"]:
        """Per-pair losses; the margin is in nats, before β."""
        ...


def _sigmoid(
    *, log_ratio_margin: Float[Tensor, " pair"], beta: float, label_smoothing: float = 0.0
) -> Float[Tensor, " pair"]:
    return bradley_terry_loss(margin=beta * log_ratio_margin, label_smoothing=label_smoothing)


def _robust(
    *, log_ratio_margin: Float[Tensor, " pair"], beta: float, label_smoothing: float = 0.0
) -> Float[Tensor, " pair"]:
    return robust_loss(margin=beta * log_ratio_margin, label_smoothing=label_smoothing)


def _hinge(
    *, log_ratio_margin: Float[Tensor, " pair"], beta: float, label_smoothing: float = 0.0
) -> Float[Tensor, " pair"]:
    _refuse_smoothing("hinge", label_smoothing)
    return hinge_loss(margin=beta * log_ratio_margin)


def _ipo(
    *, log_ratio_margin: Float[Tensor, " pair"], beta: float, label_smoothing: float = 0.0
) -> Float[Tensor, " pair"]:
    _refuse_smoothing("ipo", label_smoothing)
    return ipo_loss(log_ratio_margin=log_ratio_margin, beta=beta)


LOSSES: dict[str, PreferenceLoss] = {
    "sigmoid": _sigmoid,
    "robust": _robust,
    "hinge": _hinge,
    "ipo": _ipo,
}


def _check_smoothing(label_smoothing: float) -> None:
    if not 0 <= label_smoothing < 0.5:
        raise ValueError(
            f"label_smoothing is {label_smoothing}; it is the share of swapped labels and must be "
            "in [0, 0.5): at 0.5 a label says nothing"
        )


def _refuse_smoothing(loss: str, label_smoothing: float) -> None:
    if label_smoothing != 0:
        raise ValueError(
            f"label_smoothing is {label_smoothing}, but the {loss} loss has no noise model; "
            "set it to 0, or take the sigmoid or robust loss"
        )
