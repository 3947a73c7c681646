"""What every stage's settings have, and how they are read from a recipe and checked.

Names are the ones that TRL users know; flags, recipe keys and Python arguments are these names.
Contradictions are refused where the dataclass is made; derived numbers are properties.
"""

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Literal, TypeVar

from palate.errors import RecipeError
from palate.training.recipe_keys import coerced, unknown_setting
from palate.training.stop_on import findings_of
from palate.training.tracker_packages import check_tracker

Schedule = Literal["linear", "cosine", "constant"]
Settings = TypeVar("Settings", bound="StageSettings")
Overlong = Literal["refuse", "drop"]


def setting(default: Any, help_text: str) -> Any:
    """A field with a default and the sentence that help and docs show."""
    return field(default=default, metadata={"help": help_text})


def positive(name: str, value: float | int) -> None:
    """Refuse a value that is not above 0.

    Raises:
        RecipeError: names setting and value.
    """
    if not value > 0:
        raise RecipeError(f"{name} is {value}; it must be above 0")


def not_negative(name: str, value: float | int) -> None:
    """Refuse a value below 0.

    Raises:
        RecipeError: names setting and value.
    """
    if not value >= 0:
        raise RecipeError(f"{name} is {value}; it must be 0 or more")


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """What every stage has.

    Attributes:
        best_metrics: what the stage's evaluation gives and can be better or worse in.
    """

    best_metrics: ClassVar[tuple[str, ...]] = ("eval_loss",)

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
    stop_on: str = setting(
        "none", "findings that end the run, saved, comma separated (docs/findings.md); all; none"
    )
    save_steps: int = setting(
        0, "steps between checkpoints; 0: none, but when interrupted or ended by stop_on"
    )
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
            "max_tokens_per_microbatch", "max_length", "lora_r", "lora_alpha", "save_total_limit",
            "adam_epsilon",
        ):  # fmt: skip
            positive(name, getattr(self, name))
        for name in (
            "warmup_steps", "weight_decay", "max_grad_norm", "eval_steps", "save_steps",
            "sample_steps", "num_sample_prompts", "early_stopping_patience", "seed",
        ):  # fmt: skip
            not_negative(name, getattr(self, name))
        for name in ("adam_beta1", "adam_beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise RecipeError(f"{name} is {getattr(self, name)}; it must lie in [0, 1)")
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
        self._check_best_metric()
        for name in self.trackers:
            check_tracker(name, given=self.report_to)
        findings_of(self.stop_on)
        for name, allowed in choices(type(self)).items():
            if getattr(self, name) not in allowed:
                raise RecipeError(
                    f"{name} is {getattr(self, name)!r}; it is one of {', '.join(allowed)}"
                )

    def _check_best_metric(self) -> None:
        name, known = self.metric_for_best_model, self.best_metrics
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.9)
            guess = f"eval_{name}" if f"eval_{name}" in known else near[0] if near else ""
            hint = f"did you mean {guess!r}? It" if guess else "it"
            raise RecipeError(
                f"metric_for_best_model is {name!r}; {hint} is one of {', '.join(known)}: what "
                "this stage's evaluation gives and what can be better or worse"
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
        """All settings by name, defaults included, in the types that YAML and JSON have."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def changed(self, name: str) -> bool:
        """Whether a setting has another value than its default."""
        defaults = {f.name: f.default for f in fields(self)}
        return bool(getattr(self, name) != defaults[name])


def choices(settings: type[StageSettings]) -> dict[str, tuple[str, ...]]:
    """Settings that take one of a few words."""
    return {
        f.name: f.type.__args__  # type: ignore[union-attr]  # a Literal, by the filter
        for f in fields(settings)
        if getattr(f.type, "__origin__", None) is Literal
    }
