"""The verdict's promises on simulated scores, a short version of `make honesty`."""

from functools import cache

import numpy as np
import pytest
from benchmarks.honesty import WORLDS, Trial, World, detectable, run_trial

NUM_TRIALS = 40


@cache
def ties(name: str) -> list[Trial]:
    return [run_trial(WORLDS[name], seed) for seed in range(NUM_TRIALS)]


@pytest.mark.parametrize("name", ["1 seed", "3 seeds"])
def test_intervals_hold_the_truth_and_ties_are_not_broken(name: str) -> None:
    trials = ties(name)
    held = [trial.difference.low <= trial.truth <= trial.difference.high for trial in trials]
    won = [trial.win_rate.low <= trial.win_truth <= trial.win_rate.high for trial in trials]
    # 95 % less three standard errors at this number of trials.
    assert np.mean(held) >= 0.85
    assert np.mean(won) >= 0.85
    assert np.mean([trial.claims_difference for trial in trials]) <= 0.15


def test_twice_the_stated_size_is_found() -> None:
    world = World(num_prompts=100)
    planted = World(num_prompts=100, advantage=2 * detectable(world, 1000))
    found = [run_trial(planted, seed).choice == "rlhf" for seed in range(NUM_TRIALS)]
    assert np.mean(found) >= 0.9


def test_intervals_are_as_narrow_as_they_may_be() -> None:
    """An interval that always holds the truth says too little."""
    trials = ties("1 seed")
    errors = np.array([trial.difference.value - trial.truth for trial in trials])
    half = np.median([trial.difference.half_width for trial in trials])
    assert half < 3 * errors.std()
