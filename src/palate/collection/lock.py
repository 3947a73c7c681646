"""One program at a time writes a database of votes.

The lock is the kernel's (`flock`), which a dead program cannot keep, so a stale lock breaks by
itself, after a crash and after a restart of the machine. What stands in the file (process id, boot
id) only serves the message to the second program.
"""

import fcntl
import json
import os
from pathlib import Path
from typing import IO

from palate.errors import StoreError

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def take_lock(database: Path) -> IO[str]:
    """Hold a database against other programs until the returned file is closed.

    Raises:
        StoreError: another program has it, or its folder cannot be written.
    """
    file_itself = Path(os.path.realpath(database))  # whatever link it was opened by
    path = file_itself.with_name(f"{file_itself.name}.lock")
    try:
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written ({error.strerror}); votes need a folder that can"
        ) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = _holder(file)
        file.close()
        raise StoreError(
            f"{database}: another program collects votes into it{holder}; use its page, or end it "
            "first"
        ) from None
    file.seek(0)
    file.truncate()
    json.dump({"pid": os.getpid(), "boot_id": _boot_id()}, file)
    file.flush()
    return file


def _holder(file: IO[str]) -> str:
    file.seek(0)
    try:
        found = json.loads(file.read())
        is_here = found["boot_id"] == _boot_id()
        return f" (process {found['pid']}{'' if is_here else ', of another machine'})"
    except (ValueError, KeyError, TypeError):
        return ""


def _boot_id() -> str:
    return _BOOT_ID.read_text(encoding="ascii").strip() if _BOOT_ID.exists() else ""
