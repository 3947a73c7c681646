"""A loaded model → the roles of a stage: which adapters, which reference, which heads."""

import json
from pathlib import Path

import torch
from peft import LoraConfig
from transformers import PreTrainedModel

from palate.errors import ModelError
from palate.models.load import Loaded, weights_hash
from palate.models.moving import add_moving_reference, frozen_twin
from palate.models.roles import Roles
from palate.training.seeding import seeded
from palate.training.settings import PPOSettings, StageSettings

PASSPORT = "palate.json"


def lora_config(settings: StageSettings) -> LoraConfig | None:
    """PEFT's config from the settings; None where all weights are trained."""
    if not settings.use_peft:
        return None
    return LoraConfig(
        r=settings.lora_r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=settings.lora_targets,
        task_type="CAUSAL_LM",
    )


def policy_roles(
    loaded: Loaded,
    settings: StageSettings,
    *,
    lora: LoraConfig | None = None,
    ref_model: PreTrainedModel | None = None,
    with_reference: bool = True,
    moving_reference: bool = False,
) -> Roles:
    """A trainable policy and what it is held to.

    Where the model is a PEFT folder its adapter goes on being trained and a frozen copy of it is
    the reference; else, with LoRA, the reference is the base with adapters off; else a frozen
    copy of the weights. A moving reference is a model of its own, equal to the policy at the start.
    """
    roles = Roles(_on_device(loaded.model), loaded.tokenizer)
    twin = frozen_twin(roles) if moving_reference and ref_model is None else None
    with seeded(settings.seed):
        roles.add_policy(lora or lora_config(settings), adapter=loaded.adapter)
    if twin is not None:
        add_moving_reference(roles, twin)
    elif with_reference:
        roles.add_reference(ref_model)
    return roles


def reward_roles(
    loaded: Loaded, settings: StageSettings, *, lora: LoraConfig | None = None
) -> Roles:
    """A reward model to be trained, started from the SFT model."""
    roles = Roles(_on_device(loaded.model), loaded.tokenizer)
    with seeded(settings.seed):
        roles.add_reward(lora or lora_config(settings), adapter=loaded.adapter)
    return roles


def add_value(roles: Roles, loaded: Loaded, settings: PPOSettings) -> None:
    """PPO's value function, as `value_model` says."""
    with seeded(settings.seed + 1):
        roles.add_value(
            lora_config(settings), adapter=loaded.adapter, shared=settings.value_model == "shared"
        )


def load_reward(roles: Roles, folder: Path) -> None:
    """Take up a trained reward model after checking that it belongs to this base.

    Raises:
        ModelError: it was trained on another base, or is no reward model.
    """
    passport = folder / PASSPORT
    if passport.exists() and (folder / "adapter_config.json").exists():
        base = json.loads(passport.read_text(encoding="utf-8")).get("base_hash")
        if base is not None and base != weights_hash(roles.model):
            raise ModelError(
                f"{folder}: this reward adapter was trained on another base than "
                f"{roles.model.name_or_path or 'the policy'}; train PPO from the model that the "
                "reward model started from"
            )
    roles.load_reward(folder)


def save_model(roles: Roles, role: str, folder: Path, *, stage: str) -> None:
    """Save a role with a passport that says which base it is for."""
    roles.save(role, folder)
    passport = {"stage": stage, "role": role, "base": str(roles.model.name_or_path)}
    if roles[role].adapter is not None:
        passport["base_hash"] = weights_hash(roles.model)
    (folder / PASSPORT).write_text(json.dumps(passport, indent=1), encoding="utf-8")


def _on_device(model: PreTrainedModel) -> PreTrainedModel:
    return model.to("cuda") if torch.cuda.is_available() else model
