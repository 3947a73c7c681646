"""What loops receive as arguments; the doors (commands, trainers, the demo) wire them."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from palate.data.trees import Forest, Tree
from palate.errors import NumericalError
from palate.models.attention import Plan
from palate.models.roles import Roles
from palate.models.scoring import rewards


@runtime_checkable
class Reward(Protocol):
    """Scores sampled responses; the reward model is one implementation, any function another."""

    def __call__(
        self, trees: Sequence[Tree], forest: Forest, plan: Plan
    ) -> Float[Tensor, " response"]: ...


class ModelReward:
    """The frozen reward role, on the forest that the other roles use."""

    def __init__(self, roles: Roles) -> None:
        self._roles = roles

    def __call__(
        self, trees: Sequence[Tree], forest: Forest, plan: Plan
    ) -> Float[Tensor, " response"]:
        return rewards(self._roles, forest, plan=plan)


class FunctionReward:
    """A function of texts: (prompts, responses) → one number a response.

    Raises:
        ValueError: the function gives another number of rewards than it got responses.
        NumericalError: a reward is not finite.
    """

    def __init__(
        self,
        function: Callable[[Sequence[str], Sequence[str]], Sequence[float]],
        decode: Callable[[Sequence[int]], str],
    ) -> None:
        self._function, self._decode = function, decode

    def __call__(
        self, trees: Sequence[Tree], forest: Forest, plan: Plan
    ) -> Float[Tensor, " response"]:
        prompts = [self._decode(tree.prompt) for tree in trees for _ in tree.responses]
        responses = [self._decode(r.tokens) for tree in trees for r in tree.responses]
        values = [float(value) for value in self._function(prompts, responses)]
        if len(values) != len(responses):
            raise ValueError(
                f"the reward function gave {len(values)} rewards for {len(responses)} responses; "
                "it must give one each, in order"
            )
        found = torch.tensor(values, dtype=torch.float32, device=forest.tokens.device)
        if not bool(found.isfinite().all()):
            worst = int((~found.isfinite()).nonzero()[0])
            raise NumericalError(
                f"the reward function gave {values[worst]} for the response {responses[worst]!r}"
            )
        return found
