"""The stages' settings under the names and with the habits of TRL's configs; no torch.

Every setting is the stage's own. Two defaults are TRL's instead: all weights are trained unless
the trainer is given a `peft_config` (or a `PeftModel`, or `use_peft=True`), and the learning rate
is the one that TRL takes for that. An adapter wants a larger one.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from palate.errors import RecipeError
from palate.training.settings import (
    DPOSettings,
    PPOSettings,
    RewardSettings,
    SFTSettings,
    StageSettings,
    setting,
    unknown_setting,
)

Config = TypeVar("Config", bound=StageSettings)

# What the arguments of TRL's configs are called, or why they are not, here.
HABITS = {
    "bf16": "nothing: the precision is the dtype of the model that is given",
    "gradient_checkpointing": "max_tokens_per_microbatch (fewer tokens at a time, less memory)",
    "optim": "nothing: the optimizer is AdamW",
    "logging_dir": "nothing: metrics go to metrics.jsonl in output_dir",
    "run_name": "output_dir",
    "disable_tqdm": "nothing: progress is shown on terminals only",
    "push_to_hub": "nothing: save_model() writes a folder to upload",
    "do_train": "nothing: call train()",
    "do_eval": "nothing: call evaluate()",
    "evaluation_strategy": "eval_steps (0: no evaluation until the end)",
    "generate_during_eval": "sample_steps",
    "num_sample_generations": "sample_steps",
    "max_seq_length": "max_length",
    "completion_only_loss": "nothing: the loss counts responses alone",
    "assistant_only_loss": "nothing: the loss counts responses alone",
    "dataset_text_field": "nothing: columns are prompt, chosen, rejected, completion, messages …",
    "dataset_num_proc": "nothing: rows are rendered once, in this process",
    "dataloader_num_workers": "nothing: rows are rendered once, in this process",
    "model_init_kwargs": "nothing: load the model with them and give the trainer the model",
    "rpo_alpha": "nothing: DPO's loss has no SFT term",
    "num_generations": "num_samples_per_prompt",
    "total_episodes": "max_steps (rollouts) or num_train_epochs",
    "local_rollout_forward_batch_size": "max_tokens_per_microbatch",
    "stop_token": "nothing: responses end at the tokenizer's or chat template's end token",
    "reward_model_path": "the trainer's reward_model",
    "sft_model_path": "the trainer's model",
}


def _strict(config: type[Config]) -> type[Config]:
    """Unknown keywords and unusable values are a `RecipeError`, whatever the door."""
    known = {field.name for field in fields(config)}
    settings: type[StageSettings] = config.__bases__[0]
    made: Callable[..., None] = config.__init__

    @wraps(made)
    def checked(self: Config, *args: Any, **values: Any) -> None:
        if args:
            raise RecipeError(
                f"{config.__name__} takes settings by name: {config.__name__}(output_dir=…)"
            )
        for key in values:
            if key in HABITS and key not in known:
                raise RecipeError(
                    f"{config.__name__} has no setting {key!r}; here it is {HABITS[key]}"
                )
            if key not in known:
                raise RecipeError(unknown_setting(key, known, config.__name__))
        if isinstance(values.get("output_dir"), Path):
            values["output_dir"] = str(values["output_dir"])
        coerced = settings.from_mapping(values)
        made(self, **{key: getattr(coerced, key) for key in values})

    config.__init__ = checked  # type: ignore[assignment, method-assign]
    return config


@_strict
@dataclass(frozen=True, kw_only=True)
class DPOConfig(DPOSettings):
    """Settings of `DPOTrainer`; see `DPOSettings`."""

    learning_rate: float = setting(1e-6, "peak step size (TRL's DPOConfig; LoRA wants 1e-5)")
    use_peft: bool = setting(False, "train LoRA adapters; off: all weights, or peft_config")


@_strict
@dataclass(frozen=True, kw_only=True)
class RewardConfig(RewardSettings):
    """Settings of `RewardTrainer`; see `RewardSettings`."""

    use_peft: bool = setting(False, "train LoRA adapters; off: all weights, or peft_config")


@_strict
@dataclass(frozen=True, kw_only=True)
class SFTConfig(SFTSettings):
    """Settings of `SFTTrainer`; see `SFTSettings`."""


@_strict
@dataclass(frozen=True, kw_only=True)
class PPOConfig(PPOSettings):
    """Settings of `PPOTrainer`; see `PPOSettings`."""

    learning_rate: float = setting(3e-6, "peak step size (TRL's PPOConfig; LoRA wants 1e-5)")
    use_peft: bool = setting(False, "train LoRA adapters; off: all weights, or peft_config")
