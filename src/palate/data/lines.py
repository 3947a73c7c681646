"""Bytes on disk → JSON objects, line by line, each with its place; nothing is repaired.

Accepted without a word: a byte-order mark, CRLF, blank lines and a missing last line break. A line
that is too long is passed over without being held in memory.
"""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

from palate.data.faults import Fault, Refusal, fault, quote
from palate.data.layout import MAX_LINE_BYTES

ReadLine = Callable[[int], bytes]

MAX_DEPTH = 32

BOM = b"\xef\xbb\xbf"
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
# What is kept of a line that cannot be parsed, for the file of rejects.
_MAX_RAW = 2**20


@dataclass(frozen=True, slots=True)
class Line:
    """One line that is not blank: a JSON object, or a fault and the text as it stands."""

    origin: str
    row: Mapping[str, object] | None
    fault: Fault | None = None
    raw: object = None


def split_lines(
    readline: ReadLine, name: str, *, max_bytes: int = MAX_LINE_BYTES
) -> Iterator[Line]:
    """Read JSON lines from a file's `readline`; `name` is the file's, for places.

    A line longer than `max_bytes` is passed over without being held in memory.
    """
    number = 0
    while line := readline(max_bytes + 1):
        number += 1
        origin = f"{name}:{number}"
        if number == 1 and line.startswith(_WIDE_MARKS):
            yield wide_file(origin)
            return
        if number == 1:
            line = line.removeprefix(BOM)
        if number == 1 and line.strip() == b"{":
            yield spread_object(origin)
            return
        if len(line) > max_bytes and not line.endswith(b"\n"):
            rest = line
            while rest and not rest.endswith(b"\n"):
                rest = readline(io.DEFAULT_BUFFER_SIZE)
            yield too_long(line, origin, max_bytes)
            continue
        if not line.strip():
            continue
        yield decode(line, origin)


def parse_line(text: str, *, origin: str) -> Line:
    """Parse one line of JSON; whatever is wrong with it becomes the line's fault."""
    try:
        return Line(origin, _parse_object(text))
    except Refusal as error:
        return Line(origin, None, fault(error.code, str(error), origin=origin), text[:_MAX_RAW])


def decode(line: bytes, origin: str) -> Line:
    """Parse the bytes of one JSON object; whatever is wrong with them becomes the line's fault."""
    if b"\0" in line:
        return Line(origin, None, fault("E102", "a NUL byte", origin=origin), _shown(line))
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"byte 0x{line[error.start]:02x} at column {error.start + 1} is not UTF-8"
        return Line(origin, None, fault("E101", message, origin=origin), _shown(line))
    return parse_line(text.strip(), origin=origin)


def too_long(line: bytes, origin: str, max_bytes: int) -> Line:
    """The fault of a line of which only the beginning was read."""
    limit = f"{max_bytes // 2**20} MB" if max_bytes >= 2**20 else f"{max_bytes} bytes"
    message = f"the line is longer than {limit}"
    return Line(origin, None, fault("E110", message, origin=origin), _shown(line[:1000]))


def wide_file(origin: str) -> Line:
    """The one fault of a file of two or four bytes a character."""
    message = "the file starts with a UTF-16 or UTF-32 mark"
    return Line(origin, None, fault("E103", message, origin=origin), "")


def spread_object(origin: str) -> Line:
    """The one fault of a file of objects that are spread over lines for the eye."""
    message = "the object goes on over several lines; one a line: jq -c . FILE > NEW.jsonl"
    return Line(origin, None, fault("E105", message, origin=origin), "{")


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
