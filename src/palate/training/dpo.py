"""Direct preference optimization and its family: one loop, any loss of log-probabilities.

Rafailov et al. 2023 (arXiv 2305.18290), equation 7, is the default: the loss is a function of the
margin log π(chosen)/π_ref(chosen) − log π(rejected)/π_ref(rejected), sums over tokens. What else
`loss_type` can name is in `losses.py`.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from palate.data.trees import Forest, Tree, pack, plant
from palate.errors import DataError, RecipeError
from palate.models.attention import Plan
from palate.models.moving import mix_reference, moving_weights
from palate.models.reference import ReferenceCache
from palate.models.roles import Roles
from palate.models.scoring import response_logprobs
from palate.training.checks import check_step_zero
from palate.training.loss_checks import cautions
from palate.training.losses import StepFacts
from palate.training.pair_scores import (
    PairScores,
    Slopes,
    drift,
    mean_length,
    rescore,
    score_pairs,
    score_step,
    slopes,
    strangers_of,
    sums_of,
    threshold,
)
from palate.training.run import Result, Run
from palate.training.session import Session
from palate.training.settings import DPOSettings
from palate.training.signs import pair_lengths, pair_signs

log = logging.getLogger("palate")
# Share of a step's threshold in the moving average that the next step takes (BCO).
THRESHOLD_RATE = 0.1


@torch.no_grad()
def evaluate_pairs(
    roles: Roles, pairs: Sequence[Tree], settings: DPOSettings, *, cache: ReferenceCache
) -> dict[str, float]:
    """Means over held-out rows of what training logs, each name with `eval_` before it.

    A loss that sorts a step's pairs sorts here as many at a time; KTO's point of reference and
    BCO's threshold are those of the rows themselves. A reference that moves is computed anew.
    """
    if settings.moves_reference:
        cache = ReferenceCache(max_tokens=settings.max_tokens_per_microbatch)
    strangers = strangers_of(pairs, settings)
    if settings.needs_reference:
        cache.fill(roles, [*pairs, *strangers])
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    margins: list[Tensor] = []
    size = settings.rows_per_step if settings.couples_rows else len(pairs)
    for start in range(0, len(pairs), size):
        rows = pairs[start : start + size]
        kl = drift(roles, strangers[start : start + size], settings, cache=cache)
        facts = StepFacts(mean_length(rows), kl)
        scores = score_step(roles, rows, settings, cache=cache, facts=facts)
        if settings.names("bco"):
            facts = replace(facts, shift=threshold([scores], settings))
            scores = rescore(scores, facts, settings)
        for name, (total, count) in sums_of(scores, settings).items():
            sums[name] = sums.get(name, 0.0) + float(total)
            counts[name] = counts.get(name, 0) + count
        margins += [scores.margins] if scores.numbers.per_row == 2 else []
    means = {name: total / counts[name] for name, total in sums.items()}
    if margins:
        means |= pair_signs(torch.cat(margins), pair_lengths(pairs))
    return {f"eval_{name}": value for name, value in means.items()}


def train_dpo(
    roles: Roles,
    pairs: Sequence[Tree],
    settings: DPOSettings,
    *,
    eval_pairs: Sequence[Tree] = (),
    cache: ReferenceCache | None = None,
    run: Run | None = None,
) -> Result:
    """Train the policy on preference pairs, or on labelled responses.

    Args:
        roles: has a trainable `policy` and, where a loss compares with it, a `reference`.
        pairs: trees of two responses, chosen first (or of one, with its label, where every loss
            looks at single responses); `weight` multiplies a row's loss, which a step sums and
            divides by its rows; `margin` (in rewards) is what the chosen response must lead by.
        settings: see `DPOSettings`.
        eval_pairs: held-out rows, for `eval_loss` and `eval_rewards/accuracies`.
        cache: reference log-probabilities; give one to several runs, and those that share a
            reference compute it once. A reference that moves is looked up in a cache of the run's.
        run: folder, resume, listeners.

    Raises:
        DataError: a row is not what the loss needs.
        RecipeError: the best metric is one of pairs, and the rows are single responses.
        GateError: policy and reference were declared equal and are not.
    """
    run = run or Run()
    _caution(pairs, settings)
    check_rows([*pairs, *eval_pairs], settings)
    _check_best_metric(eval_pairs, settings)
    strangers = strangers_of(pairs, settings)
    # An empty cache is false.
    if cache is None or settings.moves_reference:
        cache = ReferenceCache(max_tokens=settings.max_tokens_per_microbatch)
    if settings.fixes_reference:
        cache.fill(roles, [*pairs, *strangers, *eval_pairs])
    evaluate = partial(evaluate_pairs, roles, eval_pairs, settings, cache=cache)
    with Session(
        "dpo", roles, ("policy",), settings, num_rows=len(pairs), run=run,
        evaluate=evaluate if eval_pairs else None,
        moving=moving_weights(roles) if settings.moves_reference else None,
    ) as session:  # fmt: skip
        if settings.moves_reference and run.resume:
            roles["reference"].moved()
        session.rehearse(pairs, partial(_rehearsed, roles=roles, cache=cache, settings=settings))
        if settings.needs_reference and not run.resume:
            gap = _check_start(roles, pairs[: settings.rows_per_step], settings)
            session.record("start/reference_gap", gap)
        for step in session.steps():
            rows = [pairs[i] for i in step.rows]
            others = [strangers[i] for i in step.rows] if strangers else []
            if settings.moves_reference:
                cache.fill(roles, [*rows, *others])
            facts = StepFacts(
                mean_length(rows),
                kl=drift(roles, others, settings, cache=cache),
                shift=session.standing.extra.get("reward_shift", 0.0),
            )
            ahead = _look_ahead(session, rows, settings, cache=cache, facts=facts)
            learn = partial(
                _learn, session, rows, ahead,
                cache=cache, settings=settings, facts=facts, first=step.first,
            )  # fmt: skip
            _pass_on(session, facts, session.accumulate(rows, learn), settings)
            session.update()
            if settings.moves_reference and step.number % settings.ref_model_sync_steps == 0:
                mix_reference(roles, alpha=settings.ref_model_mixup_alpha)
                cache.clear()
    return session.result()


def _look_ahead(
    session: Session,
    rows: Sequence[Tree],
    settings: DPOSettings,
    *,
    cache: ReferenceCache,
    facts: StepFacts,
) -> Slopes | None:
    """The step's slopes, of a loss that looks at all its rows together."""
    if not settings.couples_rows:
        return None
    with session.roles.scoring():
        whole = score_step(session.roles, rows, settings, cache=cache, facts=facts)
    _record(session, whole, settings)
    return slopes(whole, settings)


def _caution(pairs: Sequence[Tree], settings: DPOSettings) -> None:
    """Tell of settings and margins that have no effect."""
    for sentence in cautions(settings):
        log.warning("%s", sentence)
    num_margins = sum(tree.margin is not None for tree in pairs)
    if num_margins and not settings.honours_margins:
        log.warning(
            "%d rows have a margin, which has no effect: loss_type %s does not ask for a lead in "
            "rewards", num_margins, settings.loss_type,
        )  # fmt: skip


def _check_best_metric(rows: Sequence[Tree], settings: DPOSettings) -> None:
    """Refuse a best metric of pairs where the held-out rows are single responses.

    Raises:
        RecipeError: it is one.
    """
    name = settings.metric_for_best_model
    if name != "eval_loss" and any(len(tree.responses) == 1 for tree in rows):
        raise RecipeError(
            f"metric_for_best_model is {name!r}, which only pairs have, but the rows are single "
            "responses; take eval_loss"
        )


def check_rows(rows: Sequence[Tree], settings: DPOSettings) -> None:
    """Whether every row is what the losses look at.

    Raises:
        DataError: a row has not the responses or the label that the losses need, or has a weight
            that they cannot honour; or settings that compare two responses meet single ones.
    """
    for tree in rows:
        place = tree.origin or "a row"
        count = len(tree.responses)
        if count != 2 and (settings.wants_pairs or count != 1):
            raise DataError(
                f"{place}: {count} responses, where loss_type {settings.loss_type} needs a chosen "
                "and a rejected one"
            )
        if count != len(rows[0].responses):
            raise DataError(f"{place}: {count} responses, where the first row has another number")
        if count == 1 and tree.desirable is None:
            raise DataError(
                f"{place}: a single response without a label, where loss_type "
                f"{settings.loss_type} needs to know whether it is desirable"
            )
        if count == 1 and (settings.use_weighting or settings.ld_alpha != 1):
            name = "use_weighting" if settings.use_weighting else "ld_alpha"
            raise DataError(
                f"{place}: a single response, but {name} compares the two responses of a pair; "
                "leave it at its default"
            )
        if settings.couples_rows and tree.weight != 1:
            raise DataError(
                f"{place}: its weight is {tree.weight}, but loss_type {settings.loss_type} sorts "
                "the step's pairs, each counted once; leave weights out, or take another loss"
            )


def _learn(
    session: Session,
    rows: Sequence[Tree],
    ahead: Slopes | None,
    forest: Forest,
    plan: Plan,
    indices: Sequence[int],
    *,
    cache: ReferenceCache,
    settings: DPOSettings,
    facts: StepFacts,
    first: bool,
) -> PairScores:
    """Add the gradient of one micro-batch, `indices` of the step's rows, and say how they score."""
    scores = score_pairs(
        session.roles, [rows[i] for i in indices], forest,
        cache=cache, settings=settings, facts=facts, plan=plan, with_surprise=first,
    )  # fmt: skip
    if scores.surprise is not None:
        session.record("start/surprise", scores.surprise.sum(), len(scores.surprise))
    if ahead is None:
        loss = scores.losses.sum()
        _record(session, scores, settings)
    else:
        loss = ahead.carry(scores.numbers, indices)
    session.backward(loss / len(rows), tokens=len(forest.tokens))
    return scores


@torch.no_grad()
def _record(session: Session, scores: PairScores, settings: DPOSettings) -> None:
    for name, (total, count) in sums_of(scores, settings).items():
        session.record(name, total, count)


def _pass_on(
    session: Session, facts: StepFacts, seen: Sequence[PairScores], settings: DPOSettings
) -> None:
    """Record the step's facts, and carry the threshold that BCO's next step starts from."""
    if settings.names("kto"):
        session.record("kl", facts.kl)
    if settings.names("bco"):
        session.record("reward_shift", facts.shift)
        # The policy starts at its reference, where every reward and so the threshold is 0.
        moved = facts.shift + THRESHOLD_RATE * (threshold(seen, settings) - facts.shift)
        session.standing.extra["reward_shift"] = moved


def _rehearsed(
    forest: Forest,
    plan: Plan,
    trees: Sequence[Tree],
    *,
    roles: Roles,
    cache: ReferenceCache,
    settings: DPOSettings,
) -> Tensor:
    """The losses of some rows as if they were a step; they need the memory that any loss needs."""
    if settings.moves_reference:
        # The step that has these rows will fill them in, on the run's bill.
        cache = ReferenceCache(max_tokens=settings.max_tokens_per_microbatch)
        cache.fill(roles, trees)
    scores = score_pairs(roles, trees, forest, cache=cache, settings=settings, plan=plan)
    return scores.losses.sum()


@torch.no_grad()
def _check_start(roles: Roles, pairs: Sequence[Tree], settings: DPOSettings) -> float:
    """Mean |log-ratio| of a response before any update; refused where it should be 0 and is not."""
    policy, reference = [], []
    for indices in pack(pairs, max_tokens=settings.max_tokens_per_microbatch):
        # Not from the cache, whose forests were others: one forest scored twice is exactly equal.
        forest = plant([pairs[i] for i in indices], device=roles.device)
        policy.append(response_logprobs(roles, "policy", forest))
        reference.append(response_logprobs(roles, "reference", forest))
    ours, theirs = torch.cat(policy), torch.cat(reference)
    if roles.equal_at_start:
        check_step_zero(policy=ours, reference=theirs, dtype=roles.model.dtype, what="DPO")
    return float((ours - theirs).abs().mean())
