"""Rows left out, written as they are met to a file that can be read again once they are mended."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from palate.errors import UsageError

WriteReject = Callable[[Mapping[str, object]], None]


@contextmanager
def rejects_file(path: str | Path | None) -> Iterator[WriteReject]:
    """A file of rejects: whole once the reading has come to its end, else absent.

    Args:
        path: where it shall stand; None writes none.

    Raises:
        UsageError: it cannot be written.
    """
    if path is None:
        yield lambda _: None
        return
    target = Path(path)
    draft = target.with_name(target.name + ".part")
    try:
        with _told(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            file = draft.open("w", encoding="ascii")

        def write(row: Mapping[str, object]) -> None:
            with _told(target):
                print(json.dumps(row, ensure_ascii=True, default=str), file=file)

        try:
            yield write
        finally:
            with _told(target):
                file.close()
        with _told(target):
            draft.replace(target)
    finally:
        with suppress(OSError):  # what stands there may be no folder
            draft.unlink()


@contextmanager
def _told(target: Path) -> Iterator[None]:
    """What goes wrong in writing names the file; errors of what is read are not of it."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"{target}: cannot be written ({error.strerror or error}); choose another file"
        ) from None
