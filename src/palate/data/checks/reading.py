"""Files → rows as the check sees them: one at a time, usable or not, each with what it holds."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palate.data.doors import ANY, COMPARISONS, DEMONSTRATIONS, PREFERENCES, PROMPTS, Door
from palate.data.faults import Fault
from palate.data.files import lines_of
from palate.data.formats import Gives
from palate.data.formats.known import USUAL_COLUMNS
from palate.data.heeded import heeding
from palate.data.layout import AS_THEY_SAY, Layout
from palate.data.lines import Line
from palate.data.records import Demonstration, Preference, Prompt
from palate.data.settle import Shape, settle
from palate.data.stream import put_together, stream, unwrap_reject

Record = Preference | Demonstration | Prompt

_DOORS: dict[Gives, Door[Any]] = {
    "pairs": PREFERENCES,
    "labelled": COMPARISONS,
    "demonstrations": DEMONSTRATIONS,
    "prompts": PROMPTS,
}


@dataclass(frozen=True, slots=True)
class CheckedRow:
    """One row of a file.

    Attributes:
        origin: "file:line".
        content: the row, or what stands there where it is none; for a clean file, and the rejects.
        records: what it holds; nothing where it cannot be used, or has nothing to give (W5xx).
        faults: its one error, or warnings.
    """

    origin: str
    content: object
    records: tuple[Record, ...]
    faults: tuple[Fault, ...]

    @property
    def is_bad(self) -> bool:
        """Whether the row cannot be used."""
        return any(found.severity == "error" for found in self.faults)

    @property
    def first_chosen(self) -> bool | None:
        """Whether the response shown first was chosen; None: not told, as in all but battles."""
        row = self.content if isinstance(self.content, dict) else {}
        winner = row.get("winner")
        if winner in ("model_a", "model_b"):
            return bool(winner == "model_a")
        won = [row.get("winner_model_a"), row.get("winner_model_b")]
        return bool(won[0]) if sorted(map(bool, won)) == [False, True] else None

    @property
    def unknown(self) -> list[str]:
        """Names of columns that nothing reads, and that may be meant for something."""
        names = dict.fromkeys(name for record in self.records for name in record.columns)
        return [name for name in names if name not in USUAL_COLUMNS]


@dataclass(frozen=True, slots=True)
class Source:
    """A file that is being read.

    Attributes:
        format: the name of its rows' format and shape, "" where no row is usable.
        rows: its rows, which can be read once.
    """

    format: str
    rows: Iterator[CheckedRow]


def open_source(
    path: str | Path, layout: Layout = AS_THEY_SAY, *, is_first: bool = False
) -> Source:
    """Begin to read a source of any kind of rows.

    Args:
        path: the source.
        layout: what a person says of the rows.
        is_first: it was not read before, so options without effect are told.

    Raises:
        DataError: the file is missing, damaged or no file to read.
        RecipeError: the layout names a format that does not exist.
    """
    lines = put_together(map(unwrap_reject, lines_of(path, layout)), ANY, layout)
    shape, lines = settle(lines, ANY, layout)
    gives, called = shape or Shape("pairs", "")
    rows = _checked(lines, _DOORS[gives], layout, called, is_first)
    return Source(called, rows)


def _checked(
    lines: Iterable[Line], door: Door[Any], layout: Layout, called: str, is_first: bool
) -> Iterator[CheckedRow]:
    passed: list[Line] = []

    def passing() -> Iterator[Line]:
        for line in lines:
            passed.append(line)
            yield line

    # A line in, a row out: so a row's line is the one that has just passed.
    reads = stream(passing(), door, layout, keep_columns=True, settled=called)
    for read in heeding(reads, layout) if is_first else reads:
        line = passed.pop()
        content = line.raw if line.row is None else dict(line.row)
        yield CheckedRow(read.origin, content, read.records, read.faults)
