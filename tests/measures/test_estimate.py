import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from palate.errors import DataError
from palate.measures.estimate import (
    Estimate,
    across_seeds,
    bootstrap_interval,
    difference_estimate,
    mean_estimate,
    rate_estimate,
)


def test_mean_by_hand() -> None:
    estimate = mean_estimate([1.0, 2.0, 6.0], unit="nats")
    # variance of the values 7, of their mean 7/3; t with 2 degrees of freedom is 4.3027
    assert estimate.value == 3.0
    assert estimate.high - estimate.value == pytest.approx(4.30265 * math.sqrt(7 / 3), rel=1e-5)
    assert estimate.value - estimate.low == pytest.approx(estimate.high - estimate.value)
    assert (estimate.n, estimate.unit) == (3, "nats")


def test_equal_clusters_are_an_interval_of_cluster_means() -> None:
    values = [1.0, 3.0, 5.0, 5.0, 0.0, 10.0]
    clustered = mean_estimate(values, unit="x", clusters=["a", "a", "b", "b", "c", "c"])
    assert clustered == mean_estimate([2.0, 5.0, 5.0], unit="x")
    assert clustered.n == 3


def test_copies_of_a_prompt_add_no_certainty() -> None:
    values = np.array([0.3, -1.0, 2.0, 0.7])
    once = mean_estimate(values, unit="x")
    copied = mean_estimate(np.repeat(values, 10), unit="x", clusters=np.repeat(np.arange(4), 10))
    assert copied.value == pytest.approx(once.value)
    assert copied.half_width == pytest.approx(once.half_width)


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_invariances(seed: int) -> None:
    generator = np.random.default_rng(seed)
    values = generator.normal(size=20)
    clusters = generator.integers(0, 6, size=20)
    estimate = mean_estimate(values, unit="x", clusters=clusters)
    order = generator.permutation(20)
    renamed = [f"prompt {5 - key}" for key in clusters[order]]
    shuffled = mean_estimate(values[order], unit="x", clusters=renamed)
    moved = mean_estimate(3 * values + 1, unit="x", clusters=clusters)
    for ours, theirs, straight in [
        (shuffled.value, moved.value, estimate.value),
        (shuffled.low, moved.low, estimate.low),
        (shuffled.high, moved.high, estimate.high),
    ]:
        assert ours == pytest.approx(straight)
        assert theirs == pytest.approx(3 * straight + 1)


def clustered_normals(generator: np.random.Generator, num: int) -> NDArray[np.float64]:
    return generator.normal(size=(num, 1)) + generator.normal(size=(num, 4))


@pytest.mark.parametrize("num_prompts", [12, 60])
def test_coverage_of_means(num_prompts: int) -> None:
    generator = np.random.default_rng(1)
    clusters = np.repeat(np.arange(num_prompts), 4)
    hits = 0
    for _ in range(800):
        values = clustered_normals(generator, num_prompts).ravel()
        estimate = mean_estimate(values, unit="x", clusters=clusters)
        hits += estimate.low <= 0 <= estimate.high
    assert 0.93 <= hits / 800 <= 0.97


@pytest.mark.parametrize(("rate", "num_prompts"), [(0.5, 40), (0.9, 40), (0.97, 40), (0.8, 150)])
def test_coverage_of_rates(rate: float, num_prompts: int) -> None:
    generator = np.random.default_rng(2)
    clusters = np.repeat(np.arange(num_prompts), 4)
    hits = 0
    for _ in range(800):
        chances = generator.beta(2 * rate, 2 * (1 - rate), size=(num_prompts, 1))
        outcomes = (generator.random((num_prompts, 4)) < chances).astype(float).ravel()
        estimate = rate_estimate(outcomes, unit="rate", clusters=clusters)
        hits += estimate.low <= rate <= estimate.high
    assert 0.93 <= hits / 800 <= 0.98


def test_rate_without_clusters_is_close_to_wilson() -> None:
    outcomes = np.array([1.0] * 70 + [0.0] * 30)
    estimate = rate_estimate(outcomes, unit="rate")
    wilson = stats.binomtest(70, 100).proportion_ci(method="wilson")
    assert estimate.low == pytest.approx(wilson.low, abs=3e-3)
    assert estimate.high == pytest.approx(wilson.high, abs=3e-3)


@given(seed=st.integers(0, 1000), num=st.integers(2, 30))
@settings(max_examples=30, deadline=None)
def test_rates_stay_in_bounds_and_mirror(seed: int, num: int) -> None:
    outcomes = np.random.default_rng(seed).choice([0.0, 0.5, 1.0], size=num)
    estimate, mirrored = (rate_estimate(o, unit="rate") for o in (outcomes, 1 - outcomes))
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert estimate.half_width > 0
    assert mirrored.low == pytest.approx(1 - estimate.high)
    assert mirrored.high == pytest.approx(1 - estimate.low)


def test_unanimous_outcomes_leave_doubt() -> None:
    t = 2.0930240544082634  # 19 degrees of freedom
    estimate = rate_estimate([1.0] * 20, unit="rate")
    assert estimate.high == 1.0
    assert estimate.low == pytest.approx(1 / (1 + t**2 / 20))


def test_paired_difference_by_hand() -> None:
    estimate = difference_estimate(first=[3.0, 5.0, 9.0], second=[2.0, 3.0, 3.0], unit="x")
    assert estimate == mean_estimate([1.0, 2.0, 6.0], unit="x")


def test_pairs_meet_by_prompt_and_samples_may_differ_in_number() -> None:
    estimate = difference_estimate(
        first=[1.0, 3.0, 5.0],
        first_clusters=["a", "a", "b"],
        second=[4.0, 4.0, 4.0, 1.0],
        second_clusters=["b", "b", "b", "a"],
        unit="x",
    )
    assert estimate == mean_estimate([2.0 - 1.0, 5.0 - 4.0], unit="x")
    assert estimate.n == 2


def test_pairing_removes_what_prompts_have_in_common() -> None:
    generator = np.random.default_rng(3)
    hardness = 10 * generator.normal(size=50)
    first = hardness + generator.normal(size=50) + 1
    second = hardness + generator.normal(size=50)
    paired = difference_estimate(first=first, second=second, unit="x")
    assert paired.half_width < 0.25 * mean_estimate(first, unit="x").half_width
    mirrored = difference_estimate(first=second, second=first, unit="x")
    assert (mirrored.value, mirrored.low) == pytest.approx((-paired.value, -paired.high))


def test_few_seeds_speak_of_these_models() -> None:
    one = across_seeds([[1.0, 2.0, 6.0]], unit="x")
    two = across_seeds([[1.0, 2.0, 6.0], [3.0, 2.0, 0.0]], unit="x")
    assert one == mean_estimate([1.0, 2.0, 6.0], unit="x")
    assert two == mean_estimate([2.0, 2.0, 3.0], unit="x")


def test_three_seeds_add_the_variance_between_seeds() -> None:
    # Prompts agree entirely, so all doubt is between the seed means 1, 2, 6.
    seeds = across_seeds([[1.0, 1.0], [2.0, 2.0], [6.0, 6.0]], unit="x")
    assert seeds.value == 3.0
    assert seeds.half_width == pytest.approx(4.30265 * math.sqrt(7 / 3), rel=1e-5)
    assert seeds.n == 2


def test_what_seeds_and_prompts_share_is_counted_once() -> None:
    """The two-way analysis of variance by its mean squares, which share the interaction's."""
    values = np.random.default_rng(11).normal(size=(4, 30)) + np.arange(4)[:, None] / 3
    between = 30 * values.mean(1).var(ddof=1)
    prompts = 4 * values.mean(0).var(ddof=1)
    rest = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    both = np.square(rest).sum() / (3 * 29)
    t_seeds, t_prompts = 3.182446, 2.045230
    wanted = (t_seeds**2 * between + t_prompts**2 * (prompts - both)) / values.size
    found = across_seeds(list(values), unit="x")
    assert found.half_width == pytest.approx(math.sqrt(wanted), rel=1e-6)


def test_seeds_that_agree_by_chance_make_nothing_surer_than_its_prompts() -> None:
    values = np.random.default_rng(12).normal(size=(3, 20))
    values -= values.mean(axis=1, keepdims=True)
    over_prompts = mean_estimate(values.mean(0), unit="x")
    assert across_seeds(list(values), unit="x").half_width == over_prompts.half_width


def test_coverage_across_seeds() -> None:
    """New seeds AND new prompts in each experiment; three seeds, forty prompts."""
    generator = np.random.default_rng(4)
    hits = 0
    for _ in range(800):
        seeds = 0.2 * generator.normal(size=(3, 1))
        prompts = generator.normal(size=(1, 40))
        values = seeds + prompts + 0.3 * generator.normal(size=(3, 40))
        estimate = across_seeds(list(values), unit="x")
        hits += estimate.low <= 0 <= estimate.high
    assert 0.93 <= hits / 800 <= 0.985


def test_bootstrap_interval_covers_like_t() -> None:
    generator = np.random.default_rng(5)
    hits = 0
    for _ in range(400):
        values = generator.normal(size=15)
        draws = values[generator.integers(0, 15, size=(800, 15))].mean(axis=1)
        estimate = bootstrap_interval(draws, value=float(values.mean()), n=15, unit="x")
        hits += estimate.low <= 0 <= estimate.high
    assert 0.92 <= hits / 400 <= 0.98


def test_words_and_json() -> None:
    estimate = Estimate(0.42, 0.31, 0.53, 200, "gold reward")
    assert str(estimate) == "+0.42 [0.31, 0.53]"
    assert str(Estimate(-0.0042, -0.0053, -0.0031, 9, "x")) == "-0.0042 [-0.0053, -0.0031]"
    assert str(Estimate(120.0, 100.0, 140.0, 9, "x")) == "+120 [100, 140]"
    assert str(Estimate(1.0, 1.0, 1.0, 9, "x")) == "+1.00 [1.00, 1.00]"
    assert estimate.to_json() == {
        "value": 0.42,
        "low": 0.31,
        "high": 0.53,
        "n": 200,
        "unit": "gold reward",
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "gold of arm dpo: the set is empty"),
        ([1.0], "gold of arm dpo: an interval needs at least two"),
        ([1.0, math.nan], "gold of arm dpo: value nan at index 1"),
        ([[1.0], [2.0]], "gold of arm dpo: expected one axis"),
    ],
)
def test_what_cannot_be_estimated_is_named(values: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        mean_estimate(values, unit="x", name="gold of arm dpo")


def test_other_refusals() -> None:
    with pytest.raises(DataError, match=r"not in \[0, 1\]"):
        rate_estimate([0.5, 1.5], unit="rate")
    with pytest.raises(DataError, match="2 values, but 3 cluster keys"):
        mean_estimate([1.0, 2.0], unit="x", clusters=[1, 2, 3])
    with pytest.raises(DataError, match="one side only .*'c'"):
        difference_estimate(
            first=[1.0, 2.0, 3.0],
            second=[1.0, 2.0],
            first_clusters=["a", "b", "c"],
            second_clusters=["a", "b"],
            unit="x",
        )
    with pytest.raises(DataError, match="no seed"):
        across_seeds([], unit="x")
    with pytest.raises(DataError, match=r"\[2, 3\]"):
        across_seeds([[1.0, 2.0], [1.0, 2.0, 3.0]], unit="x")
    with pytest.raises(ValueError, match="confidence is 95"):
        mean_estimate([1.0, 2.0], unit="x", confidence=95.0)
    with pytest.raises(ValueError, match="finite value"):
        Estimate(math.nan, 0.0, 1.0, 3, "x")
