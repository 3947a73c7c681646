"""Rows that people hand over → trees, and a word on what may spoil a training, or a refusal."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from palate.data.checks.quick import quick_check
from palate.data.grow import (
    comparison_trees,
    demonstration_trees,
    preference_trees,
    prompt_trees,
)
from palate.data.render import Renderer
from palate.data.sources import (
    Reading,
    comparisons_from_rows,
    demonstrations_from_rows,
    preferences_from_rows,
    prompts_from_rows,
    read_comparisons,
    read_demonstrations,
    read_preferences,
    read_prompts,
)
from palate.data.trees import Tree
from palate.errors import RecipeError
from palate.experiments.quick_words import quick_words
from palate.training.settings import StageSettings

log = logging.getLogger("palate")


@dataclass(frozen=True)
class Taken:
    """Rows that were handed over.

    Attributes:
        trees: what is trained or evaluated on.
        num_dropped: rows that were too long.
        reading: the records and what was told of them; None where no rows were given.
    """

    trees: list[Tree] = field(default_factory=list)
    num_dropped: int = 0
    reading: Reading[Any] | None = None


def tell_of(train: Taken, held_out: Taken, *, source: object, held_source: object) -> None:
    """Log, a line a kind, what may spoil a training, as every command does before it begins.

    Args:
        train: rows to train on; where there are none, nothing is told.
        held_out: rows to evaluate on.
        source: what was given as the former: a path is named in what is told.
        held_source: what was given as the latter.
    """
    if train.reading is None:
        return
    known = [fault for fault in train.reading.faults if fault.severity == "warning"]
    found = quick_check(
        train.reading.records, held_out.reading.records if held_out.reading else (), known=known
    )
    is_file, held_is_file = isinstance(source, str | Path), isinstance(held_source, str | Path)
    held = f" --eval-data {held_source}" if held_is_file else ""
    command = f"palate check {source if is_file else 'FILE'}{held}"
    for line in quick_words(found, str(source) if is_file else "train_dataset", command=command):
        log.warning(line)


@dataclass(frozen=True)
class Kind:
    """Rows of one kind, as files and as objects give them.

    Attributes:
        read: a path → records.
        from_rows: dicts → records.
        grow: records → trees, and how many were too long and dropped.
    """

    read: Callable[[str | Path], Reading[Any]]
    from_rows: Callable[[Iterable[Mapping[str, Any]]], Reading[Any]]
    grow: Callable[..., tuple[list[Tree], int]]

    def taker(self, renderer: Renderer, settings: StageSettings) -> Callable[[object, str], Taken]:
        """A function from rows and their argument's name to what is made of them.

        Rows are a `datasets.Dataset`, a list of dicts, a path, or None (no trees).
        """

        def taken(rows: object, what: str) -> Taken:
            if rows is None:
                return Taken()
            if isinstance(rows, str | Path):
                reading = self.read(rows)
            else:
                reading = self.from_rows(_finite(rows, what))
            limits: dict[str, Any] = {
                "max_length": settings.max_length,
                "overlong": settings.overlong,
            }
            trees, num_dropped = self.grow(reading.records, renderer, **limits)
            return Taken(trees, num_dropped, reading)

        return taken


PAIRS = Kind(read_preferences, preferences_from_rows, preference_trees)
COMPARISONS = Kind(read_comparisons, comparisons_from_rows, comparison_trees)
DEMONSTRATIONS = Kind(read_demonstrations, demonstrations_from_rows, demonstration_trees)
PROMPTS = Kind(read_prompts, prompts_from_rows, prompt_trees)


def _finite(rows: object, what: str) -> Iterable[Mapping[str, Any]]:
    if isinstance(rows, Mapping):
        first = next(iter(rows), "train")
        raise RecipeError(
            f"{what} is a dict of data sets ({', '.join(map(str, rows))}); give one of them, "
            f"{what}=…[{first!r}]; evaluate(…) takes others, one a call"
        )
    if not isinstance(rows, Iterable) or not hasattr(rows, "__len__"):
        raise RecipeError(
            f"{what} is a {type(rows).__name__}; give a datasets.Dataset, a list of dicts or a "
            "path (of a stream, list(stream.take(n)))"
        )
    return rows
