"""`loss_type` → function: the one dictionary in which every loss of the DPO family is called.

Each entry takes the log-probabilities of a batch (`Numbers`) and the settings, and gives one loss a
row. What is computed is in `palate.objectives`; what each entry reads is in `loss_types.py`. Log-
probabilities are SUMS over a response's tokens; entries that want means say `mean`.

Axes: `row` a pair or one labelled response; `response` the responses of all rows in order.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from palate.objectives.anchored import (
    apo_down_loss,
    apo_zero_loss,
    bco_pair_loss,
    nca_pair_loss,
    sppo_hard_loss,
)
from palate.objectives.f_divergence import DIVERGENCE_SCORES
from palate.objectives.preference import (
    bradley_terry_loss,
    discopop_loss,
    exo_pair_loss,
    hinge_loss,
    ipo_loss,
    robust_loss,
)
from palate.objectives.reference_free import cpo_loss, orpo_loss, sft_loss, simpo_loss
from palate.objectives.transport import aot_loss, aot_unpaired_loss
from palate.objectives.unpaired import apo_zero_unpaired_loss, bco_loss, kto_loss
from palate.training.settings import DPOSettings


@dataclass(frozen=True)
class StepFacts:
    """What a loss needs of the whole optimizer step, beyond the rows at hand.

    Attributes:
        mean_length: mean tokens of the step's chosen (or desirable) responses.
        kl: KTO's point of reference, nats.
        shift: BCO's threshold, in rewards.
    """

    mean_length: float
    kl: float = 0.0
    shift: float = 0.0


@dataclass(frozen=True)
class Numbers:
    """Log-probabilities in nats of the responses of some rows, row by row.

    Attributes:
        policy: sums over tokens; with `ld_alpha`, its weighted sums.
        reference: the reference's, in the same way; 0 where no loss compares with it.
        whole: the policy's plain sums, which the SFT term takes.
        lengths: tokens of each response.
        desirable: True for chosen responses and for rows that are labelled so.
        per_row: 2 where rows are pairs, chosen first; 1 where they are labelled responses.
        asked: the lead in rewards that a row asks of its chosen response; None: 0 everywhere.
        facts: of the step that the rows belong to.
    """

    policy: Float[Tensor, " response"]
    reference: Float[Tensor, " response"]
    whole: Float[Tensor, " response"]
    lengths: Int[Tensor, " response"]
    desirable: Bool[Tensor, " response"]
    facts: StepFacts
    per_row: int = field(default=2)
    asked: Float[Tensor, " row"] | None = None

    @property
    def log_ratio(self) -> Float[Tensor, " response"]:
        """What the policy has over the reference: log π − log ref."""
        return self.policy - self.reference

    @property
    def ratios(self) -> dict[str, Tensor]:
        """The log-ratios of pairs, by name."""
        chosen, rejected = self.pairs(self.log_ratio)
        return {"chosen_log_ratio": chosen, "rejected_log_ratio": rejected}

    @property
    def margins(self) -> Float[Tensor, " row"]:
        """log-ratio of chosen − log-ratio of rejected, before β."""
        return self.lead(self.log_ratio)

    def pairs(self, each: Num[Tensor, " response"]) -> tuple[Tensor, Tensor]:
        """A quantity of chosen and of rejected responses."""
        chosen, rejected = each.view(-1, 2).unbind(1)
        return chosen, rejected

    def lead(self, each: Float[Tensor, " response"]) -> Float[Tensor, " row"]:
        """A quantity of chosen − the same of rejected responses."""
        chosen, rejected = self.pairs(each)
        return chosen - rejected

    def margin(self, s: DPOSettings, *, mean: bool = False) -> Float[Tensor, " row"]:
        """The lead in f' of the ratio (log-ratio by default), over its length where `mean`."""
        scores = DIVERGENCE_SCORES[s.f_divergence_type](self.log_ratio, s.f_alpha_divergence_coef)
        return self.lead(scores / self.lengths if mean else scores)

    def lead_in_rewards(self, s: DPOSettings, *, mean: bool = False) -> Float[Tensor, " row"]:
        """β · margin, less what the rows ask for (Amini et al. 2024, arXiv:2402.10571, ODPO)."""
        lead = s.beta * self.margin(s, mean=mean)
        return lead if self.asked is None else lead - self.asked

    def imitation(self) -> Float[Tensor, " row"]:
        """The SFT term of the chosen responses; its mean over the step is nats per token."""
        chosen, _ = self.pairs(self.whole)
        return sft_loss(logprobs=chosen, mean_length=self.facts.mean_length)

    def by_row(self, each: Float[Tensor, " response"]) -> Float[Tensor, " row"]:
        """The mean over a row's responses."""
        return each.view(-1, self.per_row).mean(1)

    def scalar(self, value: float) -> Float[Tensor, ""]:
        """A number beside the log-probabilities."""
        return self.policy.new_tensor(value)

    def labelled(self, s: DPOSettings) -> dict[str, Any]:
        """What the losses of single labelled responses share."""
        return {
            "log_ratio": self.log_ratio,
            "desirable": self.desirable,
            "beta": s.beta,
            "desirable_weight": s.desirable_weight,
            "undesirable_weight": s.undesirable_weight,
        }


Loss = Callable[[Numbers, DPOSettings], Tensor]


def _aot(n: Numbers, s: DPOSettings) -> Tensor:
    return aot_loss(
        policy_margin=n.lead(n.policy),
        reference_margin=n.lead(n.reference),
        beta=s.beta,
        label_smoothing=s.label_smoothing,
    )


def _cpo(n: Numbers, s: DPOSettings) -> Tensor:
    chosen, rejected = n.pairs(n.policy)
    preferred = cpo_loss(
        chosen_logprobs=chosen,
        rejected_logprobs=rejected,
        beta=s.beta,
        label_smoothing=s.label_smoothing,
    )
    return preferred + s.cpo_alpha * n.imitation()


def _simpo(n: Numbers, s: DPOSettings) -> Tensor:
    chosen, rejected = n.pairs(n.policy / n.lengths)
    return simpo_loss(
        chosen_mean_logprobs=chosen,
        rejected_mean_logprobs=rejected,
        beta=s.beta,
        gamma=s.simpo_gamma,
        label_smoothing=s.label_smoothing,
    )


def _orpo(n: Numbers, s: DPOSettings) -> Tensor:
    chosen, rejected = n.pairs(n.policy / n.lengths)
    odds = orpo_loss(chosen_mean_logprobs=chosen, rejected_mean_logprobs=rejected, beta=s.beta)
    return odds + n.imitation()


LOSSES: dict[str, Loss] = {
    # functions of one margin
    "sigmoid": lambda n, s: bradley_terry_loss(
        margin=n.lead_in_rewards(s), label_smoothing=s.label_smoothing
    ),
    "robust": lambda n, s: robust_loss(
        margin=n.lead_in_rewards(s), label_smoothing=s.label_smoothing
    ),
    "exo_pair": lambda n, s: exo_pair_loss(
        margin=n.lead_in_rewards(s), label_smoothing=s.label_smoothing
    ),
    "hinge": lambda n, s: hinge_loss(margin=n.lead_in_rewards(s)),
    "discopop": lambda n, s: discopop_loss(margin=n.lead_in_rewards(s), tau=s.discopop_tau),
    "ipo": lambda n, s: ipo_loss(log_ratio_margin=n.margin(s, mean=True), beta=s.beta),
    "sigmoid_norm": lambda n, s: bradley_terry_loss(
        margin=n.lead_in_rewards(s, mean=True), label_smoothing=s.label_smoothing
    ),
    # of each response's own log-ratio
    "nca_pair": lambda n, s: nca_pair_loss(**n.ratios, beta=s.beta),
    "bco_pair": lambda n, s: bco_pair_loss(**n.ratios, beta=s.beta),
    "sppo_hard": lambda n, s: sppo_hard_loss(**n.ratios, beta=s.beta),
    "apo_zero": lambda n, s: apo_zero_loss(**n.ratios, beta=s.beta),
    "apo_down": lambda n, s: apo_down_loss(**n.ratios, beta=s.beta),
    # of the step's distribution; one loss a quantile
    "aot": _aot,
    "aot_unpaired": lambda n, s: aot_unpaired_loss(
        **n.ratios, beta=s.beta, label_smoothing=s.label_smoothing
    ),
    # without a reference
    "sft": lambda n, s: n.imitation(),
    "cpo": _cpo,
    "simpo": _simpo,
    "orpo": _orpo,
    # of single labelled responses
    "kto": lambda n, s: n.by_row(kto_loss(**n.labelled(s), kl=n.scalar(n.facts.kl))),
    "apo_zero_unpaired": lambda n, s: n.by_row(apo_zero_unpaired_loss(**n.labelled(s))),
    "bco": lambda n, s: n.by_row(bco_loss(**n.labelled(s), shift=n.scalar(n.facts.shift))),
}


def row_losses(numbers: Numbers, settings: DPOSettings) -> Float[Tensor, " row"]:
    """The weighted sum of the settings' losses, one number a row (a quantile, of AOT's)."""
    parts = [weight * LOSSES[name](numbers, settings) for name, weight in settings.losses]
    return torch.stack(parts).sum(0)
