import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest

from palate.experiments.figures import frontier_figure, over_optimization_figure

Build = Callable[..., dict[str, Any]]


def texts(svg: str) -> list[str]:
    """Texts in the drawing, line by line; parsing also shows that it is well-formed."""
    return [text.strip() for text in ElementTree.fromstring(svg).itertext() if text.strip()]


@pytest.fixture(scope="module")
def frontier(example_results: Build) -> str:
    return frontier_figure(example_results())


def test_same_results_same_bytes(frontier: str, example_results: Build) -> None:
    assert frontier_figure(example_results()) == frontier


def test_frontier_names_roads_chosen_arms_and_the_matched_position(frontier: str) -> None:
    words = texts(frontier)
    assert {"SFT", "DPO", "RLHF", "Best of n"} <= set(words)
    assert words.count("(chosen)") == 2
    assert {"DPO β = 0.1", "PPO β = 0.05", "at matched KL, 5 nats:"} <= set(words)
    assert "[+0.033 to +0.155]" in words
    ticks = [float(word) for word in words if re.fullmatch(r"\d+(\.\d+)?", word)]
    assert {0.0, 5.0, 10.0} <= set(ticks)


def test_frontier_speaks_to_those_who_do_not_see_it(frontier: str) -> None:
    root = ElementTree.fromstring(frontier)
    assert root.attrib["role"] == "img"
    assert "DPO β = 0.1 0.830 at KL 5.20" in root.attrib["aria-label"]


def test_nothing_outside_is_referred_to(frontier: str) -> None:
    assert "http" not in frontier
    assert "<style" not in frontier  # it would style the whole page
    assert set(re.findall(r"#(frontier-[^)\"]+)", frontier)) == set(
        re.findall(r'id="([^"]+)"', frontier)
    )


def test_inks_follow_the_page(frontier: str) -> None:
    assert "var(--dpo, #0060a0)" in frontier
    assert "var(--ink, #1b1f24)" in frontier
    bare = re.sub(r"var\(--\w+, #\w+\)", "", frontier)
    assert not re.findall(r"(?:fill|stroke): #\w+", bare)


def test_arms_without_kl_have_no_place(example_results: Build) -> None:
    results = example_results()
    results["matched"] = None
    for one in results["arms"].values():
        one["kl"] = None
    words = texts(frontier_figure(results))
    assert "not measured" in words
    assert "DPO" not in words


def test_without_gold_the_frontier_is_of_the_proxy(example_results: Build) -> None:
    results = {**example_results(), "unit_gold": "proxy reward"}
    for one in results["arms"].values():
        one["gold_reward"] = None
    svg = frontier_figure(results)
    assert "proxy reward" in texts(svg)
    assert "Proxy reward against KL" in ElementTree.fromstring(svg).attrib["aria-label"]
    assert "DPO β = 0.1 1.079 at KL 5.20" in ElementTree.fromstring(svg).attrib["aria-label"]


def test_labels_are_text_whatever_they_hold(
    example_results: Build, payloads: tuple[str, ...]
) -> None:
    results = example_results()
    results["arms"] = {"dpo": {**results["arms"]["dpo-0.1"], "label": " ".join(payloads)}}
    results["unit_gold"] = "reward $x^2$ \x1b[31m 好"
    svg = frontier_figure(results)
    words = texts(svg)
    assert "reward $x^2$ \N{REPLACEMENT CHARACTER}[31m 好" in words
    assert "<script" not in svg
    assert "<img" not in svg


def test_over_optimization_stacks_proxy_above_gold_by_kl(example_results: Build) -> None:
    svg = over_optimization_figure(example_results())
    assert svg is not None
    words = texts(svg)
    assert words.index("(what training sees)") < words.index("(what is wanted)")
    assert "gold is highest here" in words
    assert "highest at KL 6.8 and ends at 0.71" in ElementTree.fromstring(svg).attrib["aria-label"]


def test_over_optimization_goes_by_step_where_a_kl_is_missing(example_results: Build) -> None:
    results = example_results()
    results["over_optimization"]["points"][1]["kl"] = None
    svg = over_optimization_figure(results)
    assert svg is not None
    assert "training step" in texts(svg)


@pytest.mark.parametrize(
    "flagged", [None, {"arm": "ppo-0.01", "sentence": "", "points": [{"step": 1, "gold": None}]}]
)
def test_no_over_optimization_no_figure(
    flagged: dict[str, Any] | None, example_results: Build
) -> None:
    assert over_optimization_figure({**example_results(), "over_optimization": flagged}) is None
