"""Which responses meet: rules that say so before anything is judged, or by their scores.

best-worst   the highest score against the lowest; for judges that score
random       `pairs_per_prompt` pairs, drawn from a hash of seed and prompt
all          every pair
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import combinations
from typing import Literal

from palate.experiments.judging.samples import Candidates

Rule = Literal["best-worst", "random", "all"]


@dataclass(frozen=True)
class Meeting:
    """Two responses to one prompt: a and b, by their places."""

    candidates: Candidates
    a: int
    b: int

    @property
    def texts(self) -> tuple[str, str]:
        """The texts of a and b."""
        return self.candidates.responses[self.a], self.candidates.responses[self.b]


def meetings(
    candidates: Sequence[Candidates],
    rule: Rule,
    *,
    pairs_per_prompt: int,
    seed: int,
    scores: Sequence[Sequence[float | None]] | None = None,
) -> list[Meeting]:
    """The pairs to be judged, in the candidates' order.

    Args:
        candidates: a prompt each.
        rule: of the module's table.
        pairs_per_prompt: for "random"; fewer where there are not so many.
        seed: of "random".
        scores: of each candidate's responses, where the judge scores (best-worst needs that); None
            where it could not.
    """
    found = []
    for number, one in enumerate(candidates):
        count = len(one.responses)
        if rule == "best-worst":
            assert scores is not None  # rule_of has asked for a judge that scores
            pairs = [_best_and_worst(scores[number])]
        else:
            pairs = list(combinations(range(count), 2))
            if rule == "random":
                drawn = sorted(pairs, key=lambda pair: _lot(seed, one, pair))
                pairs = sorted(drawn[:pairs_per_prompt])
        found += [Meeting(one, a, b) for a, b in pairs]
    return found


def _best_and_worst(scores: Sequence[float | None]) -> tuple[int, int]:
    """The first two where scores lack or are all alike: their verdict will say so."""
    known = [(score, -i) for i, score in enumerate(scores) if score is not None]
    best, worst = (max(known)[1], min(known)[1]) if known else (0, 0)
    return (-best, -worst) if best != worst else (0, 1)


def _lot(seed: int, candidates: Candidates, pair: tuple[int, int]) -> bytes:
    texts = [candidates.responses[i] for i in pair]
    return sha256(repr((seed, candidates.prompt.prompt, texts)).encode()).digest()
