"""One frozen dataclass a stage: every setting with its unit, meaning and the source of its default.

SFT, reward model and DPO stand here; what all stages have is `stage_settings.py`, what sampling
methods have is `sampling_settings.py`, PPO is `ppo_settings.py`. All are found here.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from palate.errors import RecipeError
from palate.training.loss_checks import refuse_contradictions
from palate.training.loss_types import LOSS_TYPES, loss_names, loss_weights
from palate.training.ppo_settings import PPOSettings as PPOSettings
from palate.training.sampling_settings import SamplingSettings as SamplingSettings
from palate.training.stage_settings import StageSettings as StageSettings
from palate.training.stage_settings import choices as choices
from palate.training.stage_settings import not_negative, positive
from palate.training.stage_settings import setting as setting

Divergence = Literal["reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"]


@dataclass(frozen=True, kw_only=True)
class SFTSettings(StageSettings):
    """Supervised fine-tuning: next-token loss on responses alone."""

    best_metrics: ClassVar[tuple[str, ...]] = ("eval_loss", "eval_mean_token_nll")

    learning_rate: float = setting(2e-5, "peak step size (TRL's SFT default for full fine-tuning)")
    use_peft: bool = setting(False, "train LoRA adapters; off: all weights")


@dataclass(frozen=True, kw_only=True)
class RewardSettings(StageSettings):
    """Reward model: Bradley–Terry on a scalar read at the response's last token."""

    best_metrics: ClassVar[tuple[str, ...]] = (
        "eval_loss", "eval_accuracy", "eval_rewards/margins", "eval_rewards/confident_errors",
    )  # fmt: skip

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
        for name in ("num_heads", "num_scale_samples", "max_new_tokens"):
            positive(name, getattr(self, name))
        not_negative("center_rewards_coefficient", self.center_rewards_coefficient)


@dataclass(frozen=True, kw_only=True)
class DPOSettings(StageSettings):
    """Direct preference optimization and its family (docs/papers.md: loss, paper, deviations)."""

    best_metrics: ClassVar[tuple[str, ...]] = (
        "eval_loss", "eval_rewards/accuracies", "eval_rewards/margins",
        "eval_rewards/confident_errors",
    )  # fmt: skip

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
            positive(name, getattr(self, name))
        for name in ("simpo_gamma", "cpo_alpha"):
            not_negative(name, getattr(self, name))
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


def _smoothing(value: float) -> None:
    if not 0 <= value < 0.5:
        raise RecipeError(f"label_smoothing is {value}; it must lie in [0, 0.5)")
