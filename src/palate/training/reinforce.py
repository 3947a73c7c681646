"""REINFORCE++: each token's reward to go, whitened over the whole batch.

Hu 2025 (arXiv 2501.03262). One step:

    1. sample k responses to each prompt with the policy as it is
    2. rewards per token: −kl_coef · log(π / π_ref), and the score on the last
    3. advantage of a token: the rewards from it on, less the batch's mean, over the batch's spread
    4. num_iterations passes of updates of each token's clipped ratio

The baseline is one number for all prompts, which biases nothing, so that the fixed point is π* but
for what a batch's own mean and spread (of finitely many responses) take of its own rewards.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from palate.objectives.masked import masked_whiten
from palate.objectives.policy import clipped_policy_loss
from palate.objectives.returns import kl_shaped_rewards, response_gae
from palate.training.dealing import Dealt
from palate.training.online_rollout import Batch, Task, draw_rows
from palate.training.online_updates import clip_of, policy_logprobs, record_update, updates
from palate.training.session import Session


def learn_reinforce(session: Session, task: Task) -> None:
    """The steps of a run."""
    settings = task.settings
    for step in session.steps(dropout=False):
        batch = draw_rows(session, task, step.rows, step=step.number)
        dealt = Dealt(
            batch.trees,
            tokens={
                "old_logprobs": batch.logprobs,
                "advantages": reward_to_go_advantages(batch, kl_coef=settings.kl_coef),
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
                loss = policy.losses.sum()
                session.backward(loss / num_tokens, tokens=len(part.forest.tokens))
                session.record("loss", loss, policy.losses.numel())
                record_update(session, policy, part, logprobs)
            session.update()
            unmoved = False


def reward_to_go_advantages(batch: Batch, *, kl_coef: float) -> Float[Tensor, " target"]:
    """Each token's shaped rewards from it on, whitened over the batch."""
    whole = batch.whole
    mask = whole.response_mask
    rewards = kl_shaped_rewards(
        scores=batch.penalized,
        logprobs=whole.padded(batch.logprobs),
        reference_logprobs=whole.padded(batch.reference_logprobs),
        response_mask=mask,
        kl_coef=kl_coef,
        missing_eos_penalty=None,
        stopped=whole.stopped,
    )
    # Without values and without discount, what GAE calls a return is the sum of what is to come.
    to_go = response_gae(
        rewards=rewards, values=torch.zeros_like(rewards), response_mask=mask, gamma=1.0, lam=1.0
    )
    return masked_whiten(to_go.returns, mask)[mask]
