"""One optimizer step of PPO on a minibatch: its losses, its gradient, and what the log gets of it.

The loss of a minibatch is the sum over its response tokens divided by their number.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from palate.data.trees import Forest
from palate.models.attention import Plan
from palate.models.roles import Roles
from palate.models.scoring import hidden_rows, logprobs_from, values_from
from palate.objectives.divergence import KL_ESTIMATORS
from palate.objectives.policy import clipped_policy_loss, clipped_value_loss, entropy_surrogate
from palate.training.checks import check_ratio_one
from palate.training.rollout import Part, Rollout
from palate.training.session import Session
from palate.training.settings import PPOSettings


def predict(
    roles: Roles, forest: Forest, plan: Plan, settings: PPOSettings
) -> tuple[Tensor, Tensor]:
    """Log-probability and value of each response token [target]."""
    hidden = hidden_rows(roles, "policy", forest, plan=plan)
    logprobs = logprobs_from(roles["policy"], hidden, forest, temperature=settings.temperature)
    if not roles.shares_trunk("value", "policy"):
        hidden = hidden_rows(roles, "value", forest, plan=plan)
    return logprobs, values_from(roles["value"], hidden, forest)


def update_policy(
    session: Session,
    parts: Sequence[Part],
    rollout: Rollout,
    settings: PPOSettings,
    *,
    unmoved: bool,
) -> float:
    """One optimizer step on a minibatch.

    Args:
        session: of the run.
        parts: the minibatch in micro-batches.
        rollout: that they are of.
        settings: weights of the losses.
        unmoved: the policy is the one that sampled, which is checked.

    Returns:
        Approximate KL of old and new policy before the step, nats a token.
    """
    num_tokens = sum(len(part.forest.targets) for part in parts)
    summed = 0.0
    for part in parts:
        roles, forest = session.roles, part.forest
        logprobs, values = predict(roles, forest, part.plan, settings)
        if unmoved:
            check_ratio_one(
                logprobs=logprobs, old_logprobs=part.old_logprobs, dtype=roles.model.dtype
            )
        losses = _policy_losses(session, part, rollout, logprobs, settings)
        losses = losses + settings.vf_coef * _value_losses(session, part, values, settings)
        session.backward(losses.sum() / num_tokens, tokens=len(forest.tokens))
        session.record("loss", losses.detach().sum(), len(forest.targets))
        approx_kl = 0.5 * (logprobs.detach() - part.old_logprobs).square().sum()
        session.record("policy/approxkl_avg", approx_kl, len(forest.targets))
        summed += float(approx_kl)
    session.update()
    return summed / num_tokens


def update_values(session: Session, parts: Sequence[Part], settings: PPOSettings) -> None:
    """One optimizer step of the value function alone; the policy does not move.

    A head on the policy's rows reads them as they are, without a gradient into the policy.
    """
    num_tokens = sum(len(part.forest.targets) for part in parts)
    for part in parts:
        roles, forest = session.roles, part.forest
        with torch.set_grad_enabled(not roles.shares_trunk("value", "policy")):
            hidden = hidden_rows(roles, "value", forest, plan=part.plan)
        values = values_from(roles["value"], hidden, forest)
        losses = settings.vf_coef * _value_losses(session, part, values, settings)
        session.backward(losses.sum() / num_tokens, tokens=len(forest.tokens))
        session.record("loss", losses.detach().sum(), len(forest.targets))
    session.update(of=("value",))


def _policy_losses(
    session: Session, part: Part, rollout: Rollout, logprobs: Tensor, settings: PPOSettings
) -> Tensor:
    policy = clipped_policy_loss(
        logprobs=logprobs,
        old_logprobs=part.old_logprobs,
        advantages=part.advantages,
        clip_range=settings.cliprange,
    )
    losses, count = policy.losses, len(part.forest.targets)
    session.record("loss/policy_avg", losses.detach().sum(), count)
    session.record("policy/clipfrac_avg", policy.clipped.sum(), count)
    session.record("val/ratio", policy.ratios.sum(), count)
    if settings.kl_penalty_in == "loss":
        estimator = KL_ESTIMATORS[settings.kl_estimator]
        kl = estimator(logprobs=logprobs, reference_logprobs=part.reference_logprobs)
        session.record("loss/kl_avg", kl.detach().sum(), count)
        losses = losses + rollout.kl_coef * kl
    if settings.entropy_coef:
        bonus = entropy_surrogate(logprobs=logprobs, baseline=rollout.mean_logprob)
        losses = losses + settings.entropy_coef * bonus
    return losses


def _value_losses(session: Session, part: Part, values: Tensor, settings: PPOSettings) -> Tensor:
    value = clipped_value_loss(
        values=values,
        old_values=part.old_values,
        returns=part.returns,
        clip_range_value=settings.cliprange_value,
    )
    count = len(part.forest.targets)
    session.record("loss/value_avg", value.losses.detach().sum(), count)
    session.record("val/clipfrac_avg", value.clipped.sum(), count)
    return value.losses
