"""Trees and forests: one prompt with its responses, and many of them in one flat row of tokens.

    row              [ prompt | response 1 | response 2 | … ]
    positions        0…P-1     P…P+C₁-1     P…P+C₂-1
    predicting rows of response j   the prompt's last row, then the response's rows but the last
    last row of response j          its last token's row

The prompt's last row predicts the first token of every response. A forest is its trees end to
end, so there is no padding and no prompt is computed twice.

Axes: `token` T, all rows of the forest; `target` U, all response tokens; `response` N.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from palate.data.records import Prompt
from palate.errors import DataError


@dataclass(frozen=True, slots=True)
class Response:
    """A response as tokens; `stopped` is True where it ended by itself (its last token is EOS)."""

    tokens: tuple[int, ...]
    stopped: bool = True

    def __post_init__(self) -> None:
        if not self.tokens:
            raise DataError("a response without tokens has nothing to score; drop the row")


@dataclass(frozen=True, slots=True)
class Tree:
    """One prompt and its responses (none for a prompt that is still to be answered).

    `desirable` labels a single response as wanted or not; None where nobody has. `source` is the
    record that a prompt was rendered from: rewards that read text take it from there.
    """

    prompt: tuple[int, ...]
    responses: tuple[Response, ...] = ()
    weight: float = 1.0
    margin: float | None = None
    origin: str = ""
    desirable: bool | None = None
    source: Prompt | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.prompt:
            raise DataError(f"{self.origin or 'a tree'}: a prompt needs at least one token")

    @property
    def num_tokens(self) -> int:
        """Rows of the tree in a forest: the prompt once and every response."""
        return len(self.prompt) + sum(len(r.tokens) for r in self.responses)

    @property
    def num_response_tokens(self) -> int:
        """Tokens of all responses."""
        return sum(len(r.tokens) for r in self.responses)

    @property
    def longest(self) -> int:
        """Length in tokens of the longest prompt + response."""
        return len(self.prompt) + max((len(r.tokens) for r in self.responses), default=0)

    def key(self) -> str:
        """A hash of prompt and response tokens: equal where the numbers that a model gives are."""
        parts = (self.prompt, *(r.tokens for r in self.responses))
        return sha256(repr(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Span:
    """Where a tree stands in the row: first row, prompt length, response lengths."""

    start: int
    prompt: int
    responses: tuple[int, ...]


@dataclass(frozen=True)
class Forest:
    """Trees end to end in one row; see the module's picture for what each index means."""

    tokens: Int[Tensor, " token"]
    positions: Int[Tensor, " token"]
    spans: tuple[Span, ...]
    predicting_rows: Int[Tensor, " target"]
    targets: Int[Tensor, " target"]
    owner: Int[Tensor, " target"]
    last_rows: Int[Tensor, " response"]
    stopped: Bool[Tensor, " response"]

    @property
    def num_responses(self) -> int:
        """Responses of all trees (N)."""
        return len(self.last_rows)

    @cached_property
    def lengths(self) -> Int[Tensor, " response"]:
        """Tokens of each response."""
        return torch.bincount(self.owner, minlength=self.num_responses)

    @cached_property
    def tails(self) -> Bool[Tensor, " target"]:
        """True for response tokens beyond the length of their tree's shortest response."""
        shared = [min(span.responses) for span in self.spans for _ in span.responses]
        within = torch.arange(len(self.targets), device=self.owner.device)
        starts = self.lengths.cumsum(0) - self.lengths
        limits = torch.tensor(shared, device=self.owner.device)
        return within - starts[self.owner] >= limits[self.owner]

    @cached_property
    def num_attention_pairs(self) -> float:
        """Query–key pairs that causal tree attention looks at (for counting FLOPs)."""
        return sum(
            span.prompt**2 / 2 + sum(c * (span.prompt + c / 2) for c in span.responses)
            for span in self.spans
        )

    def sums(self, per_token: Tensor) -> Tensor:
        """Sum a quantity of the response tokens [U] over each response [N].

        The sums are accumulated in float64: a margin is a small difference of large ones.
        """
        zeros = per_token.new_zeros(self.num_responses, dtype=torch.float64)
        return zeros.index_add(0, self.owner, per_token.double()).to(per_token.dtype)

    def padded(self, per_token: Tensor) -> Tensor:
        """Lay a quantity of the response tokens [U] out as [N, longest response], 0 elsewhere."""
        grid = per_token.new_zeros(self.response_mask.shape)
        return grid.masked_scatter(self.response_mask, per_token)

    @cached_property
    def response_mask(self) -> Bool[Tensor, "response time"]:
        """True where `padded` holds a token."""
        steps = torch.arange(int(self.lengths.max()), device=self.lengths.device)
        return steps[None, :] < self.lengths[:, None]


def plant(trees: Sequence[Tree], *, device: torch.device | str = "cpu") -> Forest:
    """Lay trees end to end.

    Raises:
        DataError: there is no tree.
    """
    if not trees:
        raise DataError("a forest needs at least one tree")
    tokens: list[int] = []
    positions: list[int] = []
    predicting: list[int] = []
    targets: list[int] = []
    owner: list[int] = []
    last: list[int] = []
    stopped: list[bool] = []
    spans: list[Span] = []
    for tree in trees:
        start, length = len(tokens), len(tree.prompt)
        spans.append(Span(start, length, tuple(len(r.tokens) for r in tree.responses)))
        tokens.extend(tree.prompt)
        positions.extend(range(length))
        for response in tree.responses:
            first, count = len(tokens), len(response.tokens)
            predicting.append(start + length - 1)
            predicting.extend(range(first, first + count - 1))
            targets.extend(response.tokens)
            owner.extend([len(last)] * count)
            tokens.extend(response.tokens)
            positions.extend(range(length, length + count))
            last.append(first + count - 1)
            stopped.append(response.stopped)

    def index(values: Sequence[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.long, device=device)

    return Forest(
        tokens=index(tokens),
        positions=index(positions),
        spans=tuple(spans),
        predicting_rows=index(predicting),
        targets=index(targets),
        owner=index(owner),
        last_rows=index(last),
        stopped=torch.tensor(stopped, dtype=torch.bool, device=device),
    )


def pack(trees: Sequence[Tree], *, max_tokens: int) -> list[list[int]]:
    """Split trees, in their order, into groups of at most `max_tokens` rows.

    A tree that is longer than the budget stands alone. Losses are sums divided by the whole
    step's count, so the grouping changes speed and memory and never the gradient.

    Returns:
        Lists of indices into `trees`; together each index once, in order.
    """
    groups: list[list[int]] = []
    room = 0
    for index, tree in enumerate(trees):
        if groups and tree.num_tokens <= room:
            groups[-1].append(index)
        else:
            groups.append([index])
            room = max_tokens
        room -= tree.num_tokens
    return groups


def fit(
    trees: Iterable[Tree], *, max_length: int, overlong: str = "refuse"
) -> tuple[list[Tree], int]:
    """Keep the trees whose every prompt + response has at most `max_length` tokens.

    Nothing is ever cut: a truncated response would be trained on as if it were whole.

    Args:
        trees: what was rendered.
        max_length: tokens of prompt + response.
        overlong: "refuse" raises on the first ones found, "drop" leaves them out and counts them.

    Returns:
        The kept trees and the number of dropped ones.

    Raises:
        DataError: a tree is too long and `overlong` is "refuse", or nothing is left.
    """
    kept: list[Tree] = []
    long: list[Tree] = []
    for tree in trees:
        (kept if tree.longest <= max_length else long).append(tree)
    if long and overlong == "refuse":
        first = long[0]
        raise DataError(
            f"{len(long)} of {len(kept) + len(long)} rows are longer than max_length {max_length} "
            f"tokens (first: {first.origin or 'no origin'} with {first.longest}); raise "
            "--max-length, or leave them out with --overlong drop"
        )
    if not kept:
        raise DataError(
            f"every row ({len(long)}) is longer than max_length {max_length} tokens; "
            "raise --max-length"
        )
    return kept, len(long)
