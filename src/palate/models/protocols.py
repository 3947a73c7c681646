"""What loops receive as arguments; the doors (commands, trainers, the demo) wire them."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from palate.data.records import Prompt, Text
from palate.data.trees import Forest, Tree
from palate.models.attention import Plan
from palate.models.reward_function import NamedFunction, RewardFunction, rewards_of
from palate.models.roles import Roles
from palate.models.scoring import rewards

Decode = Callable[[Sequence[int]], str]
# A prompt and its response's tokens → the response's text.
Respond = Callable[[Text, Sequence[int]], str]


@runtime_checkable
class Reward(Protocol):
    """Scores sampled responses; the reward model is one implementation, any function another."""

    def __call__(
        self, trees: Sequence[Tree], forest: Forest, plan: Plan
    ) -> Float[Tensor, " response"]: ...


class ModelReward:
    """A frozen reward role, on the forest that the policy uses: its tokens must be the policy's.

    `uncertainty_coef` spreads of an ensemble's heads are taken off (`cautious_rewards`).
    """

    def __init__(self, roles: Roles, *, uncertainty_coef: float = 0.0) -> None:
        self._roles, self._uncertainty_coef = roles, uncertainty_coef

    def __call__(
        self, trees: Sequence[Tree], forest: Forest, plan: Plan
    ) -> Float[Tensor, " response"]:
        return rewards(self._roles, forest, plan=plan, uncertainty_coef=self._uncertainty_coef)


class FunctionReward:
    """A function of texts: (prompts, responses, **columns) → one number a response.

    Args:
        function: what `rewards_of` takes.
        decode: tokens → text.
        respond: a response's tokens → its text, where a chat template writes more into a response
            than its words; None: `decode`.
        name: what messages call it.

    Raises:
        UsageError: the function gives another number of rewards than it got responses.
        NumericalError: a reward is not finite.
    """

    def __init__(
        self,
        function: RewardFunction,
        decode: Decode,
        *,
        respond: Respond | None = None,
        name: str = "the reward function",
    ) -> None:
        self._function = NamedFunction(function, name)
        self._decode, self._respond = decode, respond or (lambda _, tokens: decode(tokens))

    def __call__(
        self, trees: Sequence[Tree], forest: Forest, plan: Plan
    ) -> Float[Tensor, " response"]:
        prompts, responses = texts_of(trees, decode=self._decode, respond=self._respond)
        values = rewards_of(self._function, prompts, responses)
        return torch.tensor(values, dtype=torch.float32, device=forest.tokens.device)


class WeightedReward:
    """A sum of rewards, each times its weight; each has its own unit, so weights carry units."""

    def __init__(self, parts: Sequence[tuple[float, Reward]]) -> None:
        self._parts = parts

    def __call__(
        self, trees: Sequence[Tree], forest: Forest, plan: Plan
    ) -> Float[Tensor, " response"]:
        weighted = [weight * reward(trees, forest, plan) for weight, reward in self._parts]
        return torch.stack(weighted).sum(0)


def texts_of(
    trees: Sequence[Tree], *, decode: Decode, respond: Respond
) -> tuple[list[Prompt], list[str]]:
    """Prompt and text of every response of trees, in the forest's order.

    The prompt is the record that the tree was grown from; a tree of bare tokens has it decoded.
    """
    prompts, responses = [], []
    for tree in trees:
        prompt = tree.source or Prompt(decode(tree.prompt), origin=tree.origin)
        prompts += [prompt] * len(tree.responses)
        responses += [respond(prompt.prompt, response.tokens) for response in tree.responses]
    return prompts, responses
