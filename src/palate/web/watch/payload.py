"""Bodies of what the watching page asks for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """Ask for what is new.

    Attributes:
        shown: runs whose curves are wanted, by number.
        have: the version that the page has of each of them; 0 for nothing.
    """

    shown: list[int]
    have: list[int]


@dataclass(frozen=True)
class SamplesOf:
    """Ask for a run's samples after a step."""

    run: int
    step: int


@dataclass(frozen=True)
class Stop:
    """Ask a run to save and end."""

    run: int
