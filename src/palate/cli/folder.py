"""A run folder that is as it was when a run fails before it has anything to keep."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from palate.errors import CheckpointError, Interrupted, UsageError
from palate.experiments.reward_source import JUDGE_CACHE
from palate.training.folder import OWN, RunFolder

# With one of these in it a folder holds something worth keeping.
KEPT = ("checkpoints", "metrics.jsonl", "model", "results.json", "measured")
LOCK = ".lock"


@contextmanager
def nothing_half_written(folder: Path, *, resume: bool, overwrite: bool) -> Iterator[None]:
    """Check the folder before any work, and clean up after a failure that came early.

    Raises:
        CheckpointError: there is no run to resume.
        UsageError: the folder cannot be written, is in use, or holds a run that is not to be
            overwritten.
    """
    if resume and not (folder / "checkpoints").is_dir():
        raise CheckpointError(
            f"--output-dir {folder}: no checkpoints to resume from; check the path, or start "
            "without --resume"
        )
    if folder.is_file():
        raise UsageError(f"--output-dir {folder}: this is a file; choose another --output-dir")
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    before = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    try:
        # Nothing is removed yet: that is left until model and rows are known to be good.
        with RunFolder(folder).open(resume=resume or overwrite):
            pass
    except BaseException:
        if LOCK not in before:
            with suppress(OSError):
                (folder / LOCK).unlink()
        _remove(missing)
        raise
    try:
        yield
    except BaseException:
        if not resume and not any((folder / name).exists() for name in KEPT):
            for path in folder.iterdir():
                if path.name == JUDGE_CACHE:  # what was paid for stays
                    continue
                if path.name not in before or path.name in OWN:
                    _discard(path)
            _remove(missing)
        raise


@contextmanager
def nothing_half_compared(folder: Path, *, overwrite: bool) -> Iterator[None]:
    """The same for a folder of results, which a training run has nothing to do with.

    Raises:
        UsageError: the folder cannot be written, is in use, holds results that are not to be
            overwritten, or a training run.
    """
    run = next((name for name in OWN if (folder / name).exists()), None)
    if run is not None:
        raise UsageError(
            f"--output-dir {folder}: holds a training run ({run}), beside which no comparison is "
            "put; choose another --output-dir"
        )
    if (folder / "results.json").exists() and not overwrite:
        raise UsageError(
            f"--output-dir {folder}: holds results already; choose another --output-dir, or "
            "replace them with --overwrite"
        )
    with nothing_half_written(folder, resume=False, overwrite=overwrite):
        yield


@contextmanager
def not_resumable(what: str) -> Iterator[None]:
    """Inside are runs of our own making, whose advice to resume would mislead."""
    try:
        yield
    except Interrupted as stop:
        anew = Interrupted(f"interrupted while {what}; nothing is kept, start anew")
        anew.exit_code = stop.exit_code
        raise anew from stop


def forget_unfinished(folder: Path) -> None:
    """Remove the runs below a folder that were killed before they had a model."""
    for run in folder.iterdir() if folder.is_dir() else ():
        if not (run / "model").is_dir():
            _discard(run)


def _discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _remove(folders: list[Path]) -> None:
    """Remove the folders that were made, innermost first, as far as they are empty."""
    for path in folders:
        with suppress(OSError):
            path.rmdir()
