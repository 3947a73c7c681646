"""Verdicts in both orders: which response is better, and whether the judge sticks to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from palate.experiments.judging.judges import Judge
from palate.experiments.judging.language import Answer
from palate.experiments.judging.pairing import Meeting
from palate.experiments.judging.question import Question, Winner

_FIRST_SHARE: dict[Winner, float] = {"first": 1.0, "tie": 0.5, "second": 0.0}


@dataclass(frozen=True)
class Verdict:
    """What a judge says of a pair, a's share of the win: 1, ½ or 0.

    Attributes:
        straight: with a shown first; None: no verdict that could be read.
        swapped: with b shown first.
        why: what is wrong where there is no verdict.
    """

    straight: float | None
    swapped: float | None
    why: str = ""

    @property
    def share(self) -> float | None:
        """Of both orders together: a tie where they disagree, None where one is missing."""
        if self.straight is None or self.swapped is None:
            return None
        return self.straight if self.straight == self.swapped else 0.5

    @property
    def disagrees(self) -> bool:
        """Whether the orders say different things."""
        return self.share is not None and self.straight != self.swapped


def judge_meetings(
    judge: Judge, meetings: Sequence[Meeting], *, advance: Callable[[int], None] = lambda _: None
) -> list[Verdict]:
    """Ask about every pair, in both orders; `advance` counts single questions."""
    questions = []
    for meeting in meetings:
        a, b = meeting.texts
        prompt = meeting.candidates.prompt
        questions += [Question(prompt, (a, b)), Question(prompt, (b, a))]
    answers = judge.show(questions, advance=advance)
    return [
        Verdict(
            share_of(straight, first=True), share_of(swapped, first=False),
            straight.why or swapped.why,
        )
        for straight, swapped in zip(answers[::2], answers[1::2], strict=True)
    ]  # fmt: skip


def share_of(answer: Answer[Winner], *, first: bool) -> float | None:
    """An answer as the share of the reply that was shown `first`, or of the other one."""
    if answer.value is None:
        return None
    share = _FIRST_SHARE[answer.value]
    return share if first else 1 - share
