"""Losses of the policy's own log-probabilities, without a reference; and the SFT term.

What holds the policy in place is the length normalization (SimPO, ORPO) and an added
negative log-likelihood (CPO, ORPO), not a second model.

Axes: `pair`; `row`, any response.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from palate.objectives.preference import bradley_terry_loss


def sft_loss(
    *, logprobs: Float[Tensor, " row"], mean_length: Float[Tensor, ""] | float
) -> Float[Tensor, " row"]:
    """Negative log-likelihood of responses, so scaled that its mean is nats per TOKEN.

    Σ −log π / mean_length: the mean over the rows of a batch is the mean over all their tokens, a
    long response counts by its tokens.

    Args:
        logprobs: of each response, SUM over tokens, nats.
        mean_length: mean number of tokens of the batch's responses, > 0.

    Returns:
        Nats; the mean over the batch is nats per token.
    """
    return -logprobs / mean_length


def cpo_loss(
    *,
    chosen_logprobs: Float[Tensor, " pair"],
    rejected_logprobs: Float[Tensor, " pair"],
    beta: float,
    label_smoothing: float = 0.0,
) -> Float[Tensor, " pair"]:
    """DPO's loss with a reference that gives every response the same probability.

    Bradley–Terry loss of β·(log π(chosen) − log π(rejected)). The paper adds the negative
    log-likelihood of the chosen response (`sft_loss`, with the weight `cpo_alpha`), without which
    nothing keeps the policy a language model.

    Args:
        chosen_logprobs: of the chosen response, SUM over tokens, nats.
        rejected_logprobs: of the rejected response.
        beta: scale of the margin, > 0.
        label_smoothing: ε, as in `bradley_terry_loss`.

    Returns:
        Nats; log 2 where both responses are equally probable.

    Raises:
        ValueError: if ε is outside [0, 0.5).

    Reference:
        Xu et al. 2024, arXiv:2401.08417 (CPO), equation 3.
    """
    margin = beta * (chosen_logprobs - rejected_logprobs)
    return bradley_terry_loss(margin=margin, label_smoothing=label_smoothing)


def simpo_loss(
    *,
    chosen_mean_logprobs: Float[Tensor, " pair"],
    rejected_mean_logprobs: Float[Tensor, " pair"],
    beta: float,
    gamma: float,
    label_smoothing: float = 0.0,
) -> Float[Tensor, " pair"]:
    """The chosen response is to lead by γ in β times its MEAN log-probability per token.

    Bradley–Terry loss of β·(mean log π(chosen) − mean log π(rejected)) − γ.

    Args:
        chosen_mean_logprobs: of the chosen response, MEAN over tokens, nats per token.
        rejected_mean_logprobs: of the rejected response.
        beta: scale of the rewards, > 0 (2.0 to 2.5 in the paper).
        gamma: target lead in rewards, ≥ 0 (the paper recommends a ratio γ/β of about 0.5).
        label_smoothing: ε, as in `bradley_terry_loss`.

    Returns:
        Nats; log 2 where the lead is γ.

    Raises:
        ValueError: if ε is outside [0, 0.5).

    Reference:
        Meng et al. 2024, arXiv:2405.14734 (SimPO), equation 6; label smoothing is TRL's.
    """
    margin = beta * (chosen_mean_logprobs - rejected_mean_logprobs) - gamma
    return bradley_terry_loss(margin=margin, label_smoothing=label_smoothing)


def orpo_loss(
    *,
    chosen_mean_logprobs: Float[Tensor, " pair"],
    rejected_mean_logprobs: Float[Tensor, " pair"],
    beta: float,
) -> Float[Tensor, " pair"]:
    """The odds-ratio term: −β·log σ(log odds(chosen) − log odds(rejected)).

    odds = p/(1 − p), where p = exp(MEAN log-probability per token), a geometric mean. The paper
    adds the negative log-likelihood of the chosen response (`sft_loss`).

    Args:
        chosen_mean_logprobs: of the chosen response, MEAN over tokens, nats per token, ≤ 0.
        rejected_mean_logprobs: of the rejected response.
        beta: weight of this term (the paper's λ), ≥ 0.

    Returns:
        Nats; β·log 2 where both have the same odds.

    Reference:
        Hong et al. 2024, arXiv:2403.07691 (ORPO), equations 4 and 7.
    """
    lead = log_odds(chosen_mean_logprobs) - log_odds(rejected_mean_logprobs)
    return -beta * functional.logsigmoid(lead)


def log_odds(logprobs: Float[Tensor, " row"]) -> Float[Tensor, " row"]:
    """log(p/(1 − p)) of p = exp(logprobs).

    1 − p is −expm1(log p), and p is kept one float32 step below 1, where the odds would be
    infinite.
    """
    largest = -torch.finfo(torch.float32).eps
    bounded = logprobs.clamp(max=largest)
    return bounded - torch.log(-torch.expm1(bounded))
