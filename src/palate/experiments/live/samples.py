"""Samples of fixed prompts, step by step: the newest of samples.jsonl."""

import json
from pathlib import Path
from typing import Any

from palate.experiments.live.tail import Tail

MOST_STEPS = 100
MOST_PROMPTS = 50
MOST_CHARACTERS = 20_000
"""Of a text; more is cut and says so."""

_NAMES = ("prompt", "policy", "reference")


class Samples:
    """What a policy says to fixed prompts, beside its reference."""

    def __init__(self, path: Path) -> None:
        self._tail = Tail(path)
        self._rows: dict[int, list[dict[str, str]]] = {}

    def refresh(self) -> bool:
        """Look at the file again; whether there is anything new."""
        gained = self._tail.read()
        if gained.anew:
            self._rows = {}
        for line in gained.lines.splitlines():
            self._add(line)
        while len(self._rows) > MOST_STEPS:
            del self._rows[min(self._rows)]
        return bool(gained.lines) or gained.anew

    @property
    def steps(self) -> list[int]:
        """Steps that there are samples of, in order."""
        return sorted(self._rows)

    def at(self, step: int) -> list[dict[str, str]]:
        """Rows of a step: prompt, policy, and reference where the run has one."""
        return self._rows.get(step, [])

    def _add(self, line: bytes) -> None:
        try:
            row: Any = json.loads(line)
            step = int(row["step"])
            texts = {name: row[name] for name in _NAMES if isinstance(row.get(name), str)}
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            return
        rows = self._rows.setdefault(step, [])
        if {"prompt", "policy"} <= set(texts) and len(rows) < MOST_PROMPTS:
            rows.append({name: _cut(text) for name, text in texts.items()})


def _cut(text: str) -> str:
    # Half a surrogate pair, which JSON may hold, cannot be sent.
    text = text.encode("utf-8", "replace").decode("utf-8")
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[:MOST_CHARACTERS]} … ({len(text) - MOST_CHARACTERS} more characters)"
