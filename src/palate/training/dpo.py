"""Direct preference optimization and its family: one loop, any loss of log-probabilities.

Rafailov et al. 2023 (arXiv 2305.18290), equation 7, is the default: the loss is a function of the
margin log π(chosen)/π_ref(chosen) − log π(rejected)/π_ref(rejected), sums over tokens. What else
`loss_type` can name is in `losses.py`.
"""

import logging
from collections.abc import Sequence

import torch

from palate.data.trees import Tree, pack, plant
from palate.errors import DataError
from palate.models.reference import ReferenceCache
from palate.models.roles import Roles
from palate.models.scoring import response_logprobs
from palate.training.checks import check_step_zero
from palate.training.losses import StepFacts
from palate.training.pair_scores import mean_length, score_pairs, score_step, slopes, sums_of
from palate.training.session import Result, Run, Session
from palate.training.settings import DPOSettings

log = logging.getLogger("palate")


@torch.no_grad()
def evaluate_pairs(
    roles: Roles, pairs: Sequence[Tree], settings: DPOSettings, *, cache: ReferenceCache
) -> dict[str, float]:
    """Means over held-out pairs of what training logs, each name with `eval_` before it.

    A loss that sorts a step's pairs sorts here as many at a time.
    """
    if settings.needs_reference:
        cache.fill(roles, pairs)
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    size = settings.rows_per_step if settings.couples_rows else len(pairs)
    for start in range(0, len(pairs), size):
        rows = pairs[start : start + size]
        facts = StepFacts(mean_length(rows))
        scores = score_step(roles, rows, settings, cache=cache, facts=facts)
        for name, (total, count) in sums_of(scores, settings).items():
            sums[name] = sums.get(name, 0.0) + float(total)
            counts[name] = counts.get(name, 0) + count
    return {f"eval_{name}": total / counts[name] for name, total in sums.items()}


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
        roles: has a trainable `policy` and, where a loss compares with it, a `reference`.
        pairs: trees of two responses, chosen first; `weight` multiplies a pair's loss. The loss of
            a step is the sum over its pairs divided by their number.
        settings: see `DPOSettings`.
        eval_pairs: held-out pairs, for `eval_loss` and `eval_rewards/accuracies`.
        cache: reference log-probabilities; give the same one to several runs that share a
            reference.
        run: folder, resume, listeners.

    Raises:
        DataError: a row is not what the loss needs.
        GateError: policy and reference were declared equal and are not.
    """
    run = run or Run()
    for sentence in settings.idle():
        log.warning("%s", sentence)
    check_rows([*pairs, *eval_pairs], settings)
    # An empty cache is false.
    if cache is None:
        cache = ReferenceCache(max_tokens=settings.max_tokens_per_microbatch)
    if settings.needs_reference:
        cache.fill(roles, [*pairs, *eval_pairs])

    def evaluate() -> dict[str, float]:
        return evaluate_pairs(roles, eval_pairs, settings, cache=cache)

    with Session(
        "dpo", roles, ("policy",), settings, num_rows=len(pairs), run=run,
        evaluate=evaluate if eval_pairs else None,
    ) as session:  # fmt: skip
        if settings.needs_reference and roles.equal_at_start and not run.resume:
            _check_start(roles, pairs[: settings.rows_per_step], cache, settings)
        for step in session.steps():
            rows = [pairs[i] for i in step.rows]
            facts = StepFacts(mean_length(rows))
            ahead = None
            if settings.couples_rows:
                with roles.scoring():
                    whole = score_step(roles, rows, settings, cache=cache, facts=facts)
                ahead = slopes(whole, settings)
                for name, (total, count) in sums_of(whole, settings).items():
                    session.record(name, total, count)
            for forest, plan, indices in session.microbatches(rows):
                trees = [rows[i] for i in indices]
                scores = score_pairs(
                    roles, trees, forest, cache=cache, settings=settings, facts=facts, plan=plan
                )
                if ahead is None:
                    loss = scores.losses.sum()
                    for name, (total, count) in sums_of(scores, settings).items():
                        session.record(name, total, count)
                else:
                    loss = ahead.carry(scores.numbers, indices)
                session.backward(loss / len(rows), tokens=len(forest.tokens))
            session.update()
    return session.result()


def check_rows(rows: Sequence[Tree], settings: DPOSettings) -> None:
    """Whether every row is what the losses look at.

    Raises:
        DataError: a row is no pair, or has a weight that the loss cannot honour.
    """
    for tree in rows:
        place = tree.origin or "a row"
        if len(tree.responses) != 2:
            raise DataError(
                f"{place}: {len(tree.responses)} responses, where loss_type {settings.loss_type} "
                "needs a chosen and a rejected one"
            )
        if settings.couples_rows and tree.weight != 1:
            raise DataError(
                f"{place}: its weight is {tree.weight}, but loss_type {settings.loss_type} sorts "
                "the step's pairs, each counted once; leave weights out, or take another loss"
            )


@torch.no_grad()
def _check_start(
    roles: Roles, pairs: Sequence[Tree], cache: ReferenceCache, settings: DPOSettings
) -> None:
    policy, reference = [], []
    for indices in pack(pairs, max_tokens=settings.max_tokens_per_microbatch):
        trees = [pairs[i] for i in indices]
        forest = plant(trees, device=roles.device)
        policy.append(response_logprobs(roles, "policy", forest))
        reference.append(cache.lookup(trees, device=roles.device))
    check_step_zero(
        policy=torch.cat(policy),
        reference=torch.cat(reference),
        dtype=roles.model.dtype,
        what="DPO",
    )
