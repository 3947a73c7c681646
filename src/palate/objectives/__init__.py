"""The formulas, pure torch: plain tensors in, tensors or a frozen dataclass out.

Nothing here knows a model, a settings object or a file. Names load their module on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palate.objectives.anchored import apo_down_loss as apo_down_loss
    from palate.objectives.anchored import apo_zero_loss as apo_zero_loss
    from palate.objectives.anchored import bco_pair_loss as bco_pair_loss
    from palate.objectives.anchored import nca_pair_loss as nca_pair_loss
    from palate.objectives.anchored import sppo_hard_loss as sppo_hard_loss
    from palate.objectives.averaging import token_weights as token_weights
    from palate.objectives.controllers import adapted_kl_coef as adapted_kl_coef
    from palate.objectives.divergence import KL_ESTIMATORS as KL_ESTIMATORS
    from palate.objectives.divergence import kl_exact as kl_exact
    from palate.objectives.divergence import kl_k1 as kl_k1
    from palate.objectives.divergence import kl_k2 as kl_k2
    from palate.objectives.divergence import kl_k3 as kl_k3
    from palate.objectives.ensemble import cautious_rewards as cautious_rewards
    from palate.objectives.f_divergence import DIVERGENCE_SCORES as DIVERGENCE_SCORES
    from palate.objectives.f_divergence import alpha_divergence_score as alpha_divergence_score
    from palate.objectives.f_divergence import forward_kl_score as forward_kl_score
    from palate.objectives.f_divergence import js_divergence_score as js_divergence_score
    from palate.objectives.f_divergence import reverse_kl_score as reverse_kl_score
    from palate.objectives.groups import best_and_worst as best_and_worst
    from palate.objectives.groups import group_relative_advantages as group_relative_advantages
    from palate.objectives.groups import leave_one_out_advantages as leave_one_out_advantages
    from palate.objectives.likelihood import exact_kl_per_token as exact_kl_per_token
    from palate.objectives.likelihood import log_collision as log_collision
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
    from palate.objectives.policy import entropy_surrogate as entropy_surrogate
    from palate.objectives.preference import bradley_terry_loss as bradley_terry_loss
    from palate.objectives.preference import discopop_loss as discopop_loss
    from palate.objectives.preference import exo_pair_loss as exo_pair_loss
    from palate.objectives.preference import hinge_loss as hinge_loss
    from palate.objectives.preference import implicit_reward as implicit_reward
    from palate.objectives.preference import ipo_loss as ipo_loss
    from palate.objectives.preference import log_ratio_margin as log_ratio_margin
    from palate.objectives.preference import robust_loss as robust_loss
    from palate.objectives.reference_free import cpo_loss as cpo_loss
    from palate.objectives.reference_free import log_odds as log_odds
    from palate.objectives.reference_free import orpo_loss as orpo_loss
    from palate.objectives.reference_free import sft_loss as sft_loss
    from palate.objectives.reference_free import simpo_loss as simpo_loss
    from palate.objectives.returns import Advantages as Advantages
    from palate.objectives.returns import gae as gae
    from palate.objectives.returns import kl_shaped_rewards as kl_shaped_rewards
    from palate.objectives.returns import response_gae as response_gae
    from palate.objectives.running import Moments as Moments
    from palate.objectives.running import scaled_scores as scaled_scores
    from palate.objectives.transport import aot_loss as aot_loss
    from palate.objectives.transport import aot_unpaired_loss as aot_unpaired_loss
    from palate.objectives.unpaired import apo_zero_unpaired_loss as apo_zero_unpaired_loss
    from palate.objectives.unpaired import bco_loss as bco_loss
    from palate.objectives.unpaired import kto_loss as kto_loss
    from palate.objectives.unpaired import mismatched_kl as mismatched_kl
    from palate.objectives.unpaired import reward_shift as reward_shift
    from palate.objectives.weighting import length_desensitized as length_desensitized
    from palate.objectives.weighting import wpo_weights as wpo_weights

_MODULES = {
    "anchored": (
        "apo_down_loss",
        "apo_zero_loss",
        "bco_pair_loss",
        "nca_pair_loss",
        "sppo_hard_loss",
    ),
    "averaging": ("token_weights",),
    "controllers": ("adapted_kl_coef",),
    "divergence": ("KL_ESTIMATORS", "kl_exact", "kl_k1", "kl_k2", "kl_k3"),
    "ensemble": ("cautious_rewards",),
    "f_divergence": (
        "DIVERGENCE_SCORES",
        "alpha_divergence_score",
        "forward_kl_score",
        "js_divergence_score",
        "reverse_kl_score",
    ),
    "groups": ("best_and_worst", "group_relative_advantages", "leave_one_out_advantages"),
    "likelihood": ("exact_kl_per_token", "log_collision", "token_entropy", "token_logprobs"),
    "masked": ("masked_mean", "masked_sum", "masked_var", "masked_whiten"),
    "policy": (
        "PolicyLoss",
        "ValueLoss",
        "clipped_policy_loss",
        "clipped_value_loss",
        "entropy_surrogate",
    ),
    "preference": (
        "bradley_terry_loss",
        "discopop_loss",
        "exo_pair_loss",
        "hinge_loss",
        "implicit_reward",
        "ipo_loss",
        "log_ratio_margin",
        "robust_loss",
    ),
    "reference_free": ("cpo_loss", "log_odds", "orpo_loss", "sft_loss", "simpo_loss"),
    "returns": ("Advantages", "gae", "kl_shaped_rewards", "response_gae"),
    "running": ("Moments", "scaled_scores"),
    "transport": ("aot_loss", "aot_unpaired_loss"),
    "unpaired": ("apo_zero_unpaired_loss", "bco_loss", "kto_loss", "mismatched_kl", "reward_shift"),
    "weighting": ("length_desensitized", "wpo_weights"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
