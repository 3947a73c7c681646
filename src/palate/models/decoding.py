"""From requests to finished responses, token by token: on a KV store, or on padded rows.

Prompts are prefilled flat, each once for all its samples. Rows that end leave; when a quarter of
the slots is free the queue fills them again, so that matrix products stay wide to the end.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from palate.data.trees import Tree, plant
from palate.models.kv import Decode, KVStore, Prefill
from palate.models.role import Role
from palate.models.roles import Roles
from palate.models.stopping import Ending

# Prompt tokens that are prefilled at a time.
PREFILL_TOKENS = 8192
REFILL_SHARE = 0.25


@dataclass(eq=False)
class Request:
    """A response that is wanted, and what there is of it.

    Attributes:
        prompt: its tokens.
        uniforms: a number in [0, 1) for each token that it may have.
        tokens: drawn so far.
        logprobs: of those tokens under the distribution they were drawn from, nats.
        stopped: whether it ended by itself.
    """

    prompt: tuple[int, ...]
    uniforms: NDArray[np.float64]
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    stopped: bool = False

    def take(self, token: int, logprob: float, is_over: Ending) -> bool:
        """Append a token; whether the response goes on."""
        self.tokens.append(token)
        self.logprobs.append(logprob)
        self.stopped = is_over(self.tokens)
        return not self.stopped and len(self.tokens) < len(self.uniforms)


def draw_tokens(
    logits: Float[Tensor, "row vocab"], uniforms: Float[Tensor, " row"], *, temperature: float
) -> tuple[Int[Tensor, " row"], Float[Tensor, " row"]]:
    """A token a row, by one uniform number each, and its log-probability.

    The inverse of the cumulative distribution; temperature 0 takes the most likely token.
    """
    if temperature == 0:
        logprobs = logits.log_softmax(-1)
        tokens = logprobs.argmax(-1)
    else:
        logprobs = (logits / temperature).log_softmax(-1)
        cumulative = logprobs.double().exp().cumsum(-1)
        aim = uniforms[:, None] * cumulative[:, -1:]
        tokens = torch.searchsorted(cumulative, aim, right=True)[:, 0]
        tokens = tokens.clamp_max(logits.shape[-1] - 1)
    return tokens, logprobs.gather(1, tokens[:, None])[:, 0]


class Decoder:
    """Rows of one role that are being sampled.

    Args:
        roles: for meter and device.
        role: entered, and stays so while this decodes.
        is_over: says when a response has ended.
        temperature: divides the logits.
        advance: called with the number of prompts whose worth of samples has come.
    """

    def __init__(
        self,
        roles: Roles,
        role: Role,
        *,
        is_over: Ending,
        temperature: float,
        advance: Callable[[int], None],
    ) -> None:
        self._roles, self._trunk = roles, role.trunk
        self._is_over, self._temperature, self._advance = is_over, temperature, advance
        self._live: list[Request] = []
        self._done, self._samples = 0, 1

    def run(self, groups: Sequence[Sequence[Request]], *, max_rows: int) -> None:
        """Finish every request; a group are the samples of one prompt, alike in number."""
        self._done, self._samples = 0, len(groups[0])
        if self._trunk.flat:
            self._run_flat(deque(groups), max_rows=max(max_rows, self._samples))
            return
        rows = max(1, max_rows // self._samples)
        for start in range(0, len(groups), rows):
            self._run_padded([one for group in groups[start : start + rows] for one in group])

    def _run_flat(self, queue: deque[Sequence[Request]], *, max_rows: int) -> None:
        wanted = [one for group in queue for one in group]
        limit = max(len(one.prompt) + len(one.uniforms) for one in wanted)
        store = KVStore(min(max_rows, len(wanted)), limit)
        logits: Tensor | None = None
        while queue or self._live:
            free = max_rows - len(self._live)
            if queue and free >= max(self._samples, REFILL_SHARE * max_rows):
                fresh = self._prefill(queue, store, free)
                logits = fresh if logits is None else torch.cat([logits, fresh])
            assert logits is not None
            tokens, going = self._draw(logits)
            order = self._compact(going, store)
            if not order:
                logits = None
                continue
            positions = torch.tensor(
                [len(one.prompt) + len(one.tokens) - 1 for one in self._live],
                device=self._roles.device,
            )
            hidden = self._trunk.step(tokens[order], positions, Decode(store, positions))
            logits = self._trunk.logits(hidden)
            seen = float(positions.sum()) + len(order)
            self._count(rows=len(order), head_rows=len(order), pairs=seen)

    def _prefill(self, queue: deque[Sequence[Request]], store: KVStore, free: int) -> Tensor:
        """Take prompts off the queue into the free slots; logits of their samples [row, vocab]."""
        groups, tokens, samples = [queue.popleft()], 0, self._samples
        while queue and samples * (len(groups) + 1) <= free:
            tokens += len(groups[-1][0].prompt)
            if tokens + len(queue[0][0].prompt) > PREFILL_TOKENS:
                break
            groups.append(queue.popleft())
        forest = plant([Tree(group[0].prompt) for group in groups], device=self._roles.device)
        plan = Prefill(forest.spans, forest.positions, store, len(self._live), samples)
        hidden = self._trunk.step(forest.tokens, forest.positions, plan)
        ends = torch.tensor(
            [s.start + s.prompt - 1 for s in forest.spans], device=self._roles.device
        )
        self._count(
            rows=len(forest.tokens),
            head_rows=len(ends),
            pairs=sum(s.prompt**2 / 2 for s in forest.spans),
        )
        self._live += [one for group in groups for one in group]
        return self._trunk.logits(hidden[ends]).repeat_interleave(samples, 0)

    def _draw(self, logits: Tensor) -> tuple[Tensor, list[bool]]:
        """The next token of each live row, and which rows go on."""
        numbers = [one.uniforms[len(one.tokens)] for one in self._live]
        uniforms = torch.tensor(numbers, dtype=torch.float64, device=logits.device)
        tokens, logprobs = draw_tokens(logits, uniforms, temperature=self._temperature)
        drawn = zip(self._live, tokens.tolist(), logprobs.tolist(), strict=True)
        going = [one.take(token, logprob, self._is_over) for one, token, logprob in drawn]
        told = self._done // self._samples
        self._done += going.count(False)
        if (count := self._done // self._samples - told) > 0:
            self._advance(count)
        return tokens, going

    def _compact(self, going: list[bool], store: KVStore) -> list[int]:
        """Drop finished rows; the last live ones move into the holes. Returns the new order."""
        count = sum(going)
        order = list(range(count))
        holes = [i for i in order if not going[i]]
        sources = [i for i in range(count, len(going)) if going[i]]
        if holes:
            store.move(holes, sources)
        for hole, source in zip(holes, sources, strict=True):
            order[hole] = source
        self._live = [self._live[i] for i in order]
        return order

    def _run_padded(self, requests: list[Request]) -> None:
        """For models without a flat path: every step scores the whole rows. Slow and right."""
        self._live = requests
        while self._live:
            rows = [Tree((*one.prompt, *one.tokens)) for one in self._live]
            forest = plant(rows, device=self._roles.device)
            ends = torch.tensor(
                [s.start + s.prompt - 1 for s in forest.spans], device=self._roles.device
            )
            logits = self._trunk.logits(self._trunk.hidden(forest)[ends])
            self._count(
                rows=len(forest.tokens),
                head_rows=len(ends),
                pairs=forest.num_attention_pairs,
            )
            _, going = self._draw(logits)
            self._live = [one for one, goes in zip(self._live, going, strict=True) if goes]

    def _count(self, *, rows: int, head_rows: int, pairs: float) -> None:
        self._roles.meter.add(
            "sample", self._trunk.model, rows=rows, head_rows=head_rows, pairs=pairs
        )
