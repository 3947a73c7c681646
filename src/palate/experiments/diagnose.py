"""Findings of run folders from their files alone: finished, running or dead runs; no torch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from palate.errors import UsageError
from palate.measures.findings.finding import Finding, Level
from palate.measures.findings.rules import RULES, diagnose, worst_first, worst_level

STAGES = ("sft", "reward", "dpo", "ppo", "online")
# The level from which `palate diagnose` has something to say with its exit code.
ALARMING: tuple[Level, ...] = ("warning", "sick")
DIAGNOSED = 4


@dataclass(frozen=True)
class Diagnosed:
    """A run folder that was looked at.

    Attributes:
        folder: of the run.
        stage: what kind of training it is.
        step: of the newest row of its log; 0 where there is none.
        torn: the log ends in half a line, as that of a run that was killed, or writes just now.
        findings: worst first.
    """

    folder: Path
    stage: str
    step: int
    torn: bool
    findings: tuple[Finding, ...]

    @property
    def alarming(self) -> bool:
        """Whether there is anything worse than a note."""
        return worst_level(self.findings) in ALARMING

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values, with what to do."""
        return {
            "run": str(self.folder),
            "stage": self.stage,
            "step": self.step,
            "torn": self.torn,
            "findings": [
                {**f.to_json(), "remedy": RULES[f.name].remedy, "page": f.page}
                for f in self.findings
            ],
        }


def diagnose_run(folder: Path) -> Diagnosed:
    """Look at a run folder.

    Raises:
        UsageError: it is none, is of a newer version, or one of its files is damaged.
    """
    recipe = _recipe(folder)
    _refuse_newer(folder)
    rows, torn = _rows(folder / "metrics.jsonl")
    found = {finding.name: finding for finding in diagnose(rows, recipe)}
    # Why training refused to go on is in no row of the log.
    for finding in _told(folder / "findings.jsonl"):
        found.setdefault(finding.name, finding)
    step = int(rows[-1]["step"]) if rows else 0
    findings = tuple(worst_first(found.values()))
    return Diagnosed(folder, str(recipe["stage"]), step, torn, findings)


def in_words(run: Diagnosed) -> list[str]:
    """Lines for people."""
    head = f"{run.folder}: {run.stage}, step {run.step}"
    if run.torn:
        head += " (the log ends in half a line, which is left out)"
    if run.step == 0:
        head += "; no row of the log yet"
    lines = [head]
    for finding in run.findings:
        rule = RULES[finding.name]
        lines += [
            f"  {finding.level}: {finding.name}, step {finding.step}: {rule.title}",
            f"    {finding.words}",
            *(f"    {p.metric} {p.value:.6g} (step {p.step})" for p in finding.evidence),
            f"    what to do: {rule.remedy}",
            f"    {finding.page}",
        ]
    return lines if run.findings else [*lines, "  nothing found"]


def _recipe(folder: Path) -> Mapping[str, Any]:
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder; name the output folder of a run")
    path = folder / "recipe.yaml"
    if not path.is_file():
        raise UsageError(
            f"{folder}: not a run folder (no recipe.yaml); name the output folder of palate sft, "
            "reward, dpo, ppo or online"
        )
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: cannot be read ({type(error).__name__}); restore it") from None
    if not isinstance(recipe, dict) or recipe.get("stage") not in STAGES:
        raise UsageError(
            f"{path}: names none of the stages {', '.join(STAGES)}; the folder is another program's"
        )
    return recipe


def _refuse_newer(folder: Path) -> None:
    """A newer version's metrics may mean something else under the same names."""
    path = folder / "manifest.json"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))["versions"]["palate"]
        newer = _parts(told) > _parts(version("palate"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: cannot be read ({type(error).__name__}); restore it") from None
    if newer:
        raise UsageError(
            f"{folder}: written by Palate {told}, which is newer than this one "
            f"({version('palate')}); diagnose it with that version"
        )


def _parts(told: str) -> tuple[int, ...]:
    return tuple(int(part) for part in told.split(".")[:3])


def _rows(path: Path) -> tuple[list[dict[str, float]], bool]:
    """Rows of a metrics.jsonl, and whether a half line ends it."""
    if not path.exists():
        return [], False
    rows: list[dict[str, float]] = []
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    for number, line in enumerate(lines, 1):
        if number == len(lines) and not line.endswith(b"\n"):
            return rows, True
        try:
            row = json.loads(line)
            rows.append({"step": int(row["step"])} | {k: float(v) for k, v in row.items()})
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UsageError(
                f"{path}:{number}: not a row of metrics; the file is damaged. Remove the line, or "
                "restore the file"
            ) from None
    return rows, False


def _told(path: Path) -> list[Finding]:
    """Findings that were written while the run trained; a half line at the end is left out."""
    if not path.is_file():
        return []
    found = []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        if number == len(lines) and not line.endswith("\n"):
            break
        try:
            finding = Finding.from_json(json.loads(line))
        except (ValueError, KeyError, TypeError):
            raise UsageError(f"{path}:{number}: not a finding; the file is damaged") from None
        if finding.name in RULES:
            found.append(finding)
    return found
