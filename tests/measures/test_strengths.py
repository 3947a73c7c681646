"""Bradley–Terry: two arms by hand, three on one scale, coverage, and what has no answer."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from palate.errors import DataError
from palate.measures.strengths import bradley_terry

TRUE = np.array([0.0, 0.7, -0.4])


def games(generator: np.random.Generator, num: int = 80) -> NDArray[np.float64]:
    """Every arm meets every other once a prompt."""
    wins = np.zeros((num, 3, 3))
    for a in range(3):
        for b in range(a):
            won = generator.random(num) < 1 / (1 + math.exp(TRUE[b] - TRUE[a]))
            wins[:, a, b], wins[:, b, a] = won, ~won
    return wins


def test_two_arms_by_hand() -> None:
    wins = np.zeros((4, 2, 2))
    wins[:3, 1, 0], wins[3, 0, 1] = 1, 1
    found = bradley_terry(wins, names=["sft", "dpo"])["dpo"]
    assert found.value == pytest.approx(math.log(3))
    assert (found.n, found.unit) == (4, "log-odds")


def test_all_ties_are_equal_strengths() -> None:
    found = bradley_terry(np.full((5, 3, 3), 0.5), names=["a", "b", "c"])
    assert [one.value for one in found.values()] == pytest.approx([0.0, 0.0])


def test_coverage_on_one_scale() -> None:
    generator = np.random.default_rng(6)
    held = []
    for _ in range(250):
        found = bradley_terry(games(generator), names=["a", "b", "c"])
        held += [found[n].low <= TRUE[i] <= found[n].high for i, n in ((1, "b"), (2, "c"))]
    assert 0.92 <= np.mean(held) <= 0.98


def test_what_has_no_strength_is_refused() -> None:
    never = np.zeros((4, 2, 2))
    never[:, 1, 0] = 1
    with pytest.raises(DataError, match="sft never beat dpo"):
        bradley_terry(never, names=["sft", "dpo"])
    with pytest.raises(DataError, match="two prompts"):
        bradley_terry(never[:1], names=["sft", "dpo"])
