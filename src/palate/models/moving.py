"""A reference that follows the policy: its weights are mixed with the policy's now and then.

With LoRA the mixture of two low-rank changes is of no low rank, so the reference is a model of its
own (one more in memory) into which the policy's change is merged; without LoRA it is the frozen
copy that full fine-tuning has anyway.

Reference: Gorbatovski et al. 2024, arXiv:2404.09656 (TR-DPO), equations 6 and 7.
"""

import copy

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor
from transformers import PreTrainedModel

from palate.errors import ModelError
from palate.models.role import Role
from palate.models.roles import Roles


def frozen_twin(roles: Roles) -> PreTrainedModel:
    """A copy of the base, to be taken before any adapter stands on it."""
    assert roles.peft is None
    twin = copy.deepcopy(roles.model)
    twin.requires_grad_(False)
    return twin


def add_moving_reference(roles: Roles, twin: PreTrainedModel) -> None:
    """Make a twin of the base the reference, equal to the policy as it stands now.

    Equal up to rounding: `equal_at_start` says whether to float32's, which is checked.
    """
    if "reference" in roles:
        roles.drop("reference")
    roles.add_reference(twin)
    mix_reference(roles, alpha=1.0)
    # In lower precisions a merged adapter is rounded by more than a check of equality allows.
    rounded = roles.model.dtype != torch.float32 and any(
        bool(change.any()) for change in _adapter_changes(roles["policy"]).values()
    )
    roles.equal_at_start = not rounded


def moving_weights(roles: Roles) -> dict[str, Tensor]:
    """The reference's own weights by name.

    Raises:
        ModelError: the reference is the policy's base, which cannot move by itself.
    """
    reference = roles["reference"]
    if reference.trunk is roles.trunk:
        raise ModelError(
            "the reference shares its weights with the policy's base and cannot move by itself; "
            "sync_ref_model needs a reference of its own"
        )
    return dict(reference.trunk.model.named_parameters())


@torch.no_grad()
def mix_reference(roles: Roles, *, alpha: float) -> None:
    """π_ref ← α·π + (1 − α)·π_ref, weight by weight.

    Args:
        roles: have a policy, and a reference with weights of its own.
        alpha: α in (0, 1]; 1 makes the reference the policy.

    Raises:
        ModelError: the reference has no weights of its own, or others than the policy's base.
    """
    weights = moving_weights(roles)
    policy = roles["policy"]
    changes = _adapter_changes(policy)
    own = {
        name.replace(".base_layer.", "."): parameter
        for name, parameter in policy.trunk.model.named_parameters()
        if ".lora_" not in name
    }
    for name, weight in weights.items():
        target = own.get(name)
        if target is None or target.shape != weight.shape:
            raise ModelError(
                f"the reference's {name} has no equal in the policy, so the two cannot be mixed; "
                "sync_ref_model needs a reference of the policy's own architecture"
            )
        if name in changes:
            target = target + changes[name].to(target.dtype)
        weight.lerp_(target.to(weight.device), alpha)
    roles["reference"].moved()


@torch.no_grad()
def _adapter_changes(role: Role) -> dict[str, Tensor]:
    """What the role's adapter adds to the weights of its model, by their names."""
    if role.adapter is None:
        return {}
    return {
        f"{name}.weight": module.get_delta_weight(role.adapter)
        for name, module in role.trunk.model.named_modules()
        if isinstance(module, LoraLayer) and role.adapter in module.lora_A
    }
