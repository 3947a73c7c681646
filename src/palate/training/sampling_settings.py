"""What settings every method has that learns from responses which it samples itself."""

from dataclasses import dataclass
from typing import ClassVar

from palate.errors import RecipeError
from palate.training.stage_settings import StageSettings, not_negative, positive, setting


@dataclass(frozen=True, kw_only=True)
class SamplingSettings(StageSettings):
    """Sampling, the score of a response, and the tie to the reference."""

    best_metrics: ClassVar[tuple[str, ...]] = (
        "eval_objective/rlhf_reward", "eval_objective/scores", "eval_objective/gold",
        "eval_eos_rate", "eval_val/num_eos_tokens", "eval_repetition",
    )  # fmt: skip
    metric_for_best_model: str = setting(
        "eval_objective/rlhf_reward", "metric that names the best evaluation"
    )
    per_device_train_batch_size: int = setting(64, "prompts of a rollout")
    num_samples_per_prompt: int = setting(1, "responses sampled to each prompt")
    max_new_tokens: int = setting(64, "tokens of a response at most")
    temperature: float = setting(1.0, "of sampling, and of every log-probability of the run")
    stop: tuple[str, ...] = setting((), "text that ends a response as EOS does; repeat it")
    missing_eos_penalty: float = setting(1.0, "taken off the score of a response that was cut")
    kl_coef: float = setting(0.05, "weight of the KL penalty against the reference (TRL)")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("num_samples_per_prompt", "max_new_tokens", "temperature"):
            positive(name, getattr(self, name))
        for name in ("kl_coef", "missing_eos_penalty"):
            not_negative(name, getattr(self, name))
        if not all(self.stop):
            raise RecipeError("stop has an empty text, which would end every response at once")
