"""Findings while a run trains: told once, kept, taken back on resume, and what they end."""

import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests import tiny
from tests.training.runs import At, Stop, in_folder, kill, rows_of, settings_of, start, train

from palate.data.trees import Tree
from palate.errors import GateError, RecipeError
from palate.measures.findings.rules import RULES
from palate.training.folder import RunFolder
from palate.training.lost_updates import watch_update
from palate.training.run import Run
from palate.training.settings import DPOSettings

# A step so small that nothing moves: found at the third row of the log.
STILL: dict[str, Any] = {
    "learning_rate": 1e-30,
    "max_steps": 8,
    "logging_steps": 1,
    "eval_steps": 0,
}


def _findings(folder: RunFolder) -> list[tuple[str, int]]:
    rows = folder.findings.read_text(encoding="utf-8").splitlines()
    return [(row["name"], row["step"]) for row in map(json.loads, rows)]


def test_a_finding_is_told_once_and_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = RunFolder(tmp_path / "run")
    with caplog.at_level(logging.WARNING):
        result = in_folder(
            "reward", folder, settings_of("reward", **STILL), start("reward"), evaluate=False
        )
    assert (result.steps, result.stop_reason) == (8, "")
    assert _findings(folder) == [("learning-rate-zero", 3)]
    (told,) = [r.getMessage() for r in caplog.records if "learning-rate-zero" in r.getMessage()]
    assert told.startswith("reward, step 3: sick, learning-rate-zero: the learning rate has never")
    assert told.endswith("(docs/findings.md#learning-rate-zero)")


def test_a_finding_that_is_named_ends_the_run_saved(tmp_path: Path) -> None:
    settings = settings_of("reward", **STILL, stop_on="overfitting, learning-rate-zero")
    folder = RunFolder(tmp_path / "run")
    result = in_folder("reward", folder, settings, start("reward"), evaluate=False)
    assert (result.steps, result.stop_reason) == (3, "finding:learning-rate-zero")
    assert (folder.checkpoints / "step-000003").exists()
    again = in_folder("reward", folder, settings, start("reward"), resume=True, evaluate=False)
    assert (again.steps, again.stop_reason) == (3, "finding:learning-rate-zero")
    assert _findings(folder) == [("learning-rate-zero", 3)]


def test_a_finding_of_the_last_row_is_the_reason_too(tmp_path: Path) -> None:
    """It ends nothing any more, but whoever named it is to hear of it."""
    settings = settings_of("reward", **{**STILL, "max_steps": 3}, stop_on="learning-rate-zero")
    folder = RunFolder(tmp_path / "run")
    result = in_folder("reward", folder, settings, start("reward"), evaluate=False)
    assert (result.steps, result.stop_reason) == (3, "finding:learning-rate-zero")
    assert not folder.checkpoints.exists() or not any(folder.checkpoints.iterdir())


def test_another_finding_does_not_end_it_and_all_does() -> None:
    for stop_on, steps in (("overfitting", 8), ("all", 3)):
        settings = settings_of("reward", **STILL, stop_on=stop_on)
        assert train("reward", start("reward"), settings, evaluate=False).steps == steps


def test_an_unknown_finding_is_refused_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"'kl-blowup' is no finding; did you mean kl-blow-up\?"):
        DPOSettings(stop_on="overfitting,kl-blowup")
    with pytest.raises(RecipeError, match=r"'' is no finding; docs/findings.md lists them"):
        DPOSettings(stop_on="overfitting,")


def test_a_resumed_run_has_the_findings_of_a_straight_one(tmp_path: Path) -> None:
    settings = settings_of("reward", **STILL, save_steps=2)
    straight, torn = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "torn")
    in_folder("reward", straight, settings, start("reward"), evaluate=False)
    with pytest.raises(Stop):
        in_folder(
            "reward", torn, settings, start("reward"), evaluate=False, listeners=[At(3, kill)]
        )
    # Killed after the finding, with a checkpoint from before it: it is taken back and made again.
    assert _findings(torn) == [("learning-rate-zero", 3)]
    in_folder("reward", torn, settings, start("reward"), resume=True, evaluate=False)
    assert torn.findings.read_bytes() == straight.findings.read_bytes()


def test_why_training_refuses_to_start_is_kept(tmp_path: Path) -> None:
    roles = start("dpo")
    tiny.nudge(roles, "policy")
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(GateError, match="must be equal"):
        in_folder("dpo", folder, settings_of("dpo"), roles)
    assert _findings(folder) == [("wrong-reference", 1)]


@pytest.mark.parametrize("stage", ["dpo", "reward"])
def test_identical_pairs_have_their_name(stage: str, tmp_path: Path) -> None:
    """Whether rounding leaves a gradient, so that training goes on, or none, so that it refuses."""
    rows = [replace(tree, responses=(tree.responses[0],) * 2) for tree in rows_of(stage)]
    assert "identical-pairs" in _found(stage, rows, tmp_path)


def test_rows_of_no_weight_have_another(tmp_path: Path) -> None:
    rows = [replace(tree, weight=0.0) for tree in rows_of("dpo")]
    assert "no-gradient" in _found("dpo", rows, tmp_path)


def _found(stage: str, rows: Sequence[Tree], path: Path) -> list[str]:
    """Findings of a run on rows that teach nothing."""
    folder, settings = RunFolder(path / "run"), settings_of(stage, logging_steps=1, eval_steps=0)
    with folder.open(), suppress(GateError):
        train(stage, start(stage), settings, run=Run(folder=folder), rows=rows, evaluate=False)
    return [name for name, _ in _findings(folder)]


def test_lost_updates_are_counted_where_there_is_a_gradient() -> None:
    coarse = torch.tensor([0.1, 0.1, 0.1, 0.0], dtype=torch.bfloat16, requires_grad=True)
    coarse.grad = torch.tensor([1.0, 1.0, 0.0, 1.0], dtype=torch.bfloat16)
    after = watch_update([coarse])
    with torch.no_grad():
        coarse += torch.tensor([1e-5, 1e-2, 1e-5, 1e-5])
    # 1e-5 is lost beside 0.1 and not beside 0; the third had no gradient.
    assert after() == (1.0, 3.0)


def test_float32_loses_nothing() -> None:
    fine = train("dpo", start("dpo"), settings_of("dpo"), evaluate=False)
    assert fine.metrics["update/lost"] == 0.0


def test_every_finding_can_end_a_run() -> None:
    for name in RULES:
        assert DPOSettings(stop_on=name).stop_on == name
