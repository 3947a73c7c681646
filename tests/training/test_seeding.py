"""Draws are a function of the seed; the order of rows of seed and epoch."""

import random

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.training.seeding import order, seeded


def _draws() -> tuple[float, float]:
    return torch.rand(1).item(), random.random()


def test_draws_inside_depend_on_the_seed_and_draws_outside_on_nothing() -> None:
    def run(seed: int) -> tuple[float, float]:
        with seeded(seed):
            return _draws()

    torch.manual_seed(1)
    random.seed(1)
    state = np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    expected = (_draws(), _draws())
    torch.manual_seed(1)
    random.seed(1)
    first = _draws()
    assert run(7) == run(7) != run(8)
    assert (first, _draws()) == expected
    assert (np.random.get_state()[1] == state).all()  # type: ignore[index]  # noqa: NPY002


@settings(max_examples=40, deadline=None)
@given(num_rows=st.integers(1, 50), seed=st.integers(0, 2**31), epoch=st.integers(0, 9))
def test_an_epoch_is_a_permutation(num_rows: int, seed: int, epoch: int) -> None:
    rows = order(num_rows, seed=seed, epoch=epoch)
    assert sorted(rows) == list(range(num_rows))
    order.cache_clear()
    assert order(num_rows, seed=seed, epoch=epoch) == rows


def test_epochs_and_seeds_differ() -> None:
    assert len({order(20, seed=s, epoch=e) for s in range(3) for e in range(3)}) == 9
