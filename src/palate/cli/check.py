"""`palate check`: what is wrong with a file of rows."""

from typing import Annotated

import typer

from palate.cli.check_show import show_check
from palate.cli.inputs import load_model
from palate.cli.output import check_output, only_json
from palate.cli.rows import DEFAULT_RULE, Columns, Form, Margins, MaxLine, RuleName, layout
from palate.experiments.check_run import refuse_contradictions, run_check

HELP = """Report every fault of a file of pairs, labelled responses, demonstrations or prompts.

Each fault with its place and what to do, then numbers that tell what the rows teach. Exit code 2
where a row cannot be used, else 0. DATA is not changed. With --model also what its tokenizer and
--max-length make of the rows, and whether SFT on them should come first. All codes:
docs/faults.md; how to read the numbers: docs/check.md."""


def check(
    data: Annotated[str, typer.Argument(metavar="DATA", help="file, saved data set, hub name, -")],
    eval_data: Annotated[str | None, typer.Option(help="rows of other prompts than DATA's")] = None,
    model: Annotated[str | None, typer.Option(help="model that training will start from")] = None,
    max_length: Annotated[
        int | None, typer.Option(help="tokens, with --model: 1024", min=2)
    ] = None,
    html: Annotated[str | None, typer.Option(help="write the report as one HTML page too")] = None,
    places: Annotated[str | None, typer.Option(help="write every fault there, a line each")] = None,
    write_clean: Annotated[
        str | None, typer.Option(help="file for the usable rows; rejects.jsonl gets the others")
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(metavar="CODE", help="with --write-clean: warnings whose rows go too (W406)"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace what is written")] = False,
    format: Form = None,
    columns: Columns = None,
    rule: RuleName = DEFAULT_RULE,
    margins: Margins = False,
    max_line_bytes: MaxLine = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    how = layout(format, columns, rule, margins, max_line_bytes)
    check_output(html, flag="--html")
    check_output(places, flag="--places")
    refuse_contradictions(
        data, eval_data=eval_data, html=html, places=places, has_model=model is not None,
        max_length=max_length, write_clean=write_clean, drop=drop or (), overwrite=overwrite,
    )  # fmt: skip
    with only_json(True):
        loaded = None if model is None else load_model(model)
        found = run_check(
            data, eval_data=eval_data, layout=how, loaded=loaded, max_length=max_length,
            write_clean=write_clean, drop=drop or (), places=places,
        )  # fmt: skip
    show_check(found, write_clean=write_clean, html=html, as_json=as_json)
    if found.report.num_errors:
        raise typer.Exit(2)
