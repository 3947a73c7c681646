"""What a run's own diagnosis has said of it: findings.jsonl, where the run keeps one."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palate.experiments.live.tail import Tail
from palate.experiments.table import plain

MOST_FINDINGS = 50
LEVELS = ("note", "warning", "sick")


@dataclass(frozen=True)
class SeenFinding:
    """A line of the file: the disease, how bad it is, and the sentence with its figures."""

    name: str
    level: str
    step: int
    words: str


class Findings:
    """The findings of a run, the newest of each name."""

    def __init__(self, path: Path) -> None:
        self._tail = Tail(path)
        self._found: dict[str, SeenFinding] = {}

    def refresh(self) -> None:
        """Look at the file again."""
        gained = self._tail.read()
        if gained.anew:
            self._found = {}
        for line in gained.lines.splitlines():
            found = _read(line)
            if found and (found.name in self._found or len(self._found) < MOST_FINDINGS):
                self._found[found.name] = found

    @property
    def worst_first(self) -> list[SeenFinding]:
        """The worst first, and of one level the newest."""
        return sorted(self._found.values(), key=lambda one: (-LEVELS.index(one.level), -one.step))


def _read(line: bytes) -> SeenFinding | None:
    try:
        row: Any = json.loads(line)
        texts = {key: plain(row[key])[:2000] for key in ("name", "level", "words")}
        found = SeenFinding(step=int(row["step"]), **texts)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    return found if found.level in LEVELS else None
