"""The scratch indexes of a check: in memory where rows are few, else in a folder for as long."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import NamedTuple

from palate.data.checks.near import NearIndex
from palate.data.checks.near_prompts import NearPrompts
from palate.data.checks.seen import Seen
from palate.errors import UsageError


class Indexes(NamedTuple):
    """Empty indexes.

    Attributes:
        seen: what rows say.
        near: rows that are alike; None: not looked for.
        near_prompts: prompts of both parts; None where nothing is evaluated on.
    """

    seen: Seen
    near: NearIndex | None
    near_prompts: NearPrompts | None


@contextmanager
def open_indexes(*, in_memory: bool, with_near: bool = True, with_eval: bool) -> Iterator[Indexes]:
    """Make indexes, and remove them.

    Args:
        in_memory: whether the rows are few.
        with_near: whether rows that are alike are looked for.
        with_eval: whether there are rows to evaluate on.

    Raises:
        UsageError: there is no room for them on the disk.
    """
    if in_memory:
        with _made(None, with_near, with_eval) as indexes:
            yield indexes
        return
    try:
        with (
            TemporaryDirectory(prefix="palate-check-") as folder,
            _made(Path(folder), with_near, with_eval) as indexes,
        ):
            yield indexes
    except sqlite3.OperationalError as error:
        raise UsageError(
            f"{gettempdir()}: the check keeps its index there, and cannot ({error}); set TMPDIR to "
            "a folder with room, about the size of the file"
        ) from None


@contextmanager
def _made(folder: Path | None, with_near: bool, with_eval: bool) -> Iterator[Indexes]:
    with closing(Seen(folder)) as seen:
        near = NearIndex(folder) if with_near else None
        prompts = NearPrompts(folder) if with_near and with_eval else None
        try:
            yield Indexes(seen, near, prompts)
        finally:
            for index in (near, prompts):
                if index is not None:
                    index.close()
