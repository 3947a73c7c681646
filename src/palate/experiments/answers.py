"""Prompts → responses of a model in memory, at one temperature or a mix of several."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from palate.data.records import Prompt, prompt_key
from palate.data.render import Renderer
from palate.data.tools import tools_of
from palate.experiments.prepare import on_device
from palate.models.load import Loaded
from palate.models.roles import Roles
from palate.models.sampling import sample


@dataclass(frozen=True)
class Draws:
    """What is drawn for each prompt.

    Attributes:
        num_samples: responses.
        max_new_tokens: of each at most.
        temperatures: sample j has the (j mod n)-th one; 0 takes the most likely token.
        seed: with prompt and sample number it fixes a draw.
    """

    num_samples: int
    max_new_tokens: int
    temperatures: tuple[float, ...]
    seed: int

    def temperature(self, number: int) -> float:
        """Of the sample with this number."""
        return self.temperatures[number % len(self.temperatures)]


@dataclass(frozen=True)
class Answer:
    """A sampled response.

    Attributes:
        text: without special tokens.
        stopped: it ended by itself (False: cut at the limit of tokens).
        temperature: it was drawn at.
        logprob: of the whole response under the distribution it was drawn from, nats; None where
            that is not known.
    """

    text: str
    stopped: bool
    temperature: float
    logprob: float | None = None


@dataclass(frozen=True)
class Asked:
    """A prompt and how often it came before in the same file: its samples then go on."""

    prompt: Prompt
    occurrence: int = 0


@runtime_checkable
class Sampler(Protocol):
    """Answers prompts: a model in memory, or one behind a server.

    Attributes:
        failures: responses that were not given, by kind of failure.
    """

    failures: Counter[str]

    def __call__(self, asked: Sequence[Asked], draws: Draws) -> list[list[Answer]]: ...


def as_policy(loaded: Loaded) -> Roles:
    """A model to ask and to score with, on the accelerator where there is one."""
    roles = Roles(on_device(loaded.model), loaded.tokenizer)
    roles.add_policy_as_is(adapter=loaded.adapter)
    return roles


def numbered(prompts: Sequence[Prompt]) -> list[Asked]:
    """Prompts with their occurrence, so that one that comes again gets new samples."""
    seen: Counter[str] = Counter()
    found = []
    for prompt in prompts:
        key = prompt_key(prompt.prompt, tools_of(prompt.columns))
        found.append(Asked(prompt, seen[key]))
        seen[key] += 1
    return found


class ModelSampler:
    """A model in memory."""

    def __init__(self, loaded: Loaded) -> None:
        self._roles = as_policy(loaded)
        self._renderer = Renderer(loaded.tokenizer)
        self.failures: Counter[str] = Counter()

    def __call__(self, asked: Sequence[Asked], draws: Draws) -> list[list[Answer]]:
        """Sample; raises as `Renderer.prompt`."""
        renderer = self._renderer
        tokens = [renderer.prompt(one.prompt) for one in asked]
        found: list[dict[int, Answer]] = [{} for _ in asked]
        numbers, offset = range(draws.num_samples), 0
        for temperature in dict.fromkeys(map(draws.temperature, numbers)):
            mine = [j for j in numbers if draws.temperature(j) == temperature]
            drawn = sample(
                self._roles, "policy", tokens, num_samples=len(mine),
                max_new_tokens=draws.max_new_tokens, end_tokens=renderer.end_token_ids,
                temperature=temperature, seed=draws.seed,
                # One number is used once: equal noise would couple draws at two temperatures.
                first_numbers=[one.occurrence * draws.num_samples + offset for one in asked],
            )  # fmt: skip
            offset += len(mine)
            for one, answers, some in zip(asked, found, drawn, strict=True):
                for j, got in zip(mine, some, strict=True):
                    text = renderer.response_text(one.prompt.prompt, got.tokens)
                    answers[j] = Answer(text, got.stopped, temperature, sum(got.logprobs))
        return [[answers[j] for j in numbers] for answers in found]
