"""Reference log-probabilities, computed once per row and shared by losses, sweeps and diagnostics.

A row's key is a hash of its tokens; the cache as a whole belongs to one reference (a hash of its
weights). Order never matters, and filling it draws no random number.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from palate.data.trees import Tree, pack, plant
from palate.models.roles import Roles
from palate.models.scoring import response_logprobs


class ReferenceCache:
    """Log-probability of every response of every tree under the reference, in nats."""

    def __init__(self, *, max_tokens: int = 4096) -> None:
        self._rows: dict[str, tuple[float, ...]] = {}
        self._max_tokens = max_tokens

    def __len__(self) -> int:
        return len(self._rows)

    @torch.no_grad()
    def fill(self, roles: Roles, trees: Sequence[Tree]) -> None:
        """Compute what is missing, in evaluation mode."""
        missing = list(
            {key: tree for tree in trees if (key := tree.key()) not in self._rows}.values()
        )
        for group in pack(missing, max_tokens=self._max_tokens):
            chosen = [missing[i] for i in group]
            forest = plant(chosen, device=roles.device)
            sums = iter(response_logprobs(roles, "reference", forest).tolist())
            for tree in chosen:
                self._rows[tree.key()] = tuple(next(sums) for _ in tree.responses)

    def lookup(self, trees: Sequence[Tree], *, device: torch.device) -> Float[Tensor, " response"]:
        """Reference log-probabilities of the responses of trees, in a forest's order."""
        sums = [value for tree in trees for value in self._rows[tree.key()]]
        return torch.tensor(sums, dtype=torch.float32, device=device)
