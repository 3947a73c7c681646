"""What of any stage's settings was changed and has no effect: a sentence for each; no torch.

What only some methods read is told beside their settings: `loss_checks.py`, `ppo_checks.py`,
`online_settings.py`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from palate.training.settings import RewardSettings
    from palate.training.stage_settings import StageSettings

OF_ADAPTERS = ("lora_r", "lora_alpha", "lora_dropout", "lora_target_modules")


def cautions(s: "StageSettings") -> list[str]:
    """A sentence for each setting of every stage that was changed and has no effect."""
    found = []
    if s.max_steps > 0 and s.changed("num_train_epochs"):
        found.append(f"num_train_epochs has no effect: max_steps is {s.max_steps}")
    if s.changed("metric_for_best_model") and not (
        s.load_best_model_at_end or s.early_stopping_patience
    ):
        found.append(
            "metric_for_best_model keeps nothing and stops nothing: load_best_model_at_end and "
            "early_stopping_patience are off"
        )
    if s.sample_steps and not s.num_sample_prompts:
        found.append("sample_steps has no effect: num_sample_prompts is 0")
    return found


def without_adapter(s: "StageSettings") -> list[str]:
    """The same of settings of adapters where there is none."""
    return _adapters(s, "all weights are trained (use_peft is off)")


def adapter_cautions(s: "StageSettings", given: str) -> list[str]:
    """The same of settings of adapters where the adapter itself says what it is.

    Args:
        s: settings as they were given.
        given: what brings the adapter, as a clause.
    """
    found = _adapters(s, given)
    if not s.use_peft and s.changed("use_peft"):
        found.append(f"use_peft off has no effect: {given}; merge it first to train all weights")
    return found


def reward_cautions(s: "RewardSettings") -> list[str]:
    """The same of a reward model's settings."""
    return [
        f"{name} has no effect: a reward model writes nothing that could be sampled"
        for name in ("sample_steps", "num_sample_prompts")
        if s.changed(name)
    ]


def dropout_caution(s: "StageSettings", learner: str) -> list[str]:
    """The same of dropout, where the loop has none."""
    if not (s.lora_dropout and s.use_peft):
        return []
    return [
        f"lora_dropout {s.lora_dropout} has no effect: {learner} learns with dropout off, because "
        "the ratio of new to old policy would else be noise"
    ]


def _adapters(s: "StageSettings", given: str) -> list[str]:
    return [f"{name} has no effect: {given}" for name in OF_ADAPTERS if s.changed(name)]
