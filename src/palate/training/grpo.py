"""Group relative policy optimization: rewards in spreads of their own group, the KL in the loss.

Shao et al. 2024 (arXiv 2402.03300), equation 3, with the variants that came after it as settings:
`loss_type` (how tokens are averaged), `scale_rewards` (what rewards are divided by), `epsilon_high`
(clip-higher) and `use_bias_correction_kl`. One step:

    1. sample k responses to each prompt with the policy as it is
    2. advantage of a response, the same for all its tokens: (score − mean) / spread of its group
    3. num_iterations passes of updates: each token's clipped ratio, and kl_coef · k3 beside it

A group's own spread makes a prompt whose rewards hardly differ count as much as one where they do,
so that what is reached is not π* (docs/known-optimum.md).
"""

from jaxtyping import Float
from torch import Tensor

from palate.objectives.averaging import token_weights
from palate.objectives.divergence import kl_k3
from palate.objectives.groups import group_relative_advantages
from palate.objectives.policy import clipped_policy_loss
from palate.training.dealing import Dealt, Portion
from palate.training.online_rollout import Task, draw_rows
from palate.training.online_updates import clip_of, policy_logprobs, record_update, updates
from palate.training.session import Session


def learn_grpo(session: Session, task: Task) -> None:
    """The steps of a run."""
    settings = task.settings
    for step in session.steps(dropout=False):
        batch = draw_rows(session, task, step.rows, step=step.number)
        advantages = group_relative_advantages(
            rewards=batch.grid(batch.penalized), scale=settings.scale_rewards
        )
        dealt = Dealt(
            batch.trees,
            tokens={
                "old_logprobs": batch.logprobs,
                "reference_logprobs": batch.reference_logprobs,
                "advantages": batch.flat(advantages),
            },
        )
        unmoved = step.first
        for indices in updates(task, step):
            num_tokens = sum(batch.trees[i].num_response_tokens for i in indices)
            for part in dealt.portions(indices, max_tokens=settings.max_tokens_per_microbatch):
                logprobs = policy_logprobs(task, part, unmoved=unmoved)
                policy = clipped_policy_loss(
                    logprobs=logprobs,
                    old_logprobs=part.tokens["old_logprobs"],
                    advantages=part.tokens["advantages"],
                    **clip_of(task),
                )
                weights = token_weights(
                    lengths=part.forest.lengths,
                    average=settings.average,
                    num_responses=len(indices) * settings.num_samples_per_prompt,
                    num_tokens=num_tokens,
                    max_length=settings.max_new_tokens,
                )
                losses = policy.losses + settings.kl_coef * _kl(task, part, logprobs)
                loss = (weights[part.forest.owner] * losses).sum()
                session.backward(loss, tokens=len(part.forest.tokens))
                session.record("loss", loss, len(part.forest.targets) / num_tokens)
                record_update(session, policy, part, logprobs)
            session.update()
            unmoved = False


def _kl(task: Task, part: Portion, logprobs: Tensor) -> Float[Tensor, " target"]:
    """k3 of each token; weighed by the ratio its gradient is that of the token's KL.

    At ratio 1 the gradient of k3 alone is (1 − π_ref/π)·∇log π, which is not that of KL(π‖π_ref);
    the ratio adds k3·∇log π to it, and the sum is log(π/π_ref)·∇log π, which is.
    """
    found: Tensor = kl_k3(logprobs=logprobs, reference_logprobs=part.tokens["reference_logprobs"])
    if task.settings.use_bias_correction_kl:
        found = found * (logprobs - part.tokens["old_logprobs"]).exp()
    return found
