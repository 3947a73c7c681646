"""The table of metrics, windows that add up, a log that survives a torn line."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.errors import NumericalError
from palate.training.journal import METRICS, Journal, metric, read_metrics
from palate.training.window import Window


def test_every_metric_has_unit_direction_and_definition() -> None:
    for name, entry in METRICS.items():
        assert entry.unit, name
        assert entry.direction in ("up", "down", "watch")
        assert len(entry.definition) > 10
    assert metric("eval_loss") is METRICS["loss"]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(KeyError):
        Window().add("lose", 1.0)
    with pytest.raises(KeyError):
        Journal(None).log(1, {"lose": 1.0})


def test_what_is_not_finite_is_an_error_and_not_a_row(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    with pytest.raises(NumericalError, match="step 3: the metric loss is nan"):
        journal.log(3, {"loss": float("nan")})
    assert not (tmp_path / "metrics.jsonl").exists()


def test_a_window_is_sums_over_counts() -> None:
    window = Window()
    window.add("loss", torch.tensor(6.0), 3)
    window.add("loss", 2.0, 1)
    window.add("grad_norm", 0.5)
    assert window.means() == {"loss": 2.0, "grad_norm": 0.5}
    assert window.means() == {}
    window.add("loss", 0.1)
    assert window.means() == {"loss": 0.1}  # float64: not 0.10000000149


@settings(max_examples=30, deadline=None)
@given(values=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=8), cut=st.integers(1, 7))
def test_a_window_goes_through_a_checkpoint_to_the_last_bit(values: list[float], cut: int) -> None:
    whole, before = Window(), Window()
    for number, value in enumerate(values):
        whole.add("loss", value, 2)
        if number < cut:
            before.add("loss", value, 2)
    after = Window()
    after.restore(json.loads(json.dumps(before.state())))
    for value in values[cut:]:
        after.add("loss", value, 2)
    assert after.means() == whole.means()


def test_rows_are_appended_and_read_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    assert journal.log(1, {"loss": 0.5}) == {"step": 1, "loss": 0.5}
    journal.log(2, {"loss": 0.25, "eval_loss": 1.0})
    assert journal.path is not None
    assert read_metrics(journal.path) == journal.history
    assert journal.last() == {"loss": 0.25, "eval_loss": 1.0}


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    Journal(path).log(1, {"loss": 0.5})
    whole = path.read_text()
    for cut in range(1, len(whole) - 1):
        path.write_text(whole + whole[:cut])
        assert read_metrics(path) == [{"step": 1, "loss": 0.5}]


def test_rewinding_keeps_the_rows_a_checkpoint_knew(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    first = Journal(path)
    for step in (1, 2, 2, 3):
        first.log(step, {"loss": float(step)})
    before = path.read_bytes().splitlines(keepends=True)
    again = Journal(path)
    again.rewind(2)
    assert [row["step"] for row in again.history] == [1, 2]
    assert path.read_bytes() == b"".join(before[:2])
    Journal(tmp_path / "none.jsonl").rewind(3)
    assert not (tmp_path / "none.jsonl").exists()
