"""Rows of Arrow tables: Parquet files, folders that `save_to_disk` made, data sets of the hub."""

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from palate.data.faults import fault
from palate.data.lines import Line
from palate.data.unpack import MAX_RATIO, MIN_UNPACKED_BYTES
from palate.errors import DataError

# Rows that are held as Python objects at a time.
_BATCH = 64
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(?::[\w.+-]+)?")


def rows_of(rows: Iterable[object], origin: str) -> Iterator[Line]:
    """Rows in memory as lines; "origin N" is the place of row N, counted from 0."""
    for number, row in enumerate(rows):
        place = f"{origin} {number}"
        if isinstance(row, Mapping):
            yield Line(place, row)
        else:
            message = f"the row is of type {type(row).__name__}, not a mapping"
            yield Line(place, None, fault("E106", message, origin=place), repr(row)[:1000])


def parquet_rows(file: io.BufferedReader, name: str) -> Iterator[Line]:
    """Rows of a Parquet file, a few at a time.

    Raises:
        DataError: the file is damaged, or unpacks to more than a real one does.
    """
    import pyarrow as pa
    from pyarrow import parquet

    if not file.seekable():
        raise DataError(f"{name}: Parquet cannot be read from a pipe; name the file")
    limit = max(MIN_UNPACKED_BYTES, MAX_RATIO * file.seek(0, io.SEEK_END))
    number, unpacked = 0, 0
    try:
        table = parquet.ParquetFile(pa.PythonFile(file, mode="r"))
        promised = [table.metadata.row_group(i) for i in range(table.metadata.num_row_groups)]
        _check_size(sum(group.total_byte_size for group in promised), limit, name)
        for batch in table.iter_batches(batch_size=_BATCH):
            unpacked += batch.nbytes
            _check_size(unpacked, limit, name)
            for row in batch.to_pylist():
                yield Line(f"{name} row {number}", row)
                number += 1
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        raise DataError(
            f"{name}: damaged Parquet file ({reason}); copy or download it again"
        ) from error


def saved_rows(path: Path) -> Iterator[Line] | None:
    """Rows of a saved data set, memory-mapped; None where the folder is none.

    Raises:
        DataError: the data set is damaged, or has several splits.
    """
    if (path / "dataset_dict.json").is_file():
        path = _only_split(path)
    if not (path / "dataset_info.json").is_file():
        return None
    from datasets import load_from_disk  # heavy, and only such folders need it

    try:
        rows: Iterable[object] = load_from_disk(str(path))
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{path}: a saved data set that cannot be read ({reason}); save it again with "
            "save_to_disk"
        ) from error
    return rows_of(rows, f"{path} row")


def is_hub_name(name: str) -> bool:
    """Whether a name that is no file may be one of the hub: OWNER/NAME or OWNER/NAME:SPLIT."""
    return bool(_HUB_NAME.fullmatch(name)) and not Path(name).suffix.startswith(
        (".json", ".csv", ".tsv", ".parquet", ".gz", ".zst", ".txt")
    )


def hub_rows(name: str) -> Iterator[Line]:
    """Rows of one split of a data set of the hub, from its cache where it was loaded before.

    Raises:
        DataError: it cannot be had, or has several splits and none is named.
    """
    from datasets import Dataset, load_dataset

    repository, _, split = name.partition(":")
    try:
        found: Any = load_dataset(repository, split=split or None)
    except (OSError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise DataError(
            f"{name}: there is no such file in {Path.cwd()}, and as a data set of the hub it "
            f"cannot be loaded ({reason}); check the name"
        ) from error
    if not isinstance(found, Dataset):
        if len(found) != 1:
            some = ", ".join(f"{repository}:{one}" for one in found)
            raise DataError(f"{name}: a data set of several splits; name one of them: {some}")
        (found,) = found.values()
    return rows_of(found, f"{name} row")


def _check_size(size: int, limit: int, name: str) -> None:
    if size > limit:
        raise DataError(
            f"{name}: unpacks to more than {MAX_RATIO} times its size (over {limit // 2**20} MB); "
            "if you trust it, write it again uncompressed"
        )


def _only_split(path: Path) -> Path:
    """The one split of a saved `DatasetDict`; which of several is meant only its owner knows."""
    splits = sorted(inner.parent for inner in path.glob("*/dataset_info.json"))
    if len(splits) != 1:
        names = ", ".join(map(str, splits)) or "and none is there"
        raise DataError(f"{path}: a saved DatasetDict; name one of its splits: {names}")
    return splits[0]
