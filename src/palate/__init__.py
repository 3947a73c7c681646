"""Turn preferences into a language model by DPO or by RLHF, and measure which road pays.

The trainers and their configs, the errors, and the rooms (`palate.objectives` first of all) can
be reached from here; each loads on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palate import data as data
    from palate import experiments as experiments
    from palate import measures as measures
    from palate import models as models
    from palate import objectives as objectives
    from palate import trainers as trainers
    from palate import training as training
    from palate.errors import CheckpointError as CheckpointError
    from palate.errors import DataError as DataError
    from palate.errors import GateError as GateError
    from palate.errors import Interrupted as Interrupted
    from palate.errors import ModelError as ModelError
    from palate.errors import NumericalError as NumericalError
    from palate.errors import PalateError as PalateError
    from palate.errors import RecipeError as RecipeError
    from palate.errors import UsageError as UsageError
    from palate.trainers import CPOConfig as CPOConfig
    from palate.trainers import CPOTrainer as CPOTrainer
    from palate.trainers import DPOConfig as DPOConfig
    from palate.trainers import DPOTrainer as DPOTrainer
    from palate.trainers import GRPOConfig as GRPOConfig
    from palate.trainers import GRPOTrainer as GRPOTrainer
    from palate.trainers import KTOConfig as KTOConfig
    from palate.trainers import KTOTrainer as KTOTrainer
    from palate.trainers import OnlineDPOConfig as OnlineDPOConfig
    from palate.trainers import OnlineDPOTrainer as OnlineDPOTrainer
    from palate.trainers import ORPOConfig as ORPOConfig
    from palate.trainers import ORPOTrainer as ORPOTrainer
    from palate.trainers import PPOConfig as PPOConfig
    from palate.trainers import PPOTrainer as PPOTrainer
    from palate.trainers import RewardConfig as RewardConfig
    from palate.trainers import RewardTrainer as RewardTrainer
    from palate.trainers import RLOOConfig as RLOOConfig
    from palate.trainers import RLOOTrainer as RLOOTrainer
    from palate.trainers import SFTConfig as SFTConfig
    from palate.trainers import SFTTrainer as SFTTrainer

__version__ = "0.1.0"

_MODULES = {
    "errors": (
        "CheckpointError",
        "DataError",
        "GateError",
        "Interrupted",
        "ModelError",
        "NumericalError",
        "PalateError",
        "RecipeError",
        "UsageError",
    ),
    "trainers": (
        "CPOConfig",
        "CPOTrainer",
        "DPOConfig",
        "DPOTrainer",
        "GRPOConfig",
        "GRPOTrainer",
        "KTOConfig",
        "KTOTrainer",
        "ORPOConfig",
        "ORPOTrainer",
        "OnlineDPOConfig",
        "OnlineDPOTrainer",
        "PPOConfig",
        "PPOTrainer",
        "RLOOConfig",
        "RLOOTrainer",
        "RewardConfig",
        "RewardTrainer",
        "SFTConfig",
        "SFTTrainer",
    ),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}
_ROOMS = ("data", "experiments", "measures", "models", "objectives", "trainers", "training")

__all__ = sorted([*_HOMES, *_ROOMS, "__version__"])


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
