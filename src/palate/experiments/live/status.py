"""Is a run alive, how far is it, and how long will it take: from its folder alone."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from palate.training.folder import RunFolder
from palate.training.heartbeat import Heartbeat, read_heartbeat

SILENT_SECONDS = 30
"""Without a sign for so long, a run whose trainer is there is said to be silent."""

GONE_SECONDS = 5
"""The same for one whose trainer cannot be seen: its lock is free, or another machine's."""

State = Literal["running", "finishing", "silent", "stopped", "finished"]


@dataclass(frozen=True)
class Status:
    """How a run stands.

    Attributes:
        state: "silent" is one that should be running and gives no sign.
        words: the same for people.
        step: optimizer steps that are done.
        num_steps: of the whole run; 0 where nobody has said.
        seconds_left: until the last step, at the pace so far; None where that is not known.
        can_stop: whether a request to stop would be seen.
        is_asked: whether it was asked to stop and has not ended yet.
    """

    state: State
    words: str
    step: int
    num_steps: int
    seconds_left: float | None
    can_stop: bool
    is_asked: bool


class Pulse:
    """Seconds since a run's last sign, by this process's own clock.

    The time of a file only counts when it is seen first, and never as less than nothing: clocks are
    set back, and differ between machines that share a disk.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._files = (folder.progress, folder.metrics, folder.samples)
        self._seen: tuple[tuple[int, int] | None, ...] = ()
        self._sign = 0.0

    def silence(self) -> float:
        """Seconds without a change of any file."""
        seen, now = tuple(map(_mark, self._files)), time.monotonic()
        if not self._seen:
            newest = max((mark[0] / 1e9 for mark in seen if mark), default=0.0)
            self._sign = now - max(0.0, time.time() - newest)
        elif seen != self._seen:
            self._sign = now
        self._seen = seen
        return now - self._sign


def status_of(folder: RunFolder, *, silence: float, last_step: int) -> Status:
    """Where a run stands.

    Args:
        folder: of the run.
        silence: seconds since its last sign.
        last_step: of the newest row of its log, for runs that keep no progress.json.
    """
    beat = read_heartbeat(folder.progress)
    held = is_held(folder.path / ".lock")
    state = _state(folder, beat, held=held, silence=silence)
    step = max(beat.step, last_step) if beat else last_step
    is_going = state in ("running", "silent") and (held or silence <= SILENT_SECONDS)
    return Status(
        state=state,
        words=_words(state, silence, held=held),
        step=step,
        num_steps=beat.num_steps if beat else 0,
        seconds_left=_seconds_left(beat) if state == "running" else None,
        can_stop=is_going and beat is not None,
        is_asked=is_going and folder.stop.exists(),
    )


def _state(folder: RunFolder, beat: Heartbeat | None, *, held: bool, silence: float) -> State:
    if beat is not None and beat.state == "stopped":
        return "running" if held and silence <= SILENT_SECONDS else "stopped"
    if beat is not None and beat.state == "ending" and held:
        return "finishing"
    if folder.model.is_dir() and not held:
        return "finished"
    if silence > (SILENT_SECONDS if held else GONE_SECONDS):
        return "silent"
    return "running"


def _words(state: State, silence: float, *, held: bool) -> str:
    gone = "" if held else "; no trainer is at work in this folder"
    return {
        "running": "running",
        "finishing": "last step done; evaluating and saving",
        "silent": f"no heartbeat for {silence:.0f} s{gone}",
        "stopped": "stopped before its last step; palate … --resume goes on",
        "finished": "finished",
    }[state]


def _seconds_left(beat: Heartbeat | None) -> float | None:
    if beat is None or beat.step <= beat.first_step:
        return None
    return beat.seconds / (beat.step - beat.first_step) * (beat.num_steps - beat.step)


def is_held(lock: Path) -> bool:
    """Whether a program of this machine holds a lock on a file.

    Read from the kernel's list: trying to take the lock would keep a trainer out that starts at
    that very moment. False where there is no such list.
    """
    try:
        inode = lock.stat().st_ino
        listed = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return False
    # 1: FLOCK  ADVISORY  WRITE 4711 08:02:1234567 0 EOF. The device is left out: on some file
    # systems it is not the one that a look at the file gives.
    return any(_inode(line) == inode for line in listed)


def _inode(line: str) -> int | None:
    fields = line.split()
    if "FLOCK" not in fields or len(fields) < 6:
        return None
    last = fields[-3].rpartition(":")[2]
    return int(last) if last.isdigit() else None


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
