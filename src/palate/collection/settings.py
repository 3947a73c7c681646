"""How votes are collected: set once, kept in the log, changeable by another line of the log."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from palate.errors import UsageError

Strategy = Literal["random", "coverage", "disagreement", "uncertainty"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionSettings:
    """What decides who sees which pair.

    Attributes:
        votes_per_item: votes wanted of different annotators for each pair, ≥ 1.
        lease_seconds: seconds for which a shown pair keeps its place for an annotator.
        repeat_share: share of questions that show an annotator a pair again, in [0, ½].
        gold_share: share of questions whose answer is known, in [0, ½] (where there are any).
        strategy: which pair comes next (questions.py).
        salt: decides every shuffle; another salt gives other sides and another order.
    """

    votes_per_item: int = 1
    lease_seconds: float = 900.0
    repeat_share: float = 0.05
    gold_share: float = 0.05
    strategy: Strategy = "random"
    salt: str = ""

    def __post_init__(self) -> None:
        if self.votes_per_item < 1:
            raise UsageError(f"votes_per_item is {self.votes_per_item}; it must be at least 1")
        if not self.lease_seconds > 0:
            raise UsageError(f"lease_seconds is {self.lease_seconds}; it must be above 0")
        for name in ("repeat_share", "gold_share"):
            if not 0 <= getattr(self, name) <= 0.5:
                raise UsageError(f"{name} is {getattr(self, name)}; it must lie in [0, 0.5]")

    def to_json(self) -> dict[str, Any]:
        """All of them by name."""
        return asdict(self)


def settings_from(content: Mapping[str, Any]) -> CollectionSettings:
    """Read what `to_json` wrote; names of another version are left alone."""
    known = {f.name for f in fields(CollectionSettings)}
    return CollectionSettings(**{name: value for name, value in content.items() if name in known})
