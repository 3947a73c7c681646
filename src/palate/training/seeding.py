"""The one place that seeds global generators: PEFT's initialization and dropout take no other."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draws inside are a function of `seed`; draws outside are as if nothing had happened."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 (saved, not drawn from)
    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=devices):
        random.seed(seed)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002 (restored)


@lru_cache(maxsize=2)
def order(num_rows: int, *, seed: int, epoch: int) -> tuple[int, ...]:
    """The order of rows in an epoch: a function of seed and epoch alone, so one integer resumes."""
    generator = np.random.Generator(np.random.PCG64([seed, epoch]))
    return tuple(int(i) for i in generator.permutation(num_rows))


def rows_of_step(number: int, *, num_rows: int, size: int, seed: int) -> tuple[int, ...]:
    """The rows of a step, counted from 1; the last step of an epoch may have fewer than `size`."""
    epoch, place = divmod(number - 1, -(-num_rows // size))
    return order(num_rows, seed=seed, epoch=epoch)[place * size : (place + 1) * size]
