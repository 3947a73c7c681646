"""The attention of a whole forest as one autograd node over blocks of queries.

A block's queries are the last rows of its keys, so that a query sees all keys but those after it
(lower-right causal). Outputs and gradients are written into one preallocated tensor each; saved are
query, key, value and output alone, and the backward makes a block's probabilities anew. Scores and
softmax are in float32 at least.

Axes: `token` rows of a forest; `segment` of one block, `query` and `key` rows of one segment;
heads are grouped by the key head that they share.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


@runtime_checkable
class Block(Protocol):
    """Queries with the keys that they may see; each method is about rows of the forest."""

    def queries(self, rows: Tensor) -> Tensor:
        """[token, ...] → [segment, query, ...]."""
        ...

    def keys(self, rows: Tensor) -> Tensor:
        """[token, ...] → [segment, key, ...]."""
        ...

    def gradients(self, rows: Tensor) -> Tensor:
        """As `queries`, with 0 where a query only fills up the shape."""
        ...

    def put(self, rows: Tensor, values: Tensor) -> None:
        """Write [segment, query, ...] to the queries' rows."""
        ...

    def add(self, rows: Tensor, values: Tensor) -> None:
        """Add [segment, key, ...] to the keys' rows."""
        ...

    def hide(self, scores: Tensor, window: int | None) -> None:
        """Set scores [segment, key heads, group, query, key] of what is not seen to −∞, in place.

        A window is how many tokens back a query sees, itself included; None: all of them.
        """
        ...


def tree_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    blocks: Sequence[Block],
    scaling: float,
    window: int | None = None,
) -> Tensor:
    """Attention output [token, heads, width].

    Args:
        query: [token, heads, width].
        key: [token, key heads, width]; heads are a multiple of key heads.
        value: [token, key heads, width].
        blocks: together hold every token as a query once.
        scaling: factor on the scores.
        window: tokens that a query looks back on; None: all.
    """
    return _TreeAttention.apply(query, key, value, blocks, scaling, window)  # type: ignore[no-any-return, no-untyped-call]


def _wide(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


class _Fold:
    """Between [segment, row, head, width] and the batch of matrices that products want."""

    def __init__(self, query: Tensor, key: Tensor) -> None:
        self.key_heads = key.shape[1]
        self.group = query.shape[1] // key.shape[1]

    def queries(self, rows: Tensor) -> Tensor:
        """[segment, query, heads, width] → [segment · key heads, group · query, width]."""
        segments, count, _, width = rows.shape
        grouped = rows.view(segments, count, self.key_heads, self.group, width)
        return grouped.permute(0, 2, 3, 1, 4).reshape(-1, self.group * count, width)

    def unfold(self, matrices: Tensor, segments: int) -> Tensor:
        """[segment · key heads, group · query, width] → [segment, query, heads, width]."""
        width = matrices.shape[-1]
        grouped = matrices.view(segments, self.key_heads, self.group, -1, width)
        return grouped.permute(0, 3, 1, 2, 4).flatten(2, 3)

    def keys(self, rows: Tensor) -> Tensor:
        """[segment, key, key heads, width] → [segment · key heads, key, width]."""
        return rows.transpose(1, 2).flatten(0, 1)

    def unfold_keys(self, matrices: Tensor, segments: int) -> Tensor:
        """[segment · key heads, key, width] → [segment, key, key heads, width]."""
        return matrices.view(segments, self.key_heads, *matrices.shape[1:]).transpose(1, 2)

    def probabilities(
        self, query: Tensor, key: Tensor, block: Block, segments: int, window: int | None
    ) -> Tensor:
        """[segment · key heads, group · query, key] of scaled queries."""
        scores = torch.bmm(query, key.transpose(1, 2))
        block.hide(scores.view(segments, self.key_heads, self.group, -1, key.shape[1]), window)
        return scores.softmax(-1)


class _TreeAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        blocks: Sequence[Block],
        scaling: float,
        window: int | None,
    ) -> Tensor:
        fold, output = (
            _Fold(query, key),
            torch.empty_like(query, memory_format=torch.contiguous_format),
        )
        for block in blocks:
            rows = block.queries(query)
            scaled = fold.queries(_wide(rows)) * scaling
            keys, values = (fold.keys(_wide(block.keys(x))) for x in (key, value))
            weights = fold.probabilities(scaled, keys, block, len(rows), window)
            block.put(output, fold.unfold(torch.bmm(weights, values), len(rows)).to(query.dtype))
        ctx.save_for_backward(query, key, value, output)
        ctx.plan = blocks, scaling, window
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        query, key, value, output = ctx.saved_tensors
        blocks, scaling, window = ctx.plan
        fold = _Fold(query, key)
        contiguous = torch.contiguous_format
        query_gradient = torch.empty_like(query, memory_format=contiguous)
        key_gradient = torch.zeros_like(key, memory_format=contiguous)
        value_gradient = torch.zeros_like(value, memory_format=contiguous)
        # Σ p · dp of each query's softmax is the product of its output with its gradient.
        along = torch.linalg.vecdot(_wide(upstream), _wide(output))[..., None]
        for block in blocks:
            rows = block.queries(query)
            count = len(rows)
            scaled = fold.queries(_wide(rows)) * scaling
            keys, values = (fold.keys(_wide(block.keys(x))) for x in (key, value))
            weights = fold.probabilities(scaled, keys, block, count, window)
            above = fold.queries(_wide(block.gradients(upstream)))
            slope = torch.bmm(above, values.transpose(1, 2))
            slope.sub_(fold.queries(block.gradients(along))).mul_(weights)
            value_part = torch.bmm(weights.transpose(1, 2), above)
            key_part = torch.bmm(slope.transpose(1, 2), scaled)
            query_part = torch.bmm(slope, keys).mul_(scaling)
            block.add(value_gradient, fold.unfold_keys(value_part, count).to(value.dtype))
            block.add(key_gradient, fold.unfold_keys(key_part, count).to(key.dtype))
            block.put(query_gradient, fold.unfold(query_part, count).to(query.dtype))
        return query_gradient, key_gradient, value_gradient, None, None, None
