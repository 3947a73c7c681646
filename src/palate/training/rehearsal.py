"""The longest micro-batch of a run, computed once before its first step and forgotten.

So too little memory shows at the start and not at step 900. Nothing that training depends on is
touched: no random number is drawn, no gradient stays, nothing is updated or counted.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from palate.data.trees import Forest, Tree, pack, plant
from palate.models.attention import ForestAttention, plan_forest
from palate.models.meter import Meter
from palate.models.roles import Roles
from palate.training.out_of_memory import in_short, is_out_of_memory
from palate.training.seeding import seeded

Loss = Callable[[Forest, ForestAttention, Sequence[Tree]], Tensor]


@dataclass(frozen=True)
class Longest:
    """The micro-batch of most tokens; `step` counts from 0 to the first that has one so long."""

    trees: list[Tree]
    tokens: int = 0
    step: int = 0


def longest_microbatch(steps: Iterable[Sequence[Tree]], *, max_tokens: int) -> Longest:
    """Where most tokens are computed at a time.

    Args:
        steps: the trees of each step still to come.
        max_tokens: tokens of a micro-batch at most, but for a tree that is longer.
    """
    longest = Longest([])
    for step, trees in enumerate(steps):
        for indices in pack(trees, max_tokens=max_tokens):
            tokens = sum(trees[i].num_tokens for i in indices)
            if tokens > longest.tokens:
                longest = Longest([trees[i] for i in indices], tokens, step)
    return longest


def rehearse(
    roles: Roles, optimizer: torch.optim.Optimizer, trees: Sequence[Tree], loss: Loss
) -> str | None:
    """Forward and backward of a micro-batch, with the memory that the optimizer will need.

    Returns:
        None, or in short what the allocator said where memory does not suffice.
    """
    forest = plant(trees, device=roles.device)
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    meter, roles.meter = roles.meter, Meter()
    try:
        with seeded(0), roles.training():
            # AdamW's two moments come with the first update and stay.
            fresh = [p for p in trained if p not in optimizer.state]
            moments = [torch.empty_like(p) for p in fresh for _ in range(2)]
            torch.autograd.backward(loss(forest, plan_forest(forest), trees))
            del moments
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return in_short(error)
    finally:
        roles.meter = meter
        for parameter in trained:
            parameter.grad = None
    return None
