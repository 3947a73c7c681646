"""Win rates at equal length: known answers, laws, coverage."""

import numpy as np
import pytest
from numpy.typing import NDArray

from palate.errors import DataError
from palate.measures.controlled import length_controlled_win_rate


def drawn(
    generator: np.random.Generator, *, skill: float, bias: float, longer: float, num: int = 60
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Two comparisons a prompt, of a judge that likes length by `bias`."""
    prompts = np.repeat(np.arange(num), 2)
    gaps = generator.normal(longer, 1.0, size=2 * num)
    odds = skill + bias * np.tanh(gaps / gaps.std())
    return (generator.random(2 * num) < 1 / (1 + np.exp(-odds))).astype(float), gaps, prompts


def test_of_equal_lengths_it_is_the_plain_win_rate() -> None:
    won = [1, 1, 0.5, 0] * 100
    found = length_controlled_win_rate(won, np.zeros(400), clusters=np.arange(400))
    assert found.value == pytest.approx(0.625, abs=1e-4)
    assert (found.n, found.unit) == (400, "win rate")


def test_a_side_that_wins_by_length_alone_wins_half_at_equal_length() -> None:
    generator = np.random.default_rng(3)
    won, gaps, prompts = drawn(generator, skill=0.0, bias=2.0, longer=1.5, num=2000)
    assert won.mean() > 0.75
    found = length_controlled_win_rate(won, gaps, clusters=prompts)
    assert found.low < 0.5 < found.high
    assert found.value == pytest.approx(0.5, abs=0.04)


def test_the_other_side_has_the_rest() -> None:
    won, gaps, prompts = drawn(np.random.default_rng(4), skill=0.5, bias=1.0, longer=0.5)
    there = length_controlled_win_rate(won, gaps, clusters=prompts)
    back = length_controlled_win_rate(1 - won, -gaps, clusters=prompts)
    assert there.value == pytest.approx(1 - back.value)
    assert there.low == pytest.approx(1 - back.high)


def test_a_side_that_always_wins_has_an_interval_all_the_same() -> None:
    found = length_controlled_win_rate(np.ones(20), np.arange(20) - 9.5, clusters=np.arange(20))
    assert 0.95 < found.value < 1
    assert found.low <= found.value <= found.high <= 1


def test_coverage() -> None:
    generator = np.random.default_rng(5)
    truth = 1 / (1 + np.exp(-0.4))
    held = [
        found.low <= truth <= found.high
        for found in (
            length_controlled_win_rate(won, gaps, clusters=prompts)
            for won, gaps, prompts in (
                drawn(generator, skill=0.4, bias=1.0, longer=0.7) for _ in range(400)
            )
        )
    ]
    assert 0.92 <= np.mean(held) <= 0.98


def test_refusals() -> None:
    with pytest.raises(DataError, match="2 outcomes, 1 differences"):
        length_controlled_win_rate([1, 0], [0], clusters=[0, 1])
    with pytest.raises(DataError, match="2 prompts are too few"):
        length_controlled_win_rate([1, 0], [0, 0], clusters=[0, 1])
