"""Agreement: hand-worked tables, the published example, the independent package, coverage."""

import time

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from palate.errors import DataError
from palate.measures import cohen_kappa, count_values, fleiss_kappa, krippendorff_alpha

# Krippendorff 2011, section C: four observers, twelve units, missing values. α = 0.743.
PUBLISHED = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]


def counts_of(table: list[list[int | None]]) -> NDArray[np.int64]:
    """Counts of a table of annotators by items."""
    votes = [(i, v) for row in table for i, v in enumerate(row) if v is not None]
    return count_values([i for i, _ in votes], [v for _, v in votes])


def test_alpha_of_the_published_example() -> None:
    assert krippendorff_alpha(counts_of(PUBLISHED)).value == pytest.approx(0.743, abs=5e-4)


def test_alpha_by_hand() -> None:
    # Two annotators, three items: aa, bb, ab. n = 6, N_a = N_b = 3.
    # D_o = (0 + 0 + 2/1) / 6 = 1/3;  D_e = 2·3·3 / (6·5) = 3/5;  α = 1 − 5/9.
    alpha = krippendorff_alpha(np.array([[2, 0], [0, 2], [1, 1]]))
    assert alpha.value == pytest.approx(4 / 9)
    assert alpha.n == 3


def test_fleiss_by_hand() -> None:
    # Three votes on two items: aaa, abb. P = (1, 1/3), P̄ = 2/3; p = (4/6, 2/6), P̄_e = 5/9.
    kappa = fleiss_kappa(np.array([[3, 0], [1, 2]]))
    assert kappa.value == pytest.approx((2 / 3 - 5 / 9) / (1 - 5 / 9))


def test_cohen_by_hand() -> None:
    # Of four items three agree; shares of a: ½ and ¼. p_e = ½·¼ + ½·¾ = ½. κ = (¾ − ½) / ½.
    kappa = cohen_kappa(["a", "a", "b", "b"], ["a", "b", "b", "b"])
    assert kappa.value == pytest.approx(0.5)


TABLES = st.lists(
    st.lists(st.sampled_from([None, 0, 1, 2, 3]), min_size=8, max_size=8), min_size=2, max_size=5
)


@settings(max_examples=150, deadline=None)
@given(TABLES)
def test_alpha_equals_the_independent_package(table: list[list[int | None]]) -> None:
    data = np.array([[np.nan if v is None else v for v in row] for row in table])
    paired = (~np.isnan(data)).sum(axis=0) >= 2
    usable = data[:, paired][~np.isnan(data[:, paired])]
    if paired.sum() < 2 or len(np.unique(usable)) < 2:
        return
    theirs = krippendorff.alpha(reliability_data=data, level_of_measurement="nominal")
    assert krippendorff_alpha(counts_of(table)).value == pytest.approx(theirs, abs=1e-12)


def test_names_of_values_and_items_do_not_matter() -> None:
    counts = counts_of(PUBLISHED)
    generator = np.random.default_rng(0)
    turned = generator.permutation(counts, axis=0)[:, [4, 0, 2, 1, 3]]
    assert krippendorff_alpha(turned).value == pytest.approx(krippendorff_alpha(counts).value)


def votes_of_two(agreement: float, num_items: int, seed: int) -> NDArray[np.int64]:
    """Counts of two annotators who see the same with this probability, else flip coins."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 2, size=num_items)
    votes = [
        np.where(
            generator.random(num_items) < agreement, truth, generator.integers(0, 2, num_items)
        )
        for _ in range(2)
    ]
    return np.stack([sum(v == value for v in votes) for value in (0, 1)], axis=1)


@pytest.mark.parametrize("num_items", [20, 100])
def test_the_interval_covers(num_items: int) -> None:
    # α of this process is 0.8² = 0.64: both look with probability 0.64, else one is a coin.
    covered = 0
    for seed in range(300):
        try:
            alpha = krippendorff_alpha(votes_of_two(0.8, num_items, seed), seed=seed)
        except DataError:
            continue
        covered += alpha.low <= 0.64 <= alpha.high
    assert 0.91 <= covered / 300 <= 0.985


def test_full_agreement_is_one_and_needs_two_values() -> None:
    alpha = krippendorff_alpha(np.array([[2, 0], [0, 2], [2, 0]]))
    assert (alpha.value, alpha.low, alpha.high) == (1.0, 1.0, 1.0)
    for measure in (krippendorff_alpha, fleiss_kappa):
        with pytest.raises(DataError, match="all votes are equal"):
            measure(np.array([[2, 0], [2, 0]]))
    with pytest.raises(DataError, match="all votes are equal"):
        cohen_kappa(["a", "a"], ["a", "a"])


def test_too_little_is_refused() -> None:
    with pytest.raises(DataError, match="1 of 2 have"):
        krippendorff_alpha(np.array([[2, 0], [0, 1]]))
    with pytest.raises(DataError, match="2 to 3 votes"):
        fleiss_kappa(np.array([[2, 0], [1, 2]]))
    with pytest.raises(DataError, match="no vote"):
        count_values([], [])
    with pytest.raises(DataError, match="2 items, but 1 values"):
        count_values([1, 2], ["a"])
    with pytest.raises(DataError, match="1 values against 2"):
        cohen_kappa(["a"], ["a", "b"])
    with pytest.raises(DataError, match="at least two items"):
        cohen_kappa(["a"], ["a"])


def test_live_on_a_hundred_thousand_votes() -> None:
    counts = votes_of_two(0.7, 50_000, seed=0)
    start = time.perf_counter()
    krippendorff_alpha(counts)
    assert time.perf_counter() - start < 1.0
