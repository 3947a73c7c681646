"""Files → rows as the check sees them: one at a time, usable or not, each with what it holds."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from palate.data.faults import Fault, RowFault, fault, warnings_of
from palate.data.lines import Line
from palate.data.records import Demonstration, Preference, Prompt
from palate.data.rows import (
    Row,
    comparison_format,
    demonstration_format,
    parse_comparison,
    parse_demonstration,
    parse_prompt,
    prompt_format,
)
from palate.data.sources import lines_of, unwrap_reject

Record = Preference | Demonstration | Prompt

# The format of a file is that of most of its first rows: the first one may be the broken one.
_NUM_FIRST_ROWS = 100
_MAX_FIRST_CHARACTERS = 2**22
_KNOWN_COLUMNS = frozenset(
    [
        "prompt",
        "chosen",
        "rejected",
        "completion",
        "response",
        "messages",
        "text",
        "label",
        "weight",
        "margin",
        "id",
        "annotator",
        "source",
        "created_at",
        "tags",
        "score_chosen",
        "score_rejected",
    ]
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


def open_source(path: str | Path) -> Source:
    """Begin to read a file of any kind of rows.

    Raises:
        DataError: the file is missing, a folder, damaged or of another kind.
    """
    lines = map(unwrap_reject, lines_of(path))
    first, num_characters = [], 0
    for line in lines:
        first.append(line)
        num_characters += sum(len(str(value)) for value in (line.row or {}).values())
        if len(first) >= _NUM_FIRST_ROWS or num_characters > _MAX_FIRST_CHARACTERS:
            break
    named = Counter(name for line in first if (name := _format_of(line)))
    form = named.most_common(1)[0][0] if named else ""
    rows = (_checked(line, form) for line in chain(first, lines))
    return Source(form, rows)


def _format_of(line: Line) -> str:
    try:
        return _read(line)[0]
    except RowFault:
        return ""


def _checked(line: Line, form: str) -> CheckedRow:
    content = line.raw if line.row is None else dict(line.row)
    try:
        found, record = _read(line)
        if found != form:
            message = f'this row is "{found}", the file is "{form}"'
            raise RowFault(fault("E205", message, origin=line.origin))
    except RowFault as error:
        return CheckedRow(line.origin, content, (), (error.fault,))
    faults = [w for w in warnings_of(record) if (form, w.code) != ("text", "W401")]
    unknown = tuple(str(name) for name in line.row or () if name not in _KNOWN_COLUMNS)
    return CheckedRow(line.origin, content, (record,), tuple(faults), unknown)


def _read(line: Line) -> tuple[str, Record]:
    if line.fault is not None or line.row is None:
        raise RowFault(line.fault or fault("E106", "no object", origin=line.origin))
    name_format, parse = _door_of(line.row)
    record = parse(line.row, origin=line.origin)
    return name_format(line.row), record


def _door_of(row: Row) -> tuple[Callable[[Row], str], Callable[..., Any]]:
    if "chosen" in row or "rejected" in row:
        return comparison_format, parse_comparison
    if "completion" in row or "response" in row:
        labelled = "label" in row
        return (
            (comparison_format, parse_comparison)
            if labelled
            else (demonstration_format, parse_demonstration)
        )
    if "messages" in row or "text" in row:
        return demonstration_format, parse_demonstration
    return prompt_format, parse_prompt
