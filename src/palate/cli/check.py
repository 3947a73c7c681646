"""`palate check`: what is wrong with a file of rows."""

from pathlib import Path
from typing import Annotated

import typer

from palate.cli.inputs import load_model
from palate.cli.output import check_output, only_json, print_json, say
from palate.cli.rows import DEFAULT_RULE, Columns, Form, Margins, MaxLine, RuleName, layout
from palate.data.check import Limit, check_data, clean_data
from palate.data.checks.clean import check_targets
from palate.errors import UsageError

HELP = """Report every fault of a file of pairs, labelled responses, demonstrations or prompts.

Each fault with its place and what to do, then numbers that tell what the rows teach. Exit code 2
where a row cannot be used, else 0. Nothing is changed. With --model also what its tokenizer and
--max-length make of the rows, and whether SFT on them should come first. All codes:
docs/faults.md; how to read the numbers: docs/check.md."""


def check(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="rows: a file, saved data set, OWNER/NAME or -")
    ],
    eval_data: Annotated[
        str | None, typer.Option(help="rows that must share no prompt with DATA")
    ] = None,
    model: Annotated[str | None, typer.Option(help="model that training will start from")] = None,
    max_length: Annotated[
        int | None, typer.Option(help="tokens of prompt + response, with --model: 1024", min=2)
    ] = None,
    html: Annotated[str | None, typer.Option(help="write the report as one HTML page too")] = None,
    write_clean: Annotated[
        str | None, typer.Option(help="file for the usable rows; rejects.jsonl gets the others")
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(metavar="CODE", help="with --write-clean: warnings whose rows go too (W406)"),
    ] = None,
    format: Form = None,
    columns: Columns = None,
    rule: RuleName = DEFAULT_RULE,
    margins: Margins = False,
    max_line_bytes: MaxLine = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    check_output(html, flag="--html")
    check_targets(data, write_clean, drop=drop or ())
    how = layout(format, columns, rule, margins, max_line_bytes)
    if data == "-" and (write_clean or model):
        raise UsageError("-: --write-clean and --model read the rows twice; give a file")
    if max_length is not None and model is None:
        raise UsageError("--max-length counts a tokenizer's tokens; name it with --model")
    loaded, limit, fit = None, None, None
    if model is not None:
        with only_json(True):
            from palate.data.render import Renderer
            from palate.experiments.fit import measure_fit

            loaded = load_model(model)
            limit = Limit(Renderer(loaded.tokenizer), max_length or 1024)
    if write_clean is None:
        report = check_data(data, eval_path=eval_data, layout=how, limit=limit)
    else:
        found = clean_data(
            data, write_clean, eval_path=eval_data, layout=how, limit=limit, drop=drop or ()
        )
        report = found.report
        say(f"{write_clean}: {found.num_kept} rows; {found.num_dropped} in {found.rejects}")
    if loaded is not None and limit is not None:
        with only_json(True):
            fit = measure_fit(loaded, Path(data), max_length=limit.max_length, layout=how)
    if html is not None:
        from palate.experiments.check_page import write_check_page

        write_check_page(report, Path(html), fit=fit)
    if as_json:
        print_json(report.to_json() | {"fit": fit and fit.to_json()})
    else:
        from palate.experiments.check_words import console_lines

        print("\n".join(console_lines(report, fit)))
    if report.num_errors:
        raise typer.Exit(2)
