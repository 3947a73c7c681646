"""A recipe's keys and values → fields of a settings dataclass, or the sentence that helps.

What people bring from TRL and transformers under another name is told by that name.
"""

import difflib
import math
from dataclasses import MISSING, Field
from typing import Any

from palate.errors import RecipeError

# Words that may be given as a list; they are kept comma separated.
LISTS = frozenset({"loss_type", "loss_weights", "lora_target_modules"})

# What people bring from TRL and transformers, and what it is called (or why it is not) here.
ELSEWHERE = {
    "per_device_eval_batch_size": "max_tokens_per_microbatch, in evaluation too",
    "per_device_batch_size": "per_device_train_batch_size",
    "batch_size": "per_device_train_batch_size",
    "lr": "learning_rate",
    "epochs": "num_train_epochs",
    "warmup_ratio": "warmup_steps (a number below 1 is a share of all steps)",
    "eval_strategy": "eval_steps (0: no evaluation)",
    "save_strategy": "save_steps (0: only at the end)",
    "logging_strategy": "logging_steps",
    "truncation_mode": "overlong (nothing is ever cut: rows are refused or dropped)",
    "max_prompt_length": "max_length (tokens of prompt + response)",
    "max_completion_length": "max_new_tokens",
    "response_length": "max_new_tokens",
    "precompute_ref_log_probs": "nothing: reference log-probabilities are always computed once",
    "disable_dropout": "lora_dropout (the base's own dropout is always off)",
    "padding_free": "nothing: there is never padding",
    "packing": "nothing: rows are always packed without padding",
    "fp16": "nothing: float16 loses small gradients",
    "kl_coeff": "kl_coef",
    "init_kl_coef": "kl_coef",
    "kl_penalty": "kl_estimator (kl: k1, mse: k2) and kl_penalty_in",
    "use_kl_loss": "kl_penalty_in (loss)",
    "target": "adap_kl_target",
    "horizon": "adap_kl_horizon",
    "kl_target": "adap_kl_ctrl with adap_kl_target",
    "kl_horizon": "adap_kl_horizon",
    "ppo_epochs": "num_ppo_epochs",
    "max_epochs": "num_ppo_epochs",
    "mini_batch_size": "num_mini_batches (how many there are, not how large they are)",
    "train_batch_size": "num_mini_batches (how many there are, not how large they are)",
    "rollout_batch_size": "per_device_train_batch_size",
    "n_samples_per_prompt": "num_samples_per_prompt",
    "generate_max_len": "max_new_tokens",
    "eps_clip": "cliprange",
    "value_clip": "cliprange_value",
    "lambd": "lam",
    "entropy_loss_coef": "entropy_coef",
    "normalize_reward": "use_score_scaling with use_score_norm",
    "reward_clip_range": "score_clip (a bound on either side of 0)",
    "freezing_actor_steps": "value_warmup_steps (rollouts)",
    "critic_pretrain": "value_model (the folder of a reward model)",
    "reward_pretrain": "the reward: --reward, or the trainer's reward_model",
    "early_stopping": "target_kl (a rollout's passes) and kl_budget (the run)",
    "beta_kl": "kl_coef",
    "ref_model_path": "the reference is the model that training starts from",
    "remove_unused_columns": "nothing: unused columns are kept and ignored",
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
    "rpo_alpha": "loss_type sigmoid,sft with loss_weights 1,α",
    "label_pad_token_id": "nothing: there is never padding",
    "reference_free": "loss_type cpo, simpo or orpo",
    "num_generations": "num_samples_per_prompt",
    "num_generations_eval": "num_samples_per_prompt, in evaluation too",
    "steps_per_generation": "num_mini_batches",
    "generation_batch_size": "per_device_train_batch_size",
    "beta": "kl_coef, where there is a tie to a reference (palate ppo, palate online)",
    "epsilon_low": "epsilon",
    "top_p": "nothing: what is sampled is what is scored (temperature)",
    "top_k": "nothing: what is sampled is what is scored (temperature)",
    "min_p": "nothing: what is sampled is what is scored (temperature)",
    "repetition_penalty": "nothing: what is sampled is what is scored (temperature)",
    "total_episodes": "max_steps (rollouts) or num_train_epochs",
    "local_rollout_forward_batch_size": "max_tokens_per_microbatch",
    "stop_token": "stop (texts); the tokenizer's and chat template's end tokens end a response too",
    "stop_token_id": "stop (texts)",
    "reward_weights": "the trainer's reward_weights",
    "reward_model_path": "the trainer's reward_model",
    "sft_model_path": "the trainer's model",
}


def unknown_setting(key: str, known: set[str], where: str) -> str:
    """The sentence for a key that does not exist: it names the nearest one that does."""
    if key in ELSEWHERE and key not in known:
        return f"{where} has no setting {key!r}; here it is {ELSEWHERE[key]}"
    near = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(sorted(known))}"
    return f"{where} has no setting {key!r}; {hint}"


def coerced(of: "Field[Any]", value: Any) -> Any:
    """A recipe's value as the field's type; YAML reads 1e-5 as a string."""
    wanted = of.type
    assert of.default is not MISSING
    if wanted is bool:
        if not isinstance(value, bool):
            raise RecipeError(f"{of.name} is {value!r}; it must be true or false")
        return value
    if wanted in (int, float):
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise RecipeError(f"{of.name} is {value!r}; it must be a number") from None
        if not math.isfinite(number):
            raise RecipeError(f"{of.name} is {value!r}; it must be a finite number")
        if isinstance(value, bool) or (wanted is int and number != int(number)):
            raise RecipeError(f"{of.name} is {value!r}; it must be a whole number")
        return int(number) if wanted is int else number
    if wanted == tuple[str, ...]:
        texts = (value,) if isinstance(value, str) else value
        if not (isinstance(texts, list | tuple) and all(isinstance(text, str) for text in texts)):
            raise RecipeError(f"{of.name} is {value!r}; it must be a text, or a list of texts")
        return tuple(texts)
    if isinstance(value, list | tuple) and of.name in LISTS:
        return ",".join(str(part) for part in value)
    if isinstance(value, int | float) and of.name == "loss_weights" and value is not True:
        return str(value)
    if not isinstance(value, str):
        raise RecipeError(f"{of.name} is {value!r}; it must be a word")
    return value
