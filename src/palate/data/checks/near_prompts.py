"""Prompts to train on that are nearly prompts to evaluate on: the leak that equality misses."""

from collections.abc import Iterator
from pathlib import Path

from palate.data.checks.near import NearIndex, NearPair
from palate.data.records import Demonstration, Preference, Prompt

# Evaluation rows are numbered below all others, so that the others are held against them.
_AHEAD = 2**62


class NearPrompts:
    """Signatures of prompts of both parts; rows have the numbers that they have elsewhere.

    Args:
        folder: where its file may stand while it is used; None keeps it in memory (few rows).
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._near = NearIndex(folder, name="prompts")

    def close(self) -> None:
        """Let go of the file."""
        self._near.close()

    def add(
        self, number: int, record: Prompt | Demonstration | Preference, *, held_out: bool
    ) -> None:
        """Sign a row's prompt; `number` is its own alone."""
        self._near.add(number - _AHEAD if held_out else number, Prompt(record.prompt))

    def near_pairs(self) -> Iterator[NearPair]:
        """Training rows whose prompt is alike to an evaluation row's, which is the earlier one."""
        for pair in self._near.near_pairs(below=0):
            yield NearPair(pair.number, pair.earlier + _AHEAD, pair.alike)
