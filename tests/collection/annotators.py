"""Simulated annotators: one careful kind and the bad kinds that a report must find.

An annotator sees what a person sees, a question with two sides, and presses a key. What is right
comes from the test's pairs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from tests.collection.pairs import some_items

from palate.collection import Item, Store
from palate.collection.events import Choice
from palate.data.records import Text


class Shown(Protocol):
    """What an annotator sees."""

    @property
    def prompt(self) -> Text: ...
    @property
    def left(self) -> str: ...
    @property
    def right(self) -> str: ...


Press = Callable[[Shown, Choice, np.random.Generator], Choice]
OTHER: Mapping[Choice, Choice] = {"left": "right", "right": "left"}


def accurate(shown: Shown, best: Choice, generator: np.random.Generator) -> Choice:
    """Right nine times of ten."""
    return best if generator.random() < 0.9 else OTHER[best]


def noisy(shown: Shown, best: Choice, generator: np.random.Generator) -> Choice:
    """A coin."""
    return "left" if generator.random() < 0.5 else "right"


def always_left(shown: Shown, best: Choice, generator: np.random.Generator) -> Choice:
    """One key for all."""
    return "left"


def longest(shown: Shown, best: Choice, generator: np.random.Generator) -> Choice:
    """Looks at nothing but length."""
    return "left" if len(shown.left) > len(shown.right) else "right"


def adversarial(shown: Shown, best: Choice, generator: np.random.Generator) -> Choice:
    """Accurate with the answers turned round."""
    return OTHER[accurate(shown, best, generator)]


BAD_KINDS: Mapping[str, Press] = {
    "noisy": noisy,
    "always_left": always_left,
    "longest": longest,
    "adversarial": adversarial,
}


@dataclass
class Voter:
    """An annotator at work on a store."""

    store: Store
    id: int
    press: Press
    generator: np.random.Generator
    best: Mapping[Text, str]

    def vote(self) -> bool:
        """Answer the current question; false where there is none."""
        questions = self.store.questions(self.id)
        if not questions:
            return False
        question = questions[0]
        best: Choice = "left" if question.left == self.best[question.prompt] else "right"
        choice = self.press(question, best, self.generator)
        self.store.vote(
            self.id, question.id, choice, latency_ms=int(self.generator.uniform(4000, 12000))
        )
        return True


def take_turns(
    store: Store, kinds: Mapping[str, Press], *, items: list[Item], num_votes: int, seed: int
) -> None:
    """Let annotators of these names vote in turn until each has voted so often."""
    best = {item.prompt: item.first for item in items}
    voters = [
        Voter(store, store.add_annotator(name)[0].id, press, np.random.default_rng((seed, i)), best)
        for i, (name, press) in enumerate(kinds.items())
    ]
    for _ in range(num_votes):
        for voter in voters:
            assert voter.vote()


def gold_items(count: int) -> list[Item]:
    """Pairs whose answer is known, of other prompts than `some_items(n)` for n < 10,000."""
    return [
        Item(item.prompt, item.first, item.second, gold="first")
        for item in some_items(count, start=10_000)
    ]
