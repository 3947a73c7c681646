"""The metrics of one run so far, by name: what rules look at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# A single row of the log is noisy; most rules look at the mean of so many, and need as many.
RECENT = 3


@dataclass(frozen=True)
class Point:
    """A metric's value at a step."""

    metric: str
    step: int
    value: float


@dataclass
class Column:
    """One metric's points in the order of training.

    `lowest` and `highest` are single points, `best_recent` the highest mean of `RECENT` in a row.
    """

    points: list[Point] = field(default_factory=list)
    lowest: Point | None = None
    highest: Point | None = None
    best_recent: Point | None = None

    def add(self, point: Point) -> None:
        """Take one more point in."""
        self.points.append(point)
        if self.lowest is None or point.value < self.lowest.value:
            self.lowest = point
        if self.highest is None or point.value > self.highest.value:
            self.highest = point
        mean = self.recent()
        if mean is not None and (self.best_recent is None or mean.value > self.best_recent.value):
            self.best_recent = mean

    def recent(self, count: int = RECENT) -> Point | None:
        """Mean of the newest `count` points, at the newest's step; None where there are fewer."""
        some = self.points[-count:]
        if len(some) < count:
            return None
        mean = sum(point.value for point in some) / count
        return Point(some[-1].metric, some[-1].step, mean)


class Curves:
    """Rows of a run's log as columns; rows come in one by one, as they are logged.

    Args:
        settings: of the run, by name.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings
        self._columns: dict[str, Column] = {}
        self.step = 0

    def add(self, row: Mapping[str, float]) -> None:
        """Take in a row of metrics.jsonl."""
        self.step = int(row["step"])
        for name, value in row.items():
            if name != "step":
                column = self._columns.setdefault(name, Column())
                column.add(Point(name, self.step, float(value)))

    def column(self, name: str) -> Column:
        """All points of a metric; an empty column where it was never logged."""
        return self._columns.get(name, Column())

    def first(self, name: str) -> Point | None:
        """The first point of a metric."""
        points = self.column(name).points
        return points[0] if points else None

    def last(self, name: str) -> Point | None:
        """The newest point of a metric."""
        points = self.column(name).points
        return points[-1] if points else None

    def recent(self, name: str, count: int = RECENT) -> Point | None:
        """Mean of the newest `count` points of a metric; None where there are fewer."""
        return self.column(name).recent(count)

    @property
    def progress(self) -> float:
        """Share of the planned steps that are over, in [0, 1]; 0 where the plan is not known."""
        steps = self.number("max_steps")
        if steps is not None and steps > 0:
            return min(1.0, self.step / steps)
        epochs, epoch = self.number("num_train_epochs"), self.last("epoch")
        return min(1.0, epoch.value / epochs) if epochs and epoch else 0.0

    def number(self, name: str) -> float | None:
        """A setting that is a number; None where the run has none of that name."""
        value = self.settings.get(name)
        return float(value) if isinstance(value, (int, float)) else None

    def log_ratio(self, which: str) -> Point | None:
        """A recent mean of rewards/chosen, /rejected or /margins, in nats: divided by β.

        None where the run has no β or no reference: what it logs is no log-ratio then.
        """
        found, beta = self.recent(f"rewards/{which}"), self.number("beta")
        if found is None or not beta or self.last("reference_gap") is None:
            return None
        return Point(found.metric, found.step, found.value / beta)
