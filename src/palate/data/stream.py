"""Rows → records, one row at a time: a file is never held, and every bad row is found and named.

A file's format is that of most of its first rows (settle.py); a row of another one is a fault
(E205). A line of a file of rejects is read as the "row" in it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from palate.data.doors import Door
from palate.data.faults import Fault, Refusal, RowFault, fault, warnings_of
from palate.data.formats.cells import Row
from palate.data.formats.format import Format
from palate.data.formats.helpsteer import HELPSTEER2, neighbours
from palate.data.layout import Layout
from palate.data.lines import Line, parse_line
from palate.data.records import Demonstration, Preference, Prompt
from palate.data.settle import settle
from palate.data.tools import COLUMN, parse_tools

Record = TypeVar("Record", bound=Preference | Demonstration | Prompt)

_REJECT_KEYS = {"origin", "code", "message", "row"}


@dataclass(frozen=True, slots=True)
class Read(Generic[Record]):
    """What one row came to.

    Attributes:
        origin: the row's place.
        records: what it gives; none where it cannot be used, or has nothing to give (W501–W505).
        faults: one error, or warnings.
        format: the name of the row's format and shape; "" where it cannot be used.
        raw: the row as it stands, where it cannot be used.
        heeds: which of the layout's `rule` and `margins` change what the row gives.
    """

    origin: str
    records: tuple[Record, ...]
    faults: tuple[Fault, ...] = ()
    format: str = ""
    raw: object = None
    heeds: frozenset[str] = frozenset()

    @property
    def is_bad(self) -> bool:
        """Whether the row cannot be used."""
        return any(found.severity == "error" for found in self.faults)

    def reject(self) -> dict[str, object]:
        """The row in a file of rejects, from which it can be read again once mended."""
        first = self.faults[0]
        return {
            "origin": first.origin, "code": first.code, "message": first.message, "row": self.raw
        }  # fmt: skip


def stream(
    lines: Iterable[Line],
    door: Door[Record],
    layout: Layout,
    *,
    keep_columns: bool = False,
    settled: str | None = None,
) -> Iterator[Read[Record]]:
    """Read rows one by one.

    Args:
        lines: the rows.
        door: which kind of records is wanted.
        layout: what a person says of the rows.
        keep_columns: leave beside each record the columns that its format does not know.
        settled: the name of the file's format and shape, where a look ahead has told it ("": it
            told of none, and the first usable row decides); None looks ahead here.

    Raises:
        UsageError: the layout names a format that does not exist or does not fit.
    """
    if layout.format is not None:
        door.named(layout.format)
    unwrapped: Iterator[Line] = map(unwrap_reject, lines)
    if settled is None:
        unwrapped = put_together(unwrapped, door, layout)
        shape, unwrapped = settle(unwrapped, door, layout)
        settled = shape.called if shape else ""
    for line in unwrapped:
        try:
            read = read_row(line, door, layout, keep_columns=keep_columns)
            if settled and read.format != settled:
                message = f'this row is "{read.format}", the file is "{settled}"'
                raise RowFault(fault("E205", message, origin=line.origin))
        except RowFault as error:
            raw = line.raw if line.row is None else dict(line.row)
            yield Read(line.origin, (), (error.fault,), raw=raw)
            continue
        settled = settled or read.format
        yield read


def read_row(
    line: Line, door: Door[Record], layout: Layout, *, keep_columns: bool = False
) -> Read[Record]:
    """Read one row by itself; arguments as `stream`'s.

    Raises:
        RowFault: it cannot be used.
    """
    if line.fault is not None or line.row is None:
        raise RowFault(line.fault or fault("E106", "no object", origin=line.origin))
    try:
        form = door.find(line.row, layout)
        called = form.called(line.row)
        tools = parse_tools(line.row.get(COLUMN))
        found = tuple(door.take(form, line.row, layout, line.origin))
    except Refusal as refusal:
        told = fault(refusal.code, str(refusal), origin=line.origin)
        if told.severity == "error":
            raise RowFault(told) from None
        return Read(line.origin, (), (told,), called, heeds=form.heeds(line.row))
    # Tools belong to the prompt: they are kept whatever becomes of other columns.
    rest = {
        name: value
        for name, value in line.row.items()
        if name not in form.columns and value is not None and (keep_columns or name == COLUMN)
    }
    found = tuple(replace(r, columns={**r.columns, **rest}) for r in found) if rest else found
    # A demonstration that is nothing but text has no prompt by design.
    faults = [w for r in found for w in warnings_of(r) if (called, w.code) != ("text", "W401")]
    if tools and any(isinstance(r.prompt, str) for r in found):
        message = "tools stand beside a prompt that is text"
        faults.append(fault("W506", message, origin=line.origin))
    told_once = tuple({w.code: w for w in faults}.values())
    return Read(line.origin, found, told_once, called, heeds=_heeded(form, line.row, found))


def _heeded(form: Format, row: Row, found: Sequence[Record]) -> frozenset[str]:
    """What a row heeds of the layout: its responses alone have no margin, its prompt no rule."""
    if any(isinstance(record, Preference) for record in found):
        return form.heeds(row)
    is_shown = any(isinstance(record, Demonstration) for record in found)
    return form.heeds(row) & {"rule"} if is_shown else frozenset()


def put_together(lines: Iterable[Line], door: Door[Any], layout: Layout) -> Iterator[Line]:
    """Rows that are one only with their neighbours, where pairs may be made of them."""
    is_asked = layout.format in (None, HELPSTEER2.name) and HELPSTEER2.gives in door.gives
    return neighbours(lines) if is_asked else iter(lines)


def unwrap_reject(line: Line) -> Line:
    """The row inside a line of a file of rejects; other lines as they are."""
    if line.row is None or set(line.row) != _REJECT_KEYS:
        return line
    row = line.row["row"]
    if isinstance(row, str):
        return parse_line(row, origin=line.origin)
    if isinstance(row, Mapping):
        return Line(line.origin, row)
    return line
