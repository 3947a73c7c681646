"""One file of preference data → another: read in any format, written as TRL reads it or by name."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from palate.data.doors import ANY
from palate.data.faults import FAULTS, Fault, Refusal
from palate.data.files import lines_of
from palate.data.formats import Format, named_format
from palate.data.formats.format import Gives, Record
from palate.data.formats.write import to_row
from palate.data.heeded import heeding
from palate.data.layout import AS_THEY_SAY, Layout
from palate.data.records import Demonstration, Preference
from palate.data.rejects import rejects_file
from palate.data.sources import Reading, describe_bad
from palate.data.stream import Read, stream
from palate.data.unpack import STANDARD_INPUT
from palate.data.writers import writing
from palate.errors import DataError, UsageError


@dataclass(frozen=True)
class Conversion:
    """What a conversion came to.

    Attributes:
        source: what was read.
        target: what was written.
        format: the name of the rows' format and shape.
        num_read: rows met.
        num_skipped: rows left out because of an error.
        num_written: rows written; a ranking gives several.
        without: titles of W501–W505 → rows in order that gave none: ties, equal ranks.
        num_changed: rows that the format that is written cannot hold as they are.
        first_changed: the place of the first of them.
    """

    source: str
    target: str
    format: str = ""
    num_read: int = 0
    num_skipped: int = 0
    num_written: int = 0
    without: Mapping[str, int] = field(default_factory=dict)
    num_changed: int = 0
    first_changed: str = ""

    def to_json(self) -> dict[str, object]:
        """Give it as plain JSON values."""
        return asdict(self)


def convert(
    source: str,
    target: str,
    *,
    to: str | None = None,
    layout: Layout = AS_THEY_SAY,
    skip_bad: bool = False,
    rejects_path: str | Path | None = None,
) -> Conversion:
    """Read rows one by one and write them; no file is ever held.

    Args:
        source: anything that `palate.data.files` reads.
        target: a name whose end says what it holds, or "-".
        to: the format to write; None writes TRL's, conversations as turns and text as text.
        layout: what a person says of the rows.
        skip_bad: leave bad rows out instead of refusing the source.
        rejects_path: where to write the rows left out; None writes none.

    Raises:
        DataError: a bad row (without `skip_bad`), no usable row, or an unreadable source.
        UsageError: the target cannot be written, or the format cannot be written so.
    """
    _refuse_same(source, target)
    form = None if to is None else _writable(to)
    rows = heeding(stream(lines_of(source, layout), ANY, layout, keep_columns=True), layout)
    tally = _Tally()
    with (
        rejects_file(rejects_path if skip_bad else None) as write_reject,
        writing(target) as write,
    ):
        for read in rows:
            tally.see(read)
            if read.is_bad:
                write_reject(read.reject())
            for record in read.records:
                write(to_row(record) if form is None else tally.written(record, form))
        if not tally.num_read:
            raise DataError(f"{source}: no rows; {FAULTS['E111'].fix}")
        if not tally.first or (tally.num_bad and not skip_bad):
            raise DataError(describe_bad(tally.reading(), source, ANY, skip_bad))
    return Conversion(
        source, target, tally.format, tally.num_read, tally.num_bad, tally.num_written,
        {FAULTS[code].title: count for code, count in sorted(tally.without.items())},
        tally.num_changed, tally.first_changed,
    )  # fmt: skip


@dataclass
class _Tally:
    """Counts of a conversion as it goes on."""

    num_read: int = 0
    num_bad: int = 0
    num_written: int = 0
    num_changed: int = 0
    first_changed: str = ""
    format: str = ""
    first: list[Record] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    without: Counter[str] = field(default_factory=Counter)

    def see(self, read: Read[Record]) -> None:
        self.num_read += 1
        self.num_bad += read.is_bad
        self.num_written += len(read.records)
        self.format = self.format or read.format
        self.first = self.first or list(read.records[:1])
        if not read.records:
            self.faults += read.faults
            self.without.update(f.code for f in read.faults if f.severity == "warning")

    def written(self, record: Record, form: Format) -> Mapping[str, object]:
        """The record as a row of a format, with the columns beside it; counts what is changed."""
        given = _gives(record)
        if form.write is None or given != form.gives:
            raise UsageError(
                f"--to {form.name} writes {form.gives}, and {record.origin} holds {given}"
            )
        row = dict(form.write(record))
        try:
            again = list(form.read(row, AS_THEY_SAY, record.origin))
        except Refusal:
            again = []
        if again != [record]:
            self.num_changed += 1
            self.first_changed = self.first_changed or record.origin
        return row | {name: kept for name, kept in record.columns.items() if name not in row}

    def reading(self) -> Reading[Record]:
        """As a reader tells it, for messages."""
        return Reading(self.first, self.num_read, self.num_bad, self.faults, self.format)


def _writable(name: str) -> Format:
    form = named_format(name)
    if form.write is None:
        raise UsageError(f"--to {name}: this format is only read; leave --to out, or name another")
    return form


def _gives(record: Record) -> Gives:
    if isinstance(record, Preference):
        return "pairs"
    if isinstance(record, Demonstration):
        return "demonstrations" if record.desirable is None else "labelled"
    return "prompts"


def _refuse_same(source: str, target: str) -> None:
    if STANDARD_INPUT in (source, target):
        return
    there = Path(target)
    if there.is_dir():
        raise UsageError(f"{target}: this is a folder; name a file")
    if there.exists() and Path(source).exists() and there.samefile(source):
        raise UsageError(f"{target}: this file is being read; write to another")
