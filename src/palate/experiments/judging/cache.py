"""What a judge was told, on disk before it is used: a stopped run goes on without paying twice.

One JSON line a reply, appended and flushed to the disk. The key is a hash of all that decides about
the answer: model, messages and parameters, not the server's address, which may move.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any

from palate.errors import DataError, UsageError
from palate.models.remote import Request
from palate.models.remote_reply import Reply


def request_key(model: str, request: Request) -> str:
    """Names a request by its content."""
    content = {"model": model, "path": request.path, "body": request.body}
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


class ReplyCache:
    """Replies by the key of their request; a context manager, since it holds a file open.

    Args:
        path: the file; it is made when there is something to keep. None: memory alone.

    Raises:
        UsageError: the file cannot be read or written.
        DataError: a line in it is damaged.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._replies: dict[str, Reply] = {}
        self._file: int | None = None
        if path is not None and path.exists():
            self._read(path)

    def __len__(self) -> int:
        return len(self._replies)

    def get(self, key: str) -> Reply | None:
        """The reply to a request, where there is one."""
        return self._replies.get(key)

    def put(self, key: str, reply: Reply) -> None:
        """Keep a reply: when this returns it is on disk, whole."""
        if self._path is not None:
            line = json.dumps({"key": key, **vars(reply)}, ensure_ascii=True) + "\n"
            try:
                self._append(self._path, line.encode("ascii"))
            except OSError as error:
                raise UsageError(
                    f"{self._path}: a reply cannot be kept ({error.strerror}); nothing more is "
                    "asked, since it would be paid again"
                ) from None
        self._replies[key] = reply

    def _append(self, path: Path, line: bytes) -> None:
        """All of a line or, where the disk is full in the middle of it, nothing."""
        if self._file is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        size = os.fstat(self._file).st_size
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
            os.fsync(self._file)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, size)
            raise

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> "ReplyCache":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self, path: Path) -> None:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UsageError(f"{path}: the cache cannot be read ({error.strerror})") from None
        *lines, torn = content.split(b"\n")
        for number, line in enumerate(lines, start=1):
            try:
                row: Mapping[str, Any] = json.loads(line)
                self._replies[str(row["key"])] = Reply(
                    str(row["text"]), str(row["finish_reason"]), row["prompt_tokens"],
                    row["completion_tokens"],
                )  # fmt: skip
            except (ValueError, KeyError, TypeError):
                raise DataError(
                    f"{path}:{number}: no line of a cache of replies; name another file with "
                    "--cache, or remove the line"
                ) from None
        if torn:  # a write that a stop cut off: what follows must begin on a line of its own
            with path.open("r+b") as file:
                file.truncate(len(content) - len(torn))
