"""Files of JSON lines that a run appends to: read, counted, cut back; no torch."""

import json
from pathlib import Path


def read_metrics(path: Path) -> list[dict[str, float]]:
    """Rows of a metrics.jsonl; a torn last line (a run that was killed) is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def count_rows(path: Path) -> int:
    """Rows of a file of JSON lines; 0 where there is none yet."""
    return len(path.read_bytes().splitlines()) if path.exists() else 0


def keep_rows(path: Path, num_rows: int) -> None:
    """Cut a file of JSON lines back to its first rows; a torn last line goes with the rest."""
    if not path.exists():
        return
    draft = path.with_suffix(".tmp")
    draft.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:num_rows]))
    draft.replace(path)
