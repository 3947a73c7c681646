"""The stages' settings under the names and with the habits of TRL's configs; no torch.

Every setting is the stage's own. Two defaults are TRL's instead: all weights are trained unless
the trainer is given a `peft_config` (or a `PeftModel`, or `use_peft=True`), and the learning rate
is the one that TRL takes for that. An adapter wants a larger one.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from palate.errors import RecipeError
from palate.training.recipe_keys import unknown_setting
from palate.training.settings import (
    DPOSettings,
    PPOSettings,
    RewardSettings,
    SFTSettings,
    StageSettings,
    setting,
)

Config = TypeVar("Config", bound=StageSettings)


def _strict(config: type[Config]) -> type[Config]:
    """Unknown keywords and unusable values are a `RecipeError`, whatever the door."""
    known = {field.name for field in fields(config)}
    settings: type[StageSettings] = config.__bases__[0]
    made: Callable[..., None] = config.__init__

    @wraps(made)
    def checked(self: Config, *args: Any, **values: Any) -> None:
        if args:
            raise RecipeError(
                f"{config.__name__} takes settings by name: {config.__name__}(output_dir=…)"
            )
        for key in values:
            if key not in known:
                raise RecipeError(unknown_setting(key, known, config.__name__))
        if isinstance(values.get("output_dir"), Path):
            values["output_dir"] = str(values["output_dir"])
        if isinstance(values.get("report_to"), list | tuple):
            values["report_to"] = ",".join(map(str, values["report_to"])) or "none"
        coerced = settings.from_mapping(values)
        made(self, **{key: getattr(coerced, key) for key in values})

    config.__init__ = checked  # type: ignore[assignment, method-assign]
    return config


@_strict
@dataclass(frozen=True, kw_only=True)
class DPOConfig(DPOSettings):
    """Settings of `DPOTrainer`; see `DPOSettings`."""

    learning_rate: float = setting(1e-6, "peak step size (TRL's DPOConfig; LoRA wants 1e-5)")
    use_peft: bool = setting(False, "train LoRA adapters; off: all weights, or peft_config")


@_strict
@dataclass(frozen=True, kw_only=True)
class RewardConfig(RewardSettings):
    """Settings of `RewardTrainer`; see `RewardSettings`."""

    use_peft: bool = setting(False, "train LoRA adapters; off: all weights, or peft_config")


@_strict
@dataclass(frozen=True, kw_only=True)
class SFTConfig(SFTSettings):
    """Settings of `SFTTrainer`; see `SFTSettings`."""


@_strict
@dataclass(frozen=True, kw_only=True)
class PPOConfig(PPOSettings):
    """Settings of `PPOTrainer`; see `PPOSettings`."""

    learning_rate: float = setting(3e-6, "peak step size (TRL's PPOConfig; LoRA wants 1e-5)")
    use_peft: bool = setting(False, "train LoRA adapters; off: all weights, or peft_config")
