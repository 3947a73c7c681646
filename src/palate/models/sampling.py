"""Prompts → responses with their log-probabilities: plain temperature sampling, own KV store.

Prompts are prefilled flat, each once for all its samples; finished rows are dropped by moving the
last live row into the hole. A request's randomness is a function of (seed, prompt, sample number)
alone, so a sample does not depend on its neighbours in the batch beyond float rounding; where a
prompt comes again in one call, its sample numbers go on.

Nothing but temperature is offered: top-k, top-p, minimum lengths and penalties make a sample come
from another distribution than the one that is scored, and the KL wrong (negative, even).
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import torch
from torch import Tensor

from palate.data.trees import Response, Span, Tree, plant
from palate.models.attention import ForestAttention
from palate.models.context import check_context
from palate.models.roles import Role, Roles
from palate.models.stopping import Ending, ending

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """A sampled response.

    Attributes:
        tokens: ids, the end token included where there is one.
        logprobs: log-probability of each token under the distribution it was drawn from, nats.
        stopped: ended by an end token or a stop text (False: cut at the limit).
    """

    tokens: Tokens
    logprobs: tuple[float, ...]
    stopped: bool

    def response(self) -> Response:
        """The sample as part of a tree."""
        return Response(self.tokens, self.stopped)


@torch.no_grad()
def sample(
    roles: Roles,
    name: str,
    prompts: Sequence[Tokens],
    *,
    num_samples: int = 1,
    max_new_tokens: int,
    end_tokens: Collection[int],
    stop: Sequence[str] = (),
    temperature: float = 1.0,
    seed: int,
    max_rows: int = 256,
    first_numbers: Sequence[int] | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> list[list[Sample]]:
    """Sample responses to every prompt.

    Args:
        roles: the models of the run.
        name: the role that answers.
        prompts: prompt tokens.
        num_samples: responses a prompt.
        max_new_tokens: limit in tokens; a row that meets it is cut, `stopped` False.
        end_tokens: ids that end a response.
        stop: texts that end a response too, once its text has one of them.
        temperature: divides the logits; 0 takes the most likely token.
        seed: with the prompt and the sample number it fixes the draw. A prompt's first occurrence
            has the sample numbers 0 … num_samples − 1, its second the next ones, and so on.
        max_rows: responses decoded at a time.
        first_numbers: a sample number for each prompt to begin at, where some were drawn before.
        advance: called with the number of finished prompts (for a progress bar).

    Returns:
        For each prompt, in order, `num_samples` samples.

    Raises:
        DataError: a prompt and `max_new_tokens` do not fit into the model's context.
    """
    check_context(roles[name].trunk.model.config, prompts, max_new_tokens=max_new_tokens)
    is_over = ending(roles.tokenizer, end_tokens, stop)
    per_batch = max(1, max_rows // num_samples)
    found: list[list[Sample]] = []
    drawn: Counter[Tokens] = Counter()
    for start in range(0, len(prompts), per_batch):
        some = prompts[start : start + per_batch]
        noise: list[np.ndarray] = []
        for place, prompt in enumerate(some, start):
            first = drawn[prompt] if first_numbers is None else first_numbers[place]
            drawn[prompt] += num_samples
            numbers = range(first, first + num_samples)
            noise.extend(_uniforms(seed, prompt, number, max_new_tokens) for number in numbers)
        with roles.enter(name) as role:
            decode = _decode_flat if role.trunk.flat else _decode_padded
            uniforms = torch.from_numpy(np.stack(noise))
            rows = decode(roles, role, some, num_samples, uniforms, is_over, temperature)
        found.extend(rows[i : i + num_samples] for i in range(0, len(rows), num_samples))
        advance(len(some))
    return found


def _uniforms(seed: int, prompt: Tokens, number: int, count: int) -> np.ndarray:
    digest = sha256(repr((seed, prompt, number)).encode()).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
    return generator.random(count)


class _Draw:
    """Chooses tokens and collects the rows' samples; rows are requests, in order."""

    def __init__(
        self,
        noise: Tensor,
        is_over: Ending,
        temperature: float,
        device: torch.device,
    ) -> None:
        self.noise = noise.to(device)
        self.is_over = is_over
        self.temperature = temperature
        self.tokens: list[list[int]] = [[] for _ in noise]
        self.logprobs: list[list[float]] = [[] for _ in noise]
        self.stopped = [False] * len(noise)

    def __call__(self, logits: Tensor, live: list[int], step: int) -> tuple[Tensor, list[bool]]:
        """Draw the next token of each live row; returns the tokens and which rows go on."""
        if self.temperature == 0:
            logprobs = logits.log_softmax(-1)
            tokens = logprobs.argmax(-1)
        else:
            logprobs = (logits / self.temperature).log_softmax(-1)
            # Inverse of the cumulative distribution: one uniform number a token.
            cumulative = logprobs.double().exp().cumsum(-1)
            aim = self.noise[live, step][:, None] * cumulative[:, -1:]
            tokens = torch.searchsorted(cumulative, aim, right=True)[:, 0]
            tokens = tokens.clamp_max(logits.shape[-1] - 1)
        chosen = logprobs.gather(1, tokens[:, None])[:, 0].tolist()
        going = []
        last_step = step + 1 == self.noise.shape[1]
        for row, token, logprob in zip(live, tokens.tolist(), chosen, strict=True):
            self.tokens[row].append(token)
            self.logprobs[row].append(logprob)
            self.stopped[row] = self.is_over(self.tokens[row])
            going.append(not (self.stopped[row] or last_step))
        return tokens, going

    def samples(self) -> list[Sample]:
        return [
            Sample(tuple(tokens), tuple(logprobs), stopped)
            for tokens, logprobs, stopped in zip(
                self.tokens, self.logprobs, self.stopped, strict=True
            )
        ]


class _Store:
    """Keys and values of every live row, one slot a row: [layers, slot, key heads, time, width]."""

    def __init__(self, slots: int, limit: int) -> None:
        self.slots, self.limit = slots, limit
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []

    def open(self, layer: int, like: Tensor) -> None:
        """Make room for a layer; `like` is [token, key heads, width]."""
        if layer == len(self.keys):
            shape = (self.slots, like.shape[1], self.limit, like.shape[2])
            self.keys.append(like.new_zeros(shape))
            self.values.append(like.new_zeros(shape))

    def move(self, holes: list[int], sources: list[int]) -> None:
        """Copy live rows into the slots of finished ones."""
        for bank in (self.keys, self.values):
            for tensor in bank:
                tensor[holes] = tensor[sources]


class _Prefill(ForestAttention):
    """Causal attention over the prompts that also writes each prompt's keys to its slots."""

    def __init__(
        self, spans: Sequence[Span], positions: Tensor, store: _Store, num_samples: int
    ) -> None:
        super().__init__(spans, positions)
        self._store = store
        width = max(s.prompt for s in spans)
        rows = [
            [s.start + min(t, s.prompt - 1) for t in range(width)]
            for s in spans
            for _ in range(num_samples)
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
        self._store.open(layer, key)
        width = self._rows.shape[1]
        self._store.keys[layer][:, :, :width] = key[self._rows].transpose(1, 2)
        self._store.values[layer][:, :, :width] = value[self._rows].transpose(1, 2)
        return super().attend(
            layer=layer, query=query, key=key, value=value, scaling=scaling, window=window
        )


class _Decode:
    """One query a live row against its slot."""

    def __init__(self, store: _Store) -> None:
        self.calls = 0
        self._store = store
        self._slots = torch.empty(0, dtype=torch.long)
        self._positions = torch.empty(0, dtype=torch.long)

    def aim(self, positions: Tensor) -> None:
        """Set where each live row writes and up to where it looks."""
        self._positions = positions
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
        keys[self._slots, :, self._positions] = key
        values[self._slots, :, self._positions] = value
        rows, heads, width = query.shape
        key_heads = key.shape[1]
        grouped = query.view(rows, key_heads, heads // key_heads, width)
        seen_keys = keys[:rows, :, : self._until]
        seen_values = values[:rows, :, : self._until]
        scores = (grouped @ seen_keys.transpose(2, 3)).float() * scaling
        hidden = self._ahead < 0
        if window is not None:
            hidden = hidden | (self._ahead >= window)
        scores = scores.masked_fill(hidden[:, None, None], float("-inf"))
        output = scores.softmax(-1).to(seen_values.dtype) @ seen_values
        return output.reshape(rows, heads, width)


def _decode_flat(
    roles: Roles,
    role: Role,
    prompts: Sequence[Tokens],
    num_samples: int,
    noise: Tensor,
    is_over: Ending,
    temperature: float,
) -> list[Sample]:
    trunk, device, limit = role.trunk, roles.device, noise.shape[1]
    forest = plant([Tree(prompt) for prompt in prompts], device=device)
    slots = len(prompts) * num_samples
    store = _Store(slots, max(map(len, prompts)) + limit)
    prefill = _Prefill(forest.spans, forest.positions, store, num_samples)
    hidden = trunk.step(forest.tokens, forest.positions, prefill)
    ends = torch.tensor([s.start + s.prompt - 1 for s in forest.spans], device=device)
    logits = trunk.logits(hidden[ends]).repeat_interleave(num_samples, 0)
    pairs = sum(s.prompt**2 / 2 for s in forest.spans)
    rows = len(forest.tokens)
    roles.meter.add("sample", trunk.model, rows=rows, head_rows=len(ends), pairs=pairs)

    draw = _Draw(noise, is_over, temperature, device)
    decode = _Decode(store)
    live = list(range(slots))
    positions = torch.tensor([len(p) for p in prompts for _ in range(num_samples)], device=device)
    for step in range(limit):
        tokens, going = draw(logits, live, step)
        keep = [i for i, goes in enumerate(going) if goes]
        if not keep:
            break
        if len(keep) < len(live):
            # The last live rows move into the holes, so that live rows stay the first slots.
            holes = [i for i in range(len(keep)) if not going[i]]
            sources = [i for i in keep if i >= len(keep)]
            store.move(holes, sources)
            order = list(range(len(keep)))
            for hole, source in zip(holes, sources, strict=True):
                order[hole] = source
            live = [live[i] for i in order]
            tokens, positions = tokens[order], positions[order]
        decode.aim(positions)
        logits = trunk.logits(trunk.step(tokens, positions, decode))
        seen = float(positions.sum()) + len(live)
        roles.meter.add("sample", trunk.model, rows=len(live), head_rows=len(live), pairs=seen)
        positions = positions + 1
    return draw.samples()


def _decode_padded(
    roles: Roles,
    role: Role,
    prompts: Sequence[Tokens],
    num_samples: int,
    noise: Tensor,
    is_over: Ending,
    temperature: float,
) -> list[Sample]:
    """For models without a flat path: every step scores the whole rows again. Slow and right."""
    trunk, device = role.trunk, roles.device
    requests = [prompt for prompt in prompts for _ in range(num_samples)]
    draw = _Draw(noise, is_over, temperature, device)
    live = list(range(len(requests)))
    for step in range(noise.shape[1]):
        rows = [Tree((*requests[i], *draw.tokens[i])) for i in live]
        forest = plant(rows, device=device)
        ends = torch.tensor([s.start + s.prompt - 1 for s in forest.spans], device=device)
        logits = trunk.logits(trunk.hidden(forest)[ends])
        roles.meter.add(
            "sample",
            trunk.model,
            rows=len(forest.tokens),
            head_rows=len(ends),
            pairs=forest.num_attention_pairs,
        )
        _, going = draw(logits, live, step)
        live = [row for row, goes in zip(live, going, strict=True) if goes]
        if not live:
            break
    return draw.samples()
