"""Shortcuts by which pairs can be told apart without reading, tried on a sample of them."""

from collections.abc import Mapping, Sequence

import numpy as np

from palate.data.checks.profile import SampledPair
from palate.data.faults import Fault, fault
from palate.measures.estimate import Estimate

MAX_ACCURACY = 0.9
MIN_WRONG = 1 - MAX_ACCURACY
MIN_PROMPTS = 20


def try_shortcuts(pairs: Sequence[SampledPair]) -> dict[str, Estimate]:
    """Accuracy of each trivial rule, by its name; nothing below 20 distinct prompts.

    "First wins" only where every pair tells which response was shown first. Bag of words is
    cross-validated; the others have nothing to fit.
    """
    prompts = np.array([pair.rank for pair in pairs], dtype=np.int64)
    if len(np.unique(prompts)) < MIN_PROMPTS:
        return {}
    from palate.measures.baselines import (
        bag_of_words,
        first_wins,
        longer_wins,
        more_punctuation_wins,
    )

    chosen, rejected = [pair.chosen for pair in pairs], [pair.rejected for pair in pairs]
    first = [pair.first_chosen for pair in pairs if pair.first_chosen is not None]
    told = {"first wins": first_wins(first, groups=prompts)} if len(first) == len(pairs) else {}
    return told | {
        "longer wins": longer_wins(chosen=chosen, rejected=rejected, groups=prompts),
        "more punctuation wins": more_punctuation_wins(
            chosen=chosen, rejected=rejected, groups=prompts
        ),
        "bag of words": bag_of_words(chosen=chosen, rejected=rejected, groups=prompts),
    }


def shortcut_faults(accuracies: Mapping[str, Estimate], *, origin: str) -> list[Fault]:
    """Warn where rules are right beyond doubt more than nine times of ten, or as often wrong.

    Where length alone is such a rule, which has a warning of its own, the others follow from it.
    """
    told = {name: a for name, a in accuracies.items() if a.low > MAX_ACCURACY or a.high < MIN_WRONG}
    if not told or "longer wins" in told:
        return []
    rules = ", ".join(f"{name} in {accuracy.value:.0%}" for name, accuracy in told.items())
    return [fault("W419", f"right in a sample of pairs: {rules}", origin=origin)]
