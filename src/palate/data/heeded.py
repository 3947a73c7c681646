"""`rule` and `margins` where no row heeds them: told once, when a source has been read."""

import logging
from collections.abc import Iterable, Iterator
from typing import TypeVar

from palate.data.layout import AS_THEY_SAY, Layout
from palate.data.records import Demonstration, Preference, Prompt
from palate.data.stream import Read

Record = TypeVar("Record", bound=Preference | Demonstration | Prompt)

log = logging.getLogger("palate")
_DOES = {
    "rule": "chooses pairs of several ranked responses",
    "margins": "makes a margin of a pair's two scores",
}


def heeding(reads: Iterable[Read[Record]], layout: Layout) -> Iterator[Read[Record]]:
    """Pass rows on, and warn at their end of each option that none of them heeded.

    Args:
        reads: what the rows came to.
        layout: with the options; one at its default was not asked for.
    """
    unheeded = {name for name in _DOES if getattr(layout, name) != getattr(AS_THEY_SAY, name)}
    first: Read[Record] | None = None
    for read in reads:
        first = first or (read if read.format else None)
        unheeded -= read.heeds
        yield read
    if first is None:  # no row was usable, which is told as an error
        return
    for name in sorted(unheeded):
        log.warning(
            '%s has no effect: it %s, and the rows from %s on ("%s") ask for none of that',
            name, _DOES[name], first.origin, first.format,
        )  # fmt: skip
