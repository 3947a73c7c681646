"""Attention over a forest: every response sees its own prompt and itself, nothing else.

One attention function is registered with transformers under `ATTENTION`. Given a *plan* (a model
keyword) it hands queries, keys and values to the plan; without one it is the stock SDPA function,
so `generate` and padded scoring of the same model keep working.

Axes: `token` rows of a forest; a *segment* is a run of query rows with the keys that it may see.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from palate.data.trees import Forest, Span
from palate.errors import ModelError

ATTENTION = "palate_tree"
# (query rows, shared key rows, own key rows)
Segment = tuple[range, range, range]
# A group of segments shares one SDPA call; padding up to this many query–key cells is cheaper
# than another call.
PADDING_CELLS = 8192
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


def _segments(spans: Sequence[Span]) -> list[Segment]:
    """Every segment of a forest."""
    segments: list[Segment] = []
    for span in spans:
        prompt = range(span.start, span.start + span.prompt)
        if not span.responses:
            segments.append((prompt, prompt, range(0)))
        first = prompt.stop
        for number, count in enumerate(span.responses):
            response = range(first, first + count)
            # The first response's queries stand next to the prompt's: one segment does both.
            queries = range(prompt.start, response.stop) if number == 0 else response
            segments.append((queries, prompt, response))
            first = response.stop
    return segments


class _Group:
    """Segments of similar shape, padded to one: index tensors and masks shared by all layers."""

    def __init__(self, segments: list[Segment], positions: Tensor) -> None:
        device = positions.device
        longest_query = max(len(q) for q, _, _ in segments)
        longest_key = max(len(p) + len(r) for _, p, r in segments)
        queries = [[*q, *[q[0]] * (longest_query - len(q))] for q, _, _ in segments]
        keys = [[*p, *r, *[p[0]] * (longest_key - len(p) - len(r))] for _, p, r in segments]
        self.queries = torch.tensor(queries, device=device)
        self.keys = torch.tensor(keys, device=device)
        used = torch.tensor([len(p) + len(r) for _, p, r in segments], device=device)
        self.real_keys = torch.arange(longest_key, device=device)[None, :] < used[:, None]
        self.query_rows = [q for q, _, _ in segments]
        self.positions = positions
        self.causal = len(segments) == 1 and longest_query == longest_key
        self._masks: dict[int | None, Tensor] = {}

    def mask(self, window: int | None) -> Tensor:
        """[segment, 1, query, key]: True where the query may look."""
        if window not in self._masks:
            ahead = self.positions[self.queries][:, :, None] - self.positions[self.keys][:, None, :]
            allowed = (ahead >= 0) & self.real_keys[:, None, :]
            if window is not None:
                allowed = allowed & (ahead < window)
            self._masks[window] = allowed[:, None]
        return self._masks[window]

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, scaling: float, window: int | None
    ) -> Tensor:
        """[segment, query, heads, width]."""
        if window is not None and self.keys.shape[1] <= window:
            window = None
        plain = self.causal and window is None
        output = F.scaled_dot_product_attention(
            query[self.queries].transpose(1, 2),
            key[self.keys].transpose(1, 2),
            value[self.keys].transpose(1, 2),
            attn_mask=None if plain else self.mask(window),
            is_causal=plain,
            scale=scaling,
            enable_gqa=query.shape[1] != key.shape[1],
        )
        return output.transpose(1, 2)


def _group(segments: list[Segment]) -> list[list[Segment]]:
    """Segments, longest keys first, in runs that waste few cells when padded to one shape."""
    groups: list[list[Segment]] = []
    real = widest = 0
    for segment in segments:
        queries, keys = len(segment[0]), len(segment[1]) + len(segment[2])
        if groups:
            first = groups[-1][0]
            longest = len(first[1]) + len(first[2])
            padded = max(widest, queries) * longest * (len(groups[-1]) + 1)
            if padded - real - queries * keys <= PADDING_CELLS:
                groups[-1].append(segment)
                real, widest = real + queries * keys, max(widest, queries)
                continue
        groups.append([segment])
        real, widest = queries * keys, queries
    return groups


class ForestAttention:
    """The plan of a forest: its segments in a few groups, one SDPA call a group and layer."""

    def __init__(self, spans: Sequence[Span], positions: Tensor) -> None:
        self.calls = 0
        segments = sorted(
            _segments(spans), key=lambda s: (len(s[1]) + len(s[2]), len(s[0])), reverse=True
        )
        self._groups = [_Group(some, positions) for some in _group(segments)]
        # Where each row of the forest stands in the groups' padded outputs, put end to end.
        home = [0] * len(positions)
        offset = 0
        for group in self._groups:
            for rows in group.query_rows:
                home[rows.start : rows.stop] = range(offset, offset + len(rows))
                offset += group.queries.shape[1]
        self._home = torch.tensor(home, device=positions.device)

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
        outputs = [
            group.attend(query, key, value, scaling, window).flatten(0, 1) for group in self._groups
        ]
        together = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
        return together[self._home]


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
