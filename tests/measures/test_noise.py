import numpy as np
import pytest

from palate.errors import DataError
from palate.measures.noise import Repeats, label_noise


def test_hand_worked() -> None:
    # Three judgments two to one: two of three pairs of them differ.
    assert Repeats(2, 1).disagreement == pytest.approx(2 / 3)
    assert Repeats(2, 0).disagreement == 0
    # d = (2/3 + 0)/2 = 1/3; e = (1 − √(1/3))/2.
    found = label_noise([Repeats(2, 1), Repeats(2, 0)])
    assert found.value == pytest.approx((1 - (1 / 3) ** 0.5) / 2)
    assert (found.n, found.unit) == (2, "share")
    assert found.low <= found.value <= found.high


def test_labels_that_differ_as_often_as_coins_are_half_wrong() -> None:
    assert label_noise([Repeats(1, 1)] * 10).value == 0.5


@pytest.mark.parametrize("flip_rate", [0.05, 0.2])
def test_the_interval_covers_the_truth(flip_rate: float) -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        flips = (generator.random((300, 2)) < flip_rate).sum(axis=1)
        found = label_noise([Repeats(int(f), 2 - int(f)) for f in flips])
        covered += found.low <= flip_rate <= found.high
    assert covered >= 182  # 95 % of 200 are 190; three standard deviations are 9


def test_a_single_judgment_says_nothing() -> None:
    with pytest.raises(DataError, match="once"):
        label_noise([Repeats(1, 0), Repeats(1, 1)])
    with pytest.raises(DataError, match="two independent"):
        label_noise([Repeats(1, 1)])
