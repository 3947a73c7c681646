"""A file as bytes to read: gzip and zstd unpacked, bombs stopped, odd files refused.

What is packed is known by its first bytes, whatever its name. Unpacking stops where more than 100
times the packed bytes read so far comes out (and more than 64 MB): no text is that dull.
"""

import gzip
import io
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from palate.errors import DataError

MAX_RATIO = 100
MIN_UNPACKED_BYTES = 64 * 2**20
STANDARD_INPUT = "-"

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


@contextmanager
def open_packed(name: str) -> Iterator[io.BufferedReader]:
    """Open a file, or standard input for "-", as it is on disk.

    Raises:
        DataError: it is missing, a folder, not a plain file, or may not be read.
    """
    if name == STANDARD_INPUT:
        if sys.stdin.isatty():
            raise DataError("-: standard input is a terminal; pipe rows into it, or name a file")
        yield cast(io.BufferedReader, sys.stdin.buffer)
        return
    path = Path(name)
    _check(path)
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its rights") from None
    with file:
        yield file


@contextmanager
def unpacked(file: io.BufferedReader, name: str) -> Iterator[io.BufferedReader]:
    """What a file holds, unpacked where it is gzip or zstd.

    Raises:
        DataError: a packed file is damaged or unpacks without end.
    """
    magic = file.peek(4)[:4]
    if magic.startswith(_GZIP):
        kind = "gzip"
    elif magic == _ZSTD:
        kind = "zstd"
    else:
        yield file
        return
    packed = _Counted(file)
    stream: Any = gzip.GzipFile(fileobj=packed) if kind == "gzip" else _zstd(packed)
    try:
        yield io.BufferedReader(_Capped(stream, packed, name), 2**17)
    except (EOFError, OSError, zlib.error) as error:  # gzip's own is an OSError, as all of zstd's
        raise DataError(
            f"{name}: damaged {kind} file ({error}); copy or download it again"
        ) from error


def _check(path: Path) -> None:
    """Refuse what is no plain file; a link counts as what it leads to."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise DataError(f"{path}: a link to {path.readlink()}, which is not there") from None
        raise DataError(
            f"{path}: there is no such file; check the path (from {Path.cwd()})"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    if stat.S_ISDIR(mode):
        raise DataError(
            f"{path}: this is a folder, and not one that datasets' save_to_disk made; name a file"
        )
    if not stat.S_ISREG(mode):
        raise DataError(
            f"{path}: neither a file nor a folder (a pipe or a device); pipe into standard input, -"
        )


def _zstd(file: "_Counted") -> Any:
    import pyarrow as pa

    return pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")


class _Counted(io.RawIOBase):
    """Counts the bytes that were read from a file."""

    def __init__(self, file: io.BufferedReader) -> None:
        self.file = file
        self.count = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self.count += len(data)
        return data


class _Capped(io.RawIOBase):
    """Stops where more comes out of a packed file than a real one holds."""

    def __init__(self, stream: Any, packed: _Counted, name: str) -> None:
        self._stream, self._packed, self._name = stream, packed, name
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self._count += len(data)
        if self._count > max(MIN_UNPACKED_BYTES, MAX_RATIO * self._packed.count):
            raise DataError(
                f"{self._name}: unpacks to more than {MAX_RATIO} times its size (over "
                f"{self._count // 2**20} MB); if you trust it, unpack it and give the plain file"
            )
        return len(data)
