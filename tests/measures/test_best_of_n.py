"""Best-of-n: its distribution against every way to draw, its KL against the distribution."""

from itertools import product
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.measures.best_of_n import best_of_n_distribution, kl_of_best, kl_upper_bound

PROBS = np.array([0.1, 0.2, 0.3, 0.4])


def by_every_draw(rewards: np.ndarray, n: int) -> np.ndarray:
    """Probability that each response is the first of the highest rewards drawn."""
    found = np.zeros(len(PROBS))
    for drawn in product(range(len(PROBS)), repeat=n):
        best = max(drawn, key=lambda i: rewards[i])
        found[best] += np.prod(PROBS[list(drawn)])
    return found


@pytest.mark.parametrize("rewards", [[3.0, 1.0, 2.0, 0.0], [1.0, 1.0, 0.0, 1.0], [5.0] * 4])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_distribution_is_that_of_every_draw(rewards: list[float], n: int) -> None:
    found = best_of_n_distribution(probabilities=PROBS, rewards=np.array(rewards), n=n)
    np.testing.assert_allclose(found, by_every_draw(np.array(rewards), n), atol=1e-12)


@given(
    st.lists(st.floats(0.01, 1.0), min_size=2, max_size=12),
    st.integers(1, 64),
    st.integers(0, 1000),
)
def test_the_bound_holds_for_every_distribution(weights: list[float], n: int, seed: int) -> None:
    probs = np.array(weights) / sum(weights)
    rewards = np.random.default_rng(seed).integers(0, 4, size=len(probs)).astype(float)
    best = best_of_n_distribution(probabilities=probs, rewards=rewards, n=n)
    there = best > 0
    kl = float((best[there] * np.log(best[there] / probs[there])).sum())
    assert kl <= kl_upper_bound(n) + 1e-9


def test_the_bound_by_hand_and_where_it_is_met() -> None:
    assert kl_upper_bound(1) == 0.0
    assert kl_upper_bound(4) == pytest.approx(log(4) - 0.75)
    # A thousand equally likely responses without ties come near it.
    probs = np.full(1000, 1e-3)
    best = best_of_n_distribution(probabilities=probs, rewards=np.arange(1000.0), n=4)
    assert float((best * np.log(best / probs)).sum()) == pytest.approx(kl_upper_bound(4), abs=1e-3)
    with pytest.raises(ValueError, match="best of 0"):
        kl_upper_bound(0)


def test_the_estimate_is_the_bound_for_rare_responses_and_exact_for_two() -> None:
    np.testing.assert_allclose(kl_of_best(logprobs=np.array([-60.0]), n=8), kl_upper_bound(8))
    assert kl_of_best(logprobs=np.array([-3.0]), n=1).tolist() == [0.0]
    assert kl_of_best(logprobs=np.array([0.0]), n=8)[0] == pytest.approx(0.0, abs=1e-9)
    # One good response of probability ε among very many worse ones: the formula is exact.
    epsilon, n, rest = 0.2, 4, 4000
    probs = np.array([epsilon, *np.full(rest, (1 - epsilon) / rest)])
    rewards = np.array([1e9, *np.arange(rest)])
    best = best_of_n_distribution(probabilities=probs, rewards=rewards, n=n)
    kl = float((best * np.log(best / probs)).sum())
    assert kl_of_best(logprobs=np.log([epsilon]), n=n)[0] == pytest.approx(kl, abs=1e-3)


def test_what_is_chosen_is_estimated_better_than_by_the_bound() -> None:
    rewards = np.array([3.0, 1.0, 2.0, 0.0])
    best = best_of_n_distribution(probabilities=PROBS, rewards=rewards, n=8)
    kl = float((best * np.log(best / PROBS)).sum())
    estimate = float((best * kl_of_best(logprobs=np.log(PROBS), n=8)).sum())
    assert abs(estimate - kl) < abs(kl_upper_bound(8) - kl)
    assert estimate <= kl_upper_bound(8)
