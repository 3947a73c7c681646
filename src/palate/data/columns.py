"""What the columns of a table hold, learnt from its rows; and the Parquet file of them."""

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Literal

Holds = Literal["text", "truth", "whole", "number", "turns", "json"]
_BATCH = 1000


class Columns:
    """Names of columns in the order in which they were met, and what each holds.

    A column of values that no one type fits is written as JSON text.
    """

    def __init__(self) -> None:
        self._holds: dict[str, Holds | None] = {}

    @property
    def names(self) -> list[str]:
        """The columns, in the order in which they were met."""
        return list(self._holds)

    def see(self, row: Mapping[str, object]) -> None:
        """Learn from one row."""
        for name, value in row.items():
            before, now = self._holds.get(name), _holds(value)
            if before is None or now is None or before == now:
                self._holds[name] = before or now
            else:
                both_numbers = {before, now} == {"whole", "number"}
                self._holds[name] = "number" if both_numbers else "json"

    def write_parquet(self, path: Path, rows: Iterator[Mapping[str, object]]) -> None:
        """Write rows, which are those that were seen."""
        import pyarrow as pa
        from pyarrow import parquet

        turns = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
        types: dict[Holds, Any] = {
            "text": pa.string(), "truth": pa.bool_(), "whole": pa.int64(), "number": pa.float64(),
            "turns": turns, "json": pa.string(),
        }  # fmt: skip
        schema = pa.schema([(name, types[holds or "json"]) for name, holds in self._holds.items()])
        with parquet.ParquetWriter(
            path, schema, compression="zstd", write_page_checksum=True
        ) as writer:
            while batch := [self._cells(row) for row in islice(rows, _BATCH)]:
                writer.write_table(pa.Table.from_pylist(batch, schema))

    def _cells(self, row: Mapping[str, object]) -> dict[str, object]:
        return {
            name: json.dumps(value, ensure_ascii=False)
            if self._holds[name] == "json" and value is not None
            else value
            for name, value in row.items()
        }


def _holds(value: object) -> Holds | None:
    """What one value is; None of null, which fits every column."""
    match value:
        case None:
            return None
        case bool():
            return "truth"
        case str():
            return "text"
        case int() if -(2**63) <= value < 2**63:
            return "whole"
        case float():
            return "number"
        case [*turns] if turns and all(_is_turn(turn) for turn in turns):
            return "turns"
    return "json"


def _is_turn(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"role", "content"}
        and all(isinstance(text, str) for text in value.values())
    )
