"""The sentence at the end: which road, how sure, because of what.

It claims a difference only where the interval leaves zero out and both roads have left the SFT
model, speaks of the roads only with three seeds or more, and otherwise says what it could have
seen.
"""

import math
from dataclasses import dataclass
from typing import Any

from palate.measures.estimate import Estimate
from palate.measures.winrate import minimum_detectable_effect

# A gain whose upper end is below this share of what the better road gained over SFT is no reason
# to pay for RLHF.
ENOUGH = 0.1
# Below this KL, in nats a response, the roads cannot be told apart: both start at the SFT model,
# so that their difference goes to zero with the KL, whatever the roads are like. The yardstick is
# the weakest selection there is, picking the better of two samples: at most log 2 − 1/2 nats
# (Beirami et al. 2024, arXiv 2401.01879). A policy that has moved less has learnt next to nothing.
LEAST_KL = math.log(2) - 0.5
NO_VERDICT = "no verdict"


@dataclass(frozen=True)
class Evidence:
    """What the verdict is made of; all from prompts that chose nothing.

    Attributes:
        difference: reward (its unit says which) of RLHF − DPO at `matched_kl`.
        matched_kl: nats a response; 0 where a road never left the SFT model, and then the
            difference is that of the chosen arms as they are.
        gains: reward over SFT of the chosen arms: {"dpo": …, "rlhf": …}.
        win_rate: chosen RLHF arm against chosen DPO arm.
        times: wall time of the RLHF arm, its reward model included, over the DPO arm's; None
            where training was not metered.
        num_prompts: prompts behind every figure.
        num_seeds: training seeds.
        trained_by: what trained the RLHF arm.
    """

    difference: Estimate
    matched_kl: float
    gains: dict[str, Estimate]
    win_rate: Estimate
    times: float | None
    num_prompts: int
    num_seeds: int
    trained_by: str = "PPO"

    @property
    def detectable(self) -> float:
        """Smallest difference at the matched KL that would be detected with 80 % power.

        From the interval itself, so that it counts all that the interval does: prompts, the
        uncertainty of the KL, and the training seeds.
        """
        variance = (self.difference.half_width / 1.96) ** 2
        return minimum_detectable_effect(variance=variance, num_prompts=1)


def reach_verdict(evidence: Evidence) -> dict[str, Any]:
    """The `verdict` entry of results.json."""
    difference, has_left = evidence.difference, evidence.matched_kl >= LEAST_KL
    where = f"at {_nats(evidence.matched_kl)}" if evidence.matched_kl else "of the chosen arms"
    gain = f"{evidence.trained_by} gains {_plain(difference)} {difference.unit} at the same KL"
    cost = "at a cost that was not measured"
    if evidence.times is not None:
        cost = f"for {evidence.times:.1f} times the time"
    best_gain = max(estimate.value for estimate in evidence.gains.values())
    whose = "of these trained models" if evidence.num_seeds < 3 else "of the roads on this task"
    if not has_left:
        choice = NO_VERDICT
        sentence = (
            f"No verdict: the nearer road is {_nats(evidence.matched_kl)} from the SFT model, less "
            f"than picking the better of two samples takes ({LEAST_KL:.2f}), and so near to the "
            "start all roads look alike; train longer, or with a smaller beta or KL coefficient."
        )
    elif difference.low > 0:
        choice = "rlhf"
        sentence = f"RLHF pays here: {gain} over DPO, {cost}."
    elif difference.high < 0:
        choice = "dpo"
        sentence = f"DPO is better here: {gain} over DPO, {cost}."
    elif difference.high < ENOUGH * best_gain:
        choice = "dpo"
        sentence = f"DPO is enough here: {gain}, {cost}."
    else:
        choice = "not distinguishable"
        sentence = (
            f"Not distinguishable with {evidence.num_prompts} prompts: {gain}, {cost}; "
            f"a difference of {evidence.detectable:.2f} at this KL would have been seen with 80 % "
            "power."
        )
    return {
        "choice": choice,
        "confidence": (
            f"95 % interval over {evidence.num_prompts} held-out prompts that chose nothing; "
            f"{evidence.num_seeds} seed{'s' if evidence.num_seeds > 1 else ''}: it speaks {whose}"
        ),
        "sentence": sentence,
        "because": [
            f"{difference.unit}, RLHF − DPO {where}: {_plain(difference)}",
            f"gains over SFT: DPO {_plain(evidence.gains['dpo'])}, "
            f"RLHF {_plain(evidence.gains['rlhf'])}",
            f"RLHF wins {100 * evidence.win_rate.value:.0f} % "
            f"[{100 * evidence.win_rate.low:.0f}, {100 * evidence.win_rate.high:.0f}] of direct "
            f"comparisons, {cost}",
        ],
    }


def _nats(kl: float) -> str:
    return f"{kl:.1f} nats" if kl >= 1 else f"{kl:.2g} nats"


def _plain(estimate: Estimate) -> str:
    words = f"{estimate.value:+.2f} [{estimate.low:+.2f}, {estimate.high:+.2f}]"
    return words.replace("-", "\N{MINUS SIGN}")
