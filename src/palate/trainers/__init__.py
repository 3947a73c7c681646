"""The door for people who come from TRL: trainers and configs under the names that they know."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palate.trainers.configs import CPOConfig as CPOConfig
    from palate.trainers.configs import DPOConfig as DPOConfig
    from palate.trainers.configs import GRPOConfig as GRPOConfig
    from palate.trainers.configs import KTOConfig as KTOConfig
    from palate.trainers.configs import OnlineDPOConfig as OnlineDPOConfig
    from palate.trainers.configs import ORPOConfig as ORPOConfig
    from palate.trainers.configs import PPOConfig as PPOConfig
    from palate.trainers.configs import RewardConfig as RewardConfig
    from palate.trainers.configs import RLOOConfig as RLOOConfig
    from palate.trainers.configs import SFTConfig as SFTConfig
    from palate.trainers.dpo import DPOTrainer as DPOTrainer
    from palate.trainers.dpo_family import CPOTrainer as CPOTrainer
    from palate.trainers.dpo_family import KTOTrainer as KTOTrainer
    from palate.trainers.dpo_family import ORPOTrainer as ORPOTrainer
    from palate.trainers.online import GRPOTrainer as GRPOTrainer
    from palate.trainers.online import OnlineDPOTrainer as OnlineDPOTrainer
    from palate.trainers.online import RLOOTrainer as RLOOTrainer
    from palate.trainers.ppo import PPOTrainer as PPOTrainer
    from palate.trainers.reward import RewardTrainer as RewardTrainer
    from palate.trainers.sft import SFTTrainer as SFTTrainer

_MODULES = {
    "configs": (
        "CPOConfig",
        "DPOConfig",
        "GRPOConfig",
        "KTOConfig",
        "ORPOConfig",
        "OnlineDPOConfig",
        "PPOConfig",
        "RLOOConfig",
        "RewardConfig",
        "SFTConfig",
    ),
    "dpo": ("DPOTrainer",),
    "dpo_family": (
        "CPOTrainer",
        "KTOTrainer",
        "ORPOTrainer",
    ),
    "online": (
        "GRPOTrainer",
        "OnlineDPOTrainer",
        "RLOOTrainer",
    ),
    "ppo": ("PPOTrainer",),
    "reward": ("RewardTrainer",),
    "sft": ("SFTTrainer",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
