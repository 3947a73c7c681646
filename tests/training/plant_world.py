"""A small world for planted diseases: two model shapes, a language, a known reward, pairs of it.

Responses are drawn from a unigram language that the models have learned; some tokens are good, some
bad, and the gold reward is the balance of a response, whatever its length.
"""

import copy
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from tests import tiny
from tests.tiny import EOS, VOCAB
from transformers import PreTrainedModel

from palate.data.trees import Response, Tree
from palate.models.protocols import FunctionReward
from palate.models.roles import Roles
from palate.training.settings import SFTSettings
from palate.training.sft import train_sft

Score = Callable[[Sequence[int]], float]
SHAPES = ("llama", "gpt2")
GOOD, BAD = range(3, 18), range(18, 33)
MOOD = 1.5
LONGEST = 14
END = (EOS,)


def language() -> NDArray[np.float64]:
    """Probability of each word token: frequent and rare ones among good, bad and plain alike."""
    weights = np.zeros(VOCAB)
    words = np.arange(3, VOCAB)
    weights[words] = 1.0 / (3 + (words * 7) % 15)
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def response(generator: np.random.Generator, words: NDArray[np.float64] | None = None) -> Response:
    """3 to 13 words and the end, in a mood that makes good words likelier or bad ones.

    `words` are other probabilities than the language's.
    """
    count = int(generator.integers(3, LONGEST))
    weights = language() if words is None else words
    mood = np.exp(MOOD * generator.normal())
    tilted = weights.copy()
    tilted[GOOD] *= mood
    tilted[BAD] /= mood
    chosen = generator.choice(VOCAB, size=count, p=tilted / tilted.sum())
    return Response((*map(int, chosen), EOS))


def prompt(generator: np.random.Generator) -> tuple[int, ...]:
    """2 to 5 words."""
    return tuple(
        map(int, generator.choice(VOCAB, size=int(generator.integers(2, 6)), p=language()))
    )


def gold(tokens: Sequence[int]) -> float:
    """3 · (share of good − share of bad words)."""
    words = [token for token in tokens if token > EOS]
    balance = sum((token in GOOD) - (token in BAD) for token in words)
    return 3.0 * balance / max(1, len(words))


def pairs(
    count: int, *, seed: int, score: Score = gold, noise: float = 0.0, sharpness: float = 3.0
) -> list[Tree]:
    """Pairs labelled by Bradley–Terry on `score`; a share `noise` of the labels is turned round."""
    generator = np.random.default_rng([seed, 1])
    found = []
    for number in range(count):
        one, other = response(generator), response(generator)
        gap = score(one.tokens) - score(other.tokens)
        wins = generator.random() < 1 / (1 + np.exp(-sharpness * gap))
        if generator.random() < noise:
            wins = not wins
        ordered = (one, other) if wins else (other, one)
        found.append(Tree(prompt(generator), ordered, origin=f"planted:{number + 1}"))
    return found


def prompts(count: int, *, seed: int) -> list[Tree]:
    """Prompts that are to be answered."""
    generator = np.random.default_rng([seed, 2])
    return [Tree(prompt(generator)) for _ in range(count)]


def reward(score: Score) -> FunctionReward:
    """A score of tokens as PPO takes it."""

    def scored(_: Sequence[str], responses: Sequence[str]) -> list[float]:
        return [score([int(word) for word in text.split()]) for text in responses]

    return FunctionReward(scored, lambda ids: " ".join(map(str, ids)))


@cache
def _spoken(shape: str) -> PreTrainedModel:
    """A model of a shape that has learned the language."""
    roles = Roles(tiny.MODELS[shape](), tiny.tokenizer())
    tiny.add(roles, "policy", None)
    generator = np.random.default_rng(99)
    rows = [Tree(prompt(generator), (response(generator),)) for _ in range(1600)]
    settings = SFTSettings(
        per_device_train_batch_size=32, max_steps=100, learning_rate=1e-2, logging_steps=50
    )
    train_sft(roles, rows, settings)
    return roles.model


def start(shape: str, *names: str, seed: int, lora: bool = True, half: bool = False) -> Roles:
    """Fresh roles on a copy of the model that speaks the language."""
    model = copy.deepcopy(_spoken(shape))
    model.requires_grad_(False)
    if half:
        model = model.to(torch.bfloat16)
    roles = Roles(model, tiny.tokenizer())
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for name in names:
            tiny.add(roles, name, tiny.lora() if lora else None)
    return roles
