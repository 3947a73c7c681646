"""REINFORCE leave-one-out: a whole response is one action, its siblings' rewards the baseline.

Ahmadian et al. 2024 (arXiv 2402.14740). One step:

    1. sample k responses to each prompt with the policy as it is
    2. reward of a response: score − kl_coef · log(π / π_ref), summed over its tokens
    3. advantage: its reward − the mean reward of the other k − 1
    4. num_iterations passes of updates, the ratio of the whole response clipped (as TRL does; the
       paper makes one pass, where the ratio is 1)

The loss is a mean over responses, never over tokens: nothing favours short or long ones. Its fixed
point is π*.
"""

import torch

from palate.objectives.groups import leave_one_out_advantages
from palate.objectives.masked import masked_whiten
from palate.objectives.policy import clipped_policy_loss
from palate.training.dealing import Dealt
from palate.training.online_rollout import Task, draw_rows
from palate.training.online_updates import clip_of, policy_logprobs, record_update, updates
from palate.training.session import Session


def learn_rloo(session: Session, task: Task) -> None:
    """The steps of a run."""
    settings = task.settings
    for step in session.steps(dropout=False):
        batch = draw_rows(session, task, step.rows, step=step.number)
        rewards = batch.grid(batch.penalized - settings.kl_coef * batch.kl())
        advantages = leave_one_out_advantages(rewards=rewards)
        if settings.normalize_advantages:
            advantages = masked_whiten(advantages, torch.ones_like(advantages, dtype=torch.bool))
        dealt = Dealt(
            batch.trees,
            tokens={"old_logprobs": batch.logprobs},
            responses={"advantages": advantages.flatten()},
        )
        unmoved = step.first
        for indices in updates(task, step):
            num_responses = len(indices) * settings.num_samples_per_prompt
            for part in dealt.portions(indices, max_tokens=settings.max_tokens_per_microbatch):
                logprobs = policy_logprobs(task, part, unmoved=unmoved)
                policy = clipped_policy_loss(
                    logprobs=part.forest.sums(logprobs),
                    old_logprobs=part.forest.sums(part.tokens["old_logprobs"]),
                    advantages=part.responses["advantages"],
                    **clip_of(task),
                )
                loss = policy.losses.sum()
                session.backward(loss / num_responses, tokens=len(part.forest.tokens))
                session.record("loss", loss, policy.losses.numel())
                record_update(session, policy, part, logprobs)
            session.update()
            unmoved = False
