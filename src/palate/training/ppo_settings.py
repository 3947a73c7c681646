"""PPO's settings: what sampling methods share, and what the clipped updates need."""

from dataclasses import dataclass
from typing import Literal

from palate.errors import RecipeError
from palate.training.sampling_settings import SamplingSettings
from palate.training.stage_settings import not_negative, positive, setting


@dataclass(frozen=True, kw_only=True)
class PPOSettings(SamplingSettings):
    """Proximal policy optimization with a KL penalty (Schulman et al. 2017; Ziegler et al. 2019).

    Four sizes: `per_device_train_batch_size × gradient_accumulation_steps` prompts a rollout,
    `num_samples_per_prompt` responses each, `num_mini_batches` optimizer steps a pass over the
    rollout, `num_ppo_epochs` passes.
    """

    learning_rate: float = setting(1e-5, "peak step size")
    num_ppo_epochs: int = setting(4, "passes over a rollout (TRL)")
    num_mini_batches: int = setting(1, "optimizer steps a pass (TRL)")
    cliprange: float = setting(0.2, "clip of the policy ratio (Schulman et al. 2017)")
    cliprange_value: float = setting(0.2, "clip of the value's change (TRL)")
    vf_coef: float = setting(0.1, "weight of the value loss (TRL)")
    gamma: float = setting(1.0, "discount a token (TRL)")
    lam: float = setting(0.95, "GAE's λ (TRL)")
    whiten_rewards: bool = setting(False, "scale rewards to unit spread a rollout")
    whiten_advantages: bool = setting(True, "scale advantages to unit spread a rollout")
    target_kl: float = setting(0.0, "stop a rollout's passes above this approx. KL; 0: never")
    metric_for_best_model: str = setting(
        "eval_objective/rlhf_reward", "metric that names the best evaluation"
    )
    value_model: Literal["shared", "separate"] = setting(
        "shared", "value head on the policy's rows, or an adapter (or copy) of its own"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("num_ppo_epochs", "num_mini_batches", "cliprange", "cliprange_value"):
            positive(name, getattr(self, name))
        if self.rows_per_step % self.num_mini_batches:
            raise RecipeError(
                f"{self.rows_per_step} prompts a rollout do not divide into num_mini_batches "
                f"{self.num_mini_batches}"
            )
        for name, value in (("gamma", self.gamma), ("lam", self.lam)):
            if not 0 <= value <= 1:
                raise RecipeError(f"{name} is {value}; it must lie in [0, 1]")
        for name in ("vf_coef", "target_kl"):
            not_negative(name, getattr(self, name))
