"""All runs that a page watches, looked at again when somebody asks."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from palate.experiments.live.comparison import Comparison, read_comparison
from palate.experiments.live.discover import Places
from palate.experiments.live.run import LiveRun

LOOK_SECONDS = 0.25
"""Runs are not looked at more often, however many pages ask."""

SEARCH_SECONDS = 2.0
"""The same for new folders."""


class Board:
    """Runs by number, in the order in which they were found; numbers never change."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._places = Places(paths)
        self._runs: dict[Path, LiveRun] = {}
        self._comparisons: list[Comparison] = []
        self._searched = self._looked = -SEARCH_SECONDS
        self._lock = threading.Lock()

    @contextmanager
    def runs(self) -> Iterator[list[LiveRun]]:
        """The runs as they are now; nobody else changes them meanwhile."""
        with self._lock:
            now = time.monotonic()
            if now - self._searched >= SEARCH_SECONDS:
                self._search()
                self._searched = time.monotonic()
            if now - self._looked >= LOOK_SECONDS:
                for run in self._runs.values():
                    run.refresh()
                self._looked = time.monotonic()
            yield list(self._runs.values())

    def look(self) -> None:
        """Read what there is, so that the first page need not wait for it."""
        with self.runs():
            pass

    @property
    def num_runs(self) -> int:
        """Run folders that are there now."""
        return len(self._places.runs())

    @property
    def comparisons(self) -> list[Comparison]:
        """Results of comparisons that lie beside the runs."""
        return self._comparisons

    def _search(self) -> None:
        for found in self._places.runs():
            if found.path not in self._runs:
                self._runs[found.path] = LiveRun(len(self._runs), found.path, found.name)
        self._comparisons = [
            read_comparison(one.path, one.name) for one in self._places.comparisons()
        ]
