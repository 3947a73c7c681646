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
from palate.training.online_settings import Method, OnlineSettings
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


# TRL's names of what all online methods share here.
ONLINE_NAMES = {
    "beta": "kl_coef",
    "num_generations": "num_samples_per_prompt",
    "max_completion_length": "max_new_tokens",
}


def _strict(config: type[Config]) -> type[Config]:
    """Unknown keywords and unusable values are a `RecipeError`, whatever the door."""
    known = {field.name for field in fields(config)}
    other_names = ONLINE_NAMES if "method" in known else {}
    settings: type[StageSettings] = config.__bases__[0]
    made: Callable[..., None] = config.__init__

    @wraps(made)
    def checked(self: Config, *args: Any, **values: Any) -> None:
        if args:
            raise RecipeError(
                f"{config.__name__} takes settings by name: {config.__name__}(output_dir=…)"
            )
        for other, name in other_names.items():
            if other in values and name in values:
                raise RecipeError(f"{config.__name__}: {other} is {name}; give one of them")
        values = {other_names.get(key, key): value for key, value in values.items()}
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


@_strict
@dataclass(frozen=True, kw_only=True)
class RLOOConfig(OnlineSettings):
    """Settings of `RLOOTrainer`; see `OnlineSettings`."""

    learning_rate: float = setting(1e-6, "peak step size (TRL's RLOOConfig; LoRA wants 1e-5)")
    num_samples_per_prompt: int = setting(2, "responses sampled to each prompt (TRL)")
    missing_eos_penalty: float = setting(0.0, "taken off the score of a response that was cut")
    use_peft: bool = setting(False, "train LoRA adapters; off: all weights, or peft_config")

    def __post_init__(self) -> None:
        super().__post_init__()
        _keep_method(self, "rloo")


@_strict
@dataclass(frozen=True, kw_only=True)
class GRPOConfig(OnlineSettings):
    """Settings of `GRPOTrainer`; see `OnlineSettings`."""

    method: Method = setting("grpo", "what is done with the responses and their rewards")
    learning_rate: float = setting(1e-6, "peak step size (TRL's GRPOConfig; LoRA wants 1e-5)")
    num_samples_per_prompt: int = setting(8, "responses sampled to each prompt (TRL)")
    kl_coef: float = setting(0.0, "weight of the KL penalty against the reference (TRL)")
    missing_eos_penalty: float = setting(0.0, "taken off the score of a response that was cut")
    use_peft: bool = setting(False, "train LoRA adapters; off: all weights, or peft_config")

    def __post_init__(self) -> None:
        super().__post_init__()
        _keep_method(self, "grpo")


@_strict
@dataclass(frozen=True, kw_only=True)
class OnlineDPOConfig(OnlineSettings):
    """Settings of `OnlineDPOTrainer`; see `OnlineSettings`."""

    method: Method = setting("online-dpo", "what is done with the responses and their rewards")
    learning_rate: float = setting(5e-7, "peak step size (TRL's OnlineDPOConfig; LoRA wants 1e-5)")
    num_samples_per_prompt: int = setting(2, "responses sampled to each prompt (TRL)")
    kl_coef: float = setting(0.1, "β of the loss (TRL)")
    missing_eos_penalty: float = setting(0.0, "taken off the score of a response that was cut")
    use_peft: bool = setting(False, "train LoRA adapters; off: all weights, or peft_config")

    def __post_init__(self) -> None:
        super().__post_init__()
        _keep_method(self, "online-dpo")


def _keep_method(config: OnlineSettings, method: str) -> None:
    if config.method != method:
        raise RecipeError(
            f"{type(config).__name__}: method is {config.method!r}; this config is of {method}: "
            "leave method out, or use palate online"
        )


@_strict
@dataclass(frozen=True, kw_only=True)
class KTOConfig(DPOConfig):
    """Settings of `KTOTrainer`: `DPOConfig` with a loss of single labelled responses."""

    loss_type: str = setting("kto", "kto or apo_zero_unpaired (TRL)")

    def __post_init__(self) -> None:
        super().__post_init__()
        _keep_losses(self, "kto", "apo_zero_unpaired")


@_strict
@dataclass(frozen=True, kw_only=True)
class CPOConfig(DPOConfig):
    """Settings of `CPOTrainer`: `DPOConfig` with a loss of pairs that needs no reference.

    Differs from TRL: its loss_type sigmoid is called cpo here, and its simpo, to which it adds
    `cpo_alpha` of likelihood, is "simpo,sft" with loss_weights.
    """

    loss_type: str = setting("cpo", "cpo, simpo, or simpo,sft")

    def __post_init__(self) -> None:
        super().__post_init__()
        _keep_losses(self, "cpo", "simpo", "simpo,sft")


@_strict
@dataclass(frozen=True, kw_only=True)
class ORPOConfig(DPOConfig):
    """Settings of `ORPOTrainer`: `DPOConfig` with the odds-ratio loss; `beta` is the paper's λ."""

    loss_type: str = setting("orpo", "orpo")

    def __post_init__(self) -> None:
        super().__post_init__()
        _keep_losses(self, "orpo")


def _keep_losses(config: DPOConfig, *losses: str) -> None:
    if config.loss_type not in losses:
        raise RecipeError(
            f"{type(config).__name__}: loss_type is {config.loss_type!r}; it is one of "
            f"{'; '.join(losses)}. DPOConfig takes every loss"
        )
