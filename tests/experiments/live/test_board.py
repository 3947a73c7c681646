"""Runs as a page meets them: found below folders, alive, dead, foreign, torn, of another clock."""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from palate.errors import UsageError
from palate.experiments.live import board
from palate.experiments.live.board import Board
from palate.experiments.live.run import LiveRun
from palate.experiments.live.status import is_held


def write_run(path: Path, **beat: Any) -> Path:
    path.mkdir(parents=True)
    (path / "metrics.jsonl").write_text('{"step": 1, "loss": 0.7}\n{"step": 2, "loss": 0.6}\n')
    if beat:
        whole = {"stage": "dpo", "step": 2, "num_steps": 10, "first_step": 0, "seconds": 4.0,
                 "state": "training", **beat}  # fmt: skip
        (path / "progress.json").write_text(json.dumps(whole))
    return path


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    for file in path.iterdir():
        os.utime(file, (then, then))


@contextmanager
def trainer(path: Path) -> Iterator[None]:
    """Hold the lock of a run, as a trainer does."""
    with (path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def live(path: Path) -> LiveRun:
    run = LiveRun(0, path, path.name)
    run.refresh()
    return run


def test_a_run_that_trains_says_how_long_it_will(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", first_step=1, seconds=3.0, step=3)
    with trainer(path):
        status = live(path).status
    assert (status.state, status.words, status.step, status.num_steps) == ("running",) * 2 + (3, 10)
    assert status.seconds_left == pytest.approx(3.0 / 2 * 7)
    assert status.can_stop


def test_a_dead_trainer_leaves_its_curves_and_no_heartbeat(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", step=2)
    age(path, 95)
    run = live(path)
    assert run.status.state == "silent"
    assert run.status.words == "no heartbeat for 95 s; no trainer is at work in this folder"
    assert not run.status.can_stop
    assert run.series["loss"].mean.tolist() == [0.7, 0.6]
    with trainer(path):
        assert run.status.words == "no heartbeat for 95 s"


@pytest.mark.parametrize(
    ("beat", "has_model", "is_held", "state"),
    [
        ({"state": "stopped"}, False, False, "stopped"),
        ({"state": "ending"}, False, True, "finishing"),
        ({"state": "ending"}, True, False, "finished"),
        ({}, True, False, "finished"),  # of a version that kept no progress.json
        ({}, False, False, "silent"),
    ],
)
def test_how_a_run_stands(
    tmp_path: Path, beat: dict[str, str], has_model: bool, is_held: bool, state: str
) -> None:
    path = write_run(tmp_path / "run", **beat)
    age(path, 60)
    if has_model:
        (path / "model").mkdir()
    if is_held:
        with trainer(path):
            assert live(path).status.state == state
    else:
        assert live(path).status.state == state


def test_a_clock_that_was_set_back_makes_no_run_young_or_negative(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", step=2)
    age(path, -3600)  # written by a clock that is an hour ahead
    run = live(path)
    assert run.status.words == "running"
    run._pulse._sign -= 40  # forty seconds later by our own clock
    run.refresh()
    assert run.status.words.startswith("no heartbeat for 40 s")


def test_a_killed_process_holds_no_lock(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    assert not is_held(lock)
    code = f"import fcntl, time; f = open({str(lock)!r}, 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(1, flush=True); time.sleep(60)"  # noqa: E501  one program
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    assert is_held(lock)
    holder.kill()
    holder.communicate()
    assert not is_held(lock)


def test_looking_never_keeps_a_trainer_out(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", step=2)
    (path / ".lock").touch()
    run = live(path)
    for _ in range(200):
        with (path / ".lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            assert run.status.state == "running"


def test_a_log_that_was_cut_back_is_read_anew(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", step=2)
    run = live(path)
    known = run.version
    draft = path / "metrics.tmp"
    draft.write_text('{"step": 1, "loss": 0.7}\n')
    draft.replace(path / "metrics.jsonl")
    run.refresh()
    anew, curves = run.curves_since(known)
    assert anew
    assert curves["loss"]["mean"] == [0.7]
    with (path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "loss": 0.65}\n{"step": 3, "lo')
    known = run.version
    run.refresh()
    anew, curves = run.curves_since(known)
    assert not anew
    assert (curves["loss"]["at"], curves["loss"]["mean"]) == (1, [0.65])


def test_runs_are_found_below_what_was_named_and_keep_their_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "SEARCH_SECONDS", 0.0)
    for name in ("b", "c/deep/er", "b/checkpoints/step-1", ".hidden", "c/much/too/deep/run"):
        write_run(tmp_path / name)
    (tmp_path / "loop").symlink_to(tmp_path)
    watched = Board([tmp_path])
    with watched.runs() as runs:
        assert [run.name for run in runs] == ["b", "c/deep/er"]
    write_run(tmp_path / "a")
    with watched.runs() as runs:
        assert [(run.id, run.name) for run in runs] == [(0, "b"), (1, "c/deep/er"), (2, "a")]


def test_paths_that_cannot_be_watched(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.touch()
    with pytest.raises(UsageError, match="metrics.jsonl: a file; name its folder"):
        Board([file])
    with pytest.raises(UsageError, match="gone: no such folder; give a run folder"):
        Board([tmp_path / "gone"])


HOSTILE = [b"", b"null", b"[1]", b"{", b"\xff" * 9, b"[" * 99_999, b'{"arms": 3, "verdict": "x"}',
           b'{"arms": {"a": {"gold_reward": {"value": "x"}}}}', b'{"arms": {"a": 1}}']  # fmt: skip


@pytest.mark.parametrize("content", HOSTILE, ids=range(len(HOSTILE)))
def test_foreign_and_torn_files_spoil_nothing(tmp_path: Path, content: bytes) -> None:
    path = write_run(tmp_path / "run", step=2)
    names = ("progress.json", "recipe.yaml", "samples.jsonl", "findings.jsonl", "results.json")
    for name in names:
        (path / name).write_bytes(content)
    watched = Board([tmp_path])
    with watched.runs() as [run]:
        assert run.series["loss"].mean.tolist() == [0.7, 0.6]
        assert (run.stage, run.samples.steps, run.findings.worst_first) == ("", [], [])
        assert run.status.step == 2
    [comparison] = watched.comparisons
    assert comparison.sentence.startswith("results.json cannot be read: ")


def test_samples_and_findings_are_what_the_files_say(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", step=2)
    samples = [{"step": step, "prompt": "p", "policy": f"a{step}", "reference": "r"}
               for step in (10, 20)]  # fmt: skip
    (path / "samples.jsonl").write_text("".join(json.dumps(one) + "\n" for one in samples))
    found = [("kl-blow-up", "warning", 5), ("length-drift", "sick", 6), ("kl-blow-up", "note", 9)]
    lines = [{"name": n, "level": level, "step": s, "words": "w", "evidence": []}
             for n, level, s in found]  # fmt: skip
    (path / "findings.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    run = live(path)
    assert run.samples.steps == [10, 20]
    assert run.samples.at(20) == [{"prompt": "p", "policy": "a20", "reference": "r"}]
    assert [(one.name, one.level, one.step) for one in run.findings.worst_first] == [
        ("length-drift", "sick", 6), ("kl-blow-up", "note", 9),
    ]  # fmt: skip


@pytest.mark.slow
def test_a_million_points_are_read_within_a_second(tmp_path: Path) -> None:
    names = ["loss", "kl", *(f"rewards/{i}" for i in range(8))]
    rows = (json.dumps({"step": n, **{name: n * 0.37 for name in names}}) for n in range(100_000))
    (tmp_path / "metrics.jsonl").write_text("\n".join(rows) + "\n")
    read_first = LiveRun(0, write_run(tmp_path / "warm"), "warm")
    read_first.refresh()
    run = LiveRun(1, tmp_path, "run")
    # Processor time of this process: other tests may have the machine.
    before = time.process_time()
    run.refresh()
    spent = time.process_time() - before
    assert sum(one.count.sum() for one in run.series.values()) == 1_000_000
    assert spent < 1.0


def test_no_module_of_this_room_imports_torch() -> None:
    code = (
        "import sys, palate.experiments.live.board, palate.web.watch.start;"
        "print('torch' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert said.stdout.strip() == "False"
