"""The formulas, pure torch: plain tensors in, tensors or a frozen dataclass out.

Nothing here knows a model, a settings object or a file. Names load their module on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palate.objectives.divergence import kl_exact as kl_exact
    from palate.objectives.divergence import kl_k1 as kl_k1
    from palate.objectives.divergence import kl_k2 as kl_k2
    from palate.objectives.divergence import kl_k3 as kl_k3
    from palate.objectives.likelihood import exact_kl_per_token as exact_kl_per_token
    from palate.objectives.likelihood import token_entropy as token_entropy
    from palate.objectives.likelihood import token_logprobs as token_logprobs
    from palate.objectives.masked import masked_mean as masked_mean
    from palate.objectives.masked import masked_sum as masked_sum
    from palate.objectives.masked import masked_var as masked_var
    from palate.objectives.masked import masked_whiten as masked_whiten
    from palate.objectives.policy import PolicyLoss as PolicyLoss
    from palate.objectives.policy import ValueLoss as ValueLoss
    from palate.objectives.policy import clipped_policy_loss as clipped_policy_loss
    from palate.objectives.policy import clipped_value_loss as clipped_value_loss
    from palate.objectives.preference import LOSSES as LOSSES
    from palate.objectives.preference import PreferenceLoss as PreferenceLoss
    from palate.objectives.preference import bradley_terry_loss as bradley_terry_loss
    from palate.objectives.preference import hinge_loss as hinge_loss
    from palate.objectives.preference import implicit_reward as implicit_reward
    from palate.objectives.preference import ipo_loss as ipo_loss
    from palate.objectives.preference import log_ratio_margin as log_ratio_margin
    from palate.objectives.preference import robust_loss as robust_loss
    from palate.objectives.returns import Advantages as Advantages
    from palate.objectives.returns import gae as gae
    from palate.objectives.returns import kl_shaped_rewards as kl_shaped_rewards
    from palate.objectives.returns import response_gae as response_gae

_MODULES = {
    "divergence": ("kl_exact", "kl_k1", "kl_k2", "kl_k3"),
    "likelihood": ("exact_kl_per_token", "token_entropy", "token_logprobs"),
    "masked": ("masked_mean", "masked_sum", "masked_var", "masked_whiten"),
    "policy": ("PolicyLoss", "ValueLoss", "clipped_policy_loss", "clipped_value_loss"),
    "preference": (
        "LOSSES",
        "PreferenceLoss",
        "bradley_terry_loss",
        "hinge_loss",
        "implicit_reward",
        "ipo_loss",
        "log_ratio_margin",
        "robust_loss",
    ),
    "returns": ("Advantages", "gae", "kl_shaped_rewards", "response_gae"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
