"""Responses of two arms to the same prompts meet: every sample of one, every sample of the other.

Axes: `prompt`, `sample`; scores of an arm are [prompt, sample].
"""

import logging
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from palate.errors import DataError
from palate.experiments.arms import Grid
from palate.measures.controlled import length_controlled_win_rate
from palate.measures.estimate import Estimate
from palate.measures.strengths import bradley_terry

log = logging.getLogger("palate")


def outcomes(first: Grid, second: Grid) -> NDArray[np.float64]:
    """1 where the first side's sample scores higher, ½ for a tie, 0: [prompt, first, second]."""
    ours, theirs = first[:, :, None], second[:, None, :]
    won: NDArray[np.float64] = (ours > theirs) + 0.5 * (ours == theirs)
    return won


def at_equal_length(
    first: Grid, second: Grid, *, first_lengths: Grid, second_lengths: Grid, name: str
) -> Estimate:
    """The first side's win rate if no response were longer than the other."""
    won = outcomes(first, second)
    gaps = first_lengths[:, :, None] - second_lengths[:, None, :]
    prompts = np.broadcast_to(np.arange(len(won))[:, None, None], won.shape)
    return length_controlled_win_rate(
        won.ravel(), gaps.ravel(), clusters=prompts.ravel(), name=name
    )


def strengths(scores: Mapping[str, Grid]) -> dict[str, Estimate] | None:
    """Bradley–Terry strengths against the first arm; None, and a line, where there are none."""
    names = list(scores)
    wins = np.zeros((len(scores[names[0]]), len(names), len(names)))
    for a, ours in enumerate(scores.values()):
        for b, theirs in enumerate(scores.values()):
            if a != b:
                wins[:, a, b] = outcomes(ours, theirs).mean(axis=(1, 2))
    try:
        return bradley_terry(wins, names=names)
    except DataError as error:
        log.info("note: %s", error)
        return None
