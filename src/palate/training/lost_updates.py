"""How many weights an optimizer step leaves as they were, although they have a gradient.

A step that is smaller than half the spacing of a weight's numbers is rounded away: with 16-bit
weights and the learning rates of preference training that is the rule, not the exception.
"""

from collections.abc import Callable, Collection

import torch
from torch import Tensor

# Enough to tell a share, too few to cost anything.
NUM_TENSORS, NUM_WEIGHTS = 8, 1024


@torch.no_grad()
def watch_update(parameters: Collection[Tensor]) -> Callable[[], tuple[float, float]]:
    """Remember some weights that are about to be updated.

    Args:
        parameters: what the optimizer updates, with their gradients.

    Returns:
        To be called after the update: how many of the weights with a gradient are, bit for bit,
        what they were, and how many had one.
    """
    # An odd stride, so that not all of them are LoRA's A, or all B.
    every = max(1, len(parameters) // NUM_TENSORS) | 1
    some = [p for p in list(parameters)[::every] if p.grad is not None]
    before = [p.detach().flatten()[:NUM_WEIGHTS].clone() for p in some]
    reached = [p.grad.flatten()[:NUM_WEIGHTS] != 0 for p in some if p.grad is not None]

    def after() -> tuple[float, float]:
        lost, count = 0.0, 0.0
        for parameter, old, had in zip(some, before, reached, strict=True):
            now = parameter.detach().flatten()[:NUM_WEIGHTS]
            lost += float(((now == old) & had).sum())
            count += float(had.sum())
        return lost, count

    return after
