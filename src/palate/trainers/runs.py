"""The trainers' habit with run folders: training again in one replaces the run that was there."""

import shutil
from pathlib import Path

import yaml

from palate.errors import CheckpointError, UsageError
from palate.training.checkpoint import load_checkpoint
from palate.training.folder import RunFolder


def may_replace(folder: RunFolder, *, stage: str, source: Path | None) -> bool:
    """Whether a run is there that the same script has left.

    Raises:
        UsageError: it is another stage's, or holds the model that training starts from.
    """
    recipe = folder.path / "recipe.yaml"
    if not recipe.exists():
        return False
    other = yaml.safe_load(recipe.read_text(encoding="utf-8")).get("stage")
    if other != stage:
        raise UsageError(
            f"{folder.path}: holds the run of another stage ({other}), which this one would "
            "replace; give args another output_dir"
        )
    if source is not None and source.resolve().is_relative_to(folder.model.resolve()):
        raise UsageError(
            f"{folder.path}: the run there holds the model that training starts from "
            f"({source}); give args another output_dir"
        )
    return True


def newest_step(folder: RunFolder) -> int:
    """The step of the newest checkpoint, 0 where there is none."""
    steps = (path.name.removeprefix("step-") for path in folder.checkpoints.glob("step-??????"))
    return max(map(int, steps), default=0)


def rewind(folder: RunFolder, checkpoint: Path) -> None:
    """Make `checkpoint` the newest of the run; what came after it will be computed again.

    Raises:
        CheckpointError: it is no whole checkpoint of this run.
    """
    own = {folder.path.resolve(), folder.checkpoints.resolve()}
    if checkpoint.resolve() in own:
        return
    if checkpoint.resolve().parent != folder.checkpoints.resolve():
        raise CheckpointError(
            f"{checkpoint}: not a checkpoint of {folder.path}; a run goes on in its own folder: "
            "set output_dir to it"
        )
    step = load_checkpoint(checkpoint).step
    for place in (folder.checkpoints, folder.checkpoints / "best"):
        for path in place.glob("step-??????"):
            if int(path.name.removeprefix("step-")) > step:
                shutil.rmtree(path)
