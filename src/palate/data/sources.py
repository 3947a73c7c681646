"""Files, saved data sets and lists of rows → records, strictly: every bad row is found and named.

By default one bad row refuses the whole source, and the error lists them. With `skip_bad` they are
left out, counted, and written to a file from which they can be read again once mended: the readers
take a file of rejects as it is, and read each line's "row".
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from palate.data.faults import FAULTS, Fault, RowFault, fault, warnings_of
from palate.data.lines import Line, parse_line, read_lines
from palate.data.records import Demonstration, Preference, Prompt
from palate.data.rows import (
    Row,
    comparison_format,
    demonstration_format,
    parse_comparison,
    parse_demonstration,
    parse_preference,
    parse_prompt,
    preference_format,
    prompt_format,
    to_row,
)
from palate.errors import DataError

__all__ = [
    "Reading",
    "comparisons_from_rows",
    "demonstrations_from_rows",
    "parse_demonstration",
    "parse_preference",
    "parse_prompt",
    "preferences_from_rows",
    "prompts_from_rows",
    "read_comparisons",
    "read_demonstrations",
    "read_preferences",
    "read_prompts",
    "survey_preferences",
    "to_row",
]

Record = TypeVar("Record", bound=Preference | Demonstration | Prompt)

_MAX_LISTED = 10
_REJECT_KEYS = {"origin", "code", "message", "row"}


@dataclass(frozen=True, slots=True)
class Reading(Generic[Record]):
    """What came out of a source.

    Attributes:
        records: the usable rows, in their order.
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


@dataclass(frozen=True, slots=True)
class _Door(Generic[Record]):
    """How rows become records of one kind."""

    name_format: Callable[[Row], str]
    parse: Callable[..., Record]


_PREFERENCES = _Door(preference_format, parse_preference)
_DEMONSTRATIONS = _Door(demonstration_format, parse_demonstration)
_CHOSEN = _Door(preference_format, partial(parse_demonstration, use_chosen=True))
_COMPARISONS = _Door(comparison_format, parse_comparison)
_PROMPTS = _Door(prompt_format, parse_prompt)


def read_preferences(
    path: str | Path, *, skip_bad: bool = False, rejects_path: str | Path | None = None
) -> Reading[Preference]:
    """Read pairs from JSON lines (plain or gzip) or a saved `datasets` folder.

    Args:
        path: the file, or the folder that `save_to_disk` of a `Dataset` made (of a `DatasetDict`
            one split's, or its own where it has one split).
        skip_bad: leave bad rows out instead of refusing the file.
        rejects_path: where to write the rows left out, as JSON lines; None writes none.

    Raises:
        DataError: a bad row (without `skip_bad`), no usable row, or an unreadable file.
    """
    return _read(lines_of(path), _PREFERENCES, str(path), skip_bad, rejects_path)


def read_comparisons(
    path: str | Path, *, skip_bad: bool = False, rejects_path: str | Path | None = None
) -> Reading[Preference | Demonstration]:
    """Read pairs, or single responses with a `label`; arguments and errors as `read_preferences`.

    A file holds the one kind or the other.
    """
    return _read(lines_of(path), _COMPARISONS, str(path), skip_bad, rejects_path)


def read_demonstrations(
    path: str | Path,
    *,
    use_chosen: bool = False,
    skip_bad: bool = False,
    rejects_path: str | Path | None = None,
) -> Reading[Demonstration]:
    """Read prompts with their responses; `use_chosen` reads preferences and keeps the chosen side.

    Other arguments and errors are those of `read_preferences`.
    """
    door = _CHOSEN if use_chosen else _DEMONSTRATIONS
    return _read(lines_of(path), door, str(path), skip_bad, rejects_path)


def read_prompts(
    path: str | Path, *, skip_bad: bool = False, rejects_path: str | Path | None = None
) -> Reading[Prompt]:
    """Read prompts, or the prompts of preferences; arguments and errors as `read_preferences`."""
    return _read(lines_of(path), _PROMPTS, str(path), skip_bad, rejects_path)


def preferences_from_rows(
    rows: Iterable[Row],
    *,
    origin: str = "row",
    skip_bad: bool = False,
    rejects_path: str | Path | None = None,
) -> Reading[Preference]:
    """Read pairs from a `datasets.Dataset` or a list of dicts.

    A record's origin is "row N", where N counts from 0 as the data set's own index does; `origin`
    replaces the word. Other arguments and errors are those of `read_preferences`.
    """
    return _read(_lines_from(rows, origin), _PREFERENCES, "the rows", skip_bad, rejects_path)


def comparisons_from_rows(
    rows: Iterable[Row],
    *,
    origin: str = "row",
    skip_bad: bool = False,
    rejects_path: str | Path | None = None,
) -> Reading[Preference | Demonstration]:
    """Read pairs or labelled responses from rows in memory; see `preferences_from_rows`."""
    return _read(_lines_from(rows, origin), _COMPARISONS, "the rows", skip_bad, rejects_path)


def demonstrations_from_rows(
    rows: Iterable[Row],
    *,
    origin: str = "row",
    use_chosen: bool = False,
    skip_bad: bool = False,
    rejects_path: str | Path | None = None,
) -> Reading[Demonstration]:
    """Read demonstrations from rows in memory; see `preferences_from_rows`."""
    door = _CHOSEN if use_chosen else _DEMONSTRATIONS
    return _read(_lines_from(rows, origin), door, "the rows", skip_bad, rejects_path)


def prompts_from_rows(
    rows: Iterable[Row],
    *,
    origin: str = "row",
    skip_bad: bool = False,
    rejects_path: str | Path | None = None,
) -> Reading[Prompt]:
    """Read prompts from rows in memory; see `preferences_from_rows`."""
    return _read(_lines_from(rows, origin), _PROMPTS, "the rows", skip_bad, rejects_path)


def survey_preferences(path: str | Path) -> Reading[Preference]:
    """Read pairs without refusing any: bad rows, and a file without rows, are faults to report.

    Raises:
        DataError: the file is missing, a folder, damaged or of another kind.
    """
    reading, _ = _collect(lines_of(path), _PREFERENCES)
    if reading.num_read:
        return reading
    nothing = fault("E111", "there is no row in this file", origin=f"{path}:1")
    return Reading([], 0, 0, [nothing])


def _read(
    lines: Iterator[Line],
    door: _Door[Record],
    source: str,
    skip_bad: bool,
    rejects_path: str | Path | None,
) -> Reading[Record]:
    reading, rejects = _collect(lines, door)
    if not reading.num_read:
        raise DataError(f"{source}: no rows; {FAULTS['E111'].fix}")
    if rejects and not (skip_bad and reading.records):
        raise DataError(_describe(reading, source, door, skip_bad))
    if skip_bad and rejects_path is not None:
        _write_rejects(rejects, Path(rejects_path))
    return reading


def _collect(
    lines: Iterable[Line], door: _Door[Record]
) -> tuple[Reading[Record], list[dict[str, object]]]:
    records: list[Record] = []
    faults: list[Fault] = []
    rejects: list[dict[str, object]] = []
    file_format, first_origin = "", ""
    for line in lines:
        line = unwrap_reject(line)
        try:
            if line.fault is not None or line.row is None:
                raise RowFault(line.fault or fault("E106", "no object", origin=line.origin))
            record = _parse(line, door)
            row_format = door.name_format(line.row)
            if not file_format:
                file_format, first_origin = row_format, line.origin
            elif row_format != file_format:
                message = f'this row is "{row_format}", {first_origin} is "{file_format}"'
                raise RowFault(fault("E205", message, origin=line.origin))
        except RowFault as error:
            found = error.fault
            faults.append(found)
            raw = line.raw if line.row is None else dict(line.row)
            rejects.append(
                {"origin": found.origin, "code": found.code, "message": found.message, "row": raw}
            )
            continue
        records.append(record)
        # A demonstration that is nothing but text has no prompt by design.
        faults += [w for w in warnings_of(record) if (row_format, w.code) != ("text", "W401")]
    num_read = len(records) + len(rejects)
    return Reading(records, num_read, len(rejects), faults, file_format), rejects


def _parse(line: Line, door: _Door[Record]) -> Record:
    return door.parse(line.row, origin=line.origin)


def unwrap_reject(line: Line) -> Line:
    if line.row is None or set(line.row) != _REJECT_KEYS:
        return line
    row = line.row["row"]
    if isinstance(row, str):
        return parse_line(row, origin=line.origin)
    if isinstance(row, Mapping):
        return Line(line.origin, row)
    return line


def lines_of(path: str | Path) -> Iterator[Line]:
    path = Path(path)
    if (path / "dataset_dict.json").is_file():
        path = _only_split(path)
    if (path / "dataset_info.json").is_file():
        return _lines_from(_saved(path), f"{path} row")
    return read_lines(path)


def _only_split(path: Path) -> Path:
    """The one split of a saved `DatasetDict`; which of several is meant only its owner knows."""
    splits = sorted(inner.parent for inner in path.glob("*/dataset_info.json"))
    if len(splits) != 1:
        names = ", ".join(map(str, splits)) or "and none is there"
        raise DataError(f"{path}: a saved DatasetDict; name one of its splits: {names}")
    return splits[0]


def _saved(path: Path) -> Iterable[object]:
    from datasets import load_from_disk  # heavy, and only such folders need it

    try:
        rows: Iterable[object] = load_from_disk(str(path))
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{path}: a saved data set that cannot be read ({reason}); save it again with "
            "save_to_disk"
        ) from error
    return rows


def _lines_from(rows: Iterable[object], origin: str) -> Iterator[Line]:
    for number, row in enumerate(rows):
        place = f"{origin} {number}"
        if isinstance(row, Mapping):
            yield Line(place, row)
        else:
            message = f"the row is of type {type(row).__name__}, not a mapping"
            yield Line(place, None, fault("E106", message, origin=place), repr(row)[:1000])


def _describe(reading: Reading[Record], source: str, door: _Door[Record], skip_bad: bool) -> str:
    errors = [found for found in reading.faults if found.severity == "error"]
    first = errors[0]
    if not reading.records and first.code == "E105":
        return (
            f"{source}: not JSON lines ({first.origin}: {first.message}); write one JSON object a "
            f"line; of a JSON array: jq -c '.[]' {source}"
        )
    if not reading.records and {error.code for error in errors} == {"E201"}:
        return (
            f"{source}: no row of {reading.num_read} can be used, the first: {first}; {first.fix}"
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
    if door is _PREFERENCES or (door is _COMPARISONS and not is_labelled):
        last += f" (`palate check {source}` shows all kinds)"
    if not reading.records:
        last += "; --skip-bad cannot help: no usable row would be left."
    elif not skip_bad:
        last += f", or leave {'it' if is_one else 'them'} out: --skip-bad"
    return "\n".join(
        [f"{source}: {rows} of {reading.num_read} cannot be used:", *listed, "Fix:", *fixes, last]
    )


def _write_rejects(rejects: list[dict[str, object]], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    with unfinished.open("w", encoding="ascii") as file:
        for reject in rejects:
            file.write(json.dumps(reject, ensure_ascii=True, default=str) + "\n")
    unfinished.replace(path)
