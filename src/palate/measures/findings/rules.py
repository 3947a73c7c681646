"""The table of all rules, and how a run is looked at with them, row by row."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from palate.measures.findings.curves import Curves
from palate.measures.findings.finding import Finding, Level, Rule, rank
from palate.measures.findings.learning import LEARNING
from palate.measures.findings.pairs import PAIRS
from palate.measures.findings.sampled import SAMPLED

RULES: dict[str, Rule] = LEARNING | PAIRS | SAMPLED


class Watch:
    """Looks at a run as its rows come in; tells each finding once, and again where it is worse.

    Args:
        settings: of the run, by name.
        told: findings that were told already (a resumed run's).
    """

    def __init__(self, settings: Mapping[str, Any], told: Iterable[Finding] = ()) -> None:
        self.curves = Curves(settings)
        self._told: dict[str, Level] = {}
        for finding in told:
            self.note(finding)

    def note(self, finding: Finding) -> bool:
        """Remember a finding; False where it was told already and is no worse."""
        before = self._told.get(finding.name)
        if before is not None and rank(before) >= rank(finding.level):
            return False
        self._told[finding.name] = finding.level
        return True

    def see(self, row: Mapping[str, float]) -> list[Finding]:
        """Take in a row of the log; what is new in it, or worse than it was."""
        self.curves.add(row)
        return [finding for finding in look(self.curves) if self.note(finding)]


def look(curves: Curves) -> list[Finding]:
    """What all rules see in a run as it stands."""
    found = ((name, rule.look(curves)) for name, rule in RULES.items())
    return [
        Finding(name, seen.level, curves.step, seen.words, seen.evidence)
        for name, seen in found
        if seen is not None
    ]


def diagnose(rows: Iterable[Mapping[str, float]], settings: Mapping[str, Any]) -> list[Finding]:
    """Findings of a run from its rows, as they would have been told while it trained.

    Returns:
        One a name, with the worst level that it reached and the step of that; worst first.
    """
    watch, worst = Watch(settings), {}
    for row in rows:
        worst.update({finding.name: finding for finding in watch.see(row)})
    return worst_first(worst.values())


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """In the order of a report: by level, then as they appeared."""
    return sorted(findings, key=lambda finding: (-rank(finding.level), finding.step))


def worst_level(findings: Sequence[Finding]) -> Level | None:
    """The worst level among findings; None where there are none."""
    return max((finding.level for finding in findings), key=rank, default=None)
