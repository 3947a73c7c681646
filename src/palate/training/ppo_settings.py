"""PPO's settings: what sampling methods share, and what the clipped updates need."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from palate.errors import RecipeError
from palate.training.ppo_checks import refuse_contradictions
from palate.training.sampling_settings import SamplingSettings
from palate.training.stage_settings import not_negative, positive, setting

Estimator = Literal["k1", "k2", "k3"]
Place = Literal["reward", "loss"]


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
    entropy_coef: float = setting(0.0, "weight of an entropy bonus in the loss; 0: none")
    gamma: float = setting(1.0, "discount a token (TRL)")
    lam: float = setting(0.95, "GAE's λ (TRL)")
    kl_estimator: Estimator = setting("k1", "of the KL penalty (TRL, OpenRLHF)")
    kl_penalty_in: Place = setting(
        "reward", "the KL penalty is in the reward, or a loss of its own"
    )
    adap_kl_ctrl: bool = setting(False, "adapt kl_coef to a target KL (Ziegler et al. 2019)")
    adap_kl_target: float = setting(6.0, "that target, nats a response (TRL 0.11: target)")
    adap_kl_horizon: float = setting(
        10_000, "responses in which an error of 1 doubles kl_coef (TRL 0.11: horizon)"
    )
    target_kl: float = setting(0.0, "stop a rollout's passes above this approx. KL; 0: never")
    kl_budget: float = setting(
        0.0,
        "KL to the reference, nats a response, above which the run ends, and above which no "
        "evaluation is the best; 0: no limit",
    )
    use_score_scaling: bool = setting(False, "divide scores by their spread so far (TRL 0.11)")
    use_score_norm: bool = setting(False, "take their mean so far off as well (TRL 0.11)")
    score_clip: float = setting(0.0, "bound of scores, after scaling; 0: none (TRL 0.11)")
    whiten_rewards: bool = setting(False, "scale rewards to unit spread a rollout")
    whiten_advantages: bool = setting(True, "scale advantages to unit spread a rollout")
    uncertainty_coef: float = setting(
        0.0, "spreads of a reward model's heads that are taken off its reward"
    )
    gold_patience: int = setting(
        0, "evaluations in a row in which proxy and gold have parted that end the run; 0: never"
    )
    value_model: str = setting(
        "shared",
        "value function: shared (a head on the policy's rows), separate (an adapter or copy of "
        "its own), or the folder of a reward model that it starts from",
    )
    value_warmup_steps: int = setting(0, "rollouts that the value alone learns from, at first")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("num_ppo_epochs", "num_mini_batches", "cliprange", "cliprange_value",
                     "adap_kl_target", "adap_kl_horizon"):  # fmt: skip
            positive(name, getattr(self, name))
        if self.rows_per_step % self.num_mini_batches:
            raise RecipeError(
                f"{self.rows_per_step} prompts a rollout do not divide into num_mini_batches "
                f"{self.num_mini_batches}"
            )
        for name, value in (("gamma", self.gamma), ("lam", self.lam)):
            if not 0 <= value <= 1:
                raise RecipeError(f"{name} is {value}; it must lie in [0, 1]")
        for name in ("vf_coef", "target_kl", "entropy_coef", "kl_budget", "score_clip",
                     "uncertainty_coef", "gold_patience", "value_warmup_steps"):  # fmt: skip
            not_negative(name, getattr(self, name))
        refuse_contradictions(self)

    @property
    def responses_per_step(self) -> int:
        """Responses of one rollout."""
        return self.rows_per_step * self.num_samples_per_prompt

    @property
    def updates_per_step(self) -> int:
        """Optimizer steps on one rollout."""
        return self.num_ppo_epochs * self.num_mini_batches

    def admits(self, metrics: Mapping[str, float]) -> bool:
        """Whether an evaluation may be the best: it has stayed within the KL budget."""
        return not self.kl_budget or metrics["eval_objective/kl"] <= self.kl_budget

    def describe_sizes(self, num_prompts: int) -> str:
        """The four sizes, and what follows from them, in one line."""
        rollouts, updates = self.num_steps(num_prompts), self.updates_per_step
        responses = self.responses_per_step
        return (
            f"{self.rows_per_step} prompts × {self.num_samples_per_prompt} responses = {responses} "
            f"responses a rollout; {self.num_ppo_epochs} passes × {self.num_mini_batches} "
            f"minibatches of {responses // self.num_mini_batches} responses = {updates} optimizer "
            f"steps a rollout; {rollouts} rollouts: {rollouts * responses} responses, "
            f"{rollouts * updates} optimizer steps"
        )
