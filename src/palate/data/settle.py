"""A look ahead that settles a file's format: most of its first rows are of it.

The first row may be the broken one. Every reader asks here, so training, the check, conversion and
labelling blame the same rows.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, NamedTuple

from palate.data.doors import Door
from palate.data.faults import Refusal
from palate.data.formats import Gives
from palate.data.layout import Layout
from palate.data.lines import Line

_NUM_FIRST_ROWS = 100
_MAX_FIRST_CHARACTERS = 2**22


class Shape(NamedTuple):
    """What a row looks like: which kind of records it would give, and its format's name."""

    gives: Gives
    called: str


class Settled(NamedTuple):
    """A file's shape, None where none of the first rows has one, and all of its rows."""

    shape: Shape | None
    lines: Iterator[Line]


def settle(lines: Iterator[Line], door: Door[Any], layout: Layout) -> Settled:
    """Look at the first rows, which alone are held; of equally many the earlier shape counts.

    Args:
        lines: rows, taken out of the rejects' wrapping.
        door: which kind of records is wanted.
        layout: what a person says of the rows.

    Raises:
        RecipeError: the layout names a format that does not exist or does not fit.
    """
    first = list(_first_of(lines))
    shapes = Counter(shape for line in first if (shape := _shape_of(line, door, layout)))
    shape = shapes.most_common(1)[0][0] if shapes else None
    return Settled(shape, chain(first, lines))


def _first_of(lines: Iterator[Line]) -> Iterator[Line]:
    num_characters = 0
    for line in islice(lines, _NUM_FIRST_ROWS):
        yield line
        num_characters += sum(len(str(value)) for value in (line.row or {}).values())
        if num_characters > _MAX_FIRST_CHARACTERS:
            return


def _shape_of(line: Line, door: Door[Any], layout: Layout) -> Shape | None:
    if line.row is None:
        return None
    try:
        found = door.find(line.row, layout)
        return Shape(found.gives, found.called(line.row))
    except Refusal:
        return None
