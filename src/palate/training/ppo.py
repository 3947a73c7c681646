"""Proximal policy optimization against a reward, with a KL penalty to the frozen reference.

Ziegler et al. 2019 (arXiv 1909.08593) and Ouyang et al. 2022 (arXiv 2203.02155), with the clipped
objective of Schulman et al. 2017 (arXiv 1707.06347), equation 7. One iteration:

    1. sample responses to the next prompts with the policy as it is
    2. score them: log-probabilities of policy and reference, values, reward on the last token
    3. rewards per token: −kl_coef·log(π/π_ref), the score on the last; advantages by GAE
    4. num_ppo_epochs passes of clipped updates over num_mini_batches minibatches
"""

import logging
from collections.abc import Collection, Sequence

import torch

from palate.data.trees import Tree
from palate.models.protocols import Reward
from palate.models.roles import Roles
from palate.training.controls import Controls
from palate.training.dealing import longest_responses, minibatches
from palate.training.ppo_start import check_ppo_start
from palate.training.ppo_stops import stop_over_budget, stop_where_parted
from palate.training.ppo_update import predict, update_policy, update_values
from palate.training.rollout import collect
from palate.training.run import Result, Run
from palate.training.sampling_start import EVAL_SEED, check_equal, warn_without_end
from palate.training.session import Session
from palate.training.settings import PPOSettings

log = logging.getLogger("palate")


def evaluate_policy(
    roles: Roles,
    prompts: Sequence[Tree],
    settings: PPOSettings,
    *,
    reward: Reward,
    end_tokens: Collection[int],
    gold: Reward | None = None,
) -> dict[str, float]:
    """Metrics of a rollout on held-out prompts, always drawn with the same seed.

    Its KL penalty has the settings' weight, adaptive or not, so that evaluations can be compared.
    """
    rollout = collect(
        roles, prompts, reward=reward, settings=settings, end_tokens=end_tokens, seed=EVAL_SEED,
        gold=gold,
    )  # fmt: skip
    metrics = rollout.metrics | rollout.standard_errors()
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

    Losses are sums over response tokens divided by the tokens of the whole minibatch. Dropout is
    off throughout: a ratio of two policies with other neurons dropped would be noise.

    Args:
        roles: has trainable `policy` and `value`, and a `reference`.
        prompts: trees without responses.
        settings: see `PPOSettings`.
        reward: scores responses; `ModelReward` or `FunctionReward`.
        end_tokens: ids that end a response.
        gold: what is really wanted, where it is known: watched in rollouts and evaluations as
            `objective/gold`, never trained on.
        eval_prompts: held-out prompts, sampled with one fixed seed at each evaluation.
        run: folder, resume, listeners.

    Raises:
        DataError: a prompt leaves no room for a response in the model's context.
        RecipeError: a setting needs something that this run has not.
        GateError: policy and reference were declared equal and are not, or the policy that learns
            first is not the one that was sampled from.
    """
    check_ppo_start(roles, prompts, eval_prompts, settings, gold=gold)
    log.info("ppo: %s", settings.describe_sizes(len(prompts)))

    def evaluate() -> dict[str, float]:
        metrics = evaluate_policy(
            roles, eval_prompts, settings, reward=reward, end_tokens=end_tokens, gold=gold
        )
        stop_where_parted(session, metrics, settings)
        return metrics

    with Session(
        "ppo", roles, ("policy", "value"), settings, num_rows=len(prompts), run=run or Run(),
        evaluate=evaluate if eval_prompts else None, admits=settings.admits,
    ) as session:  # fmt: skip
        controls = Controls(settings, session.standing.extra)
        _rehearse(session, prompts, settings)
        for step in session.steps(dropout=False):
            rollout = collect(
                roles, [prompts[i] for i in step.rows], reward=reward, settings=settings,
                end_tokens=end_tokens, seed=settings.seed * 1_000_003 + step.number, gold=gold,
                controls=controls,
            )  # fmt: skip
            for name, value in rollout.metrics.items():
                session.record(name, value)
            count, stopped = len(rollout.scores), int(rollout.metrics["val/num_eos_tokens"])
            warn_without_end(session, settings, num_responses=count, num_stopped=stopped)
            if step.first:
                session.record("start/reference_gap", rollout.reference_gap)
            if step.first and roles.equal_at_start:
                check_equal(roles, rollout.trees, what="PPO")
            if stop_over_budget(session, rollout.kl, settings):
                continue
            unmoved = True
            for indices in minibatches(
                len(rollout.trees), passes=settings.num_ppo_epochs, count=settings.num_mini_batches,
                seed=settings.seed, step=step.number,
            ):  # fmt: skip
                parts = rollout.parts(indices, max_tokens=session.max_tokens)
                if step.number <= settings.value_warmup_steps:
                    update_values(session, parts, settings)
                    continue
                approx_kl = update_policy(session, parts, rollout, settings, unmoved=unmoved)
                unmoved = False
                if settings.target_kl and approx_kl > settings.target_kl:
                    break
            controls.follow_kl(rollout.kl, num_responses=count, step=step.number)
    return session.result()


def _rehearse(session: Session, prompts: Sequence[Tree], settings: PPOSettings) -> None:
    """Try the longest responses that a rollout may bring."""
    session.rehearse(
        longest_responses(
            prompts, count=settings.num_samples_per_prompt, length=settings.max_new_tokens
        ),
        lambda forest, plan, _: torch.cat(predict(session.roles, forest, plan, settings)).sum(),
        sampled=True,
    )
