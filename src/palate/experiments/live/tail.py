"""The whole lines that a file has gained since it was last looked at.

A trainer may be in the middle of a line, have cut the file back (a resumed run does), or be gone
together with it; what was read stays until there is something better.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

MOST_BYTES = 16 << 20
"""Read at a time."""

LONGEST_LINE = 4 << 20
"""A line beyond this is passed over."""

_WITNESS = 64


@dataclass(frozen=True)
class Gained:
    """What is new.

    Attributes:
        lines: whole lines, each with its end; b"" where there are none.
        anew: the file is another one, or was cut: what was read before is void.
        more: there is more than was read at a time.
    """

    lines: bytes = b""
    anew: bool = False
    more: bool = False


class Tail:
    """Follows a file of lines, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        # The end of what was read, by which a file is known again.
        self._witness = b""
        self._seen: tuple[int, ...] = ()
        self._in_long_line = False

    def read(self) -> Gained:
        """What the file has gained; nothing where it cannot be read."""
        try:
            # A pipe by this name must not block, nor a link lead elsewhere.
            number = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        except OSError:
            return Gained()
        try:
            return self._read(number)
        finally:
            os.close(number)

    def _read(self, number: int) -> Gained:
        found = os.fstat(number)
        seen = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        is_whole = self._offset == found.st_size and not self._in_long_line
        if not stat.S_ISREG(found.st_mode) or (seen == self._seen and is_whole):
            return Gained()
        start, length = self._offset - len(self._witness), MOST_BYTES + len(self._witness)
        block = os.pread(number, length, start)
        is_same_file = not self._seen or seen[:2] == self._seen[:2]
        anew = not (is_same_file and found.st_size >= self._offset)
        if anew or not block.startswith(self._witness):
            anew = True
            self._offset, self._witness, self._in_long_line = 0, b"", False
            block = os.pread(number, MOST_BYTES, 0)
        self._seen = seen
        block = block[len(self._witness) :]
        return Gained(self._whole_lines(block), anew, more=len(block) == MOST_BYTES)

    def _whole_lines(self, block: bytes) -> bytes:
        if self._in_long_line:
            end = block.find(b"\n") + 1
            self._in_long_line = end == 0
            self._offset += end or len(block)
            self._witness = b""
            return b"" if end == 0 else self._whole_lines(block[end:])
        end = block.rfind(b"\n") + 1
        if end == 0 and len(block) > LONGEST_LINE:
            self._in_long_line = True
            self._offset += len(block)
            self._witness = b""
            return b""
        self._offset += end
        if end:
            self._witness = block[max(0, end - _WITNESS) : end]
        return block[:end]
