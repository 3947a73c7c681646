"""What the loops of a clipped policy gradient have in common around their losses."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from palate.models.scoring import token_logprobs_of
from palate.objectives.policy import PolicyLoss
from palate.training.checks import check_ratio_one
from palate.training.dealing import Portion, minibatches
from palate.training.online_rollout import Task
from palate.training.session import Session, Step


def updates(task: Task, step: Step) -> Iterator[list[int]]:
    """Indices of the prompts of each optimizer step on a rollout."""
    settings = task.settings
    return minibatches(
        len(step.rows), passes=settings.num_iterations, count=settings.num_mini_batches,
        seed=settings.seed, step=step.number,
    )  # fmt: skip


def clip_of(task: Task) -> dict[str, float]:
    """The range of the policy ratio, as `clipped_policy_loss` takes it."""
    settings = task.settings
    return {
        "clip_range": settings.epsilon,
        "clip_range_high": settings.epsilon_high or settings.epsilon,
    }


def policy_logprobs(task: Task, portion: Portion, *, unmoved: bool) -> Float[Tensor, " target"]:
    """Log-probabilities of the policy as it is now, at the temperature that was sampled with.

    Raises:
        GateError: the policy has not moved and is not the one that was sampled from.
    """
    logprobs = token_logprobs_of(
        task.roles, "policy", portion.forest, plan=portion.plan,
        temperature=task.settings.temperature,
    )  # fmt: skip
    if unmoved:
        check_ratio_one(
            logprobs=logprobs, old_logprobs=portion.tokens["old_logprobs"],
            dtype=task.roles.model.dtype, what=task.settings.method,
        )  # fmt: skip
    return logprobs


@torch.no_grad()
def record_update(
    session: Session, policy: PolicyLoss, portion: Portion, logprobs: Float[Tensor, " target"]
) -> None:
    """Log what clipping did, a mean over whatever has a ratio: tokens, or whole responses."""
    count = policy.ratios.numel()
    session.record("val/ratio", policy.ratios.sum(), count)
    session.record("clip_ratio/low_mean", (policy.clipped & (policy.ratios < 1)).sum(), count)
    session.record("clip_ratio/high_mean", (policy.clipped & (policy.ratios > 1)).sum(), count)
    session.record("clip_ratio/region_mean", policy.clipped.sum(), count)
    approx_kl = 0.5 * (logprobs - portion.tokens["old_logprobs"]).square().sum()
    session.record("policy/approxkl_avg", approx_kl, logprobs.numel())
