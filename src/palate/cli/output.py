"""What a command says: results on standard output, everything else on standard error."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palate.errors import UsageError

if TYPE_CHECKING:
    from palate.measures.gate import GateReport


def say(text: str) -> None:
    """A line for people, on standard error."""
    print(text, file=sys.stderr)


@contextmanager
def only_json(as_json: bool) -> Iterator[None]:
    """Where JSON was asked for, whatever is printed inside goes to standard error."""
    if not as_json:
        yield
        return
    with redirect_stdout(sys.stderr):
        yield


def print_json(content: Mapping[str, Any]) -> None:
    """One JSON object on one line."""
    print(json.dumps(content, ensure_ascii=False, allow_nan=False))


def show_gate(report: "GateReport") -> None:
    """The gate of a reward model, for people."""
    from rich.console import Console

    from palate.experiments.gate_table import print_gate

    print_gate(report, console=Console())


def write_rows(rows: Iterable[Mapping[str, Any]], output: str | None) -> None:
    """JSON lines into a file, which is whole or absent, or on standard output.

    A terminal gets them without characters that act on it.

    Raises:
        UsageError: the file cannot be written.
    """
    lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows]
    if output is None:
        from palate.experiments.table import plain

        for line in lines:
            print(plain(line) if sys.stdout.isatty() else line)
        return
    write_text("".join(f"{line}\n" for line in lines), output)


def write_text(text: str, output: str) -> None:
    """A file that is whole or absent.

    Raises:
        UsageError: it cannot be written.
    """
    target = Path(output)
    draft = target.with_name(f"{target.name}.part")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(target)
    except OSError as error:
        raise UsageError(_cannot_write(output, error)) from None


def check_output(output: str | None, *, flag: str = "--output") -> None:
    """Find out before the work whether its result can be written.

    Raises:
        UsageError: it cannot.
    """
    if output is None:
        return
    draft = Path(output).with_name(f"{Path(output).name}.part")
    try:
        if Path(output).is_dir():
            raise IsADirectoryError(21, "it is a folder")
        draft.touch()
        draft.unlink()
    except OSError as error:
        raise UsageError(_cannot_write(output, error, flag)) from None


def unreplaced(output: str, *, overwrite: bool, flag: str = "--output") -> None:
    """Refuse a file that is there already, unless it may be replaced.

    Raises:
        UsageError: it is there.
    """
    if Path(output).is_file() and not overwrite:
        raise UsageError(
            f"{flag} {output}: is there already; choose another file, or replace it with "
            "--overwrite"
        )


def _cannot_write(output: str, error: OSError, flag: str = "--output") -> str:
    return f"{flag} {output}: cannot be written ({error.strerror}); choose another file"
