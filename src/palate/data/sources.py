"""Files, saved data sets and lists of rows → records, strictly: every bad row is found and named.

By default one bad row refuses the whole source, and the error lists them. With `skip_bad` they are
left out, counted, and written to a file from which they can be read again once mended: the readers
take a file of rejects as it is, and read each line's "row".

Every reader takes the same arguments:

    path / rows     a file of any kind that palate.data.files reads / dicts in memory
    layout          what a person says of the rows: format, columns, rule (palate.data.layout)
    skip_bad        leave bad rows out instead of refusing the source
    rejects_path    where to write the rows left out, as JSON lines; None writes none

and raises DataError for a bad row (without `skip_bad`), no usable row, or an unreadable source.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from palate.data.doors import CHOSEN, COMPARISONS, DEMONSTRATIONS, PREFERENCES, PROMPTS, Door
from palate.data.faults import FAULTS, Fault
from palate.data.files import lines_of
from palate.data.formats.cells import Row
from palate.data.formats.open_assistant import trees_of
from palate.data.heeded import heeding
from palate.data.layout import AS_THEY_SAY, Layout
from palate.data.lines import Line
from palate.data.records import Demonstration, Preference, Prompt
from palate.data.rejects import WriteReject, rejects_file
from palate.data.renaming import renamed
from palate.data.stream import stream
from palate.data.tables import rows_of
from palate.errors import DataError

Record = TypeVar("Record", bound=Preference | Demonstration | Prompt)

_MAX_LISTED = 10
_NOTHING_TO_GIVE = {"W501", "W502", "W503", "W504", "W505"}


@dataclass(frozen=True, slots=True)
class Reading(Generic[Record]):
    """What came out of a source.

    Attributes:
        records: those of the usable rows, in their order.
        num_read: rows met, usable or not; blank lines are no rows.
        num_skipped: rows left out because of an error.
        faults: the errors of skipped rows (one a row) and the warnings of usable ones.
        format: the name of the rows' format, "" where no row was usable.
    """

    records: list[Record]
    num_read: int
    num_skipped: int
    faults: list[Fault]
    format: str = ""

    @property
    def num_without(self) -> int:
        """Rows in order that gave no record: ties, equal ranks, undesirable responses."""
        return sum(found.code in _NOTHING_TO_GIVE for found in self.faults)

    def told_without(self) -> str:
        """Say how many rows gave no record, and why; "" where all did."""
        kinds = Counter(found.code for found in self.faults if found.code in _NOTHING_TO_GIVE)
        told = ", ".join(f"{FAULTS[code].title} {count}" for code, count in sorted(kinds.items()))
        return f"{self.num_without} of {self.num_read} rows give no record ({told})" if told else ""


def read_preferences(
    path: str | Path,
    *,
    layout: Layout = AS_THEY_SAY,
    skip_bad: bool = False,
    rejects_path: str | Path | None = None,
) -> Reading[Preference]:
    """Read pairs from a file; see the module for arguments and errors."""
    return _read(lines_of(path, layout), PREFERENCES, str(path), layout, skip_bad, rejects_path)


def read_comparisons(
    path: str | Path,
    *,
    layout: Layout = AS_THEY_SAY,
    skip_bad: bool = False,
    rejects_path: str | Path | None = None,
) -> Reading[Preference | Demonstration]:
    """Read pairs, or single responses with a label, from a file that holds the one or the other."""
    return _read(lines_of(path, layout), COMPARISONS, str(path), layout, skip_bad, rejects_path)


def read_demonstrations(
    path: str | Path,
    *,
    use_chosen: bool = False,
    layout: Layout = AS_THEY_SAY,
    skip_bad: bool = False,
    rejects_path: str | Path | None = None,
) -> Reading[Demonstration]:
    """Read prompts with their responses; `use_chosen` reads pairs and keeps the chosen side."""
    door = CHOSEN if use_chosen else DEMONSTRATIONS
    return _read(lines_of(path, layout), door, str(path), layout, skip_bad, rejects_path)


def read_prompts(
    path: str | Path,
    *,
    layout: Layout = AS_THEY_SAY,
    skip_bad: bool = False,
    rejects_path: str | Path | None = None,
) -> Reading[Prompt]:
    """Read prompts, or the prompts of anything else."""
    return _read(lines_of(path, layout), PROMPTS, str(path), layout, skip_bad, rejects_path)


def preferences_from_rows(
    rows: Iterable[Row],
    *,
    origin: str = "row",
    layout: Layout = AS_THEY_SAY,
    skip_bad: bool = False,
    rejects_path: str | Path | None = None,
) -> Reading[Preference]:
    """Read pairs from a `datasets.Dataset` or a list of dicts.

    A record's origin is "row N", where N counts from 0 as the data set's own index does; `origin`
    replaces the word.
    """
    return _from_rows(rows, PREFERENCES, origin, layout, skip_bad, rejects_path)


def comparisons_from_rows(
    rows: Iterable[Row],
    *,
    origin: str = "row",
    layout: Layout = AS_THEY_SAY,
    skip_bad: bool = False,
    rejects_path: str | Path | None = None,
) -> Reading[Preference | Demonstration]:
    """Read pairs or labelled responses from rows in memory; see `preferences_from_rows`."""
    return _from_rows(rows, COMPARISONS, origin, layout, skip_bad, rejects_path)


def demonstrations_from_rows(
    rows: Iterable[Row],
    *,
    origin: str = "row",
    use_chosen: bool = False,
    layout: Layout = AS_THEY_SAY,
    skip_bad: bool = False,
    rejects_path: str | Path | None = None,
) -> Reading[Demonstration]:
    """Read demonstrations from rows in memory; see `preferences_from_rows`."""
    door = CHOSEN if use_chosen else DEMONSTRATIONS
    return _from_rows(rows, door, origin, layout, skip_bad, rejects_path)


def prompts_from_rows(
    rows: Iterable[Row],
    *,
    origin: str = "row",
    layout: Layout = AS_THEY_SAY,
    skip_bad: bool = False,
    rejects_path: str | Path | None = None,
) -> Reading[Prompt]:
    """Read prompts from rows in memory; see `preferences_from_rows`."""
    return _from_rows(rows, PROMPTS, origin, layout, skip_bad, rejects_path)


def _from_rows(
    rows: Iterable[object],
    door: Door[Record],
    origin: str,
    layout: Layout,
    skip_bad: bool,
    rejects_path: str | Path | None,
) -> Reading[Record]:
    lines = trees_of(renamed(rows_of(rows, origin), layout, "the rows"))
    return _read(lines, door, "the rows", layout, skip_bad, rejects_path)


def _read(
    lines: Iterator[Line],
    door: Door[Record],
    source: str,
    layout: Layout,
    skip_bad: bool,
    rejects_path: str | Path | None,
) -> Reading[Record]:
    with rejects_file(rejects_path if skip_bad else None) as write_reject:
        reading = _collect(lines, door, layout, write_reject)
        if not reading.num_read:
            raise DataError(f"{source}: no rows; {FAULTS['E111'].fix}")
        if not reading.records or (reading.num_skipped and not skip_bad):
            raise DataError(describe_bad(reading, source, door, skip_bad))
    return reading


def _collect(
    lines: Iterable[Line],
    door: Door[Record],
    layout: Layout,
    write_reject: WriteReject | None = None,
) -> Reading[Record]:
    records: list[Record] = []
    faults: list[Fault] = []
    num_read, num_bad, form = 0, 0, ""
    for read in heeding(stream(lines, door, layout), layout):
        num_read += 1
        records += read.records
        faults += read.faults
        form = form or read.format
        if read.is_bad:
            num_bad += 1
            if write_reject is not None:
                write_reject(read.reject())
    return Reading(records, num_read, num_bad, faults, form)


def describe_bad(reading: Reading[Record], source: str, door: Door[Record], skip_bad: bool) -> str:
    """Say which rows of a source cannot be used, and what to do about each kind."""
    errors = [found for found in reading.faults if found.severity == "error"]
    if not errors:
        return f"{source}: nothing to learn from: {reading.told_without()}"
    first = errors[0]
    if not reading.records and first.code == "E105":
        return (
            f"{source}: not JSON lines ({first.origin}: {first.message}); write one JSON object a "
            "line, or an array of them"
        )
    if not reading.records and {error.code for error in errors} == {"E201"}:
        return (
            f"{source}: no row of {reading.num_read} can be used, the first: {first}; {first.fix} "
            "(--columns ours=theirs renames it)"
        )
    is_one = reading.num_skipped == 1
    rows = "1 row" if is_one else f"{reading.num_skipped} rows"
    listed = [f"  {error}" for error in errors[:_MAX_LISTED]]
    if len(errors) > _MAX_LISTED:
        listed.append(f"  … and {len(errors) - _MAX_LISTED} more")
    fixes = [
        f"  {code} ({FAULTS[code].title}, {count}): {FAULTS[code].fix}"
        for code, count in Counter(error.code for error in errors).most_common()
    ]
    last = f"Mend {'it' if is_one else 'them'}"
    is_labelled = any(isinstance(record, Demonstration) for record in reading.records)
    if "pairs" in door.what and door is not CHOSEN and not is_labelled:
        last += f" (`palate check {source}` shows all kinds)"
    if not reading.records:
        last += "; --skip-bad cannot help: no usable row would be left."
    elif not skip_bad:
        last += f", or leave {'it' if is_one else 'them'} out: --skip-bad"
    return "\n".join(
        [f"{source}: {rows} of {reading.num_read} cannot be used:", *listed, "Fix:", *fixes, last]
    )
