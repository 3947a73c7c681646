"""One pass over a file of any size: everything that the check knows of it, in bounded memory."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING, NamedTuple

from palate.data.checks.across import contradictions, duplicates, near_duplicates, overlaps
from palate.data.checks.content import content_warnings
from palate.data.checks.lopsided import Lopsided
from palate.data.checks.near import NearIndex
from palate.data.checks.profile import Profile
from palate.data.checks.reading import CheckedRow, Record, open_source
from palate.data.checks.rendering import render_row
from palate.data.checks.seen import Seen
from palate.data.checks.shortcuts import shortcut_faults, try_shortcuts
from palate.data.checks.tally import Tally
from palate.data.faults import Fault, fault, quote
from palate.data.formats.known import slip_of
from palate.data.layout import AS_THEY_SAY, Layout
from palate.errors import UsageError
from palate.measures.estimate import Estimate
from palate.measures.noise import label_noise

if TYPE_CHECKING:
    from palate.data.render import Renderer

# Files up to this size leave their indexes in memory.
_SMALL_BYTES = 2**22
# More comparisons than these would only make the interval of the label noise narrower.
_MAX_REPEATS = 100_000


class Limit(NamedTuple):
    """A tokenizer, and how many of its tokens a row may have."""

    renderer: "Renderer"
    max_length: int


@dataclass
class Survey:
    """What one pass found.

    Attributes:
        format: the name of the rows' format, "" where no row is usable.
        num_rows: rows met; blank lines are no rows.
        num_good: rows without an error.
        num_records: what the good rows hold (a ranking may hold several pairs).
        num_prompts: distinct prompts.
        tally: the faults.
        profile: lengths, languages and a sample.
        lopsided: who was longer, which labels were given.
        num_repeated: comparisons that were made more than once.
        noise: the share of flipped labels, from those; None where they are too few.
        shortcuts: accuracy of trivial rules.
        dropped: by place, the faults for which a row is to be left out of a clean file.
    """

    format: str = ""
    num_rows: int = 0
    num_good: int = 0
    num_records: int = 0
    num_prompts: int = 0
    tally: Tally = field(default_factory=Tally)
    profile: Profile = field(default_factory=Profile)
    lopsided: Lopsided = field(default_factory=Lopsided)
    num_repeated: int = 0
    noise: Estimate | None = None
    shortcuts: dict[str, Estimate] = field(default_factory=dict)
    dropped: dict[str, Fault] = field(default_factory=dict)

    @property
    def is_judged(self) -> bool:
        """Whether the rows hold judgments (pairs, labels), which repeats can contradict."""
        return bool(self.lopsided.num_pairs or self.lopsided.num_labelled)


def survey(
    path: str | Path,
    *,
    eval_path: str | Path | None = None,
    layout: Layout = AS_THEY_SAY,
    limit: Limit | None = None,
    drop: Collection[str] | None = None,
) -> Survey:
    """Look at every row of a file.

    Args:
        path: the file.
        eval_path: rows that must share no prompt with it; their own faults count too.
        layout: what a person says of the rows of both.
        limit: adds what a tokenizer makes of the rows.
        drop: codes of warnings whose rows, beside those with errors, are remembered in `dropped`;
            None remembers none.

    Raises:
        DataError: a file is missing, a folder, damaged or of another kind.
        UsageError: there is no room for the index of a large file.
    """
    with _indexes(path) as (seen, near):
        reading = _Pass(seen, near, limit, drop)
        source = open_source(path, layout)
        for row in source.rows:
            reading.take(row)
        if not reading.found.num_rows:
            reading.note([fault("E111", "there is no row in this file", origin=f"{path}:1")])
        if eval_path is not None:
            for row in open_source(eval_path, layout).rows:
                reading.hold_out(row)
            reading.note_overlaps()
        reading.close()
        reading.found.format = source.format
        return reading.found


class _Pass:
    """The state of one pass."""

    def __init__(
        self, seen: Seen, near: NearIndex, limit: Limit | None, drop: Collection[str] | None
    ) -> None:
        self.found = Survey()
        self._seen, self._near, self._limit, self._drop = seen, near, limit, drop
        self._columns: set[str] = set()
        self._first = ""
        self._num_seen = 0

    def take(self, row: CheckedRow) -> None:
        """Look at a row of the file."""
        self.found.num_rows += 1
        self._first = self._first or row.origin
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
            self._seen.add(self._num_seen, record, held_out=True)
            self._num_seen += 1

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
        self.note(duplicates(self._seen))
        self.note(contradictions(self._seen))
        self.note(near_duplicates(self._near, self._seen))
        found.num_prompts = self._seen.num_prompts()
        if found.is_judged:
            repeats = list(islice(self._seen.repeats(), _MAX_REPEATS))
            found.num_repeated = len(repeats)
            found.noise = label_noise(repeats) if len(repeats) >= 2 else None
        found.shortcuts = try_shortcuts(found.profile.sample())
        whole = [*found.lopsided.faults(), *shortcut_faults(found.shortcuts, origin=self._first)]
        found.tally.add(whole)  # of no single row, so nothing to drop

    def _take_record(self, record: Record, first_chosen: bool | None) -> bool:
        if self._limit is not None:
            renderer, max_length = self._limit
            rendered = render_row(record, renderer, max_length=max_length)
            self.note(rendered.faults)
            if rendered.num_tokens is None:
                return False
            self.found.profile.measure_tokens(rendered.num_tokens)
        marks = self._seen.add(self._num_seen, record)
        self._near.add(self._num_seen, record)
        self.found.lopsided.add(record)
        self.found.profile.add(self._num_seen, record, rank=marks.prompt, first_chosen=first_chosen)
        self.note(content_warnings(record))
        self._num_seen += 1
        self.found.num_records += 1
        return True


@contextmanager
def _indexes(path: str | Path) -> Iterator[tuple[Seen, NearIndex]]:
    """Empty indexes, on disk where the file is large."""
    # A packed file grows in reading, tenfold or so.
    if Path(path).is_file() and Path(path).stat().st_size <= _SMALL_BYTES:
        with Seen() as seen, NearIndex() as near:
            yield seen, near
        return
    try:
        with (
            TemporaryDirectory(prefix="palate-check-") as folder,
            Seen(Path(folder)) as seen,
            NearIndex(Path(folder)) as near,
        ):
            yield seen, near
    except sqlite3.OperationalError as error:
        raise UsageError(
            f"{gettempdir()}: the check keeps its index there, and cannot ({error}); set TMPDIR to "
            "a folder with room, about the size of the file"
        ) from None
