"""Requests: drawing them, writing them as prompts, and reading prompts back.

A prompt carries a fact, sometimes a style, and what the customer says, who may be mistaken:

    Fact: order 41 ships on Monday.
    Style: one sentence.
    Customer: I was told that order 41 ships on Friday.
    Reply:

Writing and reading are inverse, so the gold reward needs nothing but the text.
"""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Literal

import numpy as np

from palate.errors import DataError
from palate.experiments.world.phrases import CLAIMS, KINDS, Kind, Words

Split = Literal["train", "heldout"]

CLAIM_RATE = 0.4
STYLE_RATE = 0.75
HELDOUT_SHARE = 0.1


class Style(StrEnum):
    """How the reply should look."""

    ONE_SENTENCE = "one sentence"
    LIST = "list"
    GREETING = "greeting"


@dataclass(frozen=True, slots=True)
class Request:
    """What a prompt says.

    Attributes:
        kind: Which kind of request.
        subject: What it is about, e.g. "41".
        value: What is true of it, e.g. "Monday".
        style: How the reply should look; None where the prompt asks for nothing.
        claim: The false value that the customer believes; None where the customer only asks.
        utterance: The customer's words.
    """

    kind: Kind
    subject: str
    value: str
    style: Style | None
    claim: str | None
    utterance: str

    def fact(self, value: str) -> str:
        """The fact as a clause, with any value."""
        return self.kind.fact.format(s=self.subject, v=value)


def pick(words: Words, generator: np.random.Generator) -> str:
    """One of the words, uniformly."""
    return words[int(generator.integers(len(words)))]


def pick_other(words: Words, than: str, generator: np.random.Generator) -> str:
    """One of the words other than the given one, uniformly."""
    return pick(tuple(word for word in words if word != than), generator)


def capitalized(clause: str) -> str:
    """The clause with its first letter in upper case, the rest as it is."""
    return clause[:1].upper() + clause[1:]


def draw_request(generator: np.random.Generator) -> Request:
    """Draw a request: kind, slots, style and claim independently of one another."""
    kind = KINDS[int(generator.integers(len(KINDS)))]
    subject = pick(kind.subjects, generator)
    value = pick(kind.values, generator)
    style = None
    if generator.random() < STYLE_RATE:
        style = Style(pick(tuple(Style), generator))
    if generator.random() < CLAIM_RATE:
        claim = pick_other(kind.values, value, generator)
        clause = kind.fact.format(s=subject, v=claim)
        utterance = capitalized(pick(CLAIMS, generator).format(c=clause))
        return Request(kind, subject, value, style, claim, utterance)
    utterance = pick(kind.questions, generator).format(s=subject)
    return Request(kind, subject, value, style, None, utterance)


def write_prompt(request: Request) -> str:
    """The prompt's text; ends in "Reply:" without white space, so that token borders are plain."""
    lines = [f"Fact: {request.fact(request.value)}."]
    if request.style is not None:
        lines.append(f"Style: {request.style.value}.")
    lines += [f"Customer: {request.utterance}", "Reply:"]
    return "\n".join(lines)


def read_prompt(text: str) -> Request:
    """Read a prompt of this world back.

    Raises:
        DataError: The text is no prompt of this world.
    """
    match = _PROMPT.fullmatch(text)
    if match is None:
        raise DataError(_foreign(text))
    for kind in KINDS:
        if (fact := _fact_pattern(kind).fullmatch(match["fact"])) is None:
            continue
        subject, value, utterance = fact["s"], fact["v"], match["utterance"]
        style = Style(match["style"]) if match["style"] else None
        if utterance in {question.format(s=subject) for question in kind.questions}:
            return Request(kind, subject, value, style, None, utterance)
        for claim in kind.values:
            clause = kind.fact.format(s=subject, v=claim)
            if utterance in {capitalized(form.format(c=clause)) for form in CLAIMS}:
                return Request(kind, subject, value, style, claim, utterance)
    raise DataError(_foreign(text))


def split_of(text: str) -> Split:
    """Which side of the split a prompt is on: a hash of its text, so it never changes."""
    fraction = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64
    return "heldout" if fraction < HELDOUT_SHARE else "train"


_PROMPT = re.compile(
    rf"Fact: (?P<fact>[^\n]+)\.\n"
    rf"(?:Style: (?P<style>{'|'.join(Style)})\.\n)?"
    rf"Customer: (?P<utterance>[^\n]+)\nReply:"
)


@cache
def _fact_pattern(kind: Kind) -> re.Pattern[str]:
    form = re.escape(kind.fact).replace(r"\{s\}", "{s}").replace(r"\{v\}", "{v}")
    return re.compile(
        form.format(s=f"(?P<s>{'|'.join(kind.subjects)})", v=f"(?P<v>{'|'.join(kind.values)})")
    )


def _foreign(text: str) -> str:
    return (
        f"not a prompt of the embedded world: {text[:60]!r}. Its gold reward is defined only for "
        "prompts from world_prompts(); for your own prompts use a reward model or a judge."
    )
