"""Keys and values of responses that are being sampled, and attention that writes and reads them.

A live row has a slot of its own from its prompt's first token to its response's last. Slots 0 … n−1
are the live ones: when a row ends, the last live row moves into its slot.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from palate.data.trees import Span
from palate.models.attention import ForestAttention


class KVStore:
    """One slot a row: [slot, key heads, time, width] a layer, made at the first prefill.

    On a CPU it is float32 whatever the weights: attention of single queries is several times
    slower in bfloat16 there.
    """

    def __init__(self, slots: int, limit: int) -> None:
        self._slots, self._limit = slots, limit
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []

    def write(self, layer: int, first: int, key: Tensor, value: Tensor) -> None:
        """Fill slots from `first` on with keys and values [slot, time, key heads, width]."""
        if layer == len(self.keys):
            shape = (self._slots, key.shape[2], self._limit, key.shape[3])
            kind = torch.float32 if key.device.type == "cpu" else key.dtype
            self.keys.append(key.new_zeros(shape, dtype=kind))
            self.values.append(key.new_zeros(shape, dtype=kind))
        rows = slice(first, first + len(key))
        self.keys[layer][rows, :, : key.shape[1]] = key.transpose(1, 2)
        self.values[layer][rows, :, : key.shape[1]] = value.transpose(1, 2)

    def move(self, holes: Sequence[int], sources: Sequence[int]) -> None:
        """Copy live rows into the slots of finished ones."""
        for tensor in (*self.keys, *self.values):
            tensor[list(holes)] = tensor[list(sources)]


class Prefill(ForestAttention):
    """Causal attention over prompts that also writes each prompt's keys to its samples' slots."""

    def __init__(
        self, spans: Sequence[Span], positions: Tensor, store: KVStore, first: int, samples: int
    ) -> None:
        """`samples` slots a prompt, from slot `first` on."""
        super().__init__(spans, positions)
        self._store, self._first = store, first
        width = max(s.prompt for s in spans)
        rows = [
            [s.start + min(t, s.prompt - 1) for t in range(width)]
            for s in spans
            for _ in range(samples)
        ]
        self._rows = torch.tensor(rows, device=positions.device)

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
        self._store.write(layer, self._first, key[self._rows], value[self._rows])
        return super().attend(
            layer=layer, query=query, key=key, value=value, scaling=scaling, window=window
        )


class Decode:
    """One query a live row against its slot."""

    def __init__(self, store: KVStore, positions: Tensor) -> None:
        """Live row i writes at `positions[i]` of slot i and looks no farther."""
        self.calls = 0
        self._store, self._positions = store, positions
        self._slots = torch.arange(len(positions), device=positions.device)
        self._until = int(positions.max()) + 1
        times = torch.arange(self._until, device=positions.device)
        self._ahead = positions[:, None] - times[None, :]

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
        keys, values = self._store.keys[layer], self._store.values[layer]
        keys[self._slots, :, self._positions] = key.to(keys.dtype)
        values[self._slots, :, self._positions] = value.to(values.dtype)
        rows, heads, width = query.shape
        key_heads = key.shape[1]
        grouped = query.to(keys.dtype).view(rows, key_heads, heads // key_heads, width)
        seen_keys = keys[:rows, :, : self._until]
        seen_values = values[:rows, :, : self._until]
        scores = (grouped @ seen_keys.transpose(2, 3)).float() * scaling
        hidden = self._ahead < 0
        if window is not None:
            hidden = hidden | (self._ahead >= window)
        scores = scores.masked_fill(hidden[:, None, None], float("-inf"))
        output = scores.softmax(-1).to(seen_values.dtype) @ seen_values
        return output.reshape(rows, heads, width).to(query.dtype)
