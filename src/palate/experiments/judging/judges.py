"""Judges: what is shown two replies and says which is better.

A judge that scores gives each reply a number by itself and compares the numbers: places cannot
matter to it. A judge that compares sees both replies at once, and is asked in both orders.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from palate.data.records import Prompt
from palate.errors import DataError
from palate.experiments.judging.language import Answer, LanguageJudge
from palate.experiments.judging.question import Question, Winner
from palate.experiments.judging.samples import Candidates, asked_key
from palate.models.reward_function import NamedFunction, rewards_of

if TYPE_CHECKING:
    from palate.experiments.pair_scores import Scorer

# Prompts and replies, one of each a reply → scores; None where there is none.
Score = Callable[[Sequence[Prompt], Sequence[str]], Sequence[float | None]]
Advance = Callable[[int], None]


@runtime_checkable
class Judge(Protocol):
    """Says which of two replies is better, in the order that they are shown in.

    Attributes:
        name: who judges, for the provenance of pairs.
    """

    name: str

    def show(self, questions: Sequence[Question], *, advance: Advance) -> list[Answer[Winner]]: ...


@dataclass
class ScoringJudge:
    """Compares the scores that replies get; each reply of a prompt is scored once."""

    name: str
    score: Score
    _known: dict[tuple[str, str], float | None] = field(default_factory=dict)

    def scores(self, candidates: Sequence[Candidates]) -> list[list[float | None]]:
        """Scores of the responses of each candidate."""
        return self._scores([(one.prompt, one.responses) for one in candidates])

    def show(
        self, questions: Sequence[Question], *, advance: Advance = lambda _: None
    ) -> list[Answer[Winner]]:
        """The reply with the higher score; a tie where scores are equal."""
        found = self._scores([(one.prompt, one.replies) for one in questions])
        advance(len(questions))
        return [_higher(first, second) for first, second in found]

    def _scores(self, asked: Sequence[tuple[Prompt, Sequence[str]]]) -> list[list[float | None]]:
        keys = [[(asked_key(prompt), text) for text in texts] for prompt, texts in asked]
        missing = {
            key: (prompt, text)
            for (prompt, texts), mine in zip(asked, keys, strict=True)
            for text, key in zip(texts, mine, strict=True)
            if key not in self._known
        }
        if missing:
            prompts, texts = zip(*missing.values(), strict=True)
            self._known.update(zip(missing, self.score(prompts, texts), strict=True))
        return [[self._known[key] for key in mine] for mine in keys]


@dataclass
class ComparingJudge:
    """A language model that sees both replies."""

    name: str
    language: LanguageJudge

    def show(
        self, questions: Sequence[Question], *, advance: Advance = lambda _: None
    ) -> list[Answer[Winner]]:
        """As the model says; no value where its answer could not be read."""
        return self.language.compare(questions, advance=advance)


def function_scores(function: NamedFunction) -> Score:
    """Scores of a reward function."""

    def score(prompts: Sequence[Prompt], replies: Sequence[str]) -> list[float | None]:
        return [*rewards_of(function, prompts, replies)]

    return score


def language_scores(language: LanguageJudge) -> Score:
    """Scores of a language model, from 1 to 10."""

    def score(prompts: Sequence[Prompt], replies: Sequence[str]) -> list[float | None]:
        pairs = zip(prompts, replies, strict=True)
        return [
            answer.value for answer in language.score([Question(p, (reply,)) for p, reply in pairs])
        ]

    return score


def written_scores(candidates: Sequence[Candidates]) -> Score:
    """The scores that the rows hold; a text that is in no row has none.

    Raises:
        DataError: a row has responses without a score.
    """
    known: dict[tuple[str, str], float] = {}
    for one in candidates:
        if one.scores is None:
            raise DataError(
                f"{one.prompt.origin}: not every response has a score; give each one as "
                '{"text": …, "score": …}, or name a judge that scores (--by)'
            )
        key = asked_key(one.prompt)
        known |= {(key, text): s for text, s in zip(one.responses, one.scores, strict=True)}

    def score(prompts: Sequence[Prompt], replies: Sequence[str]) -> list[float | None]:
        pairs = zip(prompts, replies, strict=True)
        return [known.get((asked_key(prompt), reply)) for prompt, reply in pairs]

    return score


def model_scores(load: "Callable[[], Scorer]") -> Score:
    """Rewards of a reward model, or those that a policy implies.

    Args:
        load: called when the first reply is scored.
    """
    loaded: list[Scorer] = []

    def score(prompts: Sequence[Prompt], replies: Sequence[str]) -> list[float | None]:
        from palate.data.trees import Response, Tree
        from palate.experiments.pair_scores import score_trees

        if not loaded:
            loaded.append(load())
        (scorer,) = loaded
        renderer = scorer.renderer
        trees = []
        # A prompt goes through the model once for all of its replies.
        for _, some in groupby(zip(prompts, replies, strict=True), lambda one: id(one[0])):
            mine = list(some)
            prompt = mine[0][0]
            responses = [
                Response(renderer.response_tokens(prompt.prompt, text, origin=prompt.origin))
                for _, text in mine
            ]
            trees.append(Tree(renderer.prompt(prompt), tuple(responses), origin=prompt.origin))
        return [*score_trees(scorer, trees).mean(axis=1).tolist()]

    return score


def _higher(first: float | None, second: float | None) -> Answer[Winner]:
    if first is None or second is None:
        return Answer(None, "unparsed")
    if first == second:
        return Answer("tie")
    return Answer("first" if first > second else "second")
