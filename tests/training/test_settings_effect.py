"""Every setting of every stage, changed by itself: the run is another one, or a sentence says why.

A small run of each stage and online method is made with the defaults and once for each setting.
What it trains, logs, samples and saves is compared.
"""

import logging
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from tests import tiny
from tests.training.runs import END, REWARD

from palate.errors import RecipeError
from palate.experiments.prepare import add_value, policy_roles, reward_roles
from palate.models.load import Loaded
from palate.training.dpo import train_dpo
from palate.training.folder import RunFolder
from palate.training.loss_types import LOSS_TYPES
from palate.training.online import train_online
from palate.training.online_settings import USES, OnlineSettings
from palate.training.ppo import train_ppo
from palate.training.reward import train_reward
from palate.training.run import Run
from palate.training.settings import (
    DPOSettings,
    PPOSettings,
    RewardSettings,
    SFTSettings,
    StageSettings,
)
from palate.training.sft import train_sft

# A value that differs from the default and from what `_settings` sets.
CHANGES: dict[str, Any] = {
    "seed": 1, "learning_rate": 2e-2, "num_train_epochs": 2.0, "max_steps": 1,
    "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2,
    "lr_scheduler_type": "constant", "warmup_steps": 0.9, "weight_decay": 0.5, "adam_beta1": 0.5,
    "adam_beta2": 0.5, "adam_epsilon": 1e-2, "max_grad_norm": 1e-3, "logging_steps": 2,
    "eval_steps": 2, "save_steps": 1, "save_total_limit": 1, "load_best_model_at_end": True,
    "metric_for_best_model": "eval_eos_rate", "sample_steps": 1, "num_sample_prompts": 0,
    "use_peft": False, "lora_r": 2, "lora_alpha": 4.0, "lora_dropout": 0.5,
    "lora_target_modules": "q_proj", "label_smoothing": 0.2, "center_rewards_coefficient": 0.1,
    "num_heads": 2, "num_scale_samples": 1, "max_new_tokens": 2, "beta": 0.7,
    "loss_type": "hinge", "loss_weights": "2", "f_divergence_type": "js_divergence",
    "f_alpha_divergence_coef": 0.2, "ld_alpha": 0.5, "use_weighting": True, "discopop_tau": 0.4,
    "simpo_gamma": 1.2, "cpo_alpha": 0.3, "desirable_weight": 2.0, "undesirable_weight": 2.0,
    "sync_ref_model": True, "ref_model_mixup_alpha": 0.3, "ref_model_sync_steps": 1,
    "num_samples_per_prompt": 3, "temperature": 2.0, "stop": ("w",), "missing_eos_penalty": 5.0,
    "kl_coef": 0.7, "num_ppo_epochs": 1, "num_mini_batches": 2, "cliprange": 1e-3,
    "cliprange_value": 1e-4, "vf_coef": 3.0, "entropy_coef": 0.5, "gamma": 0.5, "lam": 0.2,
    "kl_estimator": "k3", "kl_penalty_in": "loss", "adap_kl_ctrl": True, "adap_kl_target": 1.0,
    "adap_kl_horizon": 500.0, "target_kl": 1e-9, "kl_budget": 1e-9, "use_score_scaling": True,
    "use_score_norm": True, "score_clip": 0.1, "whiten_rewards": True, "whiten_advantages": False,
    "uncertainty_coef": 0.5, "gold_patience": 1, "value_model": "separate",
    "value_warmup_steps": 1, "method": "grpo", "num_iterations": 2, "epsilon": 1e-3,
    "epsilon_high": 1e-3, "normalize_advantages": True, "scale_rewards": "none",
    "use_bias_correction_kl": False, "label_temperature": 5.0, "sample_from": "policy",
    "num_rounds": 1, "round_reference": "last-round",
}  # fmt: skip
# What a run of this size, on trees, cannot show, and why that is so.
ELSEWHERE = {
    "output_dir": "where the run is written",
    "report_to": "where else the log goes",
    "max_tokens_per_microbatch": "changes memory and speed alone",
    "max_length": "looked at where text becomes tokens",
    "overlong": "looked at where text becomes tokens",
    "early_stopping_patience": "ends runs whose evaluations get no better",
    "stop_on": "ends runs of which a finding is told, and those are longer",
    "save_total_limit": "also how many checkpoints of interrupted runs are kept",
    "uncertainty_coef": "looked at where the reward model is loaded",
}
# Settings that others switch on: with those, too, the run must be another one.
WITH: dict[str, dict[str, Any]] = {
    "save_total_limit": {"save_steps": 1},
    "num_sample_prompts": {"sample_steps": 1},
    "f_alpha_divergence_coef": {"f_divergence_type": "alpha_divergence"},
    "ref_model_mixup_alpha": {"sync_ref_model": True, "ref_model_sync_steps": 1},
    "ref_model_sync_steps": {"sync_ref_model": True},
    "adap_kl_target": {"adap_kl_ctrl": True, "adap_kl_horizon": 500.0},
    "adap_kl_horizon": {"adap_kl_ctrl": True},
    "use_score_norm": {"use_score_scaling": True},
    "kl_penalty_in": {"kl_estimator": "k3"},
    "epsilon": {"num_iterations": 3},
    "epsilon_high": {"num_iterations": 3},
    "use_bias_correction_kl": {"kl_coef": 0.5},
}
OF_METHODS = ("sft", "reward", "dpo", "ppo", *USES)
OF_LOSSES = [f"dpo {name}" for name in LOSS_TYPES]
KINDS: dict[str, type[StageSettings]] = {
    "sft": SFTSettings, "reward": RewardSettings, "dpo": DPOSettings, "ppo": PPOSettings,
}  # fmt: skip
ROWS = {"sft": 1, "reward": 2, "dpo": 2}
SAMPLING = {"max_new_tokens": 5, "num_samples_per_prompt": 2}


def _kind(case: str) -> type[StageSettings]:
    return KINDS.get(case.split()[0], OnlineSettings)


def _own(case: str) -> dict[str, Any]:
    stage, _, loss = case.partition(" ")
    if stage == "dpo":
        smooth = {"label_smoothing": 0.1} if loss == "exo_pair" else {}
        return smooth | ({"loss_type": loss} if loss else {})
    if stage == "reward":
        return {"num_scale_samples": 3, "max_new_tokens": 4}
    if stage == "ppo":
        return SAMPLING | {"num_ppo_epochs": 3}
    return {} if stage == "sft" else SAMPLING | {"method": stage}


def _run(case: str, changes: dict[str, Any]) -> str:
    """Everything that a run leaves, as text."""
    common = {
        "per_device_train_batch_size": 4, "learning_rate": 1e-2, "logging_steps": 1,
        "eval_steps": 1, "max_steps": 3,
    }  # fmt: skip
    if "num_train_epochs" in changes:
        common["max_steps"] = -1
    settings = _kind(case)(**{**common, **_own(case), **changes})
    stage = case.split()[0]
    loaded = Loaded(tiny.llama(), tiny.tokenizer())
    rows = tiny.trees(8, responses=ROWS.get(stage, 0), seed=0)
    held_out = tiny.trees(3, responses=ROWS.get(stage, 0), seed=1)
    sampled: list[int] = []
    with TemporaryDirectory() as place:
        folder = RunFolder(Path(place) / "run")
        with folder.open():
            run = Run(folder=folder, sample=sampled.append)
            told = _train(stage, settings, loaded, rows, held_out, run)
        saved = sorted(str(p.relative_to(place)) for p in folder.checkpoints.rglob("*"))
    shown = sampled if settings.num_sample_prompts else []
    return f"{told} {shown} {saved}"


def _train(
    stage: str, settings: Any, loaded: Loaded, rows: Any, held_out: Any, run: Run
) -> Sequence[Any]:
    sampling: dict[str, Any] = {"reward": REWARD, "end_tokens": END, "eval_prompts": held_out}
    if stage == "reward":
        roles = reward_roles(loaded, settings)
        result = train_reward(roles, rows, settings, end_tokens=END, eval_pairs=held_out, run=run)
        scale: Any = roles["reward"].scale
        return [result.history, roles.state(("reward",)), scale]
    moving = bool(getattr(settings, "moves_reference", False))
    roles = policy_roles(loaded, settings, with_reference=stage != "sft", moving_reference=moving)
    if stage == "sft":
        result = train_sft(roles, rows, settings, eval_demonstrations=held_out, run=run)
    elif stage == "dpo":
        result = train_dpo(roles, rows, settings, eval_pairs=held_out, run=run)
    elif stage == "ppo":
        add_value(roles, loaded, settings)
        result = train_ppo(roles, rows, settings, run=run, **sampling)
    else:
        result = train_online(roles, rows, settings, run=run, **sampling)
    return [result.history, roles.state(("policy",))]


@cache
def _before(case: str, context: tuple[tuple[str, Any], ...]) -> str:
    return _run(case, dict(context))


def _default(case: str, name: str) -> Any:
    return next(f.default for f in fields(_kind(case)) if f.name == name)


def _effect(case: str, name: str, context: dict[str, Any], caplog: pytest.LogCaptureFixture) -> str:
    """What came of a change: "refused", "told" or "other"; "" where nothing did."""
    value = CHANGES[name]
    try:
        if value == getattr(_kind(case)(**{**_own(case), **context}), name):
            value = not value if isinstance(value, bool) else type(value)(_default(case, name))
        before = _before(case, tuple(context.items()))
    except RecipeError as error:
        # What would switch the setting on is refused itself.
        return "refused" if any(key in str(error) for key in context) else ""
    caplog.clear()
    try:
        after = _run(case, {**context, name: value})
    except RecipeError as error:
        return "refused" if name in str(error) else ""
    telling = [record.message for record in caplog.records]
    # What switches a setting on may itself have no effect, which is then said of it.
    if any(f"{told} " in message for told in (name, *context) for message in telling):
        return "told"
    return "other" if after != before else ""


def _silent(case: str, names: Sequence[str], caplog: pytest.LogCaptureFixture) -> list[str]:
    found = []
    for name in names:
        if name not in ELSEWHERE and not _effect(case, name, {}, caplog):
            found.append(name)
        context = WITH.get(name, {})
        known = {f.name for f in fields(_kind(case))}
        if context and context.keys() <= known and not _effect(case, name, context, caplog):
            found.append(f"{name} with {context}")
    return found


def test_every_setting_is_surveyed() -> None:
    for kind in (*KINDS.values(), OnlineSettings):
        names = {f.name for f in fields(kind)}
        assert names <= CHANGES.keys() | ELSEWHERE.keys()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("case", OF_METHODS)
def test_a_setting_changes_the_run_or_is_told(case: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="palate")
    assert _silent(case, [f.name for f in fields(_kind(case))], caplog) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("case", OF_LOSSES)
def test_a_setting_of_the_family_changes_the_run_or_is_told(
    case: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="palate")
    own = {f.name for f in fields(DPOSettings)} - {f.name for f in fields(StageSettings)}
    assert _silent(case, sorted(own), caplog) == []
