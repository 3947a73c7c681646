"""A forest's attention cut into blocks: which queries look at which keys.

A *segment* is a run of query rows with the keys that it may see: the prompt and, if it is of a
response, that response. Its queries are the last rows of its keys. Short segments of similar shape
are padded to one block, a long segment is cut into several, whose keys end where its queries do.

Axes as in `fused/tree_attention.py`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from palate.data.trees import Span
from palate.models.fused.tree_attention import Block

# (query rows, shared key rows, own key rows)
Segment = tuple[range, range, range]
# Segments are padded to one block while that wastes at most so many query–key cells: with short
# trees a call costs more than the cells. Of 2048, 8192, 32768 and 131072 the last two were the
# fastest on the embedded world (docs/log.md).
PADDING_CELLS = 32768
# Queries of a block at most: fewer waste less on keys ahead, more make larger products.
MOST_QUERIES = 128


def blocks_of(spans: Sequence[Span], positions: Tensor) -> list[Block]:
    """The blocks of a forest; together they hold every row as a query once."""
    segments = sorted(
        _segments(spans), key=lambda s: (len(s[1]) + len(s[2]), len(s[0])), reverse=True
    )
    blocks: list[Block] = []
    for group in _group(segments):
        if len(group) > 1:
            blocks.append(Padded(group, positions))
        else:
            blocks += _cut(group[0], positions.device)
    return blocks


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


def _cut(segment: Segment, device: torch.device) -> list[Block]:
    """A segment as blocks of about equally many queries, `MOST_QUERIES` at most."""
    queries, shared, own = segment
    pieces = -(-len(queries) // MOST_QUERIES)
    ends = [queries.start + len(queries) * n // pieces for n in range(pieces + 1)]
    blocks: list[Block] = []
    for start, stop in zip(ends[:-1], ends[1:], strict=True):
        seen = range(shared.start, min(stop, shared.stop)) if start in shared else shared
        mine = range(own.start, max(own.start, min(stop, own.stop)))
        blocks.append(Single(range(start, stop), seen, mine, device))
    return blocks


class Single:
    """Queries of one segment: slices of the forest's rows, no copy where the keys lie together."""

    def __init__(self, queries: range, shared: range, own: range, device: torch.device) -> None:
        self._queries = slice(queries.start, queries.stop)
        parts = [shared, own] if own else [shared]
        if own and own.start == shared.stop:
            parts = [range(shared.start, own.stop)]
        self._keys = [slice(part.start, part.stop) for part in parts]
        count = len(queries)
        # Only the queries' own rows can lie ahead of a query, and they are the last keys.
        self._ahead = torch.full((count, count), float("-inf"), device=device).triu_(1)

    def queries(self, rows: Tensor) -> Tensor:
        """See `Block.queries`."""
        return rows[None, self._queries]

    gradients = queries

    def keys(self, rows: Tensor) -> Tensor:
        """See `Block.keys`."""
        if len(self._keys) == 1:
            return rows[None, self._keys[0]]
        return torch.cat([rows[part] for part in self._keys])[None]

    def put(self, rows: Tensor, values: Tensor) -> None:
        """See `Block.put`."""
        rows[self._queries] = values[0]

    def add(self, rows: Tensor, values: Tensor) -> None:
        """See `Block.add`."""
        start = 0
        for part in self._keys:
            count = part.stop - part.start
            rows[part] += values[0, start : start + count]
            start += count

    def hide(self, scores: Tensor, window: int | None) -> None:
        """See `Block.hide`."""
        count, seen = scores.shape[-2:]
        scores[..., seen - count :] += self._ahead
        if window is not None and seen > window:
            behind = torch.ones(count, seen, dtype=torch.bool, device=scores.device)
            scores.masked_fill_(behind.tril_(seen - count - window), float("-inf"))


class Padded:
    """Segments of similar shape, padded to one: index tensors and masks shared by all layers."""

    def __init__(self, segments: list[Segment], positions: Tensor) -> None:
        device = positions.device
        longest_query = max(len(q) for q, _, _ in segments)
        longest_key = max(len(p) + len(r) for _, p, r in segments)
        queries = [[*q, *[q[0]] * (longest_query - len(q))] for q, _, _ in segments]
        keys = [[*p, *r, *[p[0]] * (longest_key - len(p) - len(r))] for _, p, r in segments]
        self._queries = torch.tensor(queries, device=device)
        self._keys = torch.tensor(keys, device=device)
        asked = torch.tensor([len(q) for q, _, _ in segments], device=device)
        used = torch.tensor([len(p) + len(r) for _, p, r in segments], device=device)
        filling = torch.arange(longest_query, device=device)[None, :] >= asked[:, None]
        self._filling = filling[:, :, None, None]
        self._real_keys = torch.arange(longest_key, device=device)[None, :] < used[:, None]
        self._rows = self._queries[~filling]
        self._places = (~filling).flatten().nonzero()[:, 0]
        self._positions = positions
        self._hidden: dict[int | None, Tensor] = {}

    def queries(self, rows: Tensor) -> Tensor:
        """See `Block.queries`."""
        return rows[self._queries]

    def keys(self, rows: Tensor) -> Tensor:
        """See `Block.keys`."""
        return rows[self._keys]

    def gradients(self, rows: Tensor) -> Tensor:
        """See `Block.gradients`."""
        return rows[self._queries].masked_fill_(self._filling, 0.0)

    def put(self, rows: Tensor, values: Tensor) -> None:
        """See `Block.put`."""
        rows[self._rows] = values.flatten(0, 1)[self._places]

    def add(self, rows: Tensor, values: Tensor) -> None:
        """See `Block.add`; a key that only fills up has a gradient of exactly 0."""
        rows.index_add_(0, self._keys.flatten(), values.flatten(0, 1))

    def hide(self, scores: Tensor, window: int | None) -> None:
        """See `Block.hide`."""
        if window not in self._hidden:
            ahead = self._positions[self._queries][:, :, None]
            ahead = ahead - self._positions[self._keys][:, None, :]
            hidden = (ahead < 0) | ~self._real_keys[:, None, :]
            if window is not None:
                hidden = hidden | (ahead >= window)
            self._hidden[window] = hidden[:, None, None]
        scores.masked_fill_(self._hidden[window], float("-inf"))
