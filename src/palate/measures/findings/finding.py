"""What a finding is, and what a rule says of itself."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from palate.measures.findings.curves import Curves, Point

# Worth knowing; look at it before trusting the run; the run is not doing what it is for.
Level = Literal["note", "warning", "sick"]
LEVELS: tuple[Level, ...] = ("note", "warning", "sick")


def rank(level: Level) -> int:
    """How bad a level is, from 0."""
    return LEVELS.index(level)


@dataclass(frozen=True)
class Sighting:
    """What a rule sees in a run's curves.

    Attributes:
        level: how bad it is.
        words: one sentence with the figures.
        evidence: the points that it was seen in.
    """

    level: Level
    words: str
    evidence: tuple[Point, ...]


@dataclass(frozen=True)
class Rule:
    """A disease, how it is recognized, and what to do about it.

    Attributes:
        title: the disease in a few words.
        means: what happens in such a run, and what else it may be.
        threshold: the criterion, in words made of the constants that the code compares with.
        source: where the threshold is from: ours, or a paper.
        remedy: what to do.
        look: curves → what is seen; None where nothing is.
    """

    title: str
    means: str
    threshold: str
    source: str
    remedy: str
    look: Callable[[Curves], Sighting | None]


@dataclass(frozen=True)
class Finding:
    """A sighting under the name of its rule, at a step of the run."""

    name: str
    level: Level
    step: int
    words: str
    evidence: tuple[Point, ...] = ()

    @property
    def page(self) -> str:
        """Where it is explained."""
        return f"docs/findings.md#{self.name}"

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self) | {"evidence": [asdict(point) for point in self.evidence]}

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> "Finding":
        """From plain JSON values.

        Raises:
            KeyError, TypeError, ValueError: it is not what `to_json` gives.
        """
        if row["level"] not in LEVELS:
            raise ValueError(f"{row['level']!r} is no level of a finding")
        evidence = tuple(
            Point(str(one["metric"]), int(one["step"]), float(one["value"]))
            for one in row["evidence"]
        )
        return Finding(
            str(row["name"]), row["level"], int(row["step"]), str(row["words"]), evidence
        )
