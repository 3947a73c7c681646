"""CSV and TSV → rows, and cells → CSV.

Cells are text. Read as what they hold: `weight`, `margin` and scores as numbers, `label` and
`kto_tag` as true or false, and lists (a conversation, several responses) as the JSON that they are
written in; an empty cell is absent, but in a text's column an empty text. A cell that begins as a
formula would run in a spreadsheet, so ' is written in front of it, and taken off again when read.
"""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from palate.data.faults import fault
from palate.data.lines import BOM, Line

_NUMBERS = {
    "weight", "margin", "score_chosen", "score_rejected", "overall_preference", "winner_model_a",
    "winner_model_b", "winner_tie", "helpfulness", "correctness", "coherence", "complexity",
    "verbosity",
}  # fmt: skip
_LABELS = {"label", "kto_tag"}
_LISTS = {
    "messages", "conversations", "conversation_a", "conversation_b", "responses", "scores",
    "ranking", "ranks", "rank", "completions", "answers", "history",
}  # fmt: skip
_MAYBE_TURNS = {"prompt", "chosen", "rejected", "completion", "response", "output", "context"}
_TEXTS = {
    *_MAYBE_TURNS,
    "instruction",
    "text",
    "response_a",
    "response_b",
    "response1",
    "response2",
}
_TRUTH = {"true": True, "1": True, "false": False, "0": False}
_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab"}
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def split_delimited(
    readline: Callable[[int], bytes],
    name: str,
    *,
    delimiter: str,
    max_bytes: int,
    renamed: Mapping[str, str],
) -> Iterator[Line]:
    """Read rows below a header line.

    Args:
        readline: of the file.
        name: of the file, for places.
        delimiter: between cells.
        max_bytes: of a row; a longer one is a fault, and what stands behind it is not read.
        renamed: our name of a column by the file's: tells what its cells hold.
    """
    csv.field_size_limit(max_bytes)
    source = _Source(readline, name, max_bytes)
    rows = csv.reader(source, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        origin = f"{name}:{source.begin_row()}"
        try:
            cells = next(rows)
        except StopIteration:
            if source.stopped is not None:
                yield source.stopped
            return
        except csv.Error as error:
            yield Line(origin, None, fault("E505", str(error), origin=origin), source.last)
            continue
        if source.wrong is not None:
            yield Line(origin, None, fault(*source.wrong, origin=origin), source.last)
            continue
        if not any(cells):
            continue
        if header is None:
            header = cells
            if len(header) == 1 and (other := _other_delimiter(header[0], delimiter)):
                message = (
                    f"{other} stands between the header's fields, where {_NAMES[delimiter]} is"
                )
                yield Line(origin, None, fault("E507", f"{message} read", origin=origin), cells)
                return
            if twice := next((c for c in header if header.count(c) > 1), None):
                message = f"the column {twice[:40]!r} stands twice in the header"
                yield Line(origin, None, fault("E107", message, origin=origin), cells)
                return
            continue
        if len(cells) != len(header):
            message = f"{len(cells)} fields, where the header has {len(header)}"
            yield Line(origin, None, fault("E504", message, origin=origin), cells)
            continue
        row = {
            column: _value(cell, renamed.get(column, column))
            for column, cell in zip(header, cells, strict=True)
        }
        yield Line(origin, {column: value for column, value in row.items() if value is not None})


class _Source:
    """Lines of text for the csv module, which asks for more inside of quotes."""

    def __init__(self, readline: Callable[[int], bytes], name: str, max_bytes: int) -> None:
        self._readline, self._name, self._max = readline, name, max_bytes
        self.number, self.last = 0, ""
        self.wrong: tuple[str, str] | None = None
        self.stopped: Line | None = None

    def begin_row(self) -> int:
        """The number of the line that the next row begins on."""
        self.wrong = None
        return self.number + 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._readline(self._max + 1)
        if not line or self.stopped is not None:
            raise StopIteration
        self.number += 1
        if self.number == 1:
            line = line.removeprefix(BOM)
        if len(line) > self._max:
            # The quotes in it cannot be followed, so rows behind it cannot be told apart.
            origin = f"{self._name}:{self.number}"
            message = f"the line is longer than {self._max} bytes; what follows is not read"
            raw = line[:1000].decode("utf-8", errors="backslashreplace")
            self.stopped = Line(origin, None, fault("E110", message, origin=origin), raw)
            raise StopIteration
        if b"\0" in line:
            self.wrong = ("E102", "a NUL byte")
        try:
            self.last = line.decode("utf-8")
        except UnicodeDecodeError as error:
            self.wrong = ("E101", f"byte 0x{line[error.start]:02x} is not UTF-8")
            self.last = line.decode("utf-8", errors="backslashreplace")
        return self.last


def _other_delimiter(header: str, delimiter: str) -> str:
    """The name of what stands between fields instead; "" where nothing does."""
    return next((name for d, name in _NAMES.items() if d != delimiter and d in header), "")


def _value(cell: str, column: str) -> object:
    if cell == "":
        return "" if column in _TEXTS else None
    if column in _NUMBERS:
        return _number(cell)
    if column in _LABELS:
        return _TRUTH.get(cell.strip().lower(), cell)
    if column in _LISTS:
        return _parsed(cell)
    if column in _MAYBE_TURNS and cell.startswith("[{"):
        turns = _parsed(cell)
        return turns if _are_turns(turns) else cell
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _are_turns(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(turn, dict) and {"role", "content"} <= turn.keys() for turn in value
    )


def _number(cell: str) -> object:
    try:
        value = float(cell)
    except ValueError:
        return cell
    return value if math.isfinite(value) else cell


def _parsed(cell: str) -> object:
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell


def write_cell(value: object) -> str:
    """A value as a cell; text that a spreadsheet would take for a formula gets ' in front."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return f"'{value}" if _FORMULA.match(value) else value


def write_delimited(
    file: io.TextIOBase,
    header: Sequence[str],
    rows: Iterator[Mapping[str, object]],
    *,
    delimiter: str,
) -> None:
    """Write rows below their header; every text cell is quoted where it has to be."""
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([write_cell(row.get(column)) for column in header])
