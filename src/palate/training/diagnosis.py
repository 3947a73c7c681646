"""Findings of a run while it trains: on the console, in findings.jsonl, and as a reason to end.

The rules are `palate.measures.findings`; they read rows of the log and compute nothing of a model.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from palate.errors import GateError
from palate.measures.findings.finding import Finding
from palate.measures.findings.rules import RULES, Watch, look
from palate.training.settings import StageSettings
from palate.training.stop_on import REASON, findings_of

log = logging.getLogger("palate")
Stop = Callable[[str, str], None]


class Diagnosis:
    """Looks at every row of the log.

    Args:
        stage: which kind of training it is.
        settings: of the run; `stop_on` names what ends it.
        path: findings.jsonl; None keeps nothing on disk.
    """

    def __init__(self, stage: str, settings: StageSettings, path: Path | None) -> None:
        self._stage, self._path = stage, path
        self._settings = settings.to_mapping()
        self._stop_on = findings_of(settings.stop_on)
        self._watch = Watch(self._settings)

    def see(self, row: Mapping[str, float], stop: Stop) -> None:
        """Look at a new row of the log; `stop` is called with reason and words where it ends."""
        for finding in self._watch.see(row):
            self._tell(finding)
            if finding.name in self._stop_on and finding.level != "note":
                stop(f"{REASON}{finding.name}", f"{finding.words}; {RULES[finding.name].remedy}")

    def refused(self, error: GateError, step: int, seen: Mapping[str, float]) -> None:
        """Keep why training refused to go on, with what the step had shown until then."""
        if not error.finding:
            return
        found = [Finding(error.finding, "sick", step, str(error))]
        if error.finding == "no-gradient":
            # Which cause it has is in the step's own numbers.
            self._watch.curves.add({**seen, "step": step, "grad_norm": 0.0})
            told = [f for f in look(self._watch.curves) if f.level == "sick"]
            found = told or found
        for finding in found:
            if self._watch.note(finding):
                self._tell(finding)

    def rewind(self, history: Sequence[Mapping[str, float]]) -> None:
        """Stand where the rows of a resumed run stand; findings after them are taken back."""
        self._watch = Watch(self._settings)
        found = [finding for row in history for finding in self._watch.see(row)]
        if self._path is not None and self._path.exists():
            draft = self._path.with_suffix(".tmp")
            draft.write_text("".join(map(_line, found)), encoding="utf-8")
            draft.replace(self._path)

    def _tell(self, finding: Finding) -> None:
        log.warning(
            "%s, step %d: %s, %s: %s. What to do: %s (%s)", self._stage, finding.step,
            finding.level, finding.name, finding.words, RULES[finding.name].remedy, finding.page,
        )  # fmt: skip
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_line(finding))


def _line(finding: Finding) -> str:
    return json.dumps(finding.to_json(), ensure_ascii=False) + "\n"
