"""`palate check`: what is wrong with a file of pairs."""

from typing import Annotated

import typer

from palate.cli.output import print_json
from palate.cli.rows import DEFAULT_RULE, Columns, Form, Margins, MaxLine, RuleName, layout
from palate.data.check import CheckReport, Lengths, check_preferences

HELP = """Report every fault of a file of preference pairs, with its place and what to do.

Exit code 2 where a row cannot be used, else 0. Nothing is changed."""


def check(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA", help="pairs: a file, saved data set, OWNER/NAME, - (docs/data.md)"
        ),
    ],
    eval_data: Annotated[
        str | None, typer.Option(help="pairs that must share no prompt with DATA")
    ] = None,
    format: Form = None,
    columns: Columns = None,
    rule: RuleName = DEFAULT_RULE,
    margins: Margins = False,
    max_line_bytes: MaxLine = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    how = layout(format, columns, rule, margins, max_line_bytes)
    report = check_preferences(data, eval_path=eval_data, layout=how)
    if as_json:
        print_json(report.to_json())
    else:
        _describe(report)
    if report.num_errors:
        raise typer.Exit(2)


def _describe(report: CheckReport) -> None:
    from palate.experiments.table import plain

    kind = f" ({report.format})" if report.format else ""
    print(plain(f"{report.path}: {_count(report.num_rows, 'row')}, {report.num_good} usable{kind}"))
    for group in report.faults:
        times = _count(group.count, "time")
        print(f"\n{group.severity} {group.code} {group.title}, {times}: {group.fix}")
        for place in group.places:
            print(plain(f"  {place.origin}: {place.message}"))
        if group.count > len(group.places):
            print(f"  … and {group.count - len(group.places)} more")
    print()
    if report.num_good:
        print(f"prompts: {report.num_distinct_prompts} distinct{_lengths(report.prompt_lengths)}")
        print(f"chosen{_lengths(report.chosen_lengths)}")
        print(f"rejected{_lengths(report.rejected_lengths)}")
    if report.share_chosen_longer is not None:
        print(f"the longer response is chosen: {report.share_chosen_longer:.1%}")
    print(f"{_count(report.num_errors, 'error')}, {_count(report.num_warnings, 'warning')}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _lengths(lengths: Lengths | None) -> str:
    if lengths is None:
        return ""
    return f": {lengths.mean:.0f} characters (median {lengths.median:.0f}, 95 % ≤ {lengths.p95})"
