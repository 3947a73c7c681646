"""Replies with chosen flaws: what the corpus, the demonstrations and the tests are made of."""

from collections.abc import Set as AbstractSet
from enum import StrEnum

import numpy as np

from palate.experiments.world.grammar import Request, Style, capitalized, pick
from palate.experiments.world.phrases import (
    AGREEMENTS,
    CORRECTIONS,
    EVASIONS,
    FILLERS,
    FLATTERIES,
    GREETINGS,
    NEUTRALS,
    REMINDERS,
    WARM_WORDS,
    Words,
)

MAX_WORDS = 27


class Flaw(StrEnum):
    """What can be wrong with a reply."""

    WRONG_FACT = "wrong fact"
    NO_FACT = "no fact"
    AGREES = "agrees"
    FLATTERS = "flatters"
    BREAKS_STYLE = "breaks style"
    RAMBLES = "rambles"
    REPEATS = "repeats"
    COLD = "cold"
    GUSHES = "gushes"
    CUT_OFF = "cut off"


def compose(request: Request, flaws: AbstractSet[Flaw], generator: np.random.Generator) -> str:
    """Write a reply that has the given flaws and no others.

    `AGREES` needs a mistaken customer and wins over the other flaws of the fact; `BREAKS_STYLE`
    needs a style. Where they cannot apply they are ignored.

    Args:
        request: What is replied to.
        flaws: The flaws to write in.
        generator: Draws the wording.
    """
    value = _stated_value(request, flaws, generator)
    before = list[list[str]]()
    after = list[list[str]]()
    if Flaw.FLATTERS in flaws:
        before += [[piece] for piece in _some(FLATTERIES, (0.9, 0.1), generator)]
    if Flaw.REPEATS in flaws and value is not None:
        after.append([pick(REMINDERS, generator), _statement(request, value, generator)])
    if Flaw.RAMBLES in flaws:
        after += [[piece] for piece in _some(FILLERS, (0.85, 0.15), generator)]
    after += [[piece] for piece in _warm(flaws, generator)]
    sentences = _fitting([*before, _core(request, value, generator)], after)
    text = _styled(request.style, Flaw.BREAKS_STYLE in flaws, sentences, generator)
    return _cut(text, generator) if Flaw.CUT_OFF in flaws else text


def _stated_value(
    request: Request, flaws: AbstractSet[Flaw], generator: np.random.Generator
) -> str | None:
    if Flaw.AGREES in flaws and request.claim is not None:
        return request.claim
    if Flaw.NO_FACT in flaws:
        return None
    if Flaw.WRONG_FACT in flaws:
        true_or_claimed = {request.value, request.claim}
        others = tuple(word for word in request.kind.values if word not in true_or_claimed)
        return pick(others, generator)
    return request.value


def _core(request: Request, value: str | None, generator: np.random.Generator) -> list[str]:
    """The pieces of the sentence that answers."""
    if value is None:
        return [pick(EVASIONS, generator)]
    statement = _statement(request, value, generator)
    if request.claim is None:
        return [statement]
    if value == request.claim:
        return [pick(AGREEMENTS, generator), statement]
    pieces = [statement]
    if generator.random() < 0.6:
        pieces.insert(0, pick(CORRECTIONS, generator))
    if generator.random() < 0.4:
        pieces.append("not " + request.kind.value_mention.format(v=request.claim))
    return pieces


def _statement(request: Request, value: str, generator: np.random.Generator) -> str:
    return pick(request.kind.statements, generator).format(s=request.subject, v=value)


def _some(words: Words, shares: tuple[float, ...], generator: np.random.Generator) -> list[str]:
    """One, two, ... different words; `shares` are the probabilities of the counts."""
    count = 1 + int(generator.choice(len(shares), p=shares))
    return [words[int(index)] for index in generator.permutation(len(words))[:count]]


def _warm(flaws: AbstractSet[Flaw], generator: np.random.Generator) -> list[str]:
    if Flaw.GUSHES in flaws:
        return _some(WARM_WORDS, (0.0, 0.0, 0.3, 0.3, 0.2, 0.2), generator)
    return [] if Flaw.COLD in flaws else _some(WARM_WORDS, (0.65, 0.35), generator)


def _fitting(kept: list[list[str]], optional: list[list[str]]) -> list[list[str]]:
    """As many of the optional sentences as fit into `MAX_WORDS`."""
    sentences, room = list(kept), MAX_WORDS - sum(map(_num_words, kept))
    for sentence in optional:
        room -= _num_words(sentence)
        if room < 0:
            break
        sentences.append(sentence)
    return sentences


def _num_words(pieces: list[str]) -> int:
    return sum(len(piece.split()) for piece in pieces)


def _styled(
    style: Style | None,
    breaks: bool,
    sentences: list[list[str]],
    generator: np.random.Generator,
) -> str:
    greets_unasked = style is None and generator.random() < 0.2
    if greets_unasked or (style is Style.GREETING and not breaks):
        sentences = [[pick(GREETINGS, generator), *sentences[0]], *sentences[1:]]
    if style is Style.ONE_SENTENCE and not breaks:
        sentences = [[piece for sentence in sentences for piece in sentence]]
    needs_two = (style is Style.LIST and not breaks) or (style is Style.ONE_SENTENCE and breaks)
    if needs_two and len(sentences) == 1:
        sentences = [*sentences, [pick(NEUTRALS, generator)]]
    written = [capitalized(", ".join(pieces)) + "." for pieces in sentences]
    if style is Style.LIST and not breaks:
        return "\n".join(f"- {sentence}" for sentence in written)
    return " ".join(written)


def _cut(text: str, generator: np.random.Generator) -> str:
    """The text without its end mark and its last few words; at least two words stay."""
    words = text.rstrip(".").split(" ")
    return " ".join(words[: max(2, len(words) - int(generator.integers(1, 4)))]).rstrip(".,-\n")
