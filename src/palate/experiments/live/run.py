"""One run, followed as its folder grows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from palate.experiments.live.findings import Findings
from palate.experiments.live.rows import read_rows
from palate.experiments.live.samples import Samples
from palate.experiments.live.series import Series
from palate.experiments.live.status import Pulse, Status, status_of
from palate.experiments.live.tail import Tail
from palate.experiments.table import plain
from palate.training.folder import RunFolder
from palate.training.heartbeat import read_heartbeat

MOST_METRICS = 200
"""Names that a log may have here; a foreign file could have a new one in every row."""


class LiveRun:
    """A run folder's curves, samples and standing; `refresh` looks again.

    Attributes:
        id: number of the run on its page; addresses hold no names.
        name: what people call it, the end of its path.
        version: rises with every change of the curves.
        series: curve of each metric.
        findings: what its own diagnosis says of it.
    """

    def __init__(self, number: int, path: Path, name: str) -> None:
        self.id, self.path, self.name = number, path, plain(name)
        self.folder = RunFolder(path)
        self.version = 0
        self.series: dict[str, Series] = {}
        self.samples = Samples(self.folder.samples)
        self.findings = Findings(path / "findings.jsonl")
        self.num_bad = 0
        self._log = Tail(self.folder.metrics)
        self._pulse = Pulse(self.folder)
        self._silence = 0.0
        self._restarted = 0

    def refresh(self) -> None:
        """Read what the folder has gained."""
        self._silence = self._pulse.silence()
        self.samples.refresh()
        self.findings.refresh()
        while True:
            gained = self._log.read()
            if gained.anew:
                self.version += 1
                self.series, self.num_bad = {}, 0
                self._restarted = self.version
            if gained.lines:
                self._add(gained.lines)
            if not gained.more:
                return

    def _add(self, lines: bytes) -> None:
        block = read_rows(lines)
        self.version += 1
        self.num_bad += block.num_bad
        for name, (steps, values) in block.columns.items():
            if name in self.series or len(self.series) < MOST_METRICS:
                self.series.setdefault(name, Series()).add(steps, values, version=self.version)

    @property
    def stage(self) -> str:
        """As its command is called, sft or dpo; "" where the folder does not say."""
        beat = read_heartbeat(self.folder.progress)
        return beat.stage if beat else _stage_of(self.path / "recipe.yaml")

    @property
    def status(self) -> Status:
        """Where the run stands."""
        last = max((int(one.step[-1]) for one in self.series.values() if len(one)), default=0)
        return status_of(self.folder, silence=self._silence, last_step=last)

    def curves_since(self, version: int) -> tuple[bool, Mapping[str, Any]]:
        """What changed after the version that a page has.

        Returns:
            Whether the page must forget what it has (the log was begun anew, or the version is of
            another server), and `Series.since` of each metric that changed.
        """
        anew = not self._restarted <= version <= self.version
        known = -1 if anew else version
        changed = {name: one.since(known) for name, one in self.series.items()}
        return anew, {name: one for name, one in changed.items() if one is not None}


def _stage_of(recipe: Path) -> str:
    try:
        found = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return ""
    stage = found.get("stage") if isinstance(found, dict) else None
    return plain(stage)[:40] if isinstance(stage, str) else ""
