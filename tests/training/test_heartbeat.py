"""progress.json: what it says while a run goes on, seldom written, never a reason to fail."""

import json
from pathlib import Path

import pytest

from palate.training.folder import RunFolder
from palate.training.heartbeat import Heartbeat, read_heartbeat, run_progress


class Clock:
    """A monotonic clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("palate.training.heartbeat.time.monotonic", clock)
    return clock


def test_beats_are_a_second_apart(tmp_path: Path, clock: Clock) -> None:
    folder = RunFolder(tmp_path)
    seen = []
    with run_progress("dpo", 10, done=4, folder=folder) as advance:
        for _ in range(5):
            clock.now += 0.4
            advance(1, "")
            beat = read_heartbeat(folder.progress)
            assert beat is not None
            seen.append((beat.step, round(beat.seconds, 1)))
    assert seen == [(5, 0.4), (5, 0.4), (5, 0.4), (8, 1.6), (8, 1.6)]
    assert read_heartbeat(folder.progress) == Heartbeat(
        "dpo", step=9, num_steps=10, first_step=4, seconds=clock.now - 100, state="ending"
    )


def test_what_ends_a_run_is_told_and_goes_on_its_way(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with pytest.raises(KeyboardInterrupt), run_progress("ppo", 3, done=0, folder=folder):
        raise KeyboardInterrupt
    beat = read_heartbeat(folder.progress)
    assert beat is not None
    assert (beat.stage, beat.state) == ("ppo", "stopped")


def test_a_folder_that_cannot_be_written_ends_no_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "gone")
    with run_progress("sft", 2, done=0, folder=folder) as advance:
        advance(2, "")
    assert read_heartbeat(folder.progress) is None


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", "[" * 100_000, '{"step": 1}',
     json.dumps(dict(stage="x", step="<b>", num_steps=1, first_step=0, seconds=1, state="ending"))],
)  # fmt: skip
def test_a_file_that_is_none_of_ours_says_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "progress.json"
    path.write_text(text)
    assert read_heartbeat(path) is None
