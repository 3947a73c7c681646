"""A JSON array of rows, element by element, each with the line that it starts on.

The array is never held whole: elements are cut out by their brackets and quotes and then parsed one
by one, as lines are. One that is too long is passed over without being held in memory.
"""

import io
import re
from collections.abc import Iterator

from palate.data.faults import fault
from palate.data.layout import MAX_LINE_BYTES
from palate.data.lines import BOM, Line, decode, too_long

_CHUNK = 2**18
_OUTSIDE = re.compile(rb'["{}\[\],]')
_IN_STRING = re.compile(rb'"|\\.', re.DOTALL)
_ARRAY = re.compile(rb"\s*\[\s*(?:\{|\]|\Z)")


def is_array(beginning: bytes) -> bool:
    """Whether a file that begins so is an array of objects, and not a line that holds a list."""
    return _ARRAY.match(beginning.removeprefix(BOM)) is not None


def split_array(
    file: io.BufferedReader, name: str, *, max_bytes: int = MAX_LINE_BYTES
) -> Iterator[Line]:
    """Read the elements of an array as lines; `name` is the file's, for places."""
    element, line, depth, count, in_string, rest = _Element(max_bytes), 1, 0, 0, False, b""
    while chunk := file.read(_CHUNK):
        chunk, at = rest + chunk, 0
        while found := (_IN_STRING if in_string else _OUTSIDE).search(chunk, at):
            mark, before, at = found[0], chunk[at : found.start()], found.end()
            line = element.add(before, line)
            if in_string or mark == b'"':
                in_string = in_string != (mark == b'"')
            elif mark in b"[{":
                depth += 1
                if depth == 1:
                    element = _Element(max_bytes)
                    continue
            elif mark in b"]}" and depth > 1:
                depth -= 1
            elif depth == 1 and mark in b",]":
                if element.size or count or mark == b",":
                    yield element.close(name)
                element, count = _Element(max_bytes), count + 1
                depth -= mark == b"]"
                if not depth:
                    yield from _after(chunk[at:], file, name, line)
                    return
                continue
            line = element.add(mark, line)
        # A backslash at the chunk's end waits for what it escapes.
        rest = b"\\" if in_string and chunk.endswith(b"\\", at) else b""
        line = element.add(chunk[at : len(chunk) - len(rest)], line)
    place = f"{name}:{element.line or line}"
    broken = fault("E506", "the file ends inside the array", origin=place)
    yield Line(place, None, broken, element.text())


class _Element:
    """The bytes of one element, or the beginning of one that is too long."""

    def __init__(self, max_bytes: int) -> None:
        self.size, self.line, self._max, self._bytes = 0, 0, max_bytes, bytearray()

    def add(self, piece: bytes, line: int) -> int:
        """Take a piece that starts on `line`, without blanks in front; gives the line behind."""
        after = line + piece.count(b"\n")
        if not self.size:
            bare = piece.lstrip()
            line = after - bare.count(b"\n")
            piece = bare
        if piece and not self.size:
            self.line = line
        self.size += len(piece)
        if self.size <= self._max:
            self._bytes += piece
        else:
            self._bytes += piece[: max(0, 1000 - len(self._bytes))]
            del self._bytes[1000:]
        return after

    def text(self) -> str:
        return self._bytes.decode("utf-8", errors="backslashreplace")

    def close(self, name: str) -> Line:
        origin = f"{name}:{self.line}"
        if self.size > self._max:
            return too_long(bytes(self._bytes), origin, self._max)
        return decode(bytes(self._bytes), origin)


def _after(rest: bytes, file: io.BufferedReader, name: str, line: int) -> Iterator[Line]:
    """Nothing but blanks may follow the array."""
    while rest:
        if said := rest.strip():
            place = f"{name}:{line + rest[: rest.index(said[:1])].count(10)}"
            raw = said[:1000].decode("utf-8", errors="backslashreplace")
            message = "something follows the array"
            yield Line(place, None, fault("E506", message, origin=place), raw)
            return
        line, rest = line + rest.count(b"\n"), file.read(_CHUNK)
