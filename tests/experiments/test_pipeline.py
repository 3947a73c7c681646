from collections.abc import Callable
from typing import Any

from tests.experiments.test_figures import texts

from palate.experiments.pipeline import pipeline_figure

Build = Callable[..., dict[str, Any]]


def test_pipeline_holds_this_runs_figures_and_their_sums(example_results: Build) -> None:
    words = texts(pipeline_figure(example_results()))
    assert {"SFT", "Reward model", "PPO", "DPO"} <= set(words)
    assert {"39 s", "2 min 56 s", "877,000 tokens", "1.01 GB"} <= set(words)
    # 38.7 s + 176.0 s, and 4.1e11 FLOP a second
    assert {"3 min 35 s", "88.0 TFLOP", "877,000 tokens sampled"} <= set(words)


def test_a_stage_without_figures_says_so(example_results: Build) -> None:
    results = example_results()
    results["pipeline"] = results["pipeline"][:2]  # neither PPO nor DPO
    words = texts(pipeline_figure(results))
    assert words.count("not measured") == 5 + 5 + 2 + 2
