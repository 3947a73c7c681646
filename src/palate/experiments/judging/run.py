"""Samples and a judge → pairs that `palate dpo` takes, ties apart, and the judge's audit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from palate.data.records import Preference, Prompt, prompt_key
from palate.data.rows import to_row
from palate.data.tools import COLUMN
from palate.errors import UsageError
from palate.experiments.judging.judges import Judge, ScoringJudge
from palate.experiments.judging.pairing import Meeting, Rule, meetings
from palate.experiments.judging.probes import probe_injection
from palate.experiments.judging.samples import Samples, asked_key, label_key
from palate.experiments.judging.verdicts import Verdict, judge_meetings
from palate.measures.audit import InjectionAudit, JudgeAudit, audit_judge
from palate.training.progress import progress

Labels = Mapping[tuple[str, frozenset[str]], str]


@dataclass(frozen=True)
class Judging:
    """How pairs are made.

    Attributes:
        rule: which responses meet; None: best-worst for a judge that scores, else random.
        pairs_per_prompt: of the rule "random".
        num_probes: pairs that are tried with injections; 0: none.
        seed: of draws.
    """

    rule: Rule | None = None
    pairs_per_prompt: int = 1
    num_probes: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Judged:
    """What came of it.

    Attributes:
        pairs: rows with chosen and rejected.
        ties: rows with two responses that neither order, or not both alike, told apart.
        unjudged: rows with two responses and why there is no verdict.
        audit: of the judge.
        injection: whether it follows instructions in replies; None: not tried.
    """

    pairs: list[dict[str, Any]]
    ties: list[dict[str, Any]]
    unjudged: list[dict[str, Any]]
    audit: JudgeAudit
    injection: InjectionAudit | None


def judge_samples(
    judge: Judge, samples: Samples, settings: Judging, *, labels: Labels | None = None
) -> Judged:
    """Judge the responses of samples, in both orders, and measure the judge on the way.

    Args:
        judge: what judges.
        samples: the candidates.
        settings: how.
        labels: people's choices; those that the samples hold count besides.

    Raises:
        UsageError: the rule does not go with the judge.
        RemoteError: the server is down; what it said before is in the cache.
    """
    rule = rule_of(judge, settings.rule)
    scores = judge.scores(samples.candidates) if isinstance(judge, ScoringJudge) else None
    asked = meetings(
        samples.candidates, rule, pairs_per_prompt=settings.pairs_per_prompt, seed=settings.seed,
        scores=scores,
    )  # fmt: skip
    with progress("judge", 2 * len(asked)) as advance:
        verdicts = judge_meetings(judge, asked, advance=lambda count: advance(count, ""))
    known = {} if scores is None else _by_text(samples, scores)
    rows = _Rows(judge.name, rule, known)
    return Judged(
        pairs=[rows.pair(m, v) for m, v in zip(asked, verdicts, strict=True) if _decided(v)],
        ties=[rows.apart(m, v) for m, v in zip(asked, verdicts, strict=True) if v.share == 0.5],
        unjudged=[rows.apart(m, v) for m, v in zip(asked, verdicts, strict=True) if not _read(v)],
        audit=_audit(asked, verdicts, labels or {}),
        injection=probe_injection(
            judge, asked, verdicts, num_pairs=settings.num_probes, seed=settings.seed
        ),
    )


def rule_of(judge: Judge, named: Rule | None) -> Rule:
    """The rule that was named, else the one that goes with the judge.

    Raises:
        UsageError: it needs scores, and the judge compares.
    """
    scores = isinstance(judge, ScoringJudge)
    if named == "best-worst" and not scores:
        raise UsageError(
            "--rule best-worst needs a judge that scores; this one compares: use random or all, or "
            "--mode score"
        )
    return named or ("best-worst" if scores else "random")


@dataclass(frozen=True)
class _Rows:
    """Writes rows with where they come from."""

    judge: str
    rule: Rule
    scores: Mapping[tuple[str, str], float | None]

    def pair(self, meeting: Meeting, verdict: Verdict) -> dict[str, Any]:
        a, b = meeting.texts
        chosen, rejected = (a, b) if verdict.share == 1 else (b, a)
        prompt = meeting.candidates.prompt
        tools = {name: kept for name, kept in prompt.columns.items() if name == COLUMN}
        row = to_row(Preference(prompt.prompt, chosen, rejected, columns=tools))
        row |= self._provenance(meeting, verdict, (chosen, rejected))
        if self.scores:
            # The names that --margins reads, where somebody asks for the scores' lead.
            row["score_chosen"], row["score_rejected"] = self._scores(prompt, (chosen, rejected))
        return row

    def apart(self, meeting: Meeting, verdict: Verdict) -> dict[str, Any]:
        texts = meeting.texts
        why = verdict.why or ("the orders disagree" if verdict.disagrees else "tie")
        prompt = meeting.candidates.prompt
        row = {"prompt": to_row(prompt)["prompt"], "responses": list(texts), "why": why}
        row |= self._provenance(meeting, verdict, texts)
        return row | ({"scores": self._scores(prompt, texts)} if self.scores else {})

    def _scores(self, prompt: Prompt, texts: tuple[str, str]) -> list[float | None]:
        key = asked_key(prompt)
        return [self.scores[key, text] for text in texts]

    def _provenance(
        self, meeting: Meeting, verdict: Verdict, texts: tuple[str, str]
    ) -> dict[str, Any]:
        """No column here has a name that training reads unasked (margin, weight, label)."""
        prompt = meeting.candidates.prompt
        row: dict[str, Any] = {"id": prompt.id} if prompt.id else {}
        turned = texts != meeting.texts
        shares = (verdict.straight, verdict.swapped)
        row |= {
            "annotator": self.judge,
            "source": prompt.origin,
            "rule": self.rule,
            # The share of the first text of this row, when it was shown first and second.
            "verdicts": [1 - s if turned and s is not None else s for s in shares],
        }
        if turned:
            row["verdicts"].reverse()
        return row


def _decided(verdict: Verdict) -> bool:
    return verdict.share in (0.0, 1.0)


def _read(verdict: Verdict) -> bool:
    return verdict.share is not None


def _by_text(
    samples: Samples, scores: Sequence[Sequence[float | None]]
) -> dict[tuple[str, str], float | None]:
    return {
        (asked_key(one.prompt), text): score
        for one, mine in zip(samples.candidates, scores, strict=True)
        for text, score in zip(one.responses, mine, strict=True)
    }


def _audit(asked: Sequence[Meeting], verdicts: Sequence[Verdict], labels: Labels) -> JudgeAudit:
    def shares(values: Sequence[float | None]) -> np.ndarray:
        return np.array([np.nan if value is None else value for value in values])

    return audit_judge(
        straight=shares([verdict.straight for verdict in verdicts]),
        swapped=shares([verdict.swapped for verdict in verdicts]),
        lengths=[[len(text) for text in meeting.texts] for meeting in asked],
        groups=[prompt_key(meeting.candidates.prompt.prompt) for meeting in asked],
        labels=shares([_label(meeting, labels) for meeting in asked]),
    )


def _label(meeting: Meeting, labels: Labels) -> float | None:
    """People's verdict, as a's share."""
    if meeting.candidates.preferred is not None:
        return float(meeting.candidates.preferred == meeting.a)
    chosen = labels.get(label_key(meeting.candidates.prompt.prompt, *meeting.texts))
    return None if chosen is None else float(chosen == meeting.texts[0])
