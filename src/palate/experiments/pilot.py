"""What a comparison will be able to see, said once its first arm is measured."""

import numpy as np

from palate.experiments.arms import Measured
from palate.experiments.contests import outcomes
from palate.measures.winrate import half_width, minimum_detectable_effect, num_prompts_to_detect

WANTED = 0.05
"""The distance from one half for which the number of prompts is said."""


def pilot(sft: Measured, *, num_judging: int) -> str | None:
    """A sentence on win rates, from how often two samples of the SFT model tie.

    Two equal arms with S samples a prompt each have, where nothing ties, a win rate of variance
    (2S + 1) / 12S² a prompt (Mann and Whitney 1947, Ann. Math. Statist. 18, 50–60); ties take
    their share of it.

    Args:
        sft: the SFT model's samples and rewards.
        num_judging: prompts that will judge.

    Returns:
        None with one sample a prompt, or without rewards.
    """
    rewards = sft.gold if sft.gold is not None else sft.proxy
    if rewards is None or rewards.shape[1] < 2:
        return None
    num_samples = rewards.shape[1]
    met = outcomes(rewards, rewards)[:, ~np.eye(num_samples, dtype=bool)]
    ties = float((met == 0.5).mean())
    variance = (1 - ties) * (2 * num_samples + 1) / (12 * num_samples**2)
    if not variance:
        return "every two responses of the SFT model tie: win rates of such rewards show nothing"
    known = half_width(variance=variance, num_prompts=num_judging)
    found = minimum_detectable_effect(variance=variance, num_prompts=num_judging)
    needed = num_prompts_to_detect(variance=variance, effect=WANTED)
    return (
        f"{num_judging} judging prompts with {num_samples} samples ({100 * ties:.0f} % ties) tell "
        f"a win rate to ±{100 * known:.1f} points and find {100 * found:.1f} points four times in "
        f"five; for {100 * WANTED:.0f} points it takes {needed} judging prompts, twice that in all"
    )
