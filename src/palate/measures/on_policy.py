"""Is a model ready to learn from given responses: would it say such things itself?

DPO starts where the reference could have written the responses; Rafailov et al. 2023
(arXiv:2305.18290, section 4) train the reference on the chosen responses first where it could not.
What is measured here is how likely each response is under the model, per token, beside what the
model samples itself for the same prompts.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from palate.measures.estimate import (
    Clusters,
    Estimate,
    difference_estimate,
    mean_estimate,
    rate_estimate,
)

Advice = Literal["fine", "sft-first", "undecided"]

# Ours: a response is taken for one of the model's own where it is not less likely per token than
# the least likely twentieth of them, and a model for ready where that is true of half of them.
OWN_QUANTILE = 0.05
MIN_SHARE = 0.5
MIN_PROMPTS = 20


@dataclass(frozen=True, slots=True)
class Fit:
    """How a model stands to responses; likelihoods are means per token, in nats, end included.

    Attributes:
        chosen: of the responses to learn from.
        rejected: of the others; None where there are none.
        samples: of the model's own responses.
        gap: samples − chosen, paired by prompt; 0 where the model could have written them.
        on_policy: share of the responses to learn from that pass for the model's own; 95 % of its
            own would.
        rejected_on_policy: the same of the rejected ones.
        prefers_chosen: share of pairs whose chosen response is the more likely one per token.
    """

    chosen: Estimate
    rejected: Estimate | None
    samples: Estimate
    gap: Estimate
    on_policy: Estimate
    rejected_on_policy: Estimate | None
    prefers_chosen: Estimate | None

    @property
    def advice(self) -> Advice:
        """What to do, where the interval of the on-policy share leaves no doubt."""
        if self.on_policy.high < MIN_SHARE:
            return "sft-first"
        return "fine" if self.on_policy.low >= MIN_SHARE else "undecided"

    def verdict(self) -> str:
        """The advice in words, with its numbers."""
        share = self.on_policy
        numbers = (
            f"{share.value:.0%} of the responses to learn from [{share.low:.0%}, {share.high:.0%}] "
            f"pass for the model's own (95 % if they were; the line is drawn at {MIN_SHARE:.0%}); "
            f"they have {self.chosen.value:.2f} nats per token, its samples "
            f"{self.samples.value:.2f}"
        )
        words = {
            "fine": "fine: no SFT is needed for these rows",
            "sft-first": "do SFT on the chosen responses first (palate sft --use-chosen)",
            "undecided": "undecided: SFT on the chosen responses does no harm",
        }
        return f"{words[self.advice]}. {numbers}."

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return asdict(self) | {"advice": self.advice, "verdict": self.verdict()}


def judge_fit(
    *,
    chosen: ArrayLike,
    rejected: ArrayLike | None,
    samples: ArrayLike,
    prompts: Clusters,
    sample_prompts: Sequence[Any] | NDArray[Any],
) -> Fit:
    """Hold the likelihoods of given responses against those of a model's own.

    Args:
        chosen: [response], mean log-probability per token of the responses to learn from, nats.
        rejected: [response], of the others of the same pairs; None where there are none.
        samples: [sample], of the model's own responses.
        prompts: [response], the prompt of each.
        sample_prompts: [sample], the same prompts.

    Raises:
        DataError: there are fewer than two prompts, or a number is not finite.
    """
    good, own = np.asarray(chosen, dtype=np.float64), np.asarray(samples, dtype=np.float64)
    unit = "nats per token"
    least = float(np.quantile(own, OWN_QUANTILE))
    bad = None if rejected is None else np.asarray(rejected, dtype=np.float64)
    return Fit(
        chosen=mean_estimate(good, unit=unit, clusters=prompts, name="chosen"),
        rejected=None if bad is None else mean_estimate(bad, unit=unit, clusters=prompts),
        samples=mean_estimate(own, unit=unit, clusters=sample_prompts, name="samples"),
        gap=difference_estimate(
            first=own, second=good, unit=unit, first_clusters=sample_prompts,
            second_clusters=prompts, name="gap",
        ),
        on_policy=rate_estimate(good >= least, unit="share", clusters=prompts, name="on-policy"),
        rejected_on_policy=(
            None if bad is None else rate_estimate(bad >= least, unit="share", clusters=prompts)
        ),
        prefers_chosen=(
            None
            if bad is None
            else rate_estimate((1 + np.sign(good - bad)) / 2, unit="share", clusters=prompts)
        ),
    )  # fmt: skip
