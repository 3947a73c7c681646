"""What a comparison has found so far, in a few words: results.json of its folder."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palate.experiments.table import plain

MOST_BYTES = 64 << 20
MOST_ARMS = 40

_COLUMNS = {
    "gold_reward": "gold reward",
    "proxy_reward": "proxy reward",
    "kl": "KL to the SFT model",
    "win_rate_vs_sft": "wins against SFT",
}


@dataclass(frozen=True)
class Comparison:
    """A comparison's table.

    Attributes:
        name: of its folder.
        sentence: the verdict in one sentence, or why there is none.
        columns: what the arms are measured by.
        arms: a name and its cells, each a value with its interval.
    """

    name: str
    sentence: str
    columns: list[str]
    arms: list[list[str]]


def read_comparison(folder: Path, name: str) -> Comparison:
    """The table of a folder's results; a file that cannot be read says so in its place."""
    path = folder / "results.json"
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError("it is too large")
        found = json.loads(path.read_text(encoding="utf-8"))
        arms = [
            [_text(arm.get("label") or key), *(_estimate(arm.get(of)) for of in _COLUMNS)]
            for key, arm in [*found["arms"].items()][:MOST_ARMS]
        ]
        sentence = _text((found.get("verdict") or {}).get("sentence") or "no verdict")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = plain(error)[:200] or type(error).__name__
        return Comparison(plain(name), f"results.json cannot be read: {reason}", [], [])
    return Comparison(plain(name), sentence, ["arm", *_COLUMNS.values()], arms)


def _estimate(of: Any) -> str:
    if of is None:
        return "not measured"
    value, low, high = (float(of[key]) for key in ("value", "low", "high"))
    return f"{value:.3g} [{low:.3g}, {high:.3g}]"


def _text(given: object) -> str:
    return plain(given)[:400]
