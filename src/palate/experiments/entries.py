"""Model folders as they are named on a command line, and for a comparison; no torch."""

import json
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


def model_folder(name: str) -> Path:
    """The model in a run folder, or the folder itself."""
    folder = Path(name)
    inner = folder / "model"
    direct = any((folder / config).exists() for config in ("config.json", "adapter_config.json"))
    return inner if inner.is_dir() and not direct else folder


def is_reward(folder: Path) -> bool:
    """Whether a folder holds a reward model, by the passport that Palate writes or its scale."""
    passport = folder / "palate.json"
    if passport.is_file():
        try:
            return bool(json.loads(passport.read_text(encoding="utf-8"))["role"] == "reward")
        except (ValueError, KeyError, TypeError):
            return False
    return (folder / "reward_scale.json").is_file()
