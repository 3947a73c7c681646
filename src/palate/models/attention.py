"""Attention over a forest: every response sees its own prompt and itself, nothing else.

One attention function is registered with transformers under `ATTENTION`. Given a *plan* (a model
keyword) it hands queries, keys and values to the plan; without one it is the stock SDPA function,
so `generate` and padded scoring of the same model keep working.

Axes: `token` rows of a forest.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from palate.data.trees import Forest, Span
from palate.errors import ModelError
from palate.models.blocks import blocks_of
from palate.models.fused.tree_attention import tree_attention

ATTENTION = "palate_tree"
# Keywords that stock layers pass and that change nothing for a causal model without dropout.
HARMLESS = {"position_ids", "use_cache", "is_causal", "output_attentions", "cache_position"}


@runtime_checkable
class Plan(Protocol):
    """How the queries of one flat row attend, layer by layer."""

    calls: int

    def attend(
        self,
        *,
        layer: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scaling: float,
        window: int | None,
    ) -> Tensor:
        """Attention output [token, heads, width] for one layer.

        Args:
            layer: index of the layer.
            query: [token, heads, width], positions already applied.
            key: [token, key heads, width].
            value: [token, key heads, width].
            scaling: factor on the scores.
            window: sliding window of the layer in tokens; None: unlimited.
        """
        ...


def palate_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    plan: Plan | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """The registered attention function; see the module's first lines."""
    if plan is None:
        output, _ = sdpa_attention_forward(
            module,
            query,
            key,
            value,
            attention_mask,
            scaling=scaling,
            dropout=dropout,
            sliding_window=sliding_window,
            **kwargs,
        )
        return output, None
    unknown = {name for name, given in kwargs.items() if given is not None} - HARMLESS
    if unknown:
        raise ModelError(
            f"{type(module).__name__} asks attention for {', '.join(sorted(unknown))}, which tree "
            "attention does not know"
        )
    plan.calls += 1
    layer = module.layer_idx
    assert isinstance(layer, int)
    output = plan.attend(
        layer=layer,
        query=query[0].transpose(0, 1),
        key=key[0].transpose(0, 1),
        value=value[0].transpose(0, 1),
        scaling=query.shape[-1] ** -0.5 if scaling is None else scaling,
        window=sliding_window,
    )
    return output[None], None


AttentionInterface.register(ATTENTION, palate_attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


class ForestAttention:
    """The plan of a forest: blocks of queries, made once and used by every layer and role."""

    def __init__(self, spans: Sequence[Span], positions: Tensor) -> None:
        self.calls = 0
        self._blocks = blocks_of(spans, positions)

    def attend(
        self,
        *,
        layer: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scaling: float,
        window: int | None,
    ) -> Tensor:
        """See `Plan.attend`."""
        return tree_attention(
            query, key, value, blocks=self._blocks, scaling=scaling, window=window
        )


def plan_forest(forest: Forest) -> ForestAttention:
    """The attention plan of a forest; build it once and use it for every role and layer."""
    return ForestAttention(forest.spans, forest.positions)


def model_keywords(plan: Plan, device: torch.device) -> dict[str, Any]:
    """Keywords of a decoder's forward that make it follow `plan`.

    A mask of four axes is handed through by transformers as it is, so that no mask is built for
    a row that needs none.
    """
    return {
        "plan": plan,
        "use_cache": False,
        "attention_mask": torch.zeros(1, 1, 1, 1, dtype=torch.bool, device=device),
    }
