"""What `palate judge --by` names → a judge."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from palate.cli.inputs import is_reward
from palate.cli.scored import scorer_of
from palate.cli.trained import training_of
from palate.errors import UsageError
from palate.experiments.judging.cache import ReplyCache
from palate.experiments.judging.card import JUDGE, JudgeCard, read_card
from palate.experiments.judging.judges import (
    ComparingJudge,
    Judge,
    ScoringJudge,
    function_scores,
    language_scores,
    model_scores,
    written_scores,
)
from palate.experiments.judging.language import LanguageJudge
from palate.experiments.judging.samples import Samples
from palate.experiments.reward_source import reward_source
from palate.models.reward_function import NamedFunction

if TYPE_CHECKING:
    from palate.experiments.pair_scores import Scorer

SCORES = "scores"
Mode = Literal["compare", "score"]


@dataclass(frozen=True)
class Asked:
    """A judge, and the language model behind it where it is one."""

    judge: Judge
    language: LanguageJudge | None = None


@dataclass(frozen=True)
class By:
    """What was named, and how it is to judge.

    Attributes:
        name: of `--by`.
        mode: whether a language model compares or scores.
        rubric: file that replaces the card's rubric.
        beta: of a policy's training.
        reference: what a policy was held to.
    """

    name: str
    mode: Mode | None = None
    rubric: str | None = None
    beta: float | None = None
    reference: str | None = None


def judge_by(by: By, samples: Callable[[], Samples], cache: ReplyCache) -> Asked:
    """The judge that `--by` names; models are loaded when they are needed.

    Args:
        by: what was named.
        samples: reads what is to be judged, for the one judge that is in there: written scores.
        cache: of a server's replies.

    Raises:
        UsageError: it names nothing that judges, or a flag does not go with it.
    """
    given, place = by.name, f"--by {by.name}"
    if given.startswith(JUDGE):
        language = LanguageJudge(_card(by, place), cache)
        name = f"{JUDGE}{language.card.model}"
        if by.mode == "score":
            return Asked(ScoringJudge(name, language_scores(language)), language)
        return Asked(ComparingJudge(name, language), language)
    if by.mode is not None or by.rubric is not None:
        flag = "--mode" if by.mode is not None else "--rubric"
        raise UsageError(f"{flag} is for a language model (--by judge:…), not for {place}")
    if given == SCORES:
        return Asked(ScoringJudge("written scores", written_scores(samples().candidates)))
    source = reward_source(given, flag="--by")
    if source.weight != 1:
        raise UsageError(f"{place}: a weight changes no verdict; leave it out")
    if source.function is not None:
        score = function_scores(NamedFunction(source.function, given))
        return Asked(ScoringJudge(f"function:{given.rpartition(':')[2]}", score))
    assert source.folder is not None
    folder = source.folder
    if is_reward(folder):
        kind = "reward"
    else:
        kind = "implicit"
        training_of(folder, beta=by.beta, reference=by.reference)  # says now what is missing

    def load() -> "Scorer":
        return scorer_of(str(folder), beta=by.beta, reference=by.reference)

    return Asked(ScoringJudge(f"{kind}:{given}", model_scores(load)))


def _card(by: By, place: str) -> JudgeCard:
    card = read_card(by.name.removeprefix(JUDGE), place=place)
    if by.rubric is None:
        return card
    try:
        return replace(card, rubric=Path(by.rubric).read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"--rubric {by.rubric}: cannot be read ({reason})") from None
