"""What people hand over — model, tokenizer, reference — → roles, or a refusal."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch
from peft import LoraConfig, PeftModel
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from palate.errors import RecipeError
from palate.experiments.prepare import policy_roles, tell_adapter
from palate.models.load import Loaded, load
from palate.models.roles import Roles
from palate.models.vocabulary import refuse_ids_beyond, refuse_other_tokens, tokenizer_in
from palate.training.settings import StageSettings

Settings = TypeVar("Settings", bound=StageSettings)


@dataclass(frozen=True)
class Start:
    """What training starts from.

    Attributes:
        loaded: the causal language model, its tokenizer, and the adapter folder that was named.
        peft: the caller's PEFT model, where the model is one.
        lora: the caller's config of a fresh adapter.
        source: the folder that the model came from, where it came from one.
    """

    loaded: Loaded
    peft: PeftModel | None = None
    lora: LoraConfig | None = None
    source: Path | None = None


def take_settings(args: object, config: type[Settings]) -> Settings:
    """The trainer's settings; defaults where none are given."""
    if args is None:
        return config()
    if not isinstance(args, config):
        raise RecipeError(
            f"args is a {type(args).__name__}; give a {config.__name__} (its settings have the "
            "names that TRL's have)"
        )
    return args


def take_model(model: object, processing_class: object, peft_config: object) -> Start:
    """Check and sort what training starts from.

    Raises:
        RecipeError: it is none of the kinds that can be trained, or two of them at once.
        ModelError: the tokenizer gives ids for which the model has no row.
    """
    if processing_class is not None and not isinstance(processing_class, PreTrainedTokenizerBase):
        raise RecipeError(
            f"processing_class is a {type(processing_class).__name__}; give the model's tokenizer"
        )
    if peft_config is not None and not isinstance(peft_config, LoraConfig):
        raise RecipeError(
            f"peft_config is a {type(peft_config).__name__}; only LoRA adapters are trained: give "
            "a peft.LoraConfig"
        )
    if isinstance(model, str | Path):
        loaded = load(model)
        if loaded.adapter is not None and peft_config is not None:
            raise RecipeError(
                f"{model} is an adapter, which goes on being trained; leave peft_config out, or "
                "merge it into its base first"
            )
        loaded = replace(loaded, tokenizer=processing_class or loaded.tokenizer)
        refuse_ids_beyond(loaded.tokenizer, loaded.model)
        return Start(loaded, lora=peft_config, source=Path(model))
    peft = model if isinstance(model, PeftModel) else None
    if peft is not None and peft_config is not None:
        raise RecipeError(
            "the model is a PeftModel, whose adapter goes on being trained; leave peft_config "
            "out, or merge it first: model.merge_and_unload()"
        )
    plain = model if peft is None else peft.get_base_model()
    if not isinstance(plain, PreTrainedModel):
        raise RecipeError(
            f"model is a {type(model).__name__}; give a causal language model of transformers, a "
            "PeftModel on one, or the name of a folder"
        )
    if plain.get_output_embeddings() is None:
        raise RecipeError(
            f"model is a {type(plain).__name__}; every trainer, RewardTrainer too, starts from a "
            "causal language model (AutoModelForCausalLM; best the SFT model) and adds the heads "
            "that it needs itself"
        )
    source = Path(plain.name_or_path) if plain.name_or_path else None
    tokenizer = processing_class or _tokenizer_beside(plain.name_or_path)
    refuse_ids_beyond(tokenizer, plain)
    return Start(Loaded(plain, tokenizer), peft, peft_config, source)


def _tokenizer_beside(name: str) -> PreTrainedTokenizerBase:
    if not name or not Path(name).is_dir():
        raise RecipeError(
            "the model object does not say which folder its tokenizer is in; give it as "
            "processing_class"
        )
    try:
        return AutoTokenizer.from_pretrained(name, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise RecipeError(
            f"{name}: no tokenizer can be loaded there; give it as processing_class"
        ) from error


def policy_of(
    start: Start,
    settings: StageSettings,
    *,
    ref_model: object = None,
    with_reference: bool = True,
    moving_reference: bool = False,
) -> Roles:
    """A trainable policy and, where the stage has one, its reference.

    A PEFT model's adapter, frozen as it is now, is the reference; without adapters a frozen copy
    of the weights is; an explicit `ref_model` replaces either base. A moving reference is a model
    of its own.

    Raises:
        RecipeError: `ref_model` cannot be one.
        ModelError: `ref_model` has another tokenizer.
    """
    if start.peft is not None:
        if ref_model is not None:
            raise RecipeError(
                "the model is a PeftModel: its adapter, frozen, is the reference; leave ref_model "
                "out, or merge the adapter first: model.merge_and_unload()"
            )
        if moving_reference:
            raise RecipeError(
                "sync_ref_model is on and the model is a PeftModel, whose reference shares its "
                "base; give the adapter's folder as the model, or a plain model with peft_config"
            )
        tell_adapter(settings, "the model is a PeftModel, whose adapter goes on being trained")
        on_device = start.peft.to("cuda") if torch.cuda.is_available() else start.peft
        roles = Roles(start.loaded.model, start.loaded.tokenizer)
        roles.add_peft_policy(on_device)
        return roles
    reference = None if ref_model is None else _take_reference(ref_model, start)
    roles = policy_roles(
        start.loaded, settings, lora=start.lora, with_reference=False,
        moving_reference=moving_reference and reference is None,
    )  # fmt: skip
    if with_reference:
        roles.add_reference(None if reference is None else reference.to(roles.device))
    return roles


def _take_reference(ref_model: object, start: Start) -> PreTrainedModel:
    if start.loaded.adapter is not None:
        raise RecipeError(
            "the model is an adapter folder: the adapter, frozen, is the reference; leave "
            "ref_model out"
        )
    if ref_model is start.loaded.model:
        raise RecipeError(
            "ref_model is the object that is trained; leave it out (the reference is then the "
            "model as it is before training), or load it a second time"
        )
    if isinstance(ref_model, str | Path):
        loaded = load(ref_model)
        if loaded.adapter is not None:
            raise RecipeError(f"{ref_model}: an adapter as ref_model; merge it into its base first")
        refuse_other_tokens(start.loaded.tokenizer, loaded.tokenizer, who=f"ref_model {ref_model}")
        return loaded.model
    if not isinstance(ref_model, PreTrainedModel):
        raise RecipeError(
            f"ref_model is a {type(ref_model).__name__}; give a model of transformers (merge "
            "adapters into it first) or the name of its folder"
        )
    beside = tokenizer_in(Path(ref_model.name_or_path)) if ref_model.name_or_path else None
    refuse_other_tokens(start.loaded.tokenizer, beside, who="ref_model")
    return ref_model


def told(settings: Settings, roles: Roles, role: str) -> Settings:
    """Settings that say of adapters what is so, whoever brought them: recipe and card show it."""
    adapter = roles[role].adapter
    if adapter is None or roles.peft is None or settings.use_peft:
        return settings
    config = roles.peft.peft_config[adapter]
    targets = config.target_modules
    return replace(
        settings,
        use_peft=True,
        lora_r=config.r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        lora_target_modules=targets if isinstance(targets, str) else ",".join(sorted(targets)),
    )
