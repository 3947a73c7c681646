"""Pairs of a round of iterated DPO on disk: rounds/round-001.jsonl, a row a prompt of a step.

Rows hold tokens, since a resumed run must learn from the very ones that were sampled.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from palate.data.trees import Response, Tree
from palate.errors import CheckpointError
from palate.training.folder import RunFolder

# Step → the pairs that it learns from; None for a prompt whose responses all had one reward.
RoundPairs = Mapping[int, Sequence[Tree | None]]


def write_round(folder: RunFolder, number: int, pairs: RoundPairs) -> None:
    """Write a round, whole or not at all."""
    folder.rounds.mkdir(exist_ok=True)
    path = folder.rounds / f"round-{number:03}.jsonl"
    draft = path.with_suffix(".tmp")
    rows = [_row(step, pair) for step, some in pairs.items() for pair in some]
    draft.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    draft.replace(path)


def read_round(folder: RunFolder, number: int) -> RoundPairs:
    """Read a round again.

    Raises:
        CheckpointError: it is not there, or damaged.
    """
    path = folder.rounds / f"round-{number:03}.jsonl"
    pairs: dict[int, list[Tree | None]] = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            pairs.setdefault(row["step"], []).append(_pair(row))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path}: the pairs of round {number} cannot be read ({type(error).__name__}: {error})"
            ", and the policy that gave them is gone; start anew with --overwrite"
        ) from None
    return pairs


def _row(step: int, pair: Tree | None) -> dict[str, Any]:
    if pair is None:
        return {"step": step, "prompt": None}
    chosen, rejected = pair.responses
    return {
        "step": step,
        "prompt": pair.prompt,
        "chosen": chosen.tokens,
        "rejected": rejected.tokens,
        "stopped": [chosen.stopped, rejected.stopped],
        "origin": pair.origin,
    }


def _pair(row: Mapping[str, Any]) -> Tree | None:
    if row["prompt"] is None:
        return None
    chosen, rejected = (
        Response(tuple(row[name]), bool(stopped))
        for name, stopped in zip(("chosen", "rejected"), row["stopped"], strict=True)
    )
    return Tree(tuple(row["prompt"]), (chosen, rejected), origin=row["origin"])
