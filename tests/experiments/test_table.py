import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from palate.experiments import table
from palate.experiments.table import Measured, measured, plain, print_comparison, total

Build = Callable[..., dict[str, Any]]


def estimate(value: float, half: float, unit: str) -> dict[str, Any]:
    return {"value": value, "low": value - half, "high": value + half, "n": 240, "unit": unit}


def printed(results: dict[str, object], *, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    print_comparison(results, console=console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_estimates_show_two_digits_of_their_half_width() -> None:
    assert measured(estimate(0.83, 0.061, "nats")) == Measured("0.830", "0.769 to 0.891", "240")
    assert str(measured(estimate(23.4, 1.2, "tokens"))) == "23.4 [22.2 to 24.6]"
    assert measured(estimate(0.571, 0.041, "rate"), percent=True).interval == "53.0 to 61.2 %"
    assert str(measured(estimate(0.09, 0.1, "nats"), signed=True)) == "+0.09 [−0.01 to +0.19]"


def test_what_was_not_measured_says_so() -> None:
    nothing = {**estimate(0.0, 0.0, "nats"), "value": None}
    assert str(measured(None)) == str(measured(nothing)) == "not measured"
    for words in (
        *(table.number, table.percentage, table.seconds, table.flops),
        *(table.size, table.count, table.p_value),
    ):
        assert words(None) == words(float("nan")) == "not measured"
        assert words(0.0) != "not measured"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (table.seconds(4.26), "4.3 s"),
        (table.seconds(119.4), "119 s"),
        (table.seconds(205.0), "3 min 25 s"),
        (table.seconds(7260.0), "2 h 01 min"),
        (table.flops(1.234e9), "1.23 GFLOP"),
        (table.flops(45.67e12), "45.7 TFLOP"),
        (table.size(892_000_000), "892 MB"),
        (table.count(1_234_567), "1,234,567"),
        (table.percentage(0.0586), "5.9 %"),
        (table.number(-0.004), "0.00"),
        (table.number(-0.05), "−0.05"),
        (table.p_value(3e-9), "< 0.001"),
        (table.p_value(0.0214), "0.021"),
    ],
)
def test_units_for_people(words: str, expected: str) -> None:
    assert words == expected


def test_a_sum_with_an_unknown_part_is_unknown() -> None:
    assert total([1.0, 2, 3.5]) == 6.5
    assert total([1.0, None]) is None
    assert total([]) is None


def test_plain_leaves_nothing_that_acts_on_a_terminal() -> None:
    hostile = "a\x1b]52;c;AAAA\x07b\x9b31mc\u202ed\r\n\te\ud800"
    shown = plain(hostile, keep_lines=True)
    assert shown == "a�]52;c;AAAA�b�31mc�d\n\te�"
    assert "\n" not in plain(hostile)


def test_console_shows_arms_intervals_and_verdict(example_results: Build) -> None:
    results = example_results()
    shown = printed(results)
    for words in ("DPO β = 0.1", "0.769 to 0.891", "71.8 to 80.2 %", "n = 240 prompts"):
        assert words in shown
    assert shown.count("chosen for its road") == 2
    assert results["verdict"]["sentence"] in shown
    assert "not measured" in shown  # the SFT model's win rate against itself


def test_labels_are_neither_markup_nor_terminal_codes(example_results: Build) -> None:
    results = example_results()
    results["title"] = "[red]title[/red] \x1b[2J"
    results["arms"]["dpo-0.1"]["label"] = "[bold]x[/] :smile:"
    results["verdict"]["because"] = ["[link=file:///etc]y[/link]\x1b]0;owned\x07"]
    shown = printed(results)
    assert "[red]title[/red]" in shown
    assert "[bold]x[/] :smile:" in shown
    assert "[link=file:///etc]y[/link]" in shown
    assert "\x1b]" not in shown
    assert "\x1b[2J" not in shown


def test_one_road_alone_prints_its_arms_and_no_verdict(example_results: Build) -> None:
    results = example_results()
    arms = {name: arm for name, arm in results["arms"].items() if arm["road"] != "rlhf"}
    shown = printed({**results, "arms": arms, "verdict": None})
    assert "DPO β = 0.1" in shown
    words = " ".join(shown.split())
    assert "No verdict: there is no RLHF arm, and it takes one of each road" in words
    assert "(palate ppo, or --arm rlhf:NAME=FOLDER)" in words


def test_a_constant_has_no_digits_of_rounding() -> None:
    """The bound of best of 16, log 16 − 15/16 nats, averaged over prompts."""
    bound = {"value": 1.8350887222397811, "n": 150, "unit": "nats"}
    shown = measured({**bound, "low": bound["value"], "high": 1.8350887222397816})
    assert (shown.value, shown.interval) == ("1.84", "1.84 to 1.84")
