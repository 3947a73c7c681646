"""Paths that a person names → run folders below them, and comparisons."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from palate.errors import UsageError
from palate.training.folder import OWN

MOST_RUNS = 100
DEEPEST = 3

_LOGS = ("metrics.jsonl", "progress.json")
_INSIDE = frozenset(OWN) | {"measured"}


@dataclass(frozen=True)
class Found:
    """A folder that holds a run or a comparison, and what it is called on the page."""

    path: Path
    name: str


class Places:
    """What a person wants to look at; new runs may come while they look.

    Raises:
        UsageError: a path is no folder.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        for path in paths:
            if not path.is_dir():
                reason = "a file; name its folder" if path.exists() else "no such folder"
                raise UsageError(
                    f"{path}: {reason}; give a run folder (--output-dir of a training command) or "
                    "a folder of run folders"
                )
        self.paths = tuple(dict.fromkeys(path.resolve() for path in paths))

    def runs(self) -> list[Found]:
        """Run folders, at most `MOST_RUNS`, in the order of their names."""
        return self._below(lambda folder: any((folder / name).exists() for name in _LOGS))

    def comparisons(self) -> list[Found]:
        """Folders with the results of a comparison."""
        return self._below(lambda folder: (folder / "results.json").exists())

    def _below(self, is_wanted: Callable[[Path], bool]) -> list[Found]:
        found: dict[Path, str] = {}
        for root in self.paths:
            for folder in _folders(root, DEEPEST):
                if len(found) < MOST_RUNS and is_wanted(folder):
                    found.setdefault(folder, self._name(root, folder))
        return [Found(path, name) for path, name in found.items()]

    def _name(self, root: Path, folder: Path) -> str:
        if folder == root:
            return root.name or str(root)
        below = folder.relative_to(root).as_posix()
        return below if len(self.paths) == 1 else f"{root.name}/{below}"


def _folders(root: Path, depth: int) -> Iterator[Path]:
    yield root
    if depth == 0:
        return
    try:
        inside = sorted(root.iterdir())
    except OSError:
        return
    for path in inside:
        # Links could lead out of what was named, and in circles.
        is_own = path.name in _INSIDE or path.name.startswith(".")
        if not is_own and not path.is_symlink() and path.is_dir():
            yield from _folders(path, depth - 1)
