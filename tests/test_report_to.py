"""Both doors hand the log on to a tracker: the command line and the trainers."""

from pathlib import Path
from typing import Any

import pytest
from tests import tiny
from tests.cli.conftest import some_pairs, write_rows

from palate.cli.app import main
from palate.trainers import DPOConfig, DPOTrainer

COMMON: dict[str, Any] = {"max_steps": 2, "logging_steps": 1, "per_device_train_batch_size": 4}


def _steps(run: Path, name: str) -> list[int]:
    """Steps at which TensorBoard has a value."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "trackers" / "palate"))
    events.Reload()
    return [event.step for event in events.Scalars(name)]


def test_the_command_line_reports(tmp_path: Path) -> None:
    tiny.llama().save_pretrained(tmp_path / "base")
    tiny.tokenizer().save_pretrained(tmp_path / "base")
    pairs = write_rows(tmp_path / "pairs.jsonl", some_pairs(8))
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in COMMON.items()]
    line = ["dpo", "--model", str(tmp_path / "base"), "--data", str(pairs), *flags]
    run = tmp_path / "run"
    assert main([*line, "--output-dir", str(run), "--report-to", "tensorboard"]) == 0
    assert _steps(run, "loss") == [1, 2]


def test_the_trainers_report_and_take_a_list_as_trl_does(tmp_path: Path) -> None:
    told: dict[str, Any] = {"report_to": ["tensorboard"], **COMMON}
    trainer = DPOTrainer(
        model=tiny.llama(),
        args=DPOConfig(output_dir=str(tmp_path / "run"), **told),
        train_dataset=some_pairs(8),
        processing_class=tiny.tokenizer(),
    )
    trainer.train()
    assert _steps(tmp_path / "run", "loss") == [1, 2]
    nowhere: dict[str, Any] = {"report_to": []}
    assert DPOConfig(**nowhere).trackers == ()


def test_a_tracker_that_is_not_installed_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["dpo", "--output-dir", str(run), "--report-to", "clearml"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: --report-to: report_to is 'clearml', but the package clearml")
    assert said.count("\n") == 1
    assert not run.exists()
