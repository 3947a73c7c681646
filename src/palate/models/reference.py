"""Reference log-probabilities, computed once per row and shared by losses, sweeps and diagnostics.

A row's key is a hash of the reference's weights and one of the row's tokens, so one cache may serve
runs of several references and never gives one the numbers of another, or of itself before it moved.
Order never matters, and filling it draws no random number.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from palate.data.trees import Tree, pack, plant
from palate.models.roles import Roles
from palate.models.scoring import token_logprobs_of
from palate.objectives.weighting import length_desensitized


class ReferenceCache:
    """Log-probability of every response of every tree under a reference, in nats.

    Beside each sum stands the part of it beyond the tree's shortest response, so that runs with
    another `ld_alpha` can share one cache.
    """

    def __init__(self, *, max_tokens: int = 4096) -> None:
        self._rows: dict[tuple[str, str], tuple[tuple[float, float], ...]] = {}
        self._max_tokens = max_tokens

    def __len__(self) -> int:
        return len(self._rows)

    def clear(self) -> None:
        """Forget everything: nobody asks for a reference that has moved away."""
        self._rows.clear()

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
            per_token = token_logprobs_of(roles, "reference", forest)
            sums, tails = forest.sums(per_token), forest.sums(per_token * forest.tails)
            both = iter(zip(sums.tolist(), tails.tolist(), strict=True))
            for tree in chosen:
                self._rows[whose, tree.key()] = tuple(next(both) for _ in tree.responses)

    def lookup(
        self, roles: Roles, trees: Sequence[Tree], *, ld_alpha: float = 1.0
    ) -> Float[Tensor, " response"]:
        """Log-probabilities under these roles' reference of the trees' responses, as in a forest.

        Args:
            roles: have the reference.
            trees: all of them were filled in.
            ld_alpha: weight of the tokens beyond a tree's shortest response.

        Raises:
            KeyError: a tree was never filled in for this reference as it is now.
        """
        whose = roles["reference"].fingerprint
        both = [numbers for tree in trees for numbers in self._rows[whose, tree.key()]]
        sums, tails = torch.tensor(both, dtype=torch.float32, device=roles.device).unbind(1)
        return length_desensitized(logprobs=sums, tail_logprobs=tails, alpha=ld_alpha)
