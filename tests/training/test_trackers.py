"""Trackers get what metrics.jsonl gets, and never change or end a run."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import yaml
from accelerate import tracking as known
from accelerate.utils import LoggerType
from tests.training.runs import settings_of, start, train

from palate.errors import RecipeError
from palate.training.folder import RunFolder
from palate.training.run import Run
from palate.training.settings import DPOSettings
from palate.training.tracker_packages import TRACKERS
from palate.training.trackers import tracking


def _tracked(folder: RunFolder, **changes: Any) -> list[dict[str, float]]:
    """A run of four steps in a folder; its metrics.jsonl."""
    settings = settings_of("dpo", output_dir=str(folder.path), **changes)
    with folder.open(), tracking(settings, stage="dpo", folder=folder) as followers:
        train("dpo", start("dpo"), settings, run=Run(folder=folder, listeners=followers))
    return [json.loads(line) for line in folder.metrics.read_text(encoding="utf-8").splitlines()]


def test_tensorboard_reads_back_every_row_of_the_log(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = RunFolder(tmp_path / "run")
    rows = _tracked(folder, report_to="tensorboard")
    events = EventAccumulator(str(folder.trackers / "palate"))
    events.Reload()
    expected: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        for name in row.keys() - {"step"}:
            expected.setdefault(name, []).append((int(row["step"]), row[name]))
    assert {"loss", "rewards/margins", "eval_loss"} <= expected.keys()
    assert set(events.Tags()["scalars"]) == expected.keys()
    for name, points in expected.items():
        found = [(event.step, event.value) for event in events.Scalars(name)]
        assert [step for step, _ in found] == [step for step, _ in points]
        assert [v for _, v in found] == pytest.approx([v for _, v in points], rel=1e-6)
    (written,) = (folder.trackers / "palate").glob("*/hparams.yml")
    told = yaml.safe_load(written.read_text(encoding="utf-8"))
    assert (told["stage"], told["learning_rate"]) == ("dpo", 1e-2)

    # It changes nothing: the same run without a tracker has the same log.
    assert _tracked(RunFolder(tmp_path / "alone")) == rows
    assert not (tmp_path / "alone" / "trackers").exists()

    # And it is part of the run: a run that replaces this one starts with an empty board.
    with folder.open(overwrite=True):
        assert not folder.trackers.exists()


class _Unsteady(known.GeneralTracker):  # type: ignore[misc]  # accelerate is untyped
    """Takes the first row of a run and fails at the second, as a network does."""

    name = "tensorboard"
    requires_logging_directory = False
    rows: list[tuple[int, dict[str, float]]] = []

    def __init__(self, run_name: str) -> None:
        super().__init__()

    @property
    def tracker(self) -> None:
        """There is nothing behind it."""

    def log(self, values: dict[str, float], step: int | None = None, **kwargs: Any) -> None:
        """Remember one row."""
        assert step is not None
        if self.rows:
            raise ConnectionError("the server is gone")
        self.rows.append((step, values))


def test_a_tracker_that_fails_costs_its_rows_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(known.LOGGER_TYPE_TO_CLASS, "tensorboard", _Unsteady)
    with caplog.at_level(logging.WARNING, logger="palate"):
        rows = _tracked(RunFolder(tmp_path / "run"), report_to="tensorboard")
    assert len(rows) == 4
    first = {name: value for name, value in rows[0].items() if name != "step"}
    assert _Unsteady.rows == [(2, first)]
    told = [record.getMessage() for record in caplog.records]
    (said,) = [words for words in told if "tensorboard" in words]
    assert "tensorboard failed at step 2 (the server is gone); it gets no more rows" in said


def test_a_tracker_that_cannot_start_is_one_error_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    class Closed(_Unsteady):
        def start(self) -> None:
            raise ConnectionError("no account")

    monkeypatch.setitem(known.LOGGER_TYPE_TO_CLASS, "tensorboard", Closed)
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(RecipeError, match="could not be started: no account"):
        _tracked(folder, report_to="tensorboard")
    assert not folder.metrics.exists()


def test_nothing_is_reported_unless_asked_for() -> None:
    assert DPOSettings().report_to == "none"
    assert DPOSettings().trackers == ()


def test_names_are_those_that_accelerate_knows() -> None:
    assert set(TRACKERS) == {str(name) for name in LoggerType.list()} - {"all"}


@pytest.mark.parametrize("given", ["all", "tensorbord", "", ",wandb"])
def test_an_unknown_tracker_is_refused_with_the_names(given: str) -> None:
    with pytest.raises(RecipeError, match="is no tracker; it is none, or some of aim, clearml"):
        DPOSettings(report_to=given)


def test_a_tracker_that_is_not_installed_is_named_with_its_package() -> None:
    with pytest.raises(RecipeError, match="the package clearml is not installed; pip install"):
        DPOSettings(report_to="clearml")
