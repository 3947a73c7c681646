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
from palate.models.roles import Roles


def frozen_twin(roles: Roles) -> PreTrainedModel:
    """A copy of the base, to be taken before any adapter stands on it."""
    assert roles.peft is None
    twin = copy.deepcopy(roles.model)
    twin.requires_grad_(False)
    return twin


def add_moving_reference(roles: Roles, twin: PreTrainedModel) -> None:
    """Make a twin of the base the reference, equal to the policy as it stands now."""
    if "reference" in roles:
        roles.drop("reference")
    roles.add_reference(twin)
    mix_reference(roles, alpha=1.0)
    roles.equal_at_start = True


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
    changes: dict[str, Tensor] = {}
    if policy.adapter is not None:
        for name, module in policy.trunk.model.named_modules():
            if isinstance(module, LoraLayer) and policy.adapter in module.lora_A:
                changes[f"{name}.weight"] = module.get_delta_weight(policy.adapter)
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
