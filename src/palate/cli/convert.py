"""`palate convert`: preference data of any format → TRL's, or another."""

from pathlib import Path
from typing import Annotated

import typer

from palate.cli.output import only_json, print_json, say
from palate.cli.rows import DEFAULT_RULE, Columns, Form, Margins, MaxLine, RuleName, layout
from palate.data.convert import Conversion
from palate.data.convert import convert as convert_rows
from palate.errors import UsageError

HELP = """Read preference data in any format and write it as TRL reads it.

IN is a file (JSON lines, JSON, CSV, TSV, Parquet; gzip and zstd too), a saved data set, OWNER/NAME
of the hub, or - for standard input. The end of OUT's name says what it is to hold: .jsonl, .json,
.csv, .tsv (each also .gz or .zst) or .parquet; - writes JSON lines to standard output. Formats,
and what each can carry: docs/data.md."""


def convert(
    source: Annotated[str, typer.Argument(metavar="IN", help="what to read")],
    target: Annotated[str, typer.Argument(metavar="OUT", help="what to write")],
    to: Annotated[str | None, typer.Option(help="format to write, if not TRL's")] = None,
    format: Form = None,
    columns: Columns = None,
    rule: RuleName = DEFAULT_RULE,
    margins: Margins = False,
    max_line_bytes: MaxLine = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="leave bad rows out, into OUT.rejects.jsonl")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace OUT")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print what was done as JSON")] = False,
) -> None:
    if target != "-" and Path(target).exists() and not overwrite:
        raise UsageError(f"{target} exists; --overwrite replaces it")
    how = layout(format, columns, rule, margins, max_line_bytes)
    rejects = None if target == "-" else f"{target}.rejects.jsonl"
    with only_json(as_json and target != "-"):
        done = convert_rows(
            source, target, to=to, layout=how, skip_bad=skip_bad, rejects_path=rejects
        )
    _say(done, rejects)
    if as_json and target != "-":
        print_json(done.to_json())


def _say(done: Conversion, rejects: str | None) -> None:
    say(f"{done.source}: {done.num_read} rows ({done.format}); {done.target}: {done.num_written}")
    for why, count in done.without.items():
        say(f"  {count} gave nothing: {why}")
    if done.num_skipped:
        say(f"  {done.num_skipped} could not be used" + (f": {rejects}" if rejects else ""))
    if done.num_changed:
        say(
            f"  {done.num_changed} are not quite the same in the new format, which cannot hold "
            f"them as they are (first: {done.first_changed})"
        )
