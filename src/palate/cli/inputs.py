"""Files and folders that a command names → records and models."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palate.cli.output import say
from palate.cli.sources import Sources
from palate.data.checks.quick import quick_check
from palate.data.faults import Fault
from palate.data.sources import Reading
from palate.data.splits import split_by_prompt
from palate.errors import ModelError, UsageError
from palate.experiments.entries import TOLD, Entry
from palate.experiments.entries import is_reward as is_reward
from palate.experiments.entries import model_folder as model_folder
from palate.experiments.quick_words import quick_words

if TYPE_CHECKING:
    from palate.experiments.reward_source import RewardSource
    from palate.models.load import Loaded

Reader = Callable[..., Reading[Any]]


@dataclass(frozen=True)
class Inputs:
    """What a stage trains from and on; records are of the stage's kind.

    Attributes:
        loaded: the model that training starts from.
        train: records to train on.
        eval: held-out records.
        reward: what a policy is optimized against; () where none is.
        gold: what is only watched beside it.
    """

    loaded: "Loaded"
    train: list[Any]
    eval: list[Any]
    reward: "Sequence[RewardSource]" = ()
    gold: "Sequence[RewardSource]" = ()


def read_rows(
    sources: Sources, read: Reader, *, rejects_folder: Path
) -> tuple[list[Any], list[Any]]:
    """Read a stage's rows, and part them where no evaluation file is given.

    Returns:
        Records to train on, and to evaluate on.

    Raises:
        DataError: a file is missing or a row of it bad; the message names file and line.
    """
    assert sources.data is not None
    train = _read(sources.data, read, sources, rejects_folder / "rejects.jsonl")
    if sources.eval_data is None:
        parted = split_by_prompt(train.records, eval_fraction=sources.eval_fraction)
        _warn(sources, parted.train, parted.eval, train.faults)
        return parted.train, parted.eval
    rejects = rejects_folder / "eval-rejects.jsonl"
    held_out = _read(sources.eval_data, read, sources, rejects)
    _warn(sources, train.records, held_out.records, [*train.faults, *held_out.faults])
    return train.records, held_out.records


def _warn(
    sources: Sources, train: Sequence[Any], held_out: Sequence[Any], read: Sequence[Fault]
) -> None:
    """Say, a line a kind, what may spoil the training; bad rows were refused or left out before."""
    known = [fault for fault in read if fault.severity == "warning"]
    found = quick_check(train, held_out, known=known)
    held = f" --eval-data {sources.eval_data}" if sources.eval_data else ""
    for line in quick_words(found, str(sources.data), command=f"palate check {sources.data}{held}"):
        say(line)


def _read(path: str, read: Reader, sources: Sources, rejects: Path) -> Reading[Any]:
    reading = read(path, layout=sources.layout, skip_bad=sources.skip_bad, rejects_path=rejects)
    if sources.skip_bad:
        where = f" (see {rejects})" if reading.num_skipped else ""
        say(
            f"{path}: {reading.num_read} rows read, {reading.num_read - reading.num_skipped} kept, "
            f"{reading.num_skipped} skipped{where}"
        )
    return reading


def load_model(name: str, *, flag: str = "--model") -> "Loaded":
    """Load a policy by folder, run folder or hub name.

    Raises:
        ModelError: it cannot be loaded, is unsafe, or is a reward model.
    """
    from palate.models.load import load

    folder = model_folder(name)
    if is_reward(folder):
        raise ModelError(f"{flag} {name}: this is a reward model; name a policy, SFT or base model")
    if not folder.exists():
        try:
            return load(name)
        except ModelError as error:
            raise ModelError(
                f"{flag} {name}: there is no such folder in {Path.cwd()}; check the path (as a "
                f"hub name, {error})"
            ) from None
    # Absolute, because an adapter remembers where its base is.
    return load(folder.resolve())


def existing_model(path: str, *, flag: str) -> Path:
    """The model in a folder that must exist.

    Raises:
        UsageError: there is no such folder.
    """
    if not Path(path).is_dir():
        raise UsageError(f"{flag}: there is no folder {path} in {Path.cwd()}; check the path")
    return model_folder(path)


def named_model(given: str, *, flag: str) -> Entry:
    """`[ROAD:]NAME=FOLDER` as an entry of a comparison.

    Raises:
        UsageError: it is not of that form, or the folder does not exist.
    """
    named, _, path = given.partition("=")
    told, colon, name = named.rpartition(":")
    road = next((road for road in TOLD if road == told), None)
    if not (name and path) or (colon and road is None):
        raise UsageError(
            f"{flag} {given}: write NAME=FOLDER, such as dpo=runs/dpo, or ROAD:NAME=FOLDER where "
            f"ROAD is {', '.join(TOLD[:-1])} or {TOLD[-1]}"
        )
    return Entry(name, existing_model(path, flag=f"{flag} {given}"), road)
