"""A run that is stopped by a signal goes on where it was, and ends as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli.conftest import Palate


def test_sigterm_then_resume_equals_a_straight_run(
    palate: Palate, model: Path, pairs: Path, recipe: Path, tmp_path: Path
) -> None:
    stopped, straight = tmp_path / "stopped", tmp_path / "straight"
    settings = ["--config", recipe, "--max-steps", 24, "--model", model, "--data", pairs]
    command = ["dpo", *settings, "--output-dir"]
    program = "import sys; from palate.cli.app import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, [*command, stopped])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    log = stopped / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not (log.exists() and log.read_text().count("\n") >= 3):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert out == ""
    *findings, line = err.strip().splitlines()
    assert "--resume" in line
    assert all("docs/findings.md#" in told for told in findings)
    done = log.read_text().count("\n")
    assert 3 <= done < 24

    # The folder's recipe knows model and rows, and refuses another mathematics.
    other = palate("dpo", "--output-dir", stopped, "--resume", "--beta", 0.9)
    assert other.code == 2
    assert "beta was 0.1, now 0.9" in other.error
    said = palate("dpo", "--output-dir", stopped, "--resume", "--json")
    assert said.code == 0
    assert said.json["steps"] == 24
    # The run's bill is that of every process: stopped, refused, resumed.
    parts = json.loads((stopped / "cost.json").read_text(encoding="utf-8"))
    whole = json.loads((stopped / "model" / "palate.json").read_text(encoding="utf-8"))["cost"]
    assert len(parts) == 3
    for what in ("wall_s", "tokens_trained"):
        assert whole[what] == pytest.approx(sum(part[what] for part in parts))
        assert min(parts[0][what], parts[2][what]) > 0

    assert palate(*command, straight).code == 0
    assert log.read_bytes() == (straight / "metrics.jsonl").read_bytes()
    weights = "model/adapter_model.safetensors"
    assert (stopped / weights).read_bytes() == (straight / weights).read_bytes()


def test_sigterm_before_training_leaves_nothing(
    palate: Palate, monkeypatch: pytest.MonkeyPatch, model: Path, pairs: Path, tmp_path: Path
) -> None:
    def load(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    monkeypatch.setattr("palate.models.load.load", load)
    before = signal.getsignal(signal.SIGTERM)
    run = tmp_path / "run"
    said = palate("dpo", "--model", model, "--data", pairs, "--output-dir", run)
    assert said.code == 143
    assert said.error == "error: terminated"
    assert not run.exists()
    assert signal.getsignal(signal.SIGTERM) == before
