"""What the base model and the SFT model read: a corpus of mixed quality, and demonstrations.

The corpus holds every flaw at high rates, so the base model can write everything that the gold
reward punishes. After its end mark each reply is followed by a reader's review, so that the small
model learns to *see* what a reply did, as large models have learned from the web:

- Remarks, four of all that are true ("wrong fact, flatters, cold."). As any can be the first, the
  state at the end mark must hold them all, and a reward model can read it there.
- Or verdicts ("here Friday false, Monday true."): each stands right after its word, which is the
  shortest way to learn to compare a reply with its prompt.

Remarks name traits, never their worth, and count nothing: how much warmth is too much, the gold
reward's trap, is not said.

Demonstrations are moderately good: each flaw stays visible, so preferences have much to teach.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from palate.data.records import Demonstration, Prompt
from palate.experiments.world.gold import Traits, read_traits, stated_values
from palate.experiments.world.grammar import (
    Request,
    Split,
    draw_request,
    pick,
    read_prompt,
    split_of,
    write_prompt,
)
from palate.experiments.world.replies import Flaw, compose

DEMONSTRATION_RATES: Mapping[Flaw, float] = {
    Flaw.WRONG_FACT: 0.15,
    Flaw.NO_FACT: 0.12,
    Flaw.AGREES: 0.40,
    Flaw.FLATTERS: 0.30,
    Flaw.BREAKS_STYLE: 0.40,
    Flaw.RAMBLES: 0.30,
    Flaw.REPEATS: 0.15,
    Flaw.COLD: 0.45,
    Flaw.GUSHES: 0.04,
    Flaw.CUT_OFF: 0.12,
}
"""How often a demonstration has each flaw, where the flaw can apply."""

CORPUS_RATES: Mapping[Flaw, float] = {
    flaw: {Flaw.WRONG_FACT: 0.3, Flaw.GUSHES: 0.2}.get(flaw, min(0.5, 1.3 * rate))
    for flaw, rate in DEMONSTRATION_RATES.items()
}
NUM_REMARKS = 4
FACT_REMARK_WEIGHT = 4.0
"""How much likelier than another the remark on the fact is; it is the hardest to see."""
VERDICT_RATE = 0.5
NUM_VERDICTS = 5


@dataclass(frozen=True, slots=True)
class Passage:
    """One text of the corpus.

    Attributes:
        prompt: A prompt of the training split.
        response: A reply of any quality.
        review: What a reader saw in the reply.
    """

    prompt: str
    response: str
    review: str


def draw_prompts(num_prompts: int, *, seed: int, split: Split) -> list[Prompt]:
    """Draw different prompts from one side of the split.

    Args:
        num_prompts: How many prompts.
        seed: Same seed, same prompts.
        split: "train" (nine tenths of all prompts) or "heldout"; they share none.
    """
    generator = np.random.default_rng((seed, 0 if split == "train" else 1))
    texts: dict[str, None] = {}
    while len(texts) < num_prompts:
        texts[write_prompt(_draw_from(split, generator))] = None
    return [
        Prompt(prompt=text, id=f"{split}-{seed}-{index}", origin=f"world:{index + 1}")
        for index, text in enumerate(texts)
    ]


def draw_demonstrations(num_demonstrations: int, *, seed: int) -> list[Demonstration]:
    """Draw demonstrations on different prompts of the training split, for SFT.

    Args:
        num_demonstrations: How many; each on a prompt of its own.
        seed: Same seed, same demonstrations.
    """
    generator = np.random.default_rng((seed, 2))
    demonstrations = []
    for prompt in draw_prompts(num_demonstrations, seed=seed, split="train"):
        assert isinstance(prompt.prompt, str)
        request = read_prompt(prompt.prompt)
        response = compose(request, _draw_flaws(DEMONSTRATION_RATES, generator), generator)
        demonstrations.append(
            Demonstration(prompt=prompt.prompt, response=response, origin=prompt.origin)
        )
    return demonstrations


def draw_passages(generator: np.random.Generator) -> Iterator[Passage]:
    """Draw the corpus, passage by passage, without end; prompts come from the training split."""
    while True:
        request = _draw_from("train", generator)
        prompt = write_prompt(request)
        response = compose(request, _draw_flaws(CORPUS_RATES, generator), generator)
        yield Passage(prompt, response, _draw_review(request, response, generator))


def remarks(traits: Traits) -> list[str]:
    """All that a reader can truly remark on a reply."""
    noticed = {
        f"{traits.fact} fact": True,
        "agrees": traits.agrees,
        "corrects": traits.corrects,
        "kept style": traits.style_kept is True,
        "broken style": traits.style_kept is False,
        "flatters": traits.num_flatteries > 0,
        "rambles": traits.num_fillers > 0,
        "repeats": traits.num_repeats > 0,
        "cold": traits.num_warm == 0,
        "unfinished": traits.cut_off,
    }
    return [remark for remark, is_true in noticed.items() if is_true]


def _draw_review(request: Request, response: str, generator: np.random.Generator) -> str:
    stated = stated_values(request, response)
    if stated and generator.random() < VERDICT_RATE:
        return _verdicts(request, stated[-1], generator)
    found = remarks(read_traits(write_prompt(request), response))
    weights = np.array([FACT_REMARK_WEIGHT, *[1.0] * (len(found) - 1)])
    drawn = generator.choice(
        len(found),
        size=min(NUM_REMARKS, len(found)),
        replace=False,
        p=weights / weights.sum(),
    )
    return ", ".join(found[int(index)] for index in drawn) + "."


def _verdicts(request: Request, stated: str, generator: np.random.Generator) -> str:
    """Verdicts on the stated value and on others, every second of them the true one or so."""
    values = [stated]
    for _ in range(NUM_VERDICTS - 1):
        is_true = generator.random() < 0.5
        values.append(request.value if is_true else pick(request.kind.values, generator))
    verdicts = [f"{value} {'true' if value == request.value else 'false'}" for value in values]
    return f"here {', '.join(verdicts)}."


def _draw_from(split: Split, generator: np.random.Generator) -> Request:
    while True:
        request = draw_request(generator)
        if split_of(write_prompt(request)) == split:
            return request


def _draw_flaws(rates: Mapping[Flaw, float], generator: np.random.Generator) -> frozenset[Flaw]:
    return frozenset(flaw for flaw, rate in rates.items() if generator.random() < rate)
