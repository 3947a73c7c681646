"""Rows that nearly repeat another row: signatures and their index, on disk.

A row's prompt and each of its responses are signed (signatures.py). Eight keys, each of three
bins of every part, bring rows together that may be alike: at a similarity of 0.9 a near duplicate
shares no key with probability (1 − 0.9⁹)⁸ = 2 %, at 0.95 0.03 %. Rows that share a key are then
held against the first of them by their whole signatures.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np

from palate.data.checks.signatures import NUM_BINS, Signatures, signatures_of, similarity
from palate.data.records import Demonstration, Preference, Prompt

MIN_SIMILARITY = 0.9
_NUM_KEYS = 8
_BINS_A_KEY = 3
_BATCH_CHARACTERS = 2**18
_CACHE_KIB = 8 * 1024


class NearPair(NamedTuple):
    """Two rows that are nearly one, by their numbers; `alike` is that of the least similar part."""

    number: int
    earlier: int
    alike: float


class NearIndex:
    """Signatures of rows; use it as a context manager, or close it.

    Args:
        folder: where its file may stand while it is used; None keeps it in memory (few rows).
        name: of the file.
    """

    def __init__(self, folder: Path | None = None, *, name: str = "near") -> None:
        path = ":memory:" if folder is None else str(folder / f"{name}.sqlite3")
        self._signed = sqlite3.connect(path, isolation_level=None)
        self._waiting: list[tuple[int, tuple[str, ...]]] = []
        self._num_characters = 0
        for line in (
            f"PRAGMA cache_size = -{_CACHE_KIB}",
            "PRAGMA journal_mode = OFF",
            "PRAGMA synchronous = OFF",
            "PRAGMA temp_store = FILE",
            "CREATE TABLE signature (number INTEGER PRIMARY KEY, bins BLOB)",
            "CREATE TABLE meeting (key INTEGER, number INTEGER)",
        ):
            self._signed.execute(line)

    def __enter__(self) -> "NearIndex":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._signed.close()

    def add(self, number: int, record: Prompt | Demonstration | Preference) -> None:
        """Sign a row; `number` is its own alone."""
        parts = _parts_of(record)
        self._waiting.append((number, parts))
        self._num_characters += sum(map(len, parts))
        if self._num_characters >= _BATCH_CHARACTERS:
            self._sign()

    def near_pairs(self, *, below: int | None = None) -> Iterator[NearPair]:
        """Rows that are alike in every part to an earlier row, equal ones among them.

        Args:
            below: rows from this number on are held against those below it alone; None: against
                all earlier ones.
        """
        self._sign()
        is_asked = "" if below is None else f"AND first < {below} AND number >= {below}"
        self._signed.execute("CREATE INDEX IF NOT EXISTS by_key ON meeting (key, number)")
        meetings = self._signed.execute(f"""
            SELECT DISTINCT number, first FROM (
                SELECT number, min(number) OVER (PARTITION BY key) AS first FROM meeting)
            WHERE number > first {is_asked} ORDER BY number, first""")
        told: int | None = None
        for number, first in meetings:
            if number == told:
                continue
            alike = self._similarity(number, first)
            if alike >= MIN_SIMILARITY:
                told = number
                yield NearPair(number, first, alike)

    def _similarity(self, number: int, other: int) -> float:
        ours, theirs = self._signatures(number), self._signatures(other)
        if ours.shape != theirs.shape:
            return 0.0
        return min(similarity(left, right) for left, right in zip(ours, theirs, strict=True))

    def _signatures(self, number: int) -> Signatures:
        query = "SELECT bins FROM signature WHERE number = ?"
        (bins,) = self._signed.execute(query, (number,)).fetchone()
        return np.frombuffer(bins, dtype=np.uint16).reshape(-1, NUM_BINS)

    def _sign(self) -> None:
        waiting, self._waiting, self._num_characters = self._waiting, [], 0
        if not waiting:
            return
        signed = signatures_of([part for _, parts in waiting for part in parts])
        signatures, meetings, start = [], [], 0
        for number, parts in waiting:
            mine = signed[start : start + len(parts)]
            start += len(parts)
            signatures.append((number, mine.tobytes()))
            meetings += [(key, number) for key in _keys_of(mine)]
        self._signed.execute("BEGIN")
        self._signed.executemany("INSERT INTO signature VALUES (?, ?)", signatures)
        self._signed.executemany("INSERT INTO meeting VALUES (?, ?)", meetings)
        self._signed.execute("COMMIT")


def _parts_of(record: Prompt | Demonstration | Preference) -> tuple[str, ...]:
    prompt = record.prompt
    asked = prompt if isinstance(prompt, str) else "\n".join(turn.content for turn in prompt)
    if isinstance(record, Preference):
        return asked, record.chosen, record.rejected
    if isinstance(record, Demonstration):
        return asked, record.response
    return (asked,)


def _keys_of(signatures: Signatures) -> list[int]:
    """Eight numbers, each of `_BINS_A_KEY` bins of every part (and of its own place)."""
    used = signatures[:, : _NUM_KEYS * _BINS_A_KEY].reshape(len(signatures), _NUM_KEYS, -1)
    rows = used.transpose(1, 0, 2)
    return [hash((place, row.tobytes())) for place, row in enumerate(rows)]
