"""transformers and PEFT behind a few verbs: load, take roles, score, sample, save.

`palate.models.load.load` reads a model; it is not listed here because its module has its name.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palate.models.load import Loaded as Loaded
    from palate.models.load import weights_hash as weights_hash
    from palate.models.meter import Meter as Meter
    from palate.models.protocols import FunctionReward as FunctionReward
    from palate.models.protocols import ModelReward as ModelReward
    from palate.models.protocols import Reward as Reward
    from palate.models.reference import ReferenceCache as ReferenceCache
    from palate.models.reward_folder import RewardScale as RewardScale
    from palate.models.role import Role as Role
    from palate.models.roles import Roles as Roles
    from palate.models.sampling import Sample as Sample
    from palate.models.sampling import sample as sample
    from palate.models.scoring import exact_kl as exact_kl
    from palate.models.scoring import hidden_rows as hidden_rows
    from palate.models.scoring import response_logprobs as response_logprobs
    from palate.models.scoring import rewards as rewards
    from palate.models.scoring import token_logprobs_of as token_logprobs_of
    from palate.models.trunk import Trunk as Trunk

_MODULES = {
    "load": ("Loaded", "weights_hash"),
    "meter": ("Meter",),
    "protocols": ("FunctionReward", "ModelReward", "Reward"),
    "reference": ("ReferenceCache",),
    "reward_folder": ("RewardScale",),
    "role": ("Role",),
    "roles": ("Roles",),
    "sampling": ("Sample", "sample"),
    "scoring": ("exact_kl", "hidden_rows", "response_logprobs", "rewards", "token_logprobs_of"),
    "trunk": ("Trunk",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
