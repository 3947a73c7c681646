"""Lines of a log → columns of numbers.

Most of a long log is read by Arrow, several times faster than row by row; a block with anything
unusual in it is read row by row.
"""

import io
import json
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyarrow import ArrowException, types
from pyarrow.json import ReadOptions, read_json

_FEW_BYTES = 64 << 10
_BLOCK_BYTES = 2 << 20  # of one thread; a row that is longer is read otherwise
_LONGEST_NAME = 80

Floats = NDArray[np.float64]


@dataclass
class Block:
    """What some lines hold.

    Attributes:
        columns: name → steps and values, row by row where the row has the metric.
        num_bad: lines that are no row of a log.
    """

    columns: dict[str, tuple[Floats, Floats]] = field(default_factory=dict)
    num_bad: int = 0


def read_rows(lines: bytes) -> Block:
    """Columns of some whole lines; values that are not finite numbers are left out."""
    if len(lines) > _FEW_BYTES:
        block = _by_columns(lines)
        if block is not None:
            return block
    return _by_rows(lines)


def _by_columns(lines: bytes) -> Block | None:
    options = ReadOptions(use_threads=True, block_size=_BLOCK_BYTES)
    try:
        table = read_json(io.BytesIO(lines), read_options=options)
    except ArrowException:
        return None
    is_number = {
        one.name: types.is_integer(one.type) or types.is_floating(one.type) for one in table.schema
    }
    if not is_number.get("step") or table["step"].null_count:
        return None
    block, steps = Block(), _floats(table["step"])
    if not np.isfinite(steps).all():
        return None
    for name in table.column_names:
        if name != "step" and is_number[name] and len(name) <= _LONGEST_NAME:
            values = _floats(table[name])
            kept = np.isfinite(values)
            if kept.any():
                block.columns[name] = (steps[kept], values[kept])
    return block


def _floats(column: Any) -> Floats:
    return np.asarray(column.to_numpy(), dtype=np.float64)


def _by_rows(lines: bytes) -> Block:
    block = Block()
    found: dict[str, tuple[list[float], list[float]]] = {}
    for line in lines.splitlines():
        row = _row(line)
        if row is None:
            block.num_bad += bool(line.strip())
        else:
            for name, value in row.items():
                if name != "step" and _is_finite(value) and len(name) <= _LONGEST_NAME:
                    steps, values = found.setdefault(name, ([], []))
                    steps.append(float(row["step"]))
                    values.append(float(value))
    block.columns = {name: (np.array(x), np.array(y)) for name, (x, y) in found.items()}
    return block


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and _is_finite(row.get("step")) else None


def _is_finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False
