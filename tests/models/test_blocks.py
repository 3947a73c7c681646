"""Blocks hold every query once, with the keys that tree attention lets it see."""

import pytest
import torch
from tests import tiny

from palate.data.trees import Tree, plant
from palate.models.blocks import Padded, Single, blocks_of
from palate.models.fused.tree_attention import tree_attention

SIZES = {"padded": (2048, 128), "single": (-1, 128), "cut": (-1, 3)}


def seen_by_the_rules(trees: list[Tree], window: int | None) -> torch.Tensor:
    """[token, token]: whether the row's query sees the column's key, by the picture of a tree."""
    forest = plant(trees)
    tree_of, response_of = [], []
    for number, tree in enumerate(trees):
        parts = [len(tree.prompt), *(len(r.tokens) for r in tree.responses)]
        tree_of += [number] * sum(parts)
        response_of += [part for part, count in enumerate(parts) for _ in range(count)]
    count = len(forest.tokens)
    seen = torch.zeros(count, count, dtype=torch.bool)
    for query in range(count):
        for key in range(query + 1):
            ahead = int(forest.positions[query] - forest.positions[key])
            seen[query, key] = (
                tree_of[query] == tree_of[key]
                and response_of[key] in (0, response_of[query])
                and (window is None or ahead < window)
            )
    return seen


def slow(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, seen: torch.Tensor
) -> torch.Tensor:
    """Attention over the whole square, heads repeated, the unseen masked."""
    group = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(group, 1) for x in (key, value))
    scores = torch.einsum("qhw,khw->hqk", query, key) * 0.3
    weights = scores.masked_fill(~seen, float("-inf")).softmax(-1)
    return torch.einsum("hqk,khw->qhw", weights, value)


@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("heads", [(4, 4), (4, 2)])
@pytest.mark.parametrize("size", SIZES)
def test_blocks_give_the_whole_squares_values_and_gradients(
    size: str, heads: tuple[int, int], window: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells, queries = SIZES[size]
    monkeypatch.setattr("palate.models.blocks.PADDING_CELLS", cells)
    monkeypatch.setattr("palate.models.blocks.MOST_QUERIES", queries)
    trees = [*tiny.trees(6, responses=(2, 1, 3, 2, 1, 2)), Tree((5, 6, 7))]
    forest = plant(trees)
    blocks = blocks_of(forest.spans, forest.positions)
    assert any(isinstance(block, Padded) for block in blocks) == (size == "padded")
    assert any(isinstance(block, Single) for block in blocks) == (size != "padded")
    generator = torch.Generator().manual_seed(1)

    def random(count: int) -> torch.Tensor:
        shape = (len(forest.tokens), count, 8)
        return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()

    parts = random(heads[0]), random(heads[1]), random(heads[1])
    upstream = random(heads[0]).detach()
    wanted = slow(*parts, seen_by_the_rules(trees, window))
    found = tree_attention(*parts, blocks=blocks, scaling=0.3, window=window)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    for mine, theirs in zip(
        torch.autograd.grad(found, parts, upstream),
        torch.autograd.grad(wanted, parts, upstream),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


def test_a_forest_of_short_trees_takes_few_blocks_and_a_long_tree_several() -> None:
    short, long = plant(tiny.trees(30)), plant([Tree(tuple(range(1, 600)))])
    assert len(blocks_of(short.spans, short.positions)) < 15
    assert len(blocks_of(long.spans, long.positions)) == 5
