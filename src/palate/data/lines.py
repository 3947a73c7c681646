"""Bytes on disk → JSON objects, line by line, each with its place; nothing is repaired.

Accepted without a word: a byte-order mark, CRLF, blank lines, a missing last line break, and gzip
under any name (its first two bytes tell). A line that is too long is passed over without being
held in memory, and a compressed file that grows like a bomb stops the reading.
"""

import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from palate.data.faults import Fault, Refusal, fault, quote
from palate.errors import DataError

ReadLine = Callable[[int], bytes]

MAX_LINE_BYTES = 16 * 2**20
MAX_DEPTH = 32
# A gzip file may grow 100-fold, and up to 64 MB whatever its size.
MAX_GZIP_RATIO = 100
MIN_GZIP_BYTES = 64 * 2**20

_GZIP_MAGIC = b"\x1f\x8b"
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_BOM = b"\xef\xbb\xbf"
# What is kept of a line that cannot be parsed, for the file of rejects.
_MAX_RAW = 2**20


@dataclass(frozen=True, slots=True)
class Line:
    """One line that is not blank: a JSON object, or a fault and the text as it stands."""

    origin: str
    row: Mapping[str, object] | None
    fault: Fault | None = None
    raw: object = None


def read_lines(path: Path) -> Iterator[Line]:
    """Read a .jsonl or .jsonl.gz file.

    Raises:
        DataError: the file is missing, a folder, Parquet, a damaged gzip file or a gzip bomb.
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such file; check the path (from {Path.cwd()})")
    if path.is_dir():
        raise DataError(
            f"{path}: this is a folder, and not one that datasets' save_to_disk made; give a "
            ".jsonl or .jsonl.gz file"
        )
    with path.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        if magic == b"PAR1":
            raise DataError(
                f"{path}: Parquet is not read directly; turn it into JSON lines with "
                f"datasets.Dataset.from_parquet(...).to_json(...)"
            )
        if not magic.startswith(_GZIP_MAGIC):
            yield from _split(file.readline, path)
            return
        limit = max(MIN_GZIP_BYTES, MAX_GZIP_RATIO * path.stat().st_size)
        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield from _split(_capped(unpacked.readline, limit=limit, path=path), path)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(
                f"{path}: damaged gzip file ({error}); copy or download it again"
            ) from error


def parse_line(text: str, *, origin: str) -> Line:
    """Parse one line of JSON; whatever is wrong with it becomes the line's fault."""
    try:
        return Line(origin, _parse_object(text))
    except Refusal as error:
        return Line(origin, None, fault(error.code, str(error), origin=origin), text[:_MAX_RAW])


def _capped(readline: ReadLine, *, limit: int, path: Path) -> ReadLine:
    """Stop where more comes out than a real file of this size holds."""
    total = 0

    def read(size: int) -> bytes:
        nonlocal total
        line = readline(size)
        total += len(line)
        if total > limit:
            raise DataError(
                f"{path}: unpacks to more than {MAX_GZIP_RATIO} times its size (over "
                f"{limit // 2**20} MB); if you trust it, gunzip it and give the plain file"
            )
        return line

    return read


def _split(readline: ReadLine, path: Path) -> Iterator[Line]:
    number = 0
    while line := readline(MAX_LINE_BYTES + 1):
        number += 1
        origin = f"{path}:{number}"
        if number == 1 and line.startswith(_WIDE_MARKS):
            message = "the file starts with a UTF-16 or UTF-32 mark"
            yield Line(origin, None, fault("E103", message, origin=origin), "")
            return
        if number == 1:
            line = line.removeprefix(_BOM)
        if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            rest = line
            while rest and not rest.endswith(b"\n"):
                rest = readline(io.DEFAULT_BUFFER_SIZE)
            message = f"the line is longer than {MAX_LINE_BYTES // 2**20} MB"
            yield Line(origin, None, fault("E110", message, origin=origin), _shown(line[:1000]))
            continue
        if not line.strip():
            continue
        yield _decode(line, origin)


def _decode(line: bytes, origin: str) -> Line:
    if b"\0" in line:
        return Line(origin, None, fault("E102", "a NUL byte", origin=origin), _shown(line))
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"byte 0x{line[error.start]:02x} at column {error.start + 1} is not UTF-8"
        return Line(origin, None, fault("E101", message, origin=origin), _shown(line))
    return parse_line(text.strip(), origin=origin)


def _shown(line: bytes) -> str:
    return line[:_MAX_RAW].decode("utf-8", errors="backslashreplace").rstrip("\r\n")


def _parse_object(text: str) -> Mapping[str, object]:
    try:
        row = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except RecursionError:
        raise Refusal("E109", f"nested more than {MAX_DEPTH} deep") from None
    except ValueError as error:  # JSONDecodeError, or an integer of thousands of digits
        raise Refusal("E105", f"not JSON: {_first_line(error)}") from None
    if not isinstance(row, dict):
        raise Refusal("E106", f"the row is {quote(row)}, not an object")
    if text.count("[") + text.count("{") > MAX_DEPTH and _is_deeper(row, MAX_DEPTH):
        raise Refusal("E109", f"nested more than {MAX_DEPTH} deep")
    return row


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    row = dict(pairs)
    if len(row) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Refusal("E107", f"the key {quote(twice)} stands twice")
    return row


def _refuse_constant(name: str) -> NoReturn:
    raise Refusal("E108", f"{name} is not a JSON number")


def _is_deeper(value: object, limit: int) -> bool:
    level: list[object] = [value]
    for _ in range(limit):
        inner: list[object] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        level = inner
    return any(isinstance(item, dict | list) for item in level)


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0].split(";", 1)[0]
