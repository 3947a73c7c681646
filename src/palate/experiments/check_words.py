"""What a check found, in words: the same on the console and on the page."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from palate.data.check import CheckReport, Lengths
from palate.experiments.check_run import Checked
from palate.experiments.table import measured, percentage, plain
from palate.measures.estimate import Estimate

if TYPE_CHECKING:
    from palate.measures.on_policy import Fit

_UNITS = {"tokens": "tokens of prompt + response"}


class Fact(NamedTuple):
    """A number of the report, and how to read it."""

    name: str
    value: str
    reading: str


def summary(report: CheckReport) -> str:
    """One line: how many rows, how many usable, and of what format."""
    kind = f" ({report.format})" if report.format else ""
    return f"{counted(report.num_rows, 'row')}, {report.num_good:,} usable{kind}"


def outcome(report: CheckReport) -> str:
    """One line: errors and warnings."""
    return f"{counted(report.num_errors, 'error')}, {counted(report.num_warnings, 'warning')}"


def facts(report: CheckReport) -> Iterator[Fact]:
    """What is known of the usable rows beside their faults; what was not measured is left out."""
    if report.num_records:
        distinct = f"{report.num_distinct_prompts:,} in {report.num_records:,} records"
        yield Fact("distinct prompts", distinct, "intervals count prompts, not rows")
    for name, lengths in report.lengths.items():
        unit = _UNITS.get(name, "characters")
        yield Fact(f"length: {name}", _lengths(lengths), unit)
    for name, shares in report.languages.items():
        yield Fact(f"language: {name}", _shares(shares), "by script and common words")
    if report.share_chosen_longer is not None:
        yield Fact(
            "longer is chosen",
            percentage(report.share_chosen_longer),
            "of pairs of unequal length; 50 %: length says nothing",
        )
    if report.share_desirable is not None:
        share = percentage(report.share_desirable)
        yield Fact("labelled desirable", share, "unpaired losses need both labels")
    for name, accuracy in report.shortcuts.items():
        yield Fact(f"shortcut: {name}", _estimate(accuracy), "how often right; 50 % is chance")
    if report.label_noise is not None:
        noise = _estimate(report.label_noise)
        reading = f"flipped labels, from {counted(report.num_repeated, 'repeated comparison')}"
        yield Fact("label noise", noise, f"{reading}; copied rows make it too low")


def fit_facts(fit: "Fit") -> Iterator[Fact]:
    """How the model stands to the rows; likelihoods per token."""
    reading = "mean over responses; nearer 0 is likelier"
    for name, estimate in (
        ("own samples", fit.samples),
        ("chosen", fit.chosen),
        ("rejected", fit.rejected),
        ("samples − chosen", fit.gap),
    ):
        if estimate is not None:
            value = f"{measured(estimate.to_json())} nats per token"
            yield Fact(f"likelihood: {name}", value, reading)
    for name, estimate, reading in (
        ("chosen on-policy", fit.on_policy, "would pass for the model's own; 95 % of its own do"),
        ("rejected on-policy", fit.rejected_on_policy, "the same of the rejected responses"),
        ("prefers chosen", fit.prefers_chosen, "more likely per token than rejected, untrained"),
    ):
        if estimate is not None:
            yield Fact(name, _estimate(estimate), reading)


def console_lines(checked: Checked) -> Iterator[str]:
    """The report as lines that a terminal can show, whatever the data hold."""
    report, fit = checked.report, checked.fit
    yield plain(f"{report.path}: {summary(report)}")
    for group in report.faults:
        yield ""
        times = counted(group.count, "time")
        yield f"{group.severity} {group.code} {group.title}, {times}: {group.fix}"
        for place in group.places:
            yield plain(f"  {place.origin}: {place.message}")
        if group.count > len(group.places):
            yield f"  … and {group.count - len(group.places):,} more"
    known = [*facts(report), *(fit_facts(fit) if fit else ())]
    if known:
        yield ""
        width = max(len(fact.name) for fact in known)
        yield from (plain(f"{f.name:<{width}}  {f.value}  ({f.reading})") for f in known)
    if checked.has_model:
        few = "not told: fewer than 20 prompts have a response that fits"
        yield ""
        yield f"SFT first? {fit.verdict() if fit else few}"
    yield ""
    yield outcome(report)


def counted(number: int, what: str) -> str:
    """A number with its noun."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _lengths(lengths: Lengths) -> str:
    return (
        f"mean {lengths.mean:,.0f}, median {lengths.median:,.0f}, 95 % ≤ {lengths.p95:,}, "
        f"max {lengths.max:,}"
    )


def _shares(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {percentage(share)}" for name, share in shares.items())


def _estimate(estimate: Estimate) -> str:
    shown = measured(estimate.to_json(), percent=True)
    return f"{shown} (n = {shown.n})"
