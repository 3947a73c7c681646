"""A trained model that is named for a comparison; no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Told = Literal["dpo", "rlhf", "yardstick"]
TOLD: tuple[Told, ...] = ("dpo", "rlhf", "yardstick")


@dataclass(frozen=True)
class Entry:
    """One trained model of an arm.

    Attributes:
        name: of its arm; entries of one name are training seeds of one arm.
        folder: of the model.
        road: as it was told; None: as its palate.json says.
    """

    name: str
    folder: Path
    road: Told | None = None

    def __str__(self) -> str:
        return f"--arm {f'{self.road}:' if self.road else ''}{self.name}={self.folder}"
