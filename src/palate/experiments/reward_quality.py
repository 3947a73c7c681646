"""How good a reward model of the embedded world is, beside trivial judges and the noise ceiling."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from palate.data.grow import preference_trees
from palate.data.records import Preference
from palate.data.render import Renderer
from palate.data.trees import pack, plant
from palate.experiments.arms import Grid
from palate.experiments.prepare import load_reward
from palate.experiments.world import DEFAULT_TEMPERATURE, label_ceiling, preference_probability
from palate.measures.baselines import bag_of_words, longer_wins
from palate.measures.calibration import measure_calibration
from palate.measures.estimate import rate_estimate
from palate.models.load import load
from palate.models.roles import Roles
from palate.models.scoring import rewards


def reward_card(sft: Path, reward: Path, held_out: Sequence[Preference]) -> dict[str, Any]:
    """How good the reward model is on held-out pairs, beside trivial baselines and the ceiling."""
    loaded = load(sft)
    roles = Roles(loaded.model, loaded.tokenizer)
    load_reward(roles, reward)
    margins = reward_margins(roles, held_out)
    right = (margins > 0) + 0.5 * (margins == 0)
    chosen, rejected = [p.chosen for p in held_out], [p.rejected for p in held_out]
    prompts = [str(p.prompt) for p in held_out]
    scale = roles["reward"].scale.spread
    return {
        "accuracy": rate_estimate(right, unit="share", clusters=prompts).to_json(),
        "expected_accuracy": expected_accuracy(margins, held_out),
        "ceiling": label_ceiling(held_out, temperature=DEFAULT_TEMPERATURE),
        "longest_wins": longer_wins(chosen=chosen, rejected=rejected, groups=prompts).to_json(),
        "bag_of_words": bag_of_words(chosen=chosen, rejected=rejected, groups=prompts).to_json(),
        "calibration_error": measure_calibration(margins * scale).expected_calibration_error,
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


def reward_margins(roles: Roles, pairs: Sequence[Preference]) -> Grid:
    """Reward of chosen − rejected under the frozen reward role, [pair]."""
    trees, _ = preference_trees(pairs, Renderer(roles.tokenizer), max_length=100_000)
    found = []
    for indices in pack(trees, max_tokens=8192):
        forest = plant([trees[i] for i in indices], device=roles.device)
        found.append(rewards(roles, forest).view(-1, 2))
    return np.concatenate([(r[:, 0] - r[:, 1]).double().cpu().numpy() for r in found])
