"""Rows → a file that appears whole or not at all: JSON lines, JSON, CSV, TSV, Parquet.

JSON and CSV may be packed (.gz, .zst). Tables need to know their columns before the first row, so
their rows wait in a file beside the target; no more than a batch is held.
"""

import gzip
import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from palate.data.columns import Columns
from palate.data.delimited import write_delimited
from palate.errors import UsageError

Row = Mapping[str, object]
WriteRow = Callable[[Row], None]
STANDARD_OUTPUT = "-"
KINDS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
_PACKED = (".gz", ".zst")


def kind_of(target: str) -> str:
    """What a file is to hold, by its name: one of KINDS.

    Raises:
        UsageError: the name does not say.
    """
    if target == STANDARD_OUTPUT:
        return ".jsonl"
    path = Path(target)
    inner = Path(path.stem) if path.suffix in _PACKED else path
    is_packed_table = inner != path and inner.suffix == ".parquet"  # it packs itself
    if inner.suffix not in KINDS or is_packed_table:
        raise UsageError(
            f"{target}: the name must end in {', '.join(KINDS)}; all but Parquet also in .gz or "
            ".zst behind that"
        )
    return inner.suffix


@contextmanager
def writing(target: str) -> Iterator[WriteRow]:
    """Open a file of rows; "-" writes JSON lines to standard output.

    Raises:
        UsageError: the file cannot be written, or its name does not say what it is to hold.
    """
    kind = kind_of(target)
    if target == STANDARD_OUTPUT:
        yield lambda row: print(_line(row))
        return
    path = Path(target)
    draft, waiting = (path.with_name(f"{path.name}{end}") for end in (".part", ".rows.part"))
    try:
        if kind in (".jsonl", ".json"):
            with _text(draft, packed=path.suffix) as file, _lines(file, kind) as write:
                yield write
        else:
            columns = Columns()
            with waiting.open("w", encoding="utf-8") as rows:

                def keep(row: Row) -> None:
                    columns.see(row)
                    rows.write(_line(row) + "\n")

                yield keep
            _write_table(kind, draft, path.suffix, columns, waiting)
        draft.replace(path)
    except OSError as error:
        raise UsageError(
            f"{target}: cannot be written ({error.strerror or error}); choose another file"
        ) from None
    finally:
        for left in (draft, waiting):
            with suppress(OSError):  # above it may stand a file in a folder's place
                left.unlink()


@contextmanager
def _lines(file: io.TextIOBase, kind: str) -> Iterator[WriteRow]:
    """One row a line; in a .json file the lines are the elements of an array."""
    if kind == ".jsonl":
        yield lambda row: _put(file, f"{_line(row)}\n")
        return
    between = iter(["[\n"])
    yield lambda row: _put(file, next(between, ",\n") + _line(row))
    file.write(next(between, "\n").replace("[\n", "[") + "]\n")


def _put(file: io.TextIOBase, text: str) -> None:
    file.write(text)


@contextmanager
def _text(path: Path, *, packed: str) -> Iterator[io.TextIOBase]:
    with path.open("wb") as file:
        stream: Any = file
        if packed == ".gz":
            stream = gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0)
        elif packed == ".zst":
            import pyarrow as pa

            stream = pa.CompressedOutputStream(pa.PythonFile(file, mode="w"), "zstd")
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        yield text
        text.flush()
        text.detach()
        if stream is not file:
            stream.close()


def _write_table(kind: str, draft: Path, packed: str, columns: Columns, waiting: Path) -> None:
    with waiting.open(encoding="utf-8") as lines:
        rows: Iterator[dict[str, object]] = map(json.loads, lines)
        if kind == ".parquet":
            columns.write_parquet(draft, rows)
        else:
            with _text(draft, packed=packed) as file:
                delimiter = "," if kind == ".csv" else "\t"
                write_delimited(file, columns.names, rows, delimiter=delimiter)


def _line(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False, default=str)
