"""Faults counted by kind, with the first places: as much as a report shows, and no more."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from palate.data.faults import FAULTS, Fault

MAX_PLACES = 5


@dataclass(frozen=True, slots=True)
class FaultGroup:
    """All faults of one kind.

    Attributes:
        code: a key of FAULTS.
        severity: "error" or "warning".
        title: the kind in words.
        fix: what to do about it.
        count: how many there are.
        places: the first five.
    """

    code: str
    severity: str
    title: str
    fix: str
    count: int
    places: tuple[Fault, ...]

    def __str__(self) -> str:
        first = self.places[0]
        count = "1 row" if self.count == 1 else f"{self.count:,} rows"
        return f"warning {self.code} {self.title}: {count}, first {first.origin}: {first.message}"


@dataclass
class Tally:
    """Counts faults of each kind and keeps the first five.

    Attributes:
        told: is told every fault, with its place.
    """

    told: Callable[[Fault], None] = lambda _: None
    _counts: dict[str, int] = field(default_factory=dict)
    _places: dict[str, list[Fault]] = field(default_factory=dict)

    def add(self, faults: Iterable[Fault]) -> None:
        """Count faults, in the order in which they are to be shown."""
        for found in faults:
            self.told(found)
            self._counts[found.code] = self._counts.get(found.code, 0) + 1
            places = self._places.setdefault(found.code, [])
            if len(places) < MAX_PLACES:
                places.append(found)

    def groups(self) -> tuple[FaultGroup, ...]:
        """The faults by kind, errors first, then by code."""
        return tuple(
            FaultGroup(
                code=code,
                severity=FAULTS[code].severity,
                title=FAULTS[code].title,
                fix=FAULTS[code].fix,
                count=count,
                places=tuple(self._places[code]),
            )
            for code, count in sorted(self._counts.items())  # E sorts before W
        )
