"""Files → rows as the check sees them: one at a time, usable or not, each with what it holds."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from palate.data.doors import ANY
from palate.data.faults import Fault, RowFault, fault
from palate.data.files import lines_of
from palate.data.formats.format import Record as Record
from palate.data.layout import AS_THEY_SAY, Layout
from palate.data.lines import Line
from palate.data.stream import Read, read_row, unwrap_reject

# The format of a file is that of most of its first rows: the first one may be the broken one.
_NUM_FIRST_ROWS = 100
_MAX_FIRST_CHARACTERS = 2**22
# Beside a format's own, columns that say something of a row, and that nobody misses.
_KNOWN_COLUMNS = frozenset(
    ["id", "annotator", "source", "created_at", "tags", "score_chosen", "score_rejected"]
)


@dataclass(frozen=True, slots=True)
class CheckedRow:
    """One row of a file.

    Attributes:
        origin: "file:line".
        content: the row, or what stands there where it is none; for the file of rejects.
        records: what it holds; nothing where it cannot be used.
        faults: its one error, or the warnings of its records.
        unknown: names of columns that nothing reads.
    """

    origin: str
    content: object
    records: tuple[Record, ...]
    faults: tuple[Fault, ...]
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """A file that is being read.

    Attributes:
        format: the name of its rows' format, "" where no row is usable.
        rows: its rows, which can be read once.
    """

    format: str
    rows: Iterator[CheckedRow]


def open_source(path: str | Path, layout: Layout = AS_THEY_SAY) -> Source:
    """Begin to read a file of any kind of rows.

    Raises:
        DataError: the file is missing, a folder or damaged.
    """
    lines = map(unwrap_reject, lines_of(path, layout))
    first, num_characters = [], 0
    for line in lines:
        first.append(line)
        num_characters += sum(len(str(value)) for value in (line.row or {}).values())
        if len(first) >= _NUM_FIRST_ROWS or num_characters > _MAX_FIRST_CHARACTERS:
            break
    named = Counter(name for line in first if (name := _format_of(line, layout)))
    form = named.most_common(1)[0][0] if named else ""
    rows = (_checked(line, form, layout) for line in chain(first, lines))
    return Source(form, rows)


def _format_of(line: Line, layout: Layout) -> str:
    try:
        return _read(line, layout).format
    except RowFault:
        return ""


def _checked(line: Line, form: str, layout: Layout) -> CheckedRow:
    content = line.raw if line.row is None else dict(line.row)
    try:
        read = _read(line, layout)
        if read.format != form:
            message = f'this row is "{read.format}", the file is "{form}"'
            raise RowFault(fault("E205", message, origin=line.origin))
    except RowFault as error:
        return CheckedRow(line.origin, content, (), (error.fault,))
    beside = read.records[0].columns if read.records else ()
    unknown = tuple(str(name) for name in beside if name not in _KNOWN_COLUMNS)
    return CheckedRow(line.origin, content, read.records, read.faults, unknown)


def _read(line: Line, layout: Layout) -> Read[Record]:
    return read_row(line, ANY, layout, keep_columns=True)
