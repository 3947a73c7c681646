"""Measured quantities in words, and the arms of a comparison on the console.

The HTML report shows the same words. What was not measured says so: a null never becomes 0.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

NOT_MEASURED = "not measured"
MINUS = "\N{MINUS SIGN}"

# C0 and C1 controls move cursors and set clipboards; bidirectional overrides and isolates reorder
# what a reader sees; lone surrogates cannot be encoded, nor non-characters stand in an SVG.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_PREFIXES = (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3))
_ROADS = ("sft", "dpo", "rlhf", "yardstick")
_TRAINED_BY = {"dpo": "palate dpo", "rlhf": "palate ppo"}


def plain(text: object, *, keep_lines: bool = False) -> str:
    """Text from a model or a data file, without anything that acts on a terminal.

    Args:
        text: anything; its `str` is taken.
        keep_lines: whether tabs and line ends stay, or become spaces.

    Returns:
        Unsafe characters as U+FFFD, so that a reader sees that there was something.
    """
    lines = str(text).replace("\r\n", "\n")
    cleaned = _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", lines)
    return cleaned if keep_lines else re.sub(r"[\t\n]+", " ", cleaned)


def shortened(text: str, length: int) -> str:
    """At most so many characters, an ellipsis for the rest."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


@dataclass(frozen=True)
class Measured:
    """An estimate in words; `interval` and `n` are empty where there is none."""

    value: str
    interval: str = ""
    n: str = ""

    @property
    def is_known(self) -> bool:
        """Whether it was measured at all."""
        return self.value != NOT_MEASURED

    def __str__(self) -> str:
        return f"{self.value} [{self.interval}]" if self.interval else self.value


def measured(
    estimate: Mapping[str, Any] | None, *, percent: bool = False, signed: bool = False
) -> Measured:
    """An estimate of results.json in words, to two significant digits of its half-width.

    Args:
        estimate: value, low, high, n, unit; None where it was not measured.
        percent: show a rate in [0, 1] as per cent.
        signed: show the sign of positive values too, as differences need it.
    """
    value = None if estimate is None else _finite(estimate.get("value"))
    if estimate is None or value is None:
        return Measured(NOT_MEASURED)
    scale = 100.0 if percent else 1.0
    ends = [_finite(estimate.get(end)) for end in ("low", "high")]
    low, high = (math.nan if end is None else end * scale for end in ends)
    decimals = _decimals((high - low) / 2, default=1 if percent else 2)
    sign = "+" if signed else ""
    unit = " %" if percent else ""
    interval = f"{low:{sign}.{decimals}f} to {high:{sign}.{decimals}f}{unit}"
    return Measured(
        value=_minus(f"{value * scale:{sign}.{decimals}f}{unit}"),
        interval="" if None in ends else _minus(interval),
        n=str(estimate.get("n", "")),
    )


def number(value: object, *, decimals: int = 2) -> str:
    """A bare number, such as one response's reward."""
    known = _finite(value)
    return NOT_MEASURED if known is None else _minus(f"{known:.{decimals}f}")


def percentage(value: object) -> str:
    """A rate in [0, 1] as per cent."""
    known = _finite(value)
    return NOT_MEASURED if known is None else _minus(f"{100 * known:.1f} %")


def seconds(value: object) -> str:
    """Wall time: seconds below two minutes, then minutes, then hours."""
    known = _finite(value)
    if known is None:
        return NOT_MEASURED
    if known < 120:
        return f"{known:.1f} s" if known < 10 else f"{known:.0f} s"
    minutes, rest = divmod(round(known), 60)
    if minutes < 120:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def flops(value: object) -> str:
    """Floating-point operations, three significant digits."""
    return _scaled(value, "FLOP")


def size(value: object) -> str:
    """Bytes, in decimal megabytes and the like."""
    return _scaled(value, "B")


def count(value: object) -> str:
    """A whole number with separators."""
    known = _finite(value)
    return NOT_MEASURED if known is None else f"{known:,.0f}"


def total(parts: Sequence[object]) -> float | None:
    """Sum of the parts; None as soon as one was not measured, or there is none."""
    known = [_finite(part) for part in parts]
    if not known or any(part is None for part in known):
        return None
    return sum(part for part in known if part is not None)


def p_value(value: object) -> str:
    """A p-value, three decimals at most."""
    known = _finite(value)
    if known is None:
        return NOT_MEASURED
    return "< 0.001" if known < 0.001 else f"{known:.3f}"


def in_road_order(results: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Name and arm: SFT first, then DPO, RLHF and yardsticks; as given within a road."""

    def place(item: tuple[str, Mapping[str, Any]]) -> int:
        road = item[1].get("road")
        return _ROADS.index(road) if road in _ROADS else len(_ROADS)

    return sorted(results["arms"].items(), key=place)


def label_of(results: Mapping[str, Any], name: str) -> str:
    """An arm's label for people; its name where it has none."""
    return plain(results["arms"].get(name, {}).get("label") or name)


def judged_by(results: Mapping[str, Any]) -> str:
    """What the arms are compared by: "gold", or "proxy" where the comparison had no gold reward."""
    return "proxy" if results.get("unit_gold") == "proxy reward" else "gold"


def verdict_sentence(results: Mapping[str, Any]) -> str:
    """The verdict in one sentence; where only one road was run, what is missing for one."""
    verdict = results.get("verdict")
    if verdict:
        return plain(verdict["sentence"])
    there = {arm.get("road") for arm in results["arms"].values()}
    missing = [road for road in _TRAINED_BY if road not in there]
    if not missing:
        return f"No verdict: {NOT_MEASURED}."
    names = " and ".join(f"no {road.upper()} arm" for road in missing)
    ways = "; ".join(f"{_TRAINED_BY[road]}, or --arm {road}:NAME=FOLDER" for road in missing)
    return f"No verdict: there is {names}, and it takes one of each road ({ways})."


def console_table(results: Mapping[str, Any]) -> Table:
    """The arms of a comparison, one a row, every value above its 95 % interval.

    Everything that may come from a model or a file goes in as `Text`, which knows no markup.
    """
    table = Table(
        title=Text(plain(results.get("title") or "Comparison"), style="bold"),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("arm", overflow="fold")
    judge = f"{judged_by(results)} reward"
    for heading in (judge, "KL to SFT, nats", "wins against SFT", "length, tokens", "time"):
        table.add_column(heading, justify="right")
    sizes: set[int] = set()
    for name, arm in in_road_order(results):
        label = Text(label_of(results, name))
        if arm.get("chosen"):
            label.append("\nchosen for its road", style="bold")
        cells = [
            measured(arm.get(judge.replace(" ", "_"))),
            measured(arm.get("kl")),
            measured(arm.get("win_rate_vs_sft"), percent=True),
            measured(arm.get("length")),
        ]
        if arm.get("road") == "sft" and not cells[2].is_known:
            cells[2] = Measured("the reference")
        sizes |= {int(cell.n) for cell in cells if cell.n}
        table.add_row(
            label,
            *(Text(f"{cell.value}\n{cell.interval}".strip()) for cell in cells),
            Text(seconds((arm.get("cost") or {}).get("wall_s"))),
        )
    if sizes:
        span = " to ".join(str(n) for n in sorted({min(sizes), max(sizes)}))
        table.caption = Text(f"Below each value its 95 % interval; n = {span} prompts.")
    return table


def print_comparison(results: Mapping[str, Any], *, console: Console) -> None:
    """Print the arms, then the verdict with its reasons."""
    console.print(console_table(results))
    console.print(Text(f"\n{verdict_sentence(results)}", style="bold"))
    verdict = results.get("verdict")
    if not verdict:
        return
    for reason in verdict.get("because") or ():
        console.print(Padding(Text(f"- {plain(reason)}"), (0, 0, 0, 2)))
    confidence = plain(verdict.get("confidence") or NOT_MEASURED)
    console.print(Padding(Text(f"Confidence: {confidence}"), (0, 0, 0, 2)))


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _decimals(half_width: float, *, default: int) -> int:
    # A bound or a constant has a spread of rounding alone.
    if not (half_width > 1e-9 and math.isfinite(half_width)):
        return default
    return min(max(1 - math.floor(math.log10(half_width)), 0), 6)


def _scaled(value: object, unit: str) -> str:
    known = _finite(value)
    if known is None:
        return NOT_MEASURED
    for prefix, scale in _PREFIXES:
        if known >= scale:
            scaled = known / scale
            return f"{scaled:.{2 if scaled < 10 else 1 if scaled < 100 else 0}f} {prefix}{unit}"
    return f"{known:.0f} {unit}"


def _minus(text: str) -> str:
    """The typographic minus, and no sign on zero."""
    return re.sub(r"-(?=0(?:\.0*)?(?!\d|\.))", "", text).replace("-", MINUS)
