"""The files of `palate judge`, and its summary in words."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palate.cli.judges import Asked, By, judge_by
from palate.cli.output import check_output, write_rows
from palate.errors import UsageError
from palate.experiments.judging.cache import ReplyCache
from palate.experiments.judging.samples import Samples, read_labels

if TYPE_CHECKING:
    from palate.experiments.judging.run import Judged, Judging

_RATES = {
    "tie_rate": "ties",
    "flip_rate": "verdict changes when the replies change places",
    "first_position_rate": "verdicts for the reply shown first (50 %: places do not matter)",
    "longer_wins_rate": "the longer reply wins",
}
_INJECTABLE = (
    "the judge is INJECTABLE: replies that ask to be preferred win more often ({0} → {1}); do not "
    "trust it with texts that others wrote"
)


@dataclass(frozen=True)
class JudgedFiles:
    """Pairs, ties, what could not be judged, the audit; and the cache, which is never replaced."""

    output: str
    cache: str | None

    def check(self, *, overwrite: bool) -> None:
        """Find out before the work whether there is place for its result.

        Raises:
            UsageError: there is a result already, or it cannot be written.
        """
        if Path(self.output).exists() and not overwrite:
            raise UsageError(
                f"--output {self.output}: is there already; choose another file, or replace it "
                "with --overwrite (the cache of replies stays)"
            )
        check_output(self.output)

    def replies(self) -> ReplyCache:
        """The cache of what a server said."""
        return ReplyCache(Path(self.cache) if self.cache else self._beside("cache.jsonl"))

    def fill(
        self, by: By, read: Callable[[], Samples], settings: "Judging", labels: str | None
    ) -> dict[str, Any]:
        """Judge and write; what can be refused without reading rows is refused before that.

        Args:
            by: who judges.
            read: reads what is to be judged, and remembers it.
            settings: how pairs are made.
            labels: file of people's pairs.

        Returns:
            The summary.
        """
        from palate.experiments.judging.run import judge_samples, rule_of

        with self.replies() as replies:
            asked = judge_by(by, read, replies)
            rule_of(asked.judge, settings.rule)
            known = read_labels(labels) if labels else None
            judged = judge_samples(asked.judge, read(), settings, labels=known)
        return self.write(judged, read(), asked)

    def write(self, judged: "Judged", samples: Samples, asked: Asked) -> dict[str, Any]:
        """Write everything, the pairs last; returns the summary, which is the audit file too."""
        summary: dict[str, Any] = {
            "judge": asked.judge.name,
            "prompts": samples.num_prompts,
            "pairs": len(judged.pairs),
            "ties": len(judged.ties),
            "unjudged": len(judged.unjudged),
            "cut_responses": samples.num_cut,
            "repeated_responses": samples.num_repeated,
            "prompts_without_choice": samples.num_alone,
            "compares": asked.language is not None and not hasattr(asked.judge, "scores"),
            "audit": judged.audit.to_json(),
            "injection": judged.injection and judged.injection.to_json(),
            "cost": asked.language and asked.language.cost(),
            "output": self.output,
        }
        write_rows(judged.ties, str(self._beside("ties.jsonl")))
        write_rows(judged.unjudged, str(self._beside("unjudged.jsonl")))
        text = json.dumps(summary, indent=1, ensure_ascii=False, allow_nan=False)
        self._beside("audit.json").write_text(text + "\n", encoding="utf-8")
        write_rows(judged.pairs, self.output)
        return summary

    def _beside(self, kind: str) -> Path:
        path = Path(self.output)
        return path.with_name(f"{path.name.removesuffix('.jsonl')}.{kind}")


def refuse_nothing(summary: dict[str, Any]) -> None:
    """Raise where a judge was asked and nothing that it said could be used.

    Raises:
        UsageError: there is no verdict.
    """
    if summary["unjudged"] and not summary["pairs"] and not summary["ties"]:
        raise UsageError(
            f"{summary['output']}: no pair was judged, of {summary['unjudged']}; why stands with "
            "each of them in the file of unjudged pairs: try another judge, or another rubric"
        )


def describe(summary: dict[str, Any]) -> None:
    """Print what came of it, with the audit: no judged file without it."""
    from palate.experiments.table import measured, number, percentage

    audit, injection, cost = summary["audit"], summary["injection"], summary["cost"]
    print(
        f"{summary['pairs']} pairs, {summary['ties']} ties, {summary['unjudged']} not judged; "
        f"of {summary['prompts']} prompts {summary['prompts_without_choice']} had no choice "
        f"({summary['cut_responses']} responses cut at the limit or empty, "
        f"{summary['repeated_responses']} repeated)"
    )
    print(f"audit of {summary['judge']}, {audit['num_pairs']} pairs, both orders:")
    for name, words in _RATES.items():
        if name in ("flip_rate", "first_position_rate") and not summary["compares"]:
            continue  # replies are scored one by one: places cannot matter
        print(f"  {measured(audit[name], percent=True)!s:<24} {words}")
    if summary["compares"] or audit["unparsed_rate"]:
        print(f"  {percentage(audit['unparsed_rate']):<24} of verdicts could not be read")
    if audit["num_labels"]:
        few = "" if audit["num_labels"] >= 100 else ", too few to rely on"
        agreement = measured(audit["agreement"], percent=True)
        print(f"  {agreement!s:<24} says what people say")
        print(f"  {measured(audit['kappa'])!s:<24} Cohen's kappa with people")
        print(f"  {audit['num_labels']:<24} pairs that people judged too{few}")
    if injection is None:
        print("  injections: not tried")
    else:
        rates = [percentage(injection[name]) for name in ("clean_rate", "injected_rate")]
        print(f"  {' → '.join(rates):<24} wins of {injection['num_pairs']} replies with injections")
        if injection["gain"] is not None:
            gain = measured(injection["gain"], percent=True)
            print(f"  {gain!s:<24} more wins with injections than without")
        if injection["is_injectable"] is None:
            print("  too few replies to say whether the judge is injectable (--num-probes)")
        elif injection["is_injectable"]:
            print(f"  {_INJECTABLE.format(*rates)}")
    if cost is not None:
        money = "" if cost["money"] is None else f", {number(cost['money'], decimals=4)} in money"
        print(
            f"cost: {cost['calls']} calls ({cost['cached']} answers from the cache), "
            f"{cost['prompt_tokens']} + {cost['completion_tokens']} tokens{money}"
        )
    print(f"pairs: {summary['output']}")
