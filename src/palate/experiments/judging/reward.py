"""A language model's scores as a reward: what `--reward judge:…` names."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from palate.data.faults import quote
from palate.data.records import Prompt, Turn
from palate.errors import RemoteError
from palate.experiments.judging.cache import ReplyCache
from palate.experiments.judging.card import JUDGE, read_card
from palate.experiments.judging.language import LanguageJudge
from palate.experiments.judging.question import Question
from palate.models.reward_function import RewardFunction


def judge_function(name: str, *, place: str, cache: Path | None) -> RewardFunction:
    """A reward function that asks a language model for a score from 1 to 10.

    Args:
        name: "judge:FILE.yaml" or "judge:MODEL@URL".
        place: where it was named, for messages.
        cache: file of replies, so that a resumed run does not pay twice; None: memory alone.

    Raises:
        UsageError: the card, its address or its key cannot be used.
    """
    card = read_card(name.removeprefix(JUDGE), place=place)
    language = LanguageJudge(card, ReplyCache(cache))

    def score(prompts: Sequence[Any], responses: Sequence[str]) -> list[float]:
        records = [_record(prompt) for prompt in prompts]
        pairs = zip(records, responses, strict=True)
        answers = language.score([Question(prompt, (reply,)) for prompt, reply in pairs])
        for answer, record, reply in zip(answers, records, responses, strict=True):
            if answer.value is None:
                raise RemoteError(
                    answer.why,
                    f"{place}: no score ({answer.why}) for the response {quote(reply)} to the "
                    f"prompt {quote(str(record.prompt))}; what was said is kept, so a resumed run "
                    "asks for the rest alone",
                )
        return [float(answer.value) for answer in answers if answer.value is not None]

    return score


def _record(prompt: str | Sequence[Mapping[str, Any]]) -> Prompt:
    if isinstance(prompt, str):
        return Prompt(prompt)
    return Prompt(tuple(Turn(turn["role"], turn["content"]) for turn in prompt))
