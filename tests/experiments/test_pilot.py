"""What the pilot says, by hand and against what simulated win rates do."""

from dataclasses import replace

import numpy as np

from palate.experiments.arms import Measured
from palate.experiments.contests import outcomes
from palate.experiments.pilot import pilot


def sft(rewards: list[list[float]] | np.ndarray) -> Measured:
    grid = np.asarray(rewards, dtype=np.float64)
    texts = [[""] * grid.shape[1]] * len(grid)
    return Measured(texts, grid, None, grid, None, None, length=grid, stopped=grid)


def test_by_hand() -> None:
    # No ties, two samples: variance 5/48; ±1.96 · √(5/48 / 100) and 2.80 · the same root.
    words = pilot(sft([[0.0, 1.0]] * 200), num_judging=100)
    assert words is not None
    assert "(0 % ties) tell a win rate to ±6.3 points and find 9.0 points" in words
    # (2.8016 / 0.05)² · 5/48 = 327.04
    assert "it takes 328 judging prompts" in words


def test_ties_make_win_rates_steadier() -> None:
    words = pilot(sft([[0.0, 1.0], [1.0, 1.0]] * 100), num_judging=100)
    assert words is not None
    assert "(50 % ties) tell a win rate to ±4.5 points" in words


def test_what_cannot_be_said() -> None:
    assert pilot(sft([[0.0]] * 9), num_judging=5) is None
    assert pilot(replace(sft([[0.0, 1.0]] * 9), gold=None), num_judging=5) is None
    assert pilot(sft([[1.0, 1.0]] * 9), num_judging=5) is not None


def test_the_variance_is_that_of_equal_arms() -> None:
    drawn = np.random.default_rng(0).normal(size=(2, 20_000, 3))
    rates = outcomes(drawn[0], drawn[1]).mean(axis=(1, 2))
    assert abs(rates.var() - 7 / 108) < 0.002
