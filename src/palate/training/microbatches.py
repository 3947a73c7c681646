"""A step's trees a few at a time, and fewer where memory does not suffice.

The split never changes the gradient, which is a sum over the trees; only its rounding.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from palate.data.trees import Forest, Tree, pack, plant
from palate.models.attention import ForestAttention, plan_forest
from palate.models.roles import Roles
from palate.training.out_of_memory import in_short, is_out_of_memory, too_little
from palate.training.resume import Standing
from palate.training.settings import StageSettings
from palate.training.window import Window

log = logging.getLogger("palate")
Learned = TypeVar("Learned")
# Where a run that had too little memory keeps its smaller size, in `Standing.extra`: a resumed run
# must split its steps as the first one did, to be the same to the last bit.
KEPT = "max_tokens_per_microbatch"


class Microbatches:
    """How a run splits its steps, and what a step has changed before its update."""

    def __init__(
        self,
        stage: str,
        roles: Roles,
        settings: StageSettings,
        optimizer: torch.optim.Optimizer,
        *,
        standing: Standing,
        window: Window,
    ) -> None:
        self._stage, self._roles, self._settings = stage, roles, settings
        self._optimizer, self._standing, self._window = optimizer, standing, window

    @property
    def max_tokens(self) -> int:
        """Tokens of a micro-batch at most: as set, or less once memory has not sufficed."""
        return int(self._standing.extra.get(KEPT) or self._settings.max_tokens_per_microbatch)

    def of(self, trees: Sequence[Tree]) -> Iterator[tuple[Forest, ForestAttention, list[int]]]:
        """Forests of at most `max_tokens` rows, with the indices of their trees."""
        for indices in pack(trees, max_tokens=self.max_tokens):
            forest = plant([trees[i] for i in indices], device=self._roles.device)
            yield forest, plan_forest(forest), indices

    def accumulate(
        self,
        trees: Sequence[Tree],
        learn: Callable[[Forest, ForestAttention, list[int]], Learned],
    ) -> list[Learned]:
        """Gradients of a step's trees, a micro-batch at a time.

        Where memory does not suffice the step begins anew with micro-batches of half the tokens:
        the gradient is the same up to rounding, and the smaller size is kept for the rest of the
        run.

        Args:
            trees: of the step.
            learn: takes a forest, its plan and the indices of its trees; calls the session's
                `backward` and `record`.

        Returns:
            What `learn` gave for each micro-batch.

        Raises:
            RecipeError: memory does not suffice for a single tree.
        """
        while True:
            back = self._mark()
            try:
                return [learn(*microbatch) for microbatch in self.of(trees)]
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                reason = in_short(error)
            # Only here, outside the handler, are the failed micro-batch's tensors free.
            back()
            groups = pack(trees, max_tokens=self.max_tokens)
            self.shrink([[trees[i] for i in group] for group in groups], reason)

    def shrink(self, groups: Sequence[Sequence[Tree]], reason: str) -> None:
        """Halve the tokens of a micro-batch; `groups` are those that were tried.

        Raises:
            RecipeError: each of them is a single tree.
        """
        sizes = [sum(tree.num_tokens for tree in group) for group in groups]
        if all(len(group) == 1 for group in groups):
            longest = groups[sizes.index(max(sizes))]
            raise too_little(longest, reason=reason, max_tokens=self.max_tokens)
        smaller = max(sizes) // 2
        log.warning(
            "%s: memory does not suffice for %d tokens at a time (%s); from now on at most %d, "
            "with the same results up to rounding (max_tokens_per_microbatch: %d)",
            self._stage, max(sizes), reason, smaller, smaller,
        )  # fmt: skip
        self._standing.extra[KEPT] = float(smaller)

    def _mark(self) -> Callable[[], None]:
        """Remember where the step begins: random numbers, sums of the log, tokens, no gradient."""
        tokens, window_back = self._standing.tokens, self._window.mark()
        cpu = torch.get_rng_state()
        devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []

        def back() -> None:
            torch.set_rng_state(cpu)
            torch.cuda.set_rng_state_all(devices)
            window_back()
            self._standing.tokens = tokens
            self._optimizer.zero_grad(set_to_none=True)

        return back
