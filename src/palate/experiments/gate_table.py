"""The gate's report on the console: checks, then accuracy, length, calibration and probes."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from palate.experiments.table import NOT_MEASURED, measured, number, percentage
from palate.measures.estimate import Estimate
from palate.measures.gate import Check, GateReport


def print_gate(report: GateReport, *, console: Console) -> None:
    """Print what was measured, the checks, why those that failed matter, and the verdict."""
    console.print(_accuracies(report))
    console.print(_reliability(report))
    console.print(_probes(report))
    console.print(_checks(report.checks))
    for check in report.failed:
        console.print(Text(f"{check.name} failed: {check.reason}"))
    console.print(Text(f"\n{report.verdict}", style="bold"))


def _accuracies(report: GateReport) -> Table:
    rows: list[tuple[str, Estimate | None, int]] = [
        ("reward model", report.accuracy, report.num_pairs),
        ("longest wins", report.longest_wins, report.num_pairs),
        ("bag of words", report.bag_of_words, report.num_pairs),
    ]
    rows += [
        (f"where the chosen is {one.chosen_is}", one.accuracy, one.num_pairs)
        for one in report.by_length
    ]
    return _table(
        "Accuracy on held-out pairs",
        ("", "accuracy", "95 % interval", "pairs"),
        ((name, *_words(found, percent=True), str(count)) for name, found, count in rows),
    )


def _reliability(report: GateReport) -> Table:
    calibration = report.calibration
    table = _table(
        "Reliability",
        ("σ(margin)", "is right", "pairs"),
        (
            (percentage(one.confidence), percentage(one.accuracy), str(one.num_pairs))
            for one in calibration.bins
        ),
    )
    error, noise = calibration.expected_calibration_error, calibration.noise
    table.caption = Text(
        f"Expected calibration error {number(error)}, of which chance gives {number(noise)}; "
        f"temperature {number(report.temperature)}."
    )
    return table


def _probes(report: GateReport) -> Table:
    table = _table(
        "Probes: what they do to the reward",
        ("probe", "raises it", "mean change in spreads", "95 % interval"),
        (
            (one.name, str(_words(one.raised, percent=True)[0]), *_words(one.change, signed=True))
            for one in report.probes
        ),
    )
    samples = report.samples
    table.caption = Text(
        f"Start samples: {NOT_MEASURED}."
        if samples is None
        else f"{samples.num_samples} samples of the start model: mean reward "
        f"{number(samples.mean)}, spread {number(samples.spread)}, without end "
        f"{percentage(samples.share_without_eos)}."
    )
    return table


def _checks(checks: Sequence[Check]) -> Table:
    passed = {True: "passed", False: "FAILED", None: NOT_MEASURED}
    return _table(
        "Checks",
        ("check", "", "measured", "wanted", "what it is"),
        (
            (
                check.name,
                passed[check.passed],
                "" if check.value is None else number(check.value),
                f"{check.wanted} {check.limit:g}",
                check.meaning,
            )
            for check in checks
        ),
    )


def _words(
    estimate: Estimate | None, *, percent: bool = False, signed: bool = False
) -> tuple[str, str]:
    words = measured(
        None if estimate is None else estimate.to_json(), percent=percent, signed=signed
    )
    return words.value, words.interval


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(
        title=Text(title, style="bold"), title_justify="left", caption_justify="left",
        box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0),
    )  # fmt: skip
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table
