"""Reference log-probabilities, computed once per row and shared by losses, sweeps and diagnostics.

A row's key is a hash of the reference's weights and one of the row's tokens, so one cache may serve
runs of several references and never gives one the numbers of another. Order never matters, and
filling it draws no random number.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from palate.data.trees import Tree, pack, plant
from palate.models.roles import Roles
from palate.models.scoring import response_logprobs


class ReferenceCache:
    """Log-probability of every response of every tree under a reference, in nats."""

    def __init__(self, *, max_tokens: int = 4096) -> None:
        self._rows: dict[tuple[str, str], tuple[float, ...]] = {}
        self._max_tokens = max_tokens

    def __len__(self) -> int:
        return len(self._rows)

    @torch.no_grad()
    def fill(self, roles: Roles, trees: Sequence[Tree]) -> None:
        """Compute what is missing, in evaluation mode."""
        whose = roles["reference"].fingerprint
        missing = list(
            {key: tree for tree in trees if (whose, (key := tree.key())) not in self._rows}.values()
        )
        for group in pack(missing, max_tokens=self._max_tokens):
            chosen = [missing[i] for i in group]
            forest = plant(chosen, device=roles.device)
            sums = iter(response_logprobs(roles, "reference", forest).tolist())
            for tree in chosen:
                self._rows[whose, tree.key()] = tuple(next(sums) for _ in tree.responses)

    def lookup(self, roles: Roles, trees: Sequence[Tree]) -> Float[Tensor, " response"]:
        """Log-probabilities under these roles' reference of the trees' responses, as in a forest.

        Raises:
            KeyError: a tree was never filled in for this reference.
        """
        whose = roles["reference"].fingerprint
        sums = [value for tree in trees for value in self._rows[whose, tree.key()]]
        return torch.tensor(sums, dtype=torch.float32, device=roles.device)
