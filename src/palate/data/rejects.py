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
        target.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("w", encoding="ascii") as file:
            yield lambda row: print(json.dumps(row, ensure_ascii=True, default=str), file=file)
        draft.replace(target)
    except OSError as error:
        raise UsageError(
            f"{target}: cannot be written ({error.strerror or error}); choose another file"
        ) from None
    finally:
        with suppress(OSError):  # what stands there may be no folder
            draft.unlink()
