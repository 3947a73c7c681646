"""One frozen dataclass a stage: every setting with its unit, meaning and the source of its default.

Names are the ones that TRL users know; flags, recipe keys and Python arguments are these names.
Contradictions are refused where the dataclass is made; derived numbers are properties.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, TypeVar

from palate.errors import RecipeError
from palate.training.loss_checks import refuse_contradictions
from palate.training.loss_types import LOSS_TYPES, loss_names, loss_weights
from palate.training.recipe_keys import coerced, unknown_setting
from palate.training.tracker_packages import check_tracker

Schedule = Literal["linear", "cosine", "constant"]
Settings = TypeVar("Settings", bound="StageSettings")
Overlong = Literal["refuse", "drop"]
Divergence = Literal["reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"]


def setting(default: Any, help_text: str) -> Any:
    """A field with a default and the sentence that help and docs show."""
    return field(default=default, metadata={"help": help_text})


def _positive(name: str, value: float | int) -> None:
    if not value > 0:
        raise RecipeError(f"{name} is {value}; it must be above 0")


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """What every stage has."""

    output_dir: str = setting("palate-run", "folder of the run; made if absent")
    seed: int = setting(0, "seeds initialization, order, dropout and sampling")
    learning_rate: float = setting(1e-5, "peak step size of AdamW")
    num_train_epochs: float = setting(1.0, "passes over the data")
    max_steps: int = setting(-1, "optimizer steps; -1: as num_train_epochs says")
    per_device_train_batch_size: int = setting(8, "rows of an optimizer step and device")
    gradient_accumulation_steps: int = setting(1, "multiplies the rows of an optimizer step")
    max_tokens_per_microbatch: int = setting(
        4096, "tokens computed at a time; never changes the gradient, only memory and speed"
    )
    lr_scheduler_type: Schedule = setting("linear", "shape of the learning rate after warm-up")
    warmup_steps: float = setting(0.1, "warm-up in steps; below 1: as a share of all steps")
    weight_decay: float = setting(0.0, "decoupled weight decay of AdamW")
    adam_beta1: float = setting(0.9, "decay of AdamW's first moment")
    adam_beta2: float = setting(0.999, "decay of AdamW's second moment")
    adam_epsilon: float = setting(1e-8, "added to AdamW's denominator")
    max_grad_norm: float = setting(1.0, "gradients are scaled down to this norm; 0: never")
    logging_steps: int = setting(10, "steps that a row of metrics.jsonl averages")
    report_to: str = setting(
        "none", "experiment trackers, comma separated: tensorboard, wandb, trackio …"
    )
    eval_steps: int = setting(0, "steps between evaluations; 0: only at the end")
    save_steps: int = setting(0, "steps between checkpoints; 0: none, but when interrupted")
    save_total_limit: int = setting(2, "checkpoints kept (the best one besides)")
    load_best_model_at_end: bool = setting(False, "end with the best evaluated weights")
    metric_for_best_model: str = setting("eval_loss", "metric that names the best evaluation")
    early_stopping_patience: int = setting(0, "evaluations without a new best; 0: never stop")
    sample_steps: int = setting(0, "steps between samples of fixed prompts; 0: only at the end")
    num_sample_prompts: int = setting(4, "fixed prompts that samples.jsonl follows")
    max_length: int = setting(1024, "tokens of prompt + response; nothing is ever cut")
    overlong: Overlong = setting("refuse", "longer rows: refuse the data, or drop and count them")
    use_peft: bool = setting(True, "train LoRA adapters; off: all weights")
    lora_r: int = setting(16, "rank of the adapters")
    lora_alpha: float = setting(32.0, "adapters are scaled by alpha / r")
    lora_dropout: float = setting(0.0, "dropout before the adapters; 0 keeps scoring repeatable")
    lora_target_modules: str = setting("all-linear", "modules with adapters, comma separated")

    def __post_init__(self) -> None:
        for name in (
            "learning_rate", "num_train_epochs", "per_device_train_batch_size",
            "gradient_accumulation_steps", "logging_steps",
            "max_tokens_per_microbatch", "max_length", "lora_r", "save_total_limit",
        ):  # fmt: skip
            _positive(name, getattr(self, name))
        for name in (
            "warmup_steps", "weight_decay", "max_grad_norm", "eval_steps", "save_steps",
            "sample_steps", "num_sample_prompts", "early_stopping_patience",
        ):  # fmt: skip
            if getattr(self, name) < 0:
                raise RecipeError(f"{name} is {getattr(self, name)}; it must be 0 or more")
        if not 0 <= self.lora_dropout < 1:
            raise RecipeError(f"lora_dropout is {self.lora_dropout}; it must lie in [0, 1)")
        if self.max_steps == 0 or self.max_steps < -1:
            raise RecipeError(f"max_steps is {self.max_steps}; give -1 or a number above 0")
        if self.early_stopping_patience and not self.eval_steps:
            raise RecipeError(
                "early_stopping_patience needs evaluations to compare: set eval_steps too"
            )
        if self.load_best_model_at_end and not self.eval_steps:
            raise RecipeError("load_best_model_at_end needs evaluations: set eval_steps too")
        for name in self.trackers:
            check_tracker(name, given=self.report_to)
        for name, allowed in choices(type(self)).items():
            if getattr(self, name) not in allowed:
                raise RecipeError(
                    f"{name} is {getattr(self, name)!r}; it is one of {', '.join(allowed)}"
                )

    @property
    def rows_per_step(self) -> int:
        """Rows (pairs, demonstrations or prompts) of one optimizer step."""
        return self.per_device_train_batch_size * self.gradient_accumulation_steps

    @property
    def lora_targets(self) -> str | list[str]:
        """`lora_target_modules` as PEFT takes it."""
        names = [name.strip() for name in self.lora_target_modules.split(",")]
        return names[0] if len(names) == 1 and names[0] == "all-linear" else names

    @property
    def trackers(self) -> tuple[str, ...]:
        """`report_to` as names; () where the log goes nowhere else."""
        names = (name.strip() for name in self.report_to.split(","))
        return () if self.report_to.strip() == "none" else tuple(dict.fromkeys(names))

    def num_steps(self, num_rows: int) -> int:
        """Optimizer steps of the run; the last step of an epoch may be smaller."""
        if self.max_steps > 0:
            return self.max_steps
        per_epoch = -(-num_rows // self.rows_per_step)
        return max(1, round(per_epoch * self.num_train_epochs))

    @classmethod
    def from_mapping(cls: type[Settings], values: Mapping[str, Any]) -> Settings:
        """Settings from a recipe's keys.

        Raises:
            RecipeError: a key is unknown; the message names the nearest known one.
        """
        known = {f.name for f in fields(cls)}
        for key in values:
            if key not in known:
                raise RecipeError(unknown_setting(key, known, cls.__name__))
        return cls(**{f.name: coerced(f, values[f.name]) for f in fields(cls) if f.name in values})

    def to_mapping(self) -> dict[str, Any]:
        """All settings by name, defaults included."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class SFTSettings(StageSettings):
    """Supervised fine-tuning: next-token loss on responses alone."""

    learning_rate: float = setting(2e-5, "peak step size (TRL's SFT default for full fine-tuning)")
    use_peft: bool = setting(False, "train LoRA adapters; off: all weights")


@dataclass(frozen=True, kw_only=True)
class RewardSettings(StageSettings):
    """Reward model: Bradley–Terry on a scalar read at the response's last token."""

    learning_rate: float = setting(1e-4, "peak step size (TRL's RewardConfig)")
    label_smoothing: float = setting(0.0, "share of labels taken to be flipped, in [0, 0.5)")
    center_rewards_coefficient: float = setting(
        0.0, "weight of (reward chosen + rejected)², which keeps rewards near 0 (0.01 is usual)"
    )
    num_heads: int = setting(
        1, "scalar heads, trained apart: their mean is the reward, their spread its uncertainty"
    )
    num_scale_samples: int = setting(64, "prompts whose SFT samples give the rewards' scale")
    max_new_tokens: int = setting(64, "tokens of those samples at most")

    def __post_init__(self) -> None:
        super().__post_init__()
        _smoothing(self.label_smoothing)
        _positive("num_heads", self.num_heads)


@dataclass(frozen=True, kw_only=True)
class DPOSettings(StageSettings):
    """Direct preference optimization and its family (docs/papers.md: loss, paper, deviations)."""

    learning_rate: float = setting(1e-5, "peak step size (full weights want 1e-6 and less)")
    beta: float = setting(0.1, "strength of the tie to the reference: higher stays closer (eq. 7)")
    loss_type: str = setting(
        "sigmoid", f"one loss or several, comma separated: {', '.join(LOSS_TYPES)}"
    )
    loss_weights: str = setting("1", "weights of several losses, comma separated; 1: all alike")
    label_smoothing: float = setting(0.0, "share of labels taken to be flipped, in [0, 0.5)")
    f_divergence_type: Divergence = setting(
        "reverse_kl", "tie to the reference as another f-divergence (losses of a margin)"
    )
    f_alpha_divergence_coef: float = setting(0.5, "α of alpha_divergence (1: reverse_kl)")
    ld_alpha: float = setting(
        1.0, "weight of tokens beyond the pair's shorter response (LD-DPO); 1: as all others"
    )
    use_weighting: bool = setting(
        False, "weigh pairs by how likely the policy is to say them (WPO)"
    )
    discopop_tau: float = setting(0.05, "width of discopop's blend (Lu et al. 2024)")
    simpo_gamma: float = setting(0.5, "lead in rewards that simpo asks for (TRL)")
    cpo_alpha: float = setting(1.0, "weight of cpo's negative log-likelihood (Xu et al. 2024)")
    desirable_weight: float = setting(1.0, "weight of desirable responses in kto and bco")
    undesirable_weight: float = setting(1.0, "weight of undesirable responses in kto and bco")
    sync_ref_model: bool = setting(False, "let the reference follow the policy (TR-DPO)")
    ref_model_mixup_alpha: float = setting(
        0.6, "share of the policy in a moved reference, in (0, 1] (Gorbatovski et al. 2024)"
    )
    ref_model_sync_steps: int = setting(512, "optimizer steps between moves of the reference")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("beta", "discopop_tau", "desirable_weight", "undesirable_weight",
                     "ref_model_mixup_alpha", "ref_model_sync_steps"):  # fmt: skip
            _positive(name, getattr(self, name))
        for name in ("simpo_gamma", "cpo_alpha"):
            if not getattr(self, name) >= 0:
                raise RecipeError(f"{name} is {getattr(self, name)}; it must be 0 or more")
        _smoothing(self.label_smoothing)
        if not 0 <= self.ld_alpha <= 1:
            raise RecipeError(f"ld_alpha is {self.ld_alpha}; it must lie in [0, 1]")
        if self.ref_model_mixup_alpha > 1:
            raise RecipeError(
                f"ref_model_mixup_alpha is {self.ref_model_mixup_alpha}; it must lie in (0, 1]"
            )
        refuse_contradictions(self)

    @property
    def losses(self) -> tuple[tuple[str, float], ...]:
        """Names of the losses with their weights."""
        names = loss_names(self.loss_type)
        return tuple(zip(names, loss_weights(self.loss_weights, names), strict=True))

    @property
    def needs_reference(self) -> bool:
        """Whether any loss compares with the reference."""
        return any(LOSS_TYPES[name].reference for name, _ in self.losses)

    @property
    def couples_rows(self) -> bool:
        """Whether a loss looks at all rows of a step at once."""
        return any(LOSS_TYPES[name].rows == "step" for name, _ in self.losses)

    def names(self, loss: str) -> bool:
        """Whether this loss is one of the run's."""
        return loss in loss_names(self.loss_type)

    @property
    def wants_pairs(self) -> bool:
        """Whether a loss needs a chosen and a rejected response."""
        return any(LOSS_TYPES[name].rows != "response" for name, _ in self.losses)

    @property
    def honours_margins(self) -> bool:
        """Whether a loss asks for the lead that a row's margin states."""
        return any(LOSS_TYPES[name].margins for name, _ in self.losses)

    @property
    def fixes_reference(self) -> bool:
        """Whether there is a reference and it stays what the run started with."""
        return self.needs_reference and not self.sync_ref_model

    @property
    def moves_reference(self) -> bool:
        """Whether there is a reference and it follows the policy."""
        return self.sync_ref_model and self.needs_reference

    @property
    def rewards_per_token(self) -> bool:
        """Whether logged rewards are means over tokens, as in losses that never see sums."""
        return not self.needs_reference and any(
            LOSS_TYPES[name].tokens == "mean" for name, _ in self.losses
        )

    def uses(self, name: str) -> bool:
        """Whether a loss of the run reads this setting of the family."""
        return any(name in LOSS_TYPES[loss].uses for loss, _ in self.losses)

    def changed(self, name: str) -> bool:
        """Whether a setting has another value than its default."""
        defaults = {f.name: f.default for f in fields(self)}
        return bool(getattr(self, name) != defaults[name])


@dataclass(frozen=True, kw_only=True)
class PPOSettings(StageSettings):
    """Proximal policy optimization with a KL penalty (Schulman et al. 2017; Ziegler et al. 2019).

    Four sizes: `per_device_train_batch_size × gradient_accumulation_steps` prompts a rollout,
    `num_samples_per_prompt` responses each, `num_mini_batches` optimizer steps a pass over the
    rollout, `num_ppo_epochs` passes.
    """

    learning_rate: float = setting(1e-5, "peak step size")
    per_device_train_batch_size: int = setting(64, "prompts of a rollout")
    num_samples_per_prompt: int = setting(1, "responses sampled to each prompt")
    num_ppo_epochs: int = setting(4, "passes over a rollout (TRL)")
    num_mini_batches: int = setting(1, "optimizer steps a pass (TRL)")
    kl_coef: float = setting(0.05, "weight of the KL penalty against the reference (TRL)")
    cliprange: float = setting(0.2, "clip of the policy ratio (Schulman et al. 2017)")
    cliprange_value: float = setting(0.2, "clip of the value's change (TRL)")
    vf_coef: float = setting(0.1, "weight of the value loss (TRL)")
    gamma: float = setting(1.0, "discount a token (TRL)")
    lam: float = setting(0.95, "GAE's λ (TRL)")
    whiten_rewards: bool = setting(False, "scale rewards to unit spread a rollout")
    whiten_advantages: bool = setting(True, "scale advantages to unit spread a rollout")
    missing_eos_penalty: float = setting(1.0, "taken off the score of a response without EOS")
    temperature: float = setting(1.0, "of sampling, and of every log-probability of the run")
    max_new_tokens: int = setting(64, "tokens of a response at most")
    target_kl: float = setting(0.0, "stop a rollout's passes above this approx. KL; 0: never")
    metric_for_best_model: str = setting(
        "eval_objective/rlhf_reward", "metric that names the best evaluation"
    )
    value_model: Literal["shared", "separate"] = setting(
        "shared", "value head on the policy's rows, or an adapter (or copy) of its own"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in (
            "num_samples_per_prompt", "num_ppo_epochs", "num_mini_batches", "cliprange",
            "cliprange_value", "temperature", "max_new_tokens",
        ):  # fmt: skip
            _positive(name, getattr(self, name))
        if self.kl_coef < 0:
            raise RecipeError(f"kl_coef is {self.kl_coef}; it must be 0 or more")
        if self.rows_per_step % self.num_mini_batches:
            raise RecipeError(
                f"{self.rows_per_step} prompts a rollout do not divide into num_mini_batches "
                f"{self.num_mini_batches}"
            )
        for name, value in (("gamma", self.gamma), ("lam", self.lam)):
            if not 0 <= value <= 1:
                raise RecipeError(f"{name} is {value}; it must lie in [0, 1]")
        for name, value in (("vf_coef", self.vf_coef), ("target_kl", self.target_kl)):
            if not value >= 0:
                raise RecipeError(f"{name} is {value}; it must be 0 or more")


def _smoothing(value: float) -> None:
    if not 0 <= value < 0.5:
        raise RecipeError(f"label_smoothing is {value}; it must lie in [0, 0.5)")


def choices(settings: type[StageSettings]) -> dict[str, tuple[str, ...]]:
    """Settings that take one of a few words."""
    return {
        f.name: f.type.__args__  # type: ignore[union-attr]  # a Literal, by the filter
        for f in fields(settings)
        if getattr(f.type, "__origin__", None) is Literal
    }
