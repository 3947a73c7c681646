"""Pairs made of sampled responses, and one optimizer step of a DPO loss on them."""

from collections.abc import Sequence

import numpy as np

from palate.data.trees import Tree
from palate.models.reference import ReferenceCache
from palate.objectives.groups import best_and_worst
from palate.training.losses import StepFacts
from palate.training.online_rollout import Batch, Task
from palate.training.pair_scores import mean_length, score_pairs, sums_of
from palate.training.session import Session


def make_pairs(batch: Batch, *, label_temperature: float, seed: int) -> list[Tree | None]:
    """The best and the worst response of each prompt, the chosen one first.

    Args:
        batch: with two responses a prompt, or more.
        label_temperature: 0 chooses the higher reward; above 0 the labels are drawn, the higher
            reward with probability σ(difference / temperature), as Bradley–Terry people would.
        seed: of that draw.

    Returns:
        A pair for each prompt; None where all its responses have one reward.
    """
    rewards = batch.grid(batch.penalized)
    generator = np.random.Generator(np.random.PCG64([seed, 1]))
    found: list[Tree | None] = []
    for tree, row, columns in zip(
        batch.trees, rewards.tolist(), best_and_worst(rewards), strict=True
    ):
        draw = generator.random()
        if columns is None:
            found.append(None)
            continue
        chosen, rejected = columns
        if label_temperature:
            lead = (row[chosen] - row[rejected]) / label_temperature
            if draw > 1 / (1 + np.exp(-lead)):
                chosen, rejected = rejected, chosen
        responses = (tree.responses[chosen], tree.responses[rejected])
        found.append(Tree(tree.prompt, responses, origin=tree.origin))
    return found


def learn_pairs(
    session: Session, task: Task, pairs: Sequence[Tree | None], *, cache: ReferenceCache
) -> None:
    """One optimizer step on the pairs that there are; none, where no response was preferred."""
    roles, settings = task.roles, task.settings.pair_settings()
    rows = [pair for pair in pairs if pair is not None]
    session.record("pairs_rate", len(rows), len(pairs))
    if not rows:
        return
    if settings.needs_reference:
        with roles.scoring():
            cache.fill(roles, rows)
    facts = StepFacts(mean_length(rows))
    for forest, plan, indices in session.microbatches(rows):
        scores = score_pairs(
            roles, [rows[i] for i in indices], forest,
            cache=cache, settings=settings, facts=facts, plan=plan,
        )  # fmt: skip
        session.backward(scores.losses.sum() / len(rows), tokens=len(forest.tokens))
        for name, (total, count) in sums_of(scores, settings).items():
            session.record(name, total, count)
    session.update()
