"""A loaded model → the roles of a stage: which adapters, which reference, which heads."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import LoraConfig
from transformers import AutoTokenizer, PreTrainedModel

from palate.errors import ModelError, PalateError, RecipeError
from palate.experiments.entries import model_folder
from palate.experiments.passport import read_passport
from palate.models.load import Loaded, load, refuse_unsafe, weights_hash
from palate.models.moving import add_moving_reference, frozen_twin
from palate.models.reward_folder import read_model
from palate.models.roles import Roles
from palate.models.vocabulary import first_difference, refuse_other_tokens, tokenizer_in
from palate.training.seeding import seeded
from palate.training.settings import PPOSettings, RewardSettings, StageSettings
from palate.training.stage_cautions import adapter_cautions

log = logging.getLogger("palate")

VALUE_KINDS = ("shared", "separate")


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
    _tell_adapter(loaded, settings, lora)
    roles = Roles(on_device(loaded.model), loaded.tokenizer)
    twin = frozen_twin(roles) if moving_reference and ref_model is None else None
    with seeded(settings.seed), _targets_told(settings):
        roles.add_policy(lora or lora_config(settings), adapter=loaded.adapter)
    if twin is not None:
        add_moving_reference(roles, twin)
    elif with_reference:
        roles.add_reference(ref_model)
    return roles


def reward_roles(
    loaded: Loaded, settings: RewardSettings, *, lora: LoraConfig | None = None
) -> Roles:
    """A reward model to be trained, started from the SFT model."""
    _tell_adapter(loaded, settings, lora)
    roles = Roles(on_device(loaded.model), loaded.tokenizer)
    with seeded(settings.seed), _targets_told(settings):
        roles.add_reward(
            lora or lora_config(settings), adapter=loaded.adapter, num_heads=settings.num_heads
        )
    return roles


def _tell_adapter(loaded: Loaded, settings: StageSettings, lora: LoraConfig | None) -> None:
    """Tell of settings that an adapter which is there already overrules."""
    if loaded.adapter is not None:
        tell_adapter(settings, "the model is an adapter, which goes on being trained as it is")
    elif lora is not None:
        tell_adapter(settings, "peft_config says what the adapter is")


def tell_adapter(settings: StageSettings, given: str) -> None:
    """Warn of settings of adapters that have no effect because the adapter is `given`."""
    for sentence in adapter_cautions(settings, given):
        log.warning("%s", sentence)


@contextmanager
def _targets_told(settings: StageSettings) -> Iterator[None]:
    """Name the setting where PEFT finds none of the layers that it asks for.

    Raises:
        RecipeError: it names no layer of the model.
    """
    try:
        yield
    except ValueError as error:
        if not isinstance(error, PalateError) and "arget modules" in str(error):
            raise RecipeError(
                f"lora_target_modules is {settings.lora_target_modules!r}, which names no layer of "
                "this model; use all-linear, or names as print(model) shows them, such as "
                "q_proj,v_proj"
            ) from error
        raise


def add_value(roles: Roles, loaded: Loaded, settings: PPOSettings) -> None:
    """PPO's value function, as `value_model` says.

    Raises:
        RecipeError: it names neither a kind nor a folder.
        ModelError: the folder is no reward model, or one that reads other tokens or another base.
    """
    folder = None
    if settings.value_model not in VALUE_KINDS:
        folder = model_folder(settings.value_model)
        if not folder.is_dir():
            raise RecipeError(
                f"value_model is {settings.value_model!r}; it is one of {', '.join(VALUE_KINDS)}, "
                "or the folder of a reward model, and there is no such folder"
            )
        refuse_other_base(roles, folder)
        refuse_other_tokens(roles.tokenizer, tokenizer_in(folder), who=f"value_model {folder}")
    with seeded(settings.seed + 1):
        roles.add_value(
            lora_config(settings), adapter=loaded.adapter, shared=settings.value_model == "shared",
            folder=folder,
        )  # fmt: skip
    value, policy = roles["value"].trunk.model.config, roles.model.config
    if value.vocab_size != policy.vocab_size:
        raise ModelError(
            f"{folder}: the value model has {value.vocab_size} tokens, the policy "
            f"{policy.vocab_size}; both read the same ones, so take a model of the policy's family"
        )


def load_reward(roles: Roles, folder: Path) -> None:
    """Take up a trained reward model after checking that it belongs to this base.

    Raises:
        ModelError: it was trained on another base, or is no reward model.
    """
    refuse_other_base(roles, folder)
    roles.load_reward(folder)


def refuse_other_base(roles: Roles, folder: Path) -> None:
    """Refuse the adapter of a reward model that says it was trained on another base.

    Raises:
        ModelError: it does.
    """
    passport = read_passport(folder)
    if passport is not None and (folder / "adapter_config.json").exists():
        base = passport.base_hash
        if base is not None and base != weights_hash(roles.model):
            raise ModelError(
                f"{folder}: this reward adapter was trained on another base than "
                f"{roles.model.name_or_path or 'the policy'}; train PPO from the model that the "
                "reward model started from"
            )


def shares_base(roles: Roles, folder: Path) -> bool:
    """Whether a reward model is an adapter on the policy's base that can be applied there.

    It cannot where all weights of the base are trained, or where it reads other tokens. An adapter
    that does not say which base it was trained on is taken to be of this one.
    """
    if not (folder / "adapter_config.json").exists():
        return False
    passport = read_passport(folder)
    base = passport.base_hash if passport is not None else None
    own = tokenizer_in(folder)
    if own is not None and first_difference(roles.tokenizer, own) is not None:
        return False
    trained = "policy" in roles and roles["policy"].trainable and roles["policy"].adapter is None
    return not trained and (base is None or base == weights_hash(roles.model))


def load_reward_model(folder: Path, *, base: str | None = None) -> Loaded:
    """What a reward model's head stands on: an adapter's base, or the model of its own.

    Args:
        folder: of the reward model.
        base: an adapter's base, where it is not where the adapter says.

    Raises:
        ModelError: the folder is unsafe or incomplete.
    """
    refuse_unsafe(folder)
    if (folder / "adapter_config.json").exists():
        return load(folder, base=base)
    model = read_model(folder, dtype=torch.float32)
    return Loaded(model, AutoTokenizer.from_pretrained(str(folder), local_files_only=True))


def frozen_reward(loaded: Loaded, folder: Path) -> Roles:
    """A reward model alone, to score with.

    Raises:
        ModelError: it belongs to another base, or is no reward model.
    """
    roles = Roles(on_device(loaded.model), loaded.tokenizer)
    if loaded.adapter is None:
        roles.load_reward(folder, is_base=True)
    else:
        load_reward(roles, folder)
    return roles


def on_device(model: PreTrainedModel) -> PreTrainedModel:
    """The model on the accelerator, where there is one."""
    return model.to("cuda") if torch.cuda.is_available() else model
