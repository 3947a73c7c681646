"""What rows are like: lengths, languages, labels, columns, and a few pairs to try shortcuts on."""

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappush, heapreplace
from math import ceil
from typing import NamedTuple

import numpy as np

from palate.data.checks.content import last_asked, texts_of
from palate.data.records import Demonstration, Preference, Prompt
from palate.measures.language import language_of

NUM_SAMPLED_PAIRS = 1000
# Of a sampled response this much is kept: shortcuts show in the beginning too, and memory is short.
MAX_SAMPLED_CHARACTERS = 8000
UNKNOWN = "not told"


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths of texts in characters (or tokens); p95 is the least that 95 % do not exceed."""

    mean: float
    median: float
    p95: int
    max: int


class SampledPair(NamedTuple):
    """A pair of the sample.

    Attributes:
        rank: decides who is in it; equal for pairs of one prompt.
        number: its place in the file.
        chosen: the beginning of the response.
        rejected: the same of the other.
        first_chosen: whether the response that was shown first was chosen; None: not known.
    """

    rank: int
    number: int
    chosen: str
    rejected: str
    first_chosen: bool | None


class Profile:
    """Gathers the lengths and languages of rows, and a sample of pairs.

    The sample is the pairs of the prompts with the smallest fingerprints: the same in whatever
    order the rows come, and the pairs of one prompt stay together.

    Args:
        languages: whether to tell them, which takes longest.
    """

    def __init__(self, *, languages: bool = True) -> None:
        self._tells_languages = languages
        self._lengths: dict[str, array[int]] = {}
        self._languages: dict[str, Counter[str]] = {}
        self._sample: list[tuple[int, int, str, str, bool | None]] = []

    def add(
        self,
        number: int,
        record: Prompt | Demonstration | Preference,
        *,
        rank: int,
        first_chosen: bool | None = None,
    ) -> None:
        """Take a row in; `rank` is a fingerprint of its prompt, the rest as in the sample."""
        texts = texts_of(record)
        self._measure("prompt", sum(map(len, texts.asked.values())))
        self._hear("prompt", last_asked(record.prompt))
        for name, text in texts.answered.items():
            self._measure(name, len(text))
            self._hear(name, text)
        if isinstance(record, Preference):
            kept = [text[:MAX_SAMPLED_CHARACTERS] for text in (record.chosen, record.rejected)]
            # The heap gives up its smallest, which is the pair of the largest rank.
            entry = (-rank, -number, kept[0], kept[1], first_chosen)
            if len(self._sample) < NUM_SAMPLED_PAIRS:
                heappush(self._sample, entry)
            elif entry > self._sample[0]:
                heapreplace(self._sample, entry)

    def measure_tokens(self, num_tokens: int) -> None:
        """Take in the length of a row's longer response with its prompt, in tokens."""
        self._measure("tokens", num_tokens)

    def lengths(self) -> dict[str, Lengths]:
        """By part: prompt, chosen, rejected, response (characters), and tokens if measured."""
        return {name: measured(lengths) for name, lengths in self._lengths.items()}

    def languages(self) -> dict[str, dict[str, float]]:
        """By part, the share of texts in each language that was told, the commonest first."""
        return {
            name: {lang: count / counts.total() for lang, count in counts.most_common(6)}
            for name, counts in self._languages.items()
        }

    def sample(self) -> list[SampledPair]:
        """The sampled pairs, in the order of the file."""
        pairs = [SampledPair(-rank, -number, c, r, f) for rank, number, c, r, f in self._sample]
        return sorted(pairs, key=lambda pair: pair.number)

    def _measure(self, name: str, length: int) -> None:
        self._lengths.setdefault(name, array("I")).append(length)

    def _hear(self, name: str, text: str) -> None:
        if self._tells_languages:
            self._languages.setdefault(name, Counter())[language_of(text) or UNKNOWN] += 1


def measured(lengths: Iterable[int]) -> Lengths:
    """Summarize lengths; there is at least one."""
    ordered = np.sort(np.fromiter(lengths, dtype=np.int64))
    p95 = int(ordered[ceil(0.95 * len(ordered)) - 1])
    return Lengths(float(ordered.mean()), float(np.median(ordered)), p95, int(ordered[-1]))
