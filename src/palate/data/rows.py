"""One row (a JSON object, a row of a `datasets.Dataset`) → one record.

The formats are those of palate.data.formats. Whole files are read by palate.data.sources, which
keeps a file to one format; a row that holds several pairs is for it.
"""

from typing import TypeVar

from palate.data.doors import CHOSEN, COMPARISONS, DEMONSTRATIONS, PREFERENCES, PROMPTS, Door
from palate.data.faults import Refusal, RowFault, fault
from palate.data.formats.cells import Row
from palate.data.formats.pairs import split_shared_beginning as split_shared_beginning
from palate.data.formats.write import to_row as to_row
from palate.data.layout import AS_THEY_SAY
from palate.data.records import Demonstration, Preference, Prompt
from palate.errors import DataError

Record = TypeVar("Record", bound=Preference | Demonstration | Prompt)


def parse_preference(row: Row, *, origin: str) -> Preference:
    """Read one preference in any format whose rows hold one.

    Raises:
        RowFault: the row cannot be used; `.fault` has the code.
    """
    return _parse(PREFERENCES, row, origin)


def parse_demonstration(row: Row, *, origin: str, use_chosen: bool = False) -> Demonstration:
    """Read one demonstration; with `use_chosen`, the chosen side of a preference.

    Raises:
        RowFault: the row cannot be used; `.fault` has the code.
    """
    return _parse(CHOSEN if use_chosen else DEMONSTRATIONS, row, origin)


def parse_comparison(row: Row, *, origin: str) -> Preference | Demonstration:
    """Read one preference, or one response with its label.

    Raises:
        RowFault: the row cannot be used; `.fault` has the code.
    """
    return _parse(COMPARISONS, row, origin)


def parse_prompt(row: Row, *, origin: str) -> Prompt:
    """Read one prompt, or the prompt of a preference.

    Raises:
        RowFault: the row cannot be used; `.fault` has the code.
    """
    return _parse(PROMPTS, row, origin)


def row_format(door: Door[Record], row: Row) -> str:
    """Name the format and shape of a row; rows of one file share it.

    Raises:
        Refusal: it has none.
    """
    return door.find(row, AS_THEY_SAY).called(row)


def _parse(door: Door[Record], row: Row, origin: str) -> Record:
    try:
        record, *others = door.take(door.find(row, AS_THEY_SAY), row, AS_THEY_SAY, origin)
    except Refusal as refusal:
        raise RowFault(fault(refusal.code, str(refusal), origin=origin)) from None
    if others:
        raise DataError(
            f"{origin}: the row gives {len(others) + 1} {door.what}; read it with "
            "preferences_from_rows"
        )
    return record
