"""How good a reward model of the embedded world is, beside trivial judges and the noise ceiling."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from palate.data.records import Preference
from palate.experiments.arms import Grid
from palate.experiments.pair_scores import role_scorer, score_pairs
from palate.experiments.prepare import frozen_reward
from palate.experiments.world import DEFAULT_TEMPERATURE, label_ceiling, preference_probability
from palate.measures.baselines import bag_of_words, longer_wins
from palate.measures.calibration import measure_calibration
from palate.measures.estimate import rate_estimate
from palate.models.load import load


def reward_card(sft: Path, reward: Path, held_out: Sequence[Preference]) -> dict[str, Any]:
    """How good the reward model is on held-out pairs, beside trivial baselines and the ceiling."""
    scorer = role_scorer(frozen_reward(load(sft), reward))
    scores = score_pairs(scorer, held_out, max_length=sys.maxsize, overlong="refuse")
    margins = scores.chosen - scores.rejected
    calibration = measure_calibration(margins * scorer.scale.spread)
    right = (margins > 0) + 0.5 * (margins == 0)
    chosen, rejected = [p.chosen for p in held_out], [p.rejected for p in held_out]
    prompts = [str(p.prompt) for p in held_out]
    return {
        "accuracy": rate_estimate(right, unit="share", clusters=prompts).to_json(),
        "expected_accuracy": expected_accuracy(margins, held_out),
        "ceiling": label_ceiling(held_out, temperature=DEFAULT_TEMPERATURE),
        "longest_wins": longer_wins(chosen=chosen, rejected=rejected, groups=prompts).to_json(),
        "bag_of_words": bag_of_words(chosen=chosen, rejected=rejected, groups=prompts).to_json(),
        "calibration_error": calibration.expected_calibration_error,
    }


def expected_accuracy(margins: Grid, pairs: Sequence[Preference]) -> float:
    """Accuracy over all the labels that the noise could have drawn, not the one draw there is.

    The reward model's choice is right with the probability that the labeler prefers it, so the
    average has no label noise of its own; its highest value is the ceiling.
    """
    shares = []
    for margin, pair in zip(margins, pairs, strict=True):
        assert isinstance(pair.prompt, str)
        agrees = preference_probability(
            pair.prompt, pair.chosen, pair.rejected, temperature=DEFAULT_TEMPERATURE
        )
        shares.append(0.5 if margin == 0 else agrees if margin > 0 else 1 - agrees)
    return float(np.mean(shares))
