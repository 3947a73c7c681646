"""Proximal policy optimization against a reward, with a KL penalty to the frozen reference.

Ziegler et al. 2019 (arXiv 1909.08593) and Ouyang et al. 2022 (arXiv 2203.02155), with the clipped
objective of Schulman et al. 2017 (arXiv 1707.06347), equation 7. One iteration:

    1. sample responses to the next prompts with the policy as it is
    2. score them: log-probabilities of policy and reference, values, reward on the last token
    3. rewards per token: −kl_coef·log(π/π_ref), the score on the last; advantages by GAE
    4. num_ppo_epochs passes of clipped updates over num_mini_batches minibatches
"""

from collections.abc import Collection, Iterator, Sequence

import torch
from torch import Tensor

from palate.data.trees import Forest, Response, Tree, plant
from palate.models.attention import Plan, plan_forest
from palate.models.protocols import Reward
from palate.models.roles import Roles
from palate.models.scoring import hidden_rows, logprobs_from, response_logprobs, values_from
from palate.objectives.policy import clipped_policy_loss, clipped_value_loss
from palate.training.checks import check_ratio_one, check_step_zero
from palate.training.rollout import Part, Rollout, collect
from palate.training.seeding import order
from palate.training.session import Result, Run, Session
from palate.training.settings import PPOSettings

# Keeps the rollout's draws apart from evaluation's, which must not move with training.
EVAL_SEED = 7919


def evaluate_policy(
    roles: Roles,
    prompts: Sequence[Tree],
    settings: PPOSettings,
    *,
    reward: Reward,
    end_tokens: Collection[int],
    gold: Reward | None = None,
) -> dict[str, float]:
    """Metrics of a rollout on held-out prompts, always drawn with the same seed."""
    rollout = collect(
        roles, prompts, reward=reward, settings=settings, end_tokens=end_tokens, seed=EVAL_SEED
    )
    metrics = dict(rollout.metrics)
    if gold is not None:
        forest = plant(rollout.trees, device=roles.device)
        metrics["objective/gold"] = float(gold(rollout.trees, forest, plan_forest(forest)).mean())
    return {f"eval_{name}": value for name, value in metrics.items()}


def train_ppo(
    roles: Roles,
    prompts: Sequence[Tree],
    settings: PPOSettings,
    *,
    reward: Reward,
    end_tokens: Collection[int],
    eval_prompts: Sequence[Tree] = (),
    gold: Reward | None = None,
    run: Run | None = None,
) -> Result:
    """Train the policy on responses that it samples itself.

    Losses are sums over response tokens divided by the tokens of the whole minibatch.

    Args:
        roles: has trainable `policy` and `value`, and a `reference`.
        prompts: trees without responses.
        settings: see `PPOSettings`.
        reward: scores responses; `ModelReward` or `FunctionReward`.
        end_tokens: ids that end a response.
        gold: what is really wanted, where it is known: watched in evaluations as
            `eval_objective/gold`, never trained on.
        eval_prompts: held-out prompts, sampled with one fixed seed at each evaluation.
        run: folder, resume, listeners.

    Raises:
        GateError: policy and reference were declared equal and are not, or the policy that learns
            first is not the one that was sampled from.
    """

    def evaluate() -> dict[str, float]:
        return evaluate_policy(
            roles, eval_prompts, settings, reward=reward, end_tokens=end_tokens, gold=gold
        )

    run = run or Run()
    with Session(
        "ppo", roles, ("policy", "value"), settings, num_rows=len(prompts), run=run,
        evaluate=evaluate if eval_prompts else None,
    ) as session:  # fmt: skip
        session.rehearse(
            _longest(prompts, settings),
            lambda forest, plan, _: torch.cat(_predict(roles, forest, plan, settings)).sum(),
            sampled=True,
        )
        for step in session.steps():
            with roles.scoring():
                rollout = collect(
                    roles, [prompts[i] for i in step.rows], reward=reward, settings=settings,
                    end_tokens=end_tokens, seed=settings.seed * 1_000_003 + step.number,
                )  # fmt: skip
                if step.first and roles.equal_at_start:
                    _check_start(roles, rollout)
            for name, value in rollout.metrics.items():
                session.record(name, value)
            unmoved = step.first
            for indices in _minibatches(rollout, settings, step.number):
                num_tokens = sum(rollout.trees[i].num_response_tokens for i in indices)
                approx_kl = 0.0
                for part in rollout.parts(indices, max_tokens=session.max_tokens):
                    summed = _learn(session, roles, part, settings, num_tokens, unmoved=unmoved)
                    approx_kl += summed / num_tokens
                session.update()
                unmoved = False
                if settings.target_kl and approx_kl > settings.target_kl:
                    break
    return session.result()


def _learn(
    session: Session,
    roles: Roles,
    part: Part,
    settings: PPOSettings,
    num_tokens: int,
    *,
    unmoved: bool,
) -> float:
    """Add one micro-batch's gradient; returns the summed approximate KL of old and new policy."""
    forest = part.forest
    logprobs, values = _predict(roles, forest, part.plan, settings)
    if unmoved:
        check_ratio_one(logprobs=logprobs, old_logprobs=part.old_logprobs, dtype=roles.model.dtype)
    policy = clipped_policy_loss(
        logprobs=logprobs,
        old_logprobs=part.old_logprobs,
        advantages=part.advantages,
        clip_range=settings.cliprange,
    )
    value = clipped_value_loss(
        values=values,
        old_values=part.old_values,
        returns=part.returns,
        clip_range_value=settings.cliprange_value,
    )
    loss = (policy.losses + settings.vf_coef * value.losses).sum()
    session.backward(loss / num_tokens, tokens=len(forest.tokens))
    count = len(forest.targets)
    with torch.no_grad():
        approx_kl = 0.5 * (logprobs - part.old_logprobs).square().sum()
        session.record("loss", loss, count)
        session.record("loss/policy_avg", policy.losses.sum(), count)
        session.record("loss/value_avg", value.losses.sum(), count)
        session.record("policy/approxkl_avg", approx_kl, count)
        session.record("policy/clipfrac_avg", policy.clipped.sum(), count)
        session.record("val/clipfrac_avg", value.clipped.sum(), count)
        session.record("val/ratio", policy.ratios.sum(), count)
    return float(approx_kl)


def _predict(
    roles: Roles, forest: Forest, plan: Plan, settings: PPOSettings
) -> tuple[Tensor, Tensor]:
    """Log-probability and value of each response token [target]."""
    hidden = hidden_rows(roles, "policy", forest, plan=plan)
    logprobs = logprobs_from(roles["policy"], hidden, forest, temperature=settings.temperature)
    if not roles.shares_trunk("value", "policy"):
        hidden = hidden_rows(roles, "value", forest, plan=plan)
    return logprobs, values_from(roles["value"], hidden, forest)


def _longest(prompts: Sequence[Tree], settings: PPOSettings) -> list[Tree]:
    """Prompts with as many and as long responses as a rollout can have."""
    return [
        Tree(
            prompt.prompt,
            (Response(prompt.prompt[:1] * settings.max_new_tokens),)
            * settings.num_samples_per_prompt,
        )
        for prompt in prompts
    ]


def _minibatches(rollout: Rollout, settings: PPOSettings, step: int) -> Iterator[list[int]]:
    """Indices of trees, a list an optimizer step: every pass deals them anew."""
    count = settings.num_mini_batches
    for epoch in range(settings.num_ppo_epochs):
        indices = list(range(len(rollout.trees)))
        if count > 1:
            place = step * settings.num_ppo_epochs + epoch
            indices = list(order(len(rollout.trees), seed=settings.seed + 1, epoch=place))
        size = -(-len(indices) // count)
        yield from (indices[i : i + size] for i in range(0, len(indices), size))


@torch.no_grad()
def _check_start(roles: Roles, rollout: Rollout) -> None:
    forest = plant(rollout.trees[:8], device=roles.device)
    check_step_zero(
        policy=response_logprobs(roles, "policy", forest),
        reference=response_logprobs(roles, "reference", forest),
        dtype=roles.model.dtype,
        what="PPO",
    )
