"""What PPO carries from one rollout to the next: the KL weight, and the spread of scores so far.

It lives in the run's standing, so that a resumed run goes on with the same numbers.
"""

from torch import Tensor

from palate.objectives.controllers import adapted_kl_coef
from palate.objectives.running import Moments, scaled_scores
from palate.training.ppo_settings import PPOSettings


class Controls:
    """Numbers that rollouts change; evaluations use the settings' own.

    Args:
        settings: of the run.
        kept: where the numbers are; what is in there already is gone on with.
    """

    def __init__(self, settings: PPOSettings, kept: dict[str, float]) -> None:
        self._settings, self._kept = settings, kept

    @property
    def kl_coef(self) -> float:
        """Weight of the KL penalty now, reward units per nat."""
        return self._kept.get("kl_coef", self._settings.kl_coef)

    def follow_kl(self, kl: float, *, num_responses: int, step: int) -> None:
        """Let an adaptive controller see a rollout's KL (nats a response), for the next one.

        While values warm up the policy has not moved, and its KL says nothing.
        """
        settings = self._settings
        if settings.adap_kl_ctrl and step > settings.value_warmup_steps:
            self._kept["kl_coef"] = adapted_kl_coef(
                kl_coef=self.kl_coef,
                kl=kl,
                target=settings.adap_kl_target,
                num_responses=num_responses,
                horizon=settings.adap_kl_horizon,
            )

    def learned_scores(self, scores: Tensor) -> Tensor:
        """A rollout's scores [response] as they are learned from; running statistics see them."""
        settings, moments = self._settings, None
        if settings.use_score_scaling:
            kept = (self._kept.get(f"score_{part}", 0.0) for part in ("count", "mean", "squares"))
            moments = Moments(*kept).joined(scores)
            for part, value in vars(moments).items():
                self._kept[f"score_{part}"] = value
        return scaled_scores(
            scores,
            moments=moments,
            center=settings.use_score_norm,
            clip=settings.score_clip,
            whiten=settings.whiten_rewards,
        )
