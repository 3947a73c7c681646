"""The longest micro-batch of a run, computed once before its first step and forgotten.

So too little memory shows at the start and not at step 900. Nothing that training depends on is
touched: no random number is drawn, no gradient stays, nothing is updated or counted.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from palate.data.trees import Forest, Tree, pack, plant
from palate.errors import RecipeError
from palate.models.attention import ForestAttention, plan_forest
from palate.models.meter import Meter
from palate.models.roles import Roles
from palate.training.seeding import seeded

Loss = Callable[[Forest, ForestAttention, Sequence[Tree]], Tensor]
# What torch says where an allocation fails; on a CPU it has no class of its own for it.
ALLOCATION_FAILED = ("out of memory", "can't allocate memory")


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
    roles: Roles,
    optimizer: torch.optim.Optimizer,
    trees: Sequence[Tree],
    loss: Loss,
    *,
    max_tokens: int,
) -> None:
    """Forward and backward of a micro-batch, with the memory that the optimizer will need.

    Raises:
        RecipeError: memory does not suffice; the message says for what, and what to lower.
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
        if not _is_out_of_memory(error):
            raise
        first = str(error).strip().splitlines()[:1]
        raise RecipeError(
            f"memory does not suffice for the longest micro-batch of this run: {len(trees)} rows "
            f"of {len(forest.tokens)} tokens, prompts and responses together "
            f"({': '.join([type(error).__name__, *first])}). Lower max_tokens_per_microbatch "
            f"(now {max_tokens}); a row that is longer stands alone, there lower max_length"
        ) from error
    finally:
        roles.meter = meter
        for parameter in trained:
            parameter.grad = None


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        words in str(error) for words in ALLOCATION_FAILED
    )
