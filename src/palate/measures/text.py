"""Plain statistics of response texts, for drift that a reward does not show.

A word is what lies between white space, in lower case. A quantity that a text is too short to
have is None, never 0.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence


def length_in_words(text: str) -> int:
    """Number of words."""
    return len(_words(text))


def distinct_2(texts: Iterable[str]) -> float | None:
    """Different word pairs, as a share of all neighboring word pairs of all texts.

    Falls when a policy writes the same thing to everybody. It also falls with the amount of text,
    so compare sets of equal size.

    Returns:
        In (0, 1]; None where no text has two words.

    Reference:
        Li et al. 2016, arXiv:1510.03055 (distinct-2).
    """
    pairs = [pair for text in texts for pair in _ngrams(_words(text), 2)]
    return len(set(pairs)) / len(pairs) if pairs else None


def repetition_rate(text: str, *, ngram: int = 4) -> float | None:
    """Share of a text's n-grams that it has already said: 0 for none, towards 1 for a loop.

    Returns:
        In [0, 1); None where the text has fewer than `ngram` words.

    Reference:
        Welleck et al. 2019, arXiv:1908.04319 (seq-rep-n).
    """
    return repeated_share(_words(text), ngram=ngram)


def repeated_share(items: Sequence[Hashable], *, ngram: int = 4) -> float | None:
    """The same of any items in a row, such as tokens."""
    if ngram < 1:
        raise ValueError(f"ngram is {ngram}; it must be at least 1")
    ngrams = list(_ngrams(items, ngram))
    return 1 - len(set(ngrams)) / len(ngrams) if ngrams else None


def _words(text: str) -> list[str]:
    return text.lower().split()


def _ngrams(items: Sequence[Hashable], size: int) -> Iterator[tuple[Hashable, ...]]:
    return (tuple(items[start : start + size]) for start in range(len(items) - size + 1))
