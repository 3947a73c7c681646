"""Prompts → responses with their log-probabilities: plain temperature sampling, own KV store.

A request's randomness is a function of (seed, prompt, sample number) alone, so a sample does not
depend on its neighbours in the batch beyond float rounding; where a prompt comes again in one call,
its sample numbers go on.

Nothing but temperature is offered: top-k, top-p, minimum lengths and penalties make a sample come
from another distribution than the one that is scored, and the KL wrong (negative, even).
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray

from palate.data.trees import Response
from palate.models.context import check_context
from palate.models.decoding import Decoder, Request
from palate.models.roles import Roles
from palate.models.stopping import ending

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
    drawn: Counter[Tokens] = Counter()
    groups: list[list[Request]] = []
    for place, prompt in enumerate(prompts):
        first = drawn[prompt] if first_numbers is None else first_numbers[place]
        drawn[prompt] += num_samples
        groups.append(
            [
                Request(prompt, _uniforms(seed, prompt, number, max_new_tokens))
                for number in range(first, first + num_samples)
            ]
        )
    if not groups:
        return []
    is_over = ending(roles.tokenizer, end_tokens, stop)
    with roles.enter(name) as role:
        decoder = Decoder(roles, role, is_over=is_over, temperature=temperature, advance=advance)
        decoder.run(groups, max_rows=max_rows)
    return [
        [Sample(tuple(one.tokens), tuple(one.logprobs), one.stopped) for one in group]
        for group in groups
    ]


def _uniforms(seed: int, prompt: Tokens, number: int, count: int) -> NDArray[np.float64]:
    digest = sha256(repr((seed, prompt, number)).encode()).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
    return generator.random(count)
