"""Rows left out, written as they are met to a file that can be read again once they are mended."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

WriteReject = Callable[[Mapping[str, object]], None]


@contextmanager
def rejects_file(path: str | Path | None) -> Iterator[WriteReject]:
    """A file of rejects: whole once the reading has come to its end, else absent.

    Args:
        path: where it shall stand; None writes none.
    """
    if path is None:
        yield lambda _: None
        return
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(target.name + ".part")
    try:
        with draft.open("w", encoding="ascii") as file:
            yield lambda row: print(json.dumps(row, ensure_ascii=True, default=str), file=file)
    except BaseException:
        draft.unlink()
        raise
    draft.replace(target)
