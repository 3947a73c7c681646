"""Progress bars on standard error, for people; silent where nobody looks."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Advance(Protocol):
    """Tells a bar how many more are done, and a few words."""

    def __call__(self, count: int, words: str) -> None: ...


@contextmanager
def progress(title: str, total: int, *, done: int = 0) -> Iterator[Advance]:
    """A bar of `total` things; the yielded function takes how many are done and a few words.

    Where standard error is not a terminal a line is printed at the start and at the end only.
    """
    if not sys.stderr.isatty():
        yield _nobody_looks
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TimeRemainingColumn(), TextColumn("{task.fields[words]}", markup=False),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(f"{title:<14}", total=total, completed=done, words="")

        def advance(count: int, words: str) -> None:
            bars.update(task, advance=count, words=words)

        yield advance


def _nobody_looks(count: int, words: str) -> None:
    """Takes the place of a bar where standard error is no terminal."""


def in_words(metrics: Mapping[str, float]) -> str:
    """The few newest figures that stand beside the bar."""
    shown = ("loss", "rewards/accuracies", "objective/scores", "objective/kl")
    return " ".join(f"{n.split('/')[-1]} {metrics[n]:.3g}" for n in shown if n in metrics)
