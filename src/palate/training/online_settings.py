"""Settings of `palate online`: one dataclass for all methods, and which reads what; no torch.

The coefficient of the tie to the reference is `kl_coef` in all of them: the weight of a KL penalty,
or β of a DPO loss, which is the same number in π* ∝ π_ref · exp(r / β).
"""

from dataclasses import dataclass, fields
from itertools import pairwise
from typing import ClassVar, Literal

from palate.errors import RecipeError
from palate.training.loss_types import LOSS_TYPES, loss_names
from palate.training.sampling_settings import SamplingSettings
from palate.training.settings import DPOSettings
from palate.training.stage_settings import not_negative, positive, setting

Method = Literal["rloo", "grpo", "reinforce++", "online-dpo", "best-of-n", "iterated-dpo"]
RewardScaling = Literal["group", "batch", "none"]
# How GRPO averages token losses; names of TRL. Here micro-batches never change a gradient, so that
# bnpo, a mean over the batch's tokens, is dapo.
Average = Literal["dapo", "bnpo", "grpo", "dr_grpo"]
AVERAGES: tuple[Average, ...] = ("dapo", "bnpo", "grpo", "dr_grpo")

_CLIPPED = frozenset({"kl_coef", "epsilon", "epsilon_high", "num_iterations", "num_mini_batches"})
_PAIRS = frozenset({"kl_coef", "loss_type", "label_smoothing", "label_temperature"})
# Which of the settings below each method reads.
USES: dict[str, frozenset[str]] = {
    "rloo": _CLIPPED | {"normalize_advantages"},
    "grpo": _CLIPPED | {"loss_type", "scale_rewards", "use_bias_correction_kl"},
    "reinforce++": _CLIPPED,
    "online-dpo": _PAIRS,
    # kl_coef is in its metrics alone.
    "best-of-n": frozenset({"kl_coef", "sample_from"}),
    "iterated-dpo": _PAIRS | {"num_rounds", "round_reference"},
}


@dataclass(frozen=True, kw_only=True)
class OnlineSettings(SamplingSettings):
    """Learning from responses that the policy samples itself, without a value function.

    `per_device_train_batch_size × gradient_accumulation_steps` prompts a step, with
    `num_samples_per_prompt` responses each.
    """

    best_metrics: ClassVar[tuple[str, ...]] = (
        *SamplingSettings.best_metrics, "eval_frac_reward_zero_std",
    )  # fmt: skip

    method: Method = setting("rloo", "what is done with the responses and their rewards")
    learning_rate: float = setting(1e-5, "peak step size")
    num_samples_per_prompt: int = setting(4, "responses sampled to each prompt, at least 2")
    num_iterations: int = setting(1, "passes over a rollout (rloo, grpo, reinforce++; TRL)")
    num_mini_batches: int = setting(1, "optimizer steps a pass (rloo, grpo, reinforce++)")
    epsilon: float = setting(0.2, "clip of the policy ratio (rloo, grpo, reinforce++; TRL)")
    epsilon_high: float = setting(0.0, "clip above 1 where it is another (DAPO); 0: as epsilon")
    normalize_advantages: bool = setting(False, "rloo: advantages in spreads of the batch (TRL)")
    scale_rewards: RewardScaling = setting(
        "group", "grpo: spread that rewards are divided by (TRL; Dr. GRPO: none)"
    )
    loss_type: str = setting(
        "auto",
        f"grpo: average over tokens, {', '.join(AVERAGES)} (auto: dapo); online-dpo, iterated-dpo: "
        "a loss of palate dpo that looks at pairs (auto: sigmoid)",
    )
    use_bias_correction_kl: bool = setting(
        True, "grpo: weigh the KL estimate by the policy ratio, which mends its gradient (TRL)"
    )
    label_smoothing: float = setting(
        0.0, "online-dpo, iterated-dpo: share of labels taken to be flipped, in [0, 0.5)"
    )
    label_temperature: float = setting(
        0.0,
        "online-dpo, iterated-dpo: 0: the higher reward is chosen; above 0: with probability "
        "σ(difference / temperature), Bradley–Terry",
    )
    sample_from: Literal["reference", "policy"] = setting(
        "reference",
        "best-of-n: reference distils the start's best of n; policy goes on from what it has "
        "learned, round after round (rejection sampling as in Llama 2, RAFT)",
    )
    num_rounds: int = setting(3, "iterated-dpo: rounds of sampling; the steps are parted evenly")
    round_reference: Literal["start", "last-round"] = setting(
        "start", "iterated-dpo: what a round's DPO is held to"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("num_iterations", "num_mini_batches", "epsilon", "num_rounds"):
            positive(name, getattr(self, name))
        for name in ("epsilon_high", "label_temperature"):
            not_negative(name, getattr(self, name))
        if self.num_samples_per_prompt < 2:
            raise RecipeError(
                f"num_samples_per_prompt is {self.num_samples_per_prompt}, but every online method "
                "compares the responses of one prompt; set it to 2 or more (palate ppo takes 1)"
            )
        if self.rows_per_step % self.num_mini_batches:
            raise RecipeError(
                f"{self.rows_per_step} prompts a rollout do not divide into num_mini_batches "
                f"{self.num_mini_batches}"
            )
        if self.method == "grpo":
            if self.loss_type not in ("auto", *AVERAGES):
                raise RecipeError(
                    f"loss_type is {self.loss_type!r}, but method grpo averages tokens as one of "
                    f"auto, {', '.join(AVERAGES)}"
                )
        elif self.learns_pairs:
            self._refuse_other_rows()
            if not self.kl_coef:
                raise RecipeError(
                    f"kl_coef is 0, but method {self.method} takes it as β of its loss, which "
                    "must be above 0"
                )
            self.pair_settings()

    def _refuse_other_rows(self) -> None:
        for name in loss_names(self._pair_loss):
            if LOSS_TYPES[name].rows != "pair":
                fit = ", ".join(n for n, kind in LOSS_TYPES.items() if kind.rows == "pair")
                raise RecipeError(
                    f"loss_type is {self.loss_type!r}, but method {self.method} learns from pairs, "
                    f"one at a time; take one of {fit}"
                )

    @property
    def learns_pairs(self) -> bool:
        """Whether the method makes pairs and learns from them by a loss of the DPO family."""
        return "label_temperature" in USES[self.method]

    @property
    def clips(self) -> bool:
        """Whether the method makes clipped updates of a policy gradient."""
        return "epsilon" in USES[self.method]

    @property
    def num_learned_per_prompt(self) -> int:
        """Responses of each prompt that an update learns from."""
        return self.num_samples_per_prompt if self.clips else 2 if self.learns_pairs else 1

    @property
    def moves_reference(self) -> bool:
        """Whether the reference is another one after a round."""
        return self.method == "iterated-dpo" and self.round_reference == "last-round"

    @property
    def average(self) -> Average:
        """How GRPO averages token losses."""
        return next((name for name in AVERAGES if name == self.loss_type), "dapo")

    @property
    def _pair_loss(self) -> str:
        return "sigmoid" if self.loss_type == "auto" else self.loss_type

    def pair_settings(self) -> DPOSettings:
        """The same run's settings as those of the DPO family.

        Raises:
            RecipeError: they contradict each other.
        """
        own = {f.name for f in fields(DPOSettings)} - {"metric_for_best_model"}
        shared = {f.name: getattr(self, f.name) for f in fields(self) if f.name in own}
        shared |= {"beta": self.kl_coef, "loss_type": self._pair_loss}
        return DPOSettings(**shared)

    def rounds(self, num_steps: int) -> list[range]:
        """The optimizer steps, from 1 on, of each round; rounds differ by one step at most.

        There are no more rounds than steps.
        """
        count = min(self.num_rounds, num_steps)
        ends = [number * num_steps // count for number in range(count + 1)]
        return [range(first + 1, last + 1) for first, last in pairwise(ends)]
