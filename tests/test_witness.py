"""TRL's own numbers, recorded by benchmarks/witness_trl.py, against ours on the same case."""

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks.witness_case import palate_numbers, worst_gap

RECORD = Path(__file__).resolve().parents[1] / "benchmarks" / "data" / "witness_trl_1.16.0.json"


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return palate_numbers(tmp_path_factory.mktemp("witness"))


@pytest.fixture(scope="module")
def trl() -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return recorded


@pytest.mark.parametrize("quantity", ["loss", "margin", "logp_chosen", "logp_rejected"])
def test_pairs_have_trls_numbers(ours: dict[str, Any], trl: dict[str, Any], quantity: str) -> None:
    assert len(ours["pairs"][quantity]) == 40
    assert worst_gap(ours["pairs"][quantity], trl["pairs"][quantity]) < 1e-5


@pytest.mark.parametrize("quantity", ["loss", "margin", "grad_norm"])
def test_twenty_steps_follow_trls(ours: dict[str, Any], trl: dict[str, Any], quantity: str) -> None:
    assert len(ours["training"][quantity]) == 20
    assert worst_gap(ours["training"][quantity], trl["training"][quantity]) < 1e-4


def test_the_case_tells_implementations_apart(trl: dict[str, Any]) -> None:
    """Margins differ by far more than the tolerance, and training moves the loss."""
    margins = trl["pairs"]["margin"]
    assert max(margins) > 1.0
    assert min(margins) < -0.5
    assert trl["training"]["loss"][0] == pytest.approx(0.693147, abs=1e-6)
    assert trl["training"]["loss"][-1] < 0.3


def test_a_gap_is_relative_to_the_value_or_the_lists_mean() -> None:
    assert worst_gap([1.0, 2.0], [1.0, 2.0]) == 0.0
    assert worst_gap([1.0, 3.3], [1.0, 3.0]) == pytest.approx(0.1)
    assert worst_gap([0.1, 2.0], [0.0, 2.0]) == pytest.approx(0.1)
