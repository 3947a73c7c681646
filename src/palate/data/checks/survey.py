"""One pass over a file of any size: everything that the check knows of it, in bounded memory."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from palate.data.checks.across import overlaps
from palate.data.checks.content import quick_warnings
from palate.data.checks.indexes import open_indexes
from palate.data.checks.reading import CheckedRow, Record, open_source
from palate.data.checks.rendering import render_row
from palate.data.checks.seen import Seen
from palate.data.checks.tally import Tally
from palate.data.checks.together import Together
from palate.data.faults import Fault, fault, quote
from palate.data.formats.known import slip_of
from palate.data.layout import AS_THEY_SAY, Layout

if TYPE_CHECKING:
    from palate.data.render import Renderer

# Files up to this size leave their indexes in memory.
_SMALL_BYTES = 2**22


class Limit(NamedTuple):
    """A tokenizer, and how many of its tokens a row may have."""

    renderer: "Renderer"
    max_length: int


@dataclass
class Survey:
    """What one pass found.

    Attributes:
        together: what the good rows hold (a ranking may hold several pairs).
        format: the name of the rows' format, "" where no row is usable.
        num_rows: rows met; blank lines are no rows.
        num_good: rows without an error.
        num_prompts: distinct prompts.
        tally: the faults.
        dropped: by place, the faults for which a row is to be left out of a clean file.
    """

    together: Together
    format: str = ""
    num_rows: int = 0
    num_good: int = 0
    num_prompts: int = 0
    tally: Tally = field(default_factory=Tally)
    dropped: dict[str, Fault] = field(default_factory=dict)


def survey(
    path: str | Path,
    *,
    eval_path: str | Path | None = None,
    layout: Layout = AS_THEY_SAY,
    limit: Limit | None = None,
    drop: Collection[str] | None = None,
    told: Callable[[Fault], None] = lambda _: None,
) -> Survey:
    """Look at every row of a file.

    Args:
        path: the file.
        eval_path: rows that must share no prompt with it; their own faults count too.
        layout: what a person says of the rows of both.
        limit: adds what a tokenizer makes of the rows.
        drop: codes of warnings whose rows, beside those with errors, are remembered in `dropped`;
            None remembers none.
        told: is told every fault.

    Raises:
        DataError: a file is missing, a folder, damaged or of another kind.
        UsageError: there is no room for the index of a large file.
    """
    # A packed file grows in reading, tenfold or so.
    is_small = Path(path).is_file() and Path(path).stat().st_size <= _SMALL_BYTES
    with open_indexes(in_memory=is_small, with_eval=eval_path is not None) as indexes:
        reading = _Pass(Survey(Together(indexes), tally=Tally(told)), indexes.seen, limit, drop)
        source = open_source(path, layout, is_first=True)
        for row in source.rows:
            reading.take(row)
        if not reading.found.num_rows:
            reading.note([fault("E111", "there is no row in this file", origin=f"{path}:1")])
        if eval_path is not None:
            for row in open_source(eval_path, layout, is_first=True).rows:
                reading.hold_out(row)
            reading.note_overlaps()
        reading.close()
        reading.found.format = source.format
        return reading.found


class _Pass:
    """The state of one pass."""

    def __init__(
        self, found: Survey, seen: Seen, limit: Limit | None, drop: Collection[str] | None
    ) -> None:
        self.found = found
        self._seen, self._limit, self._drop = seen, limit, drop
        self._columns: set[str] = set()

    def take(self, row: CheckedRow) -> None:
        """Look at a row of the file."""
        self.found.num_rows += 1
        self.note(row.faults)
        for name in row.unknown:
            if name not in self._columns:
                self._columns.add(name)
                near = slip_of(name)
                hint = f"; did you mean {near}?" if near else ""
                message = f"{quote(name)} is a column that nothing reads{hint}"
                self.note([fault("W601", message, origin=row.origin)])
        if not row.is_bad:
            first = row.first_chosen
            self.found.num_good += all([self._take_record(r, first) for r in row.records])

    def hold_out(self, row: CheckedRow) -> None:
        """Look at a row of the evaluation file."""
        self.found.tally.add(row.faults)
        for record in row.records:
            self.found.tally.add(quick_warnings(record))
            self.found.together.hold_out(record)

    def note(self, faults: Iterable[Fault]) -> None:
        """Count faults of the file, and remember those for which a row is to go."""
        for found in faults:
            self.found.tally.add([found])
            if self._drop is not None and (found.severity == "error" or found.code in self._drop):
                self.found.dropped.setdefault(found.origin, found)

    def note_overlaps(self) -> None:
        """Count evaluation prompts that are trained on; what is to go is the training row."""
        self.found.tally.add(overlaps(self._seen))
        if self._drop is not None:
            for row in self._seen.overlapped():
                message = f"this prompt is evaluated on at {row.earlier}"
                self.found.dropped.setdefault(row.origin, fault("E404", message, origin=row.origin))

    def close(self) -> None:
        """Find what only all rows together show."""
        found = self.found
        self.note(found.together.across())
        found.num_prompts = self._seen.num_prompts()
        found.tally.add(found.together.whole())  # of no single row, so nothing to drop

    def _take_record(self, record: Record, first_chosen: bool | None) -> bool:
        if self._limit is not None:
            renderer, max_length = self._limit
            rendered = render_row(record, renderer, max_length=max_length)
            self.note(rendered.faults)
            if rendered.num_tokens is None:
                return False
            self.found.together.profile.measure_tokens(rendered.num_tokens)
        self.note(self.found.together.add(record, first_chosen))
        return True
