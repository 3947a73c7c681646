"""`palate check`: what is wrong with a file of rows."""

from pathlib import Path
from typing import Annotated

import typer

from palate.cli.output import check_output, print_json, say
from palate.data.check import check_data, clean_data
from palate.data.checks.clean import check_targets
from palate.errors import UsageError

HELP = """Report every fault of a file of pairs, labelled responses, demonstrations or prompts.

Each fault with its place and what to do, then numbers that tell what the rows teach. Exit code 2
where a row cannot be used, else 0. Nothing is changed. All codes: docs/faults.md; how to read the
numbers: docs/check.md."""


def check(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="rows: .jsonl, .jsonl.gz or a saved data set")
    ],
    eval_data: Annotated[
        str | None, typer.Option(help="rows that must share no prompt with DATA")
    ] = None,
    html: Annotated[str | None, typer.Option(help="write the report as one HTML page too")] = None,
    write_clean: Annotated[
        str | None,
        typer.Option(help="write the usable rows to this file, the others to rejects.jsonl beside"),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(metavar="CODE", help="with --write-clean: warnings whose rows go too (W406)"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    check_output(html, flag="--html")
    if write_clean is None:
        if drop:
            raise UsageError("--drop says what --write-clean leaves out; give that too")
        report = check_data(data, eval_path=eval_data)
    else:
        check_targets(Path(data), Path(write_clean), drop=drop or ())
        report, num_dropped = clean_data(data, write_clean, eval_path=eval_data, drop=drop or ())
        say(f"{write_clean}: {report.num_rows - num_dropped} rows; {num_dropped} in rejects.jsonl")
    if html is not None:
        from palate.experiments.check_page import write_check_page

        write_check_page(report, Path(html))
    if as_json:
        print_json(report.to_json())
    else:
        from palate.experiments.check_words import console_lines

        print("\n".join(console_lines(report)))
    if report.num_errors:
        raise typer.Exit(2)
