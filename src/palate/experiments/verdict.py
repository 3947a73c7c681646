"""The sentence at the end: which road, how sure, because of what.

It claims a difference only where the interval leaves zero out, speaks of the roads only with three
seeds or more, and otherwise says what it could have seen.
"""

from dataclasses import dataclass
from typing import Any

from palate.measures.estimate import Estimate

# A gain whose upper end is below this share of what the better road gained over SFT is no reason
# to pay for RLHF.
ENOUGH = 0.1


@dataclass(frozen=True)
class Evidence:
    """What the verdict is made of; all from prompts that chose nothing.

    Attributes:
        difference: reward (its unit says which) of RLHF − DPO, at the KL that `matched_kl` says.
        matched_kl: nats a response; None: the chosen arms as they are.
        gains: reward over SFT of the chosen arms: {"dpo": …, "rlhf": …}.
        win_rate: chosen RLHF arm against chosen DPO arm.
        times: wall time of the RLHF arm, its reward model included, over the DPO arm's; None
            where training was not metered.
        detectable: smallest difference in reward that these prompts would detect (80 %).
        num_prompts: prompts behind every figure.
        num_seeds: training seeds.
    """

    difference: Estimate
    matched_kl: float | None
    gains: dict[str, Estimate]
    win_rate: Estimate
    times: float | None
    detectable: float
    num_prompts: int
    num_seeds: int


def reach_verdict(evidence: Evidence) -> dict[str, Any]:
    """The `verdict` entry of results.json."""
    difference = evidence.difference
    where = "at the same KL" if evidence.matched_kl is not None else "at each road's own KL"
    gain = f"{_plain(difference)} {difference.unit} {where}"
    cost = "at a cost that was not measured"
    if evidence.times is not None:
        cost = f"for {evidence.times:.1f} times the time"
    best_gain = max(estimate.value for estimate in evidence.gains.values())
    whose = "of these trained models" if evidence.num_seeds < 3 else "of the roads on this task"
    if difference.low > 0:
        choice = "rlhf"
        sentence = f"RLHF pays here: PPO gains {gain} over DPO, {cost}."
    elif difference.high < 0:
        choice = "dpo"
        sentence = f"DPO is better here: PPO gains {gain} over DPO, {cost}."
    elif difference.high < ENOUGH * best_gain:
        choice = "dpo"
        sentence = f"DPO is enough here: PPO gains {gain}, {cost}."
    else:
        choice = "not distinguishable"
        sentence = (
            f"Not distinguishable with {evidence.num_prompts} prompts: PPO gains {gain}, {cost}; "
            f"a difference of {evidence.detectable:.2f} would have been seen with 80 % power."
        )
    return {
        "choice": choice,
        "confidence": (
            f"95 % interval over {evidence.num_prompts} held-out prompts that chose nothing; "
            f"{evidence.num_seeds} seed{'s' if evidence.num_seeds > 1 else ''}: it speaks {whose}"
        ),
        "sentence": sentence,
        "because": [
            f"{difference.unit}, RLHF − DPO {where}"
            + (f" ({evidence.matched_kl:.1f} nats)" if evidence.matched_kl is not None else "")
            + f": {_plain(difference)}",
            f"gains over SFT: DPO {_plain(evidence.gains['dpo'])}, "
            f"RLHF {_plain(evidence.gains['rlhf'])}",
            f"RLHF wins {100 * evidence.win_rate.value:.0f} % "
            f"[{100 * evidence.win_rate.low:.0f}, {100 * evidence.win_rate.high:.0f}] of direct "
            f"comparisons, {cost}",
        ],
    }


def _plain(estimate: Estimate) -> str:
    return f"{estimate.value:+.2f} [{estimate.low:+.2f}, {estimate.high:+.2f}]"
