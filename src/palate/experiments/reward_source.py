"""Where rewards come from, as people write it: `--reward 0.7*runs/reward --reward mine:brevity`.

    [WEIGHT*]FOLDER              a reward model that palate reward trained
    [WEIGHT*]MODULE:FUNCTION     a Python function (prompts, responses, **columns) → numbers
    [WEIGHT*]FILE.py:FUNCTION    the same, from a file
    [WEIGHT*]judge:FILE.yaml     a language model behind an OpenAI-compatible server, as a card says
    [WEIGHT*]judge:MODEL@URL     the same with the card's defaults

Functions are imported, and so run, because the user names them; nothing in data can name one. No
model is loaded and no request sent here: what cannot work is found before any work.
"""

import importlib
import importlib.util
import math
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from palate.errors import PalateError, UsageError
from palate.experiments.entries import model_folder
from palate.models.reward_function import RewardFunction

if TYPE_CHECKING:
    from palate.experiments.reward_gate import GateRule

_WEIGHTED = re.compile(r"\s*([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)\s*\*\s*(.+)", re.DOTALL)
_JUDGE = "judge:"
# Beside the run that pays for what a judge says.
JUDGE_CACHE = "judge-cache.jsonl"
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True)
class RewardSource:
    """One reward: a folder or a function, and its weight in the sum.

    Attributes:
        name: as it was given, for messages.
        weight: what its rewards are multiplied by, finite and not 0.
        folder: of a reward model.
        function: (prompts, responses, **columns) → numbers.
        gate: what is done about a reward model that is not fit; None: it must have been checked,
            and have passed.
    """

    name: str
    weight: float = 1.0
    folder: Path | None = None
    function: RewardFunction | None = None
    gate: "GateRule | None" = None

    def __post_init__(self) -> None:
        if (self.folder is None) == (self.function is None):
            raise UsageError(f"{self.name}: a reward is a folder or a function, one of the two")
        if not math.isfinite(self.weight) or self.weight == 0:
            raise UsageError(
                f"{self.name}: the weight is {self.weight:g}; it must be finite and not 0"
            )


def reward_source(given: str, *, flag: str = "--reward", cache: Path | None = None) -> RewardSource:
    """Read one reward as the module's table has it.

    Args:
        given: what the user wrote.
        flag: where, for messages.
        cache: where a judge keeps what it was told; None: nowhere.

    Raises:
        UsageError: it is none of the forms; the folder, file, module or function is not there.
        ModelError: the folder holds code or pickled weights.
    """
    parted = _WEIGHTED.fullmatch(given)
    weight, name = (_weight(parted[1], flag, given), parted[2]) if parted else (1.0, given)
    place = f"{flag} {given}"
    if name.startswith(_JUDGE):
        from palate.experiments.judging.reward import judge_function

        return RewardSource(given, weight, function=judge_function(name, place=place, cache=cache))
    module, colon, attribute = name.rpartition(":")
    if colon and not Path(name).exists():
        return RewardSource(given, weight, function=_function(module, attribute, place))
    return RewardSource(given, weight, folder=_folder(name, place))


def reward_sources(
    given: Sequence[str], *, flag: str = "--reward", cache: Path | None = None
) -> list[RewardSource]:
    """Read several rewards; arguments and errors as `reward_source`."""
    return [reward_source(one, flag=flag, cache=cache) for one in given]


def absolute_reward(given: str) -> str:
    """The same source with its folder or file absolute, so that a recipe works from anywhere."""
    parted = _WEIGHTED.fullmatch(given)
    prefix, name = (given[: parted.start(2)], parted[2]) if parted else ("", given)
    if name.startswith(_JUDGE):
        prefix, name = f"{prefix}{_JUDGE}", name.removeprefix(_JUDGE)
    file, colon, attribute = name.rpartition(":")
    if colon and not Path(name).exists():
        there = Path(file).is_file()
        return f"{prefix}{Path(file).resolve()}:{attribute}" if there else given
    return f"{prefix}{Path(name).resolve()}" if Path(name).exists() else given


def _weight(text: str, flag: str, given: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{flag} {given}: {text!r} is no number; write 0.7*FOLDER") from None


def _folder(name: str, place: str) -> Path:
    folder = model_folder(name)
    if not folder.is_dir():
        raise UsageError(
            f"{place}: there is no such folder in {Path.cwd()}; check the path, train a reward "
            "model with palate reward, or name a function as MODULE:FUNCTION or FILE.py:FUNCTION"
        )
    return folder


def _function(module: str, attribute: str, place: str) -> RewardFunction:
    if module.endswith(".py"):
        if not Path(module).is_file():
            raise UsageError(f"{place}: there is no file {module} in {Path.cwd()}; check the path")
    elif not _MODULE.fullmatch(module):
        raise UsageError(
            f"{place}: {module!r} is no module; write FOLDER, MODULE:FUNCTION, FILE.py:FUNCTION, "
            "judge:FILE.yaml or judge:MODEL@URL"
        )
    with _import_errors(module, place):
        found = _imported_file(Path(module)) if module.endswith(".py") else _imported(module)
    function = getattr(found, attribute, None)
    if not callable(function):
        there = [
            name
            for name, value in vars(found).items()
            if callable(value) and not name.startswith("_")
            if getattr(value, "__module__", "") == found.__name__
        ]
        what = f"is a {type(function).__name__}" if hasattr(found, attribute) else "is not there"
        raise UsageError(
            f"{place}: {attribute or 'a name'} {what}; {module} has "
            f"{', '.join(there[:8]) or 'no function'}"
        )
    typed: RewardFunction = function
    return typed


@contextmanager
def _import_errors(module: str, place: str) -> Iterator[None]:
    """The folder that the user stands in can be imported from inside, as with `python -m`."""
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        yield
    except PalateError:
        raise
    except ModuleNotFoundError as error:
        missing = error.name or module
        raise UsageError(
            f"{place}: there is no module {missing}; install it, or run from the folder where it is"
        ) from error
    except Exception as error:  # whatever a user's module raises while it is imported
        raise UsageError(
            f"{place}: importing {module} raised {type(error).__name__}: {error}; --debug shows "
            "where"
        ) from error
    finally:
        if added:
            sys.path.remove(here)


def _imported(module: str) -> ModuleType:
    return importlib.import_module(module)


def _imported_file(path: Path) -> ModuleType:
    name = f"palate_reward_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickles look their module up.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
