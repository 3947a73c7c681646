"""Rows of the log for experiment trackers, through accelerate; none where `report_to` is "none".

A tracker gets what metrics.jsonl gets, and the settings. It follows the run and cannot change it;
one that fails on the way is left behind with a warning.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import GeneralTracker

from palate.errors import RecipeError
from palate.training.folder import RunFolder
from palate.training.run import Listener
from palate.training.settings import StageSettings

log = logging.getLogger("palate")
PROJECT = "palate"


class Trackers:
    """A listener that hands rows of the log on."""

    def __init__(self, trackers: Sequence[GeneralTracker]) -> None:
        self._trackers = list(trackers)

    def on_step(self, step: int, num_steps: int) -> bool:
        """Steps are of no interest; rows of the log carry their own."""
        return False

    def on_log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Hand a row on."""
        values = {name: value for name, value in metrics.items() if name != "step"}
        for tracker in list(self._trackers):
            try:
                tracker.log(values, step=step)
            except Exception as error:  # whatever another program or its network does
                log.warning(
                    "%s failed at step %d (%s); it gets no more rows, training goes on",
                    tracker.name, step, error,
                )  # fmt: skip
                self._trackers.remove(tracker)

    def finish(self) -> None:
        """Let every tracker write what it holds back."""
        for tracker in self._trackers:
            try:
                tracker.finish()
            except Exception as error:  # as above
                log.warning("%s failed at its end (%s)", tracker.name, error)


@contextmanager
def tracking(
    settings: StageSettings, *, stage: str, folder: RunFolder
) -> Iterator[tuple[Listener, ...]]:
    """Listeners for the trackers that `report_to` names; they are finished on leaving.

    Trackers that keep files put them below `trackers` in the run folder; a run of a service has
    the folder's name, in the project "palate".

    Raises:
        RecipeError: a tracker cannot be started.
    """
    if not settings.trackers:
        yield ()
        return
    follower = Trackers(_started(settings, stage, folder))
    try:
        yield (follower,)
    finally:
        follower.finish()


def _started(settings: StageSettings, stage: str, folder: RunFolder) -> list[GeneralTracker]:
    name = folder.path.resolve().name
    own: dict[str, dict[str, Any]] = {
        "wandb": {"name": name, "dir": str(folder.path)},
        "trackio": {"name": name},
    }
    try:
        accelerator = Accelerator(
            log_with=list(settings.trackers), project_dir=str(folder.trackers)
        )
        accelerator.init_trackers(PROJECT, {"stage": stage, **settings.to_mapping()}, own)
    except Exception as error:  # whatever another program or its network does
        raise RecipeError(
            f"report_to is {settings.report_to!r}, and it could not be started: {error}; set it "
            "up, or set report_to to none"
        ) from error
    missing = set(settings.trackers) - {tracker.name for tracker in accelerator.trackers}
    if missing:
        raise RecipeError(
            f"report_to is {settings.report_to!r}, but accelerate does not take the installed "
            f"version of {', '.join(sorted(missing))}; install another, or set report_to to none"
        )
    return list(accelerator.trackers)
