"""What `palate judge --by` names → a judge."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from palate.cli.inputs import is_reward, load_model
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
from palate.experiments.judging.samples import Candidates
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


def judge_by(by: By, candidates: Sequence[Candidates], cache: ReplyCache) -> Asked:
    """The judge that `--by` names; models are loaded when they are needed.

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
        return Asked(ScoringJudge("written scores", written_scores(candidates)))
    source = reward_source(given, flag="--by")
    if source.weight != 1:
        raise UsageError(f"{place}: a weight changes no verdict; leave it out")
    if source.function is not None:
        score = function_scores(NamedFunction(source.function, given))
        return Asked(ScoringJudge(f"function:{given.rpartition(':')[2]}", score))
    assert source.folder is not None
    load, kind = _scorer(source.folder, by)
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


def _scorer(folder: Path, by: By) -> "tuple[Callable[[], Scorer], str]":
    """Rewards of a reward model, or those that a policy implies."""
    if is_reward(folder):

        def load_reward() -> "Scorer":
            from palate.experiments.pair_scores import reward_scorer

            return reward_scorer(folder)

        return load_reward, "reward"
    trained = training_of(folder, beta=by.beta, reference=by.reference)

    def load_implied() -> "Scorer":
        from palate.experiments.pair_scores import implicit_scorer

        start = load_model(trained.reference, flag="--reference") if trained.reference else None
        return implicit_scorer(load_model(str(folder)), reference=start, beta=trained.beta)

    return load_implied, "implicit"
