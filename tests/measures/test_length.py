"""Accuracy by length difference, and the correlation of reward with length."""

import numpy as np
import pytest

from palate.errors import DataError
from palate.measures.length import accuracy_by_length, length_correlation

CHOSEN, REJECTED = [10, 10, 10, 5, 20], [10, 5, 20, 10, 10]


def test_buckets_by_hand() -> None:
    # Differences 0, +½, −½, −½, +½; the reward is right where the chosen response is longer.
    found = accuracy_by_length(
        margins=[1.0, 2.0, -1.0, -3.0, 1.0], chosen=CHOSEN, rejected=REJECTED, groups=list("abcde")
    )
    assert [(b.chosen_is, b.num_pairs) for b in found] == [
        ("much shorter", 2), ("about as long", 1), ("much longer", 2),
    ]  # fmt: skip
    short, level, long = (b.accuracy for b in found)
    assert short is not None
    assert short.value == 0.0
    assert long is not None
    assert long.value == 1.0
    assert level is None  # one prompt has no interval


def test_a_reward_that_counts_length_is_all_length() -> None:
    differences = [0.0, 0.5, -0.5, -0.5, 0.5]
    assert length_correlation(
        margins=differences, chosen=CHOSEN, rejected=REJECTED
    ) == pytest.approx(1.0)
    assert length_correlation(
        margins=[0.0, 0.5, -0.5, 0.5, -0.5], chosen=CHOSEN, rejected=REJECTED
    ) == pytest.approx(0.0)
    assert length_correlation(margins=np.zeros(5), chosen=CHOSEN, rejected=REJECTED) == 0.0


def test_swapping_a_pair_changes_nothing() -> None:
    margins = np.array([0.3, -1.0, 2.0, 0.7, -0.2])
    whole = length_correlation(margins=margins, chosen=CHOSEN, rejected=REJECTED)
    chosen, rejected = [*CHOSEN[:4], REJECTED[4]], [*REJECTED[:4], CHOSEN[4]]
    swapped = margins * [1, 1, 1, 1, -1]
    assert length_correlation(margins=swapped, chosen=chosen, rejected=rejected) == pytest.approx(
        whole
    )


def test_lengths_must_be_there() -> None:
    with pytest.raises(DataError, match="all above 0"):
        length_correlation(margins=[1.0], chosen=[0], rejected=[3])
    with pytest.raises(DataError, match="2 chosen and 1 rejected"):
        length_correlation(margins=[1.0], chosen=[1, 2], rejected=[3])
