"""Direct preference optimization: one classification-like loss on pairs, tied to a reference.

Rafailov et al. 2023 (arXiv 2305.18290), equation 7. The margin of a pair is
log π(chosen)/π_ref(chosen) − log π(rejected)/π_ref(rejected), sums over tokens; the loss is a
function of that one number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from palate.data.trees import Forest, Tree, pack, plant
from palate.models.attention import Plan
from palate.models.reference import ReferenceCache
from palate.models.roles import Roles
from palate.models.scoring import response_logprobs
from palate.objectives.preference import LOSSES, log_ratio_margin
from palate.training.checks import check_step_zero
from palate.training.session import Result, Run, Session
from palate.training.settings import DPOSettings


@dataclass(frozen=True)
class PairScores:
    """Per-pair numbers of one forest, in nats."""

    losses: Float[Tensor, " pair"]
    chosen: Float[Tensor, " pair"]
    rejected: Float[Tensor, " pair"]
    reference_chosen: Float[Tensor, " pair"]
    reference_rejected: Float[Tensor, " pair"]
    margins: Float[Tensor, " pair"]


def score_pairs(
    roles: Roles,
    trees: Sequence[Tree],
    forest: Forest,
    *,
    cache: ReferenceCache,
    settings: DPOSettings,
    plan: Plan | None = None,
) -> PairScores:
    """Losses and margins of pairs (trees with the chosen response first, the rejected second)."""
    chosen, rejected = response_logprobs(roles, "policy", forest, plan=plan).view(-1, 2).unbind(1)
    reference = cache.lookup(roles, trees).view(-1, 2)
    margins = log_ratio_margin(
        policy_chosen=chosen,
        policy_rejected=rejected,
        reference_chosen=reference[:, 0],
        reference_rejected=reference[:, 1],
    )
    losses = LOSSES[settings.loss_type](
        log_ratio_margin=margins, beta=settings.beta, label_smoothing=settings.label_smoothing
    )
    weights = losses.new_tensor([tree.weight for tree in trees])
    return PairScores(losses * weights, chosen, rejected, reference[:, 0], reference[:, 1], margins)


@torch.no_grad()
def evaluate_pairs(
    roles: Roles, pairs: Sequence[Tree], settings: DPOSettings, *, cache: ReferenceCache
) -> dict[str, float]:
    """Means over held-out pairs of what training logs, each name with `eval_` before it."""
    cache.fill(roles, pairs)
    sums: dict[str, float] = {}
    for indices in pack(pairs, max_tokens=settings.max_tokens_per_microbatch):
        trees = [pairs[i] for i in indices]
        forest = plant(trees, device=roles.device)
        scores = score_pairs(roles, trees, forest, cache=cache, settings=settings)
        for name, total in _sums(scores, settings.beta).items():
            sums[name] = sums.get(name, 0.0) + float(total)
    return {f"eval_{name}": total / len(pairs) for name, total in sums.items()}


def train_dpo(
    roles: Roles,
    pairs: Sequence[Tree],
    settings: DPOSettings,
    *,
    eval_pairs: Sequence[Tree] = (),
    cache: ReferenceCache | None = None,
    run: Run | None = None,
) -> Result:
    """Train the policy on preference pairs.

    Args:
        roles: has a trainable `policy` and a `reference`.
        pairs: trees of two responses, chosen first; `weight` multiplies a pair's loss. The loss of
            a step is the sum over its pairs divided by their number.
        settings: see `DPOSettings`.
        eval_pairs: held-out pairs, for `eval_loss` and `eval_rewards/accuracies`.
        cache: reference log-probabilities; give one to several runs, and those that share a
            reference compute it once.
        run: folder, resume, listeners.

    Raises:
        GateError: policy and reference were declared equal and are not.
    """
    run = run or Run()
    # An empty cache is false.
    if cache is None:
        cache = ReferenceCache(max_tokens=settings.max_tokens_per_microbatch)
    cache.fill(roles, [*pairs, *eval_pairs])

    def evaluate() -> dict[str, float]:
        return evaluate_pairs(roles, eval_pairs, settings, cache=cache)

    with Session(
        "dpo", roles, ("policy",), settings, num_rows=len(pairs), run=run,
        evaluate=evaluate if eval_pairs else None,
    ) as session:  # fmt: skip
        if roles.equal_at_start and not run.resume:
            _check_start(roles, pairs[: settings.rows_per_step], settings)
        session.rehearse(
            pairs,
            lambda forest, plan, trees: score_pairs(
                roles, trees, forest, cache=cache, settings=settings, plan=plan
            ).losses.sum(),
        )
        for step in session.steps():
            rows = [pairs[i] for i in step.rows]
            for forest, plan, indices in session.microbatches(rows):
                trees = [rows[i] for i in indices]
                scores = score_pairs(
                    roles, trees, forest, cache=cache, settings=settings, plan=plan
                )
                session.backward(scores.losses.sum() / len(rows), tokens=len(forest.tokens))
                for name, total in _sums(scores, settings.beta).items():
                    session.record(name, total, len(trees))
            session.update()
    return session.result()


@torch.no_grad()
def _check_start(roles: Roles, pairs: Sequence[Tree], settings: DPOSettings) -> None:
    policy, reference = [], []
    for indices in pack(pairs, max_tokens=settings.max_tokens_per_microbatch):
        # Not from the cache, whose forests were others: one forest scored twice is exactly equal.
        forest = plant([pairs[i] for i in indices], device=roles.device)
        policy.append(response_logprobs(roles, "policy", forest))
        reference.append(response_logprobs(roles, "reference", forest))
    check_step_zero(
        policy=torch.cat(policy),
        reference=torch.cat(reference),
        dtype=roles.model.dtype,
        what="DPO",
    )


@torch.no_grad()
def _sums(scores: PairScores, beta: float) -> Mapping[str, Tensor]:
    """Sums over pairs of what the log shows."""
    chosen = beta * (scores.chosen - scores.reference_chosen)
    rejected = beta * (scores.rejected - scores.reference_rejected)
    # A margin of exactly 0 decides nothing and counts half.
    right = (scores.margins > 0).float() + 0.5 * (scores.margins == 0).float()
    return {
        "loss": scores.losses.sum(),
        "rewards/chosen": chosen.sum(),
        "rewards/rejected": rejected.sum(),
        "rewards/margins": (chosen - rejected).sum(),
        "rewards/accuracies": right.sum(),
        "logps/chosen": scores.chosen.sum(),
        "logps/rejected": scores.rejected.sum(),
    }
