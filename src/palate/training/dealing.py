"""What was found for a rollout's responses, dealt out in minibatches and micro-batches.

Axes: `target` all response tokens of some trees, `response` their responses.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from palate.data.trees import Forest, Response, Tree, pack, plant
from palate.models.attention import ForestAttention, plan_forest
from palate.training.seeding import order


@dataclass(frozen=True)
class Portion:
    """Some trees as a forest, with their numbers: each [target] or [response], by name."""

    forest: Forest
    plan: ForestAttention
    tokens: Mapping[str, Tensor]
    responses: Mapping[str, Tensor]


class Dealt:
    """Trees with numbers a response token and a response, in the order of the trees."""

    def __init__(
        self,
        trees: Sequence[Tree],
        *,
        tokens: Mapping[str, Tensor],
        responses: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._trees, self._tokens, self._responses = trees, tokens, responses or {}
        self._by_token = _starts([tree.num_response_tokens for tree in trees])
        self._by_response = _starts([len(tree.responses) for tree in trees])
        self._kept: dict[tuple[int, ...], Portion] = {}

    def portions(self, indices: Sequence[int], *, max_tokens: int) -> Iterator[Portion]:
        """Micro-batches of some trees; made once and kept while the rollout lives."""
        trees = [self._trees[i] for i in indices]
        for group in pack(trees, max_tokens=max_tokens):
            mine = tuple(indices[i] for i in group)
            if mine not in self._kept:
                device = next(iter(self._tokens.values())).device
                forest = plant([self._trees[i] for i in mine], device=device)
                self._kept[mine] = Portion(
                    forest,
                    plan_forest(forest),
                    {n: _slices(full, self._by_token, mine) for n, full in self._tokens.items()},
                    {
                        n: _slices(full, self._by_response, mine)
                        for n, full in self._responses.items()
                    },
                )
            yield self._kept[mine]


def _starts(counts: Sequence[int]) -> list[int]:
    found: list[int] = torch.tensor([0, *counts]).cumsum(0).tolist()
    return found


def _slices(full: Tensor, starts: Sequence[int], indices: Sequence[int]) -> Tensor:
    return torch.cat([full[starts[i] : starts[i + 1]] for i in indices])


def minibatches(
    num_trees: int, *, passes: int, count: int, seed: int, step: int
) -> Iterator[list[int]]:
    """Indices of trees, a list an optimizer step: every pass deals them anew."""
    size = -(-num_trees // count)
    for one in range(passes):
        indices = list(range(num_trees))
        if count > 1:
            indices = list(order(num_trees, seed=seed + 1, epoch=step * passes + one))
        yield from (indices[i : i + size] for i in range(0, num_trees, size))


def longest_responses(prompts: Sequence[Tree], *, count: int, length: int) -> list[Tree]:
    """Prompts with `count` responses of `length` tokens, to rehearse what a rollout may bring."""
    return [
        Tree(prompt.prompt, (Response(prompt.prompt[:1] * length),) * count) for prompt in prompts
    ]
