"""How far a run is, in its folder, for those who watch from another process: progress.json.

The log has no times, so that equal runs have equal logs; they stand here instead. Written at most
once a second.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from palate.training.folder import RunFolder
from palate.training.progress import Advance, progress

EVERY_SECONDS = 1.0

State = Literal["training", "ending", "stopped"]


@dataclass(frozen=True)
class Heartbeat:
    """One reading.

    Attributes:
        stage: "sft", "dpo" …
        step: optimizer steps (rollouts, in PPO) that are done.
        num_steps: of the whole run.
        first_step: where this process began, above 0 in a resumed run.
        seconds: since this process began at `first_step`.
        state: "ending" when the last step is done and the rest (evaluation, the model) follows,
            "stopped" when something ended the run before.
    """

    stage: str
    step: int
    num_steps: int
    first_step: int
    seconds: float
    state: State


@contextmanager
def run_progress(
    stage: str, num_steps: int, *, done: int, folder: RunFolder | None
) -> Iterator[Advance]:
    """The progress bar of a run, which also beats in its folder (where it has one)."""
    started, last, step = time.monotonic(), -EVERY_SECONDS, done

    def beat(state: State) -> None:
        if folder is not None:
            seconds = time.monotonic() - started
            _write(folder.progress, Heartbeat(stage, step, num_steps, done, seconds, state))

    with progress(stage, num_steps, done=done) as advance:

        def advance_and_beat(count: int, words: str) -> None:
            nonlocal last, step
            advance(count, words)
            step += count
            if time.monotonic() - last >= EVERY_SECONDS:
                last = time.monotonic()
                beat("training")

        beat("training")
        try:
            yield advance_and_beat
        except BaseException:
            beat("stopped")
            raise
        beat("ending")


def _write(path: Path, reading: Heartbeat) -> None:
    draft = path.with_suffix(".tmp")
    with suppress(OSError):  # a full disk is no reason to end a run that only could not tell
        draft.write_text(json.dumps(asdict(reading)), encoding="utf-8")
        draft.replace(path)


def read_heartbeat(path: Path) -> Heartbeat | None:
    """The last reading; None where there is none, or not one of ours."""
    try:
        found = Heartbeat(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    numbers = (found.step, found.num_steps, found.first_step, found.seconds)
    return found if all(isinstance(one, int | float) for one in numbers) else None
