"""What PPO's settings say against each other, and what of them has no effect; no torch."""

from typing import TYPE_CHECKING

from palate.errors import RecipeError
from palate.training.stage_cautions import dropout_caution

if TYPE_CHECKING:
    from palate.training.ppo_settings import PPOSettings


def refuse_contradictions(s: "PPOSettings") -> None:
    """Refuse settings that exclude each other.

    Raises:
        RecipeError: names both, and what to do.
    """
    if s.kl_penalty_in == "loss" and s.kl_estimator == "k1" and s.kl_coef:
        raise RecipeError(
            "kl_estimator is k1, but kl_penalty_in is loss, where the gradient of k1 has the mean "
            "0 and holds nothing back; take k2 (the gradient of the KL) or k3 (of the reverse one)"
        )
    if s.whiten_rewards and s.use_score_scaling:
        raise RecipeError(
            "whiten_rewards and use_score_scaling both scale the scores, by the rollout and by all "
            "rollouts so far; turn one of them off"
        )
    if s.adap_kl_ctrl and not s.kl_coef:
        raise RecipeError(
            "adap_kl_ctrl multiplies kl_coef, but kl_coef is 0 and would stay 0; set kl_coef above "
            "0, or turn adap_kl_ctrl off"
        )
    if s.adap_kl_ctrl and s.kl_budget and s.adap_kl_target > s.kl_budget:
        raise RecipeError(
            f"adap_kl_target is {s.adap_kl_target}, but kl_budget is {s.kl_budget}, so that the "
            "run would end before it is there; set the target below the budget"
        )
    if s.adap_kl_ctrl and 0.2 * s.responses_per_step >= s.adap_kl_horizon:
        raise RecipeError(
            f"adap_kl_horizon is {s.adap_kl_horizon}, but a rollout has {s.responses_per_step} "
            "responses, so that kl_coef could turn negative in one step; set it above "
            f"{0.2 * s.responses_per_step:g}, or better to 10 rollouts and more"
        )
    if 0 < s.max_steps <= s.value_warmup_steps:
        raise RecipeError(
            f"value_warmup_steps is {s.value_warmup_steps}, but max_steps is {s.max_steps}, so "
            "that the policy would never learn; raise max_steps"
        )
    if s.gold_patience and not s.eval_steps:
        raise RecipeError("gold_patience compares evaluations, but eval_steps is 0; set it too")
    if not s.vf_coef:
        raise RecipeError(
            "vf_coef is 0, so that the value function would never learn, but advantages are made "
            "with it; set it above 0 (0.1 is TRL's), or take palate online, which has none"
        )


def cautions(s: "PPOSettings") -> list[str]:
    """A sentence for each setting that was changed and has no effect."""
    found = dropout_caution(s, "PPO")
    for name in ("kl_estimator", "kl_penalty_in"):
        if s.changed(name) and not s.kl_coef:
            found.append(f"{name} has no effect: kl_coef is 0")
    for name in ("adap_kl_target", "adap_kl_horizon"):
        if s.changed(name) and not s.adap_kl_ctrl:
            found.append(f"{name} has no effect: adap_kl_ctrl is off")
    if s.use_score_norm and not s.use_score_scaling:
        found.append("use_score_norm has no effect: use_score_scaling is off")
    if s.updates_per_step == 1:
        for name in ("cliprange", "cliprange_value", "target_kl"):
            if s.changed(name):
                found.append(
                    f"{name} has no effect: with one optimizer step a rollout "
                    "(num_ppo_epochs × num_mini_batches) the policy is still the one that sampled"
                )
    return found
