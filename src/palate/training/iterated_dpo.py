"""Iterated DPO: rounds of sampling, labelling and learning.

Xu et al. 2023 (arXiv 2312.16682) and Yuan et al. 2024 (arXiv 2401.10020) train in such rounds. One
round:

    1. the policy as it stands answers the prompts of the round's steps, k times each
    2. the best response is chosen and the worst rejected, or labels are drawn
    3. the round's steps of DPO on these pairs, tied to the start or to the last round's policy

Differs from online DPO: a round's pairs are of the policy at its beginning. They are written to
rounds/ before they are learned from, so that a run resumes in the middle of a round, and so that
people can read them. Adam's moments and the learning rate's schedule go on through all rounds.
"""

import logging

from palate.models.moving import mix_reference
from palate.models.reference import ReferenceCache
from palate.training.online_pairs import learn_pairs, make_pairs
from palate.training.online_rollout import Task, draw_rows, step_seed
from palate.training.rounds import RoundPairs, read_round, write_round
from palate.training.seeding import rows_of_step
from palate.training.session import Session

log = logging.getLogger("palate")


def learn_iterated_dpo(session: Session, task: Task) -> None:
    """The steps of a run."""
    settings = task.settings
    cache = ReferenceCache(max_tokens=settings.max_tokens_per_microbatch)
    rounds = settings.rounds(session.num_steps)
    if len(rounds) < settings.num_rounds:
        log.warning(
            "online: %d rounds, not num_rounds %d: the run has no more optimizer steps",
            len(rounds), settings.num_rounds,
        )  # fmt: skip
    pairs: RoundPairs = {}
    for step in session.steps():
        number, steps = next(
            (number, steps) for number, steps in enumerate(rounds, 1) if step.number in steps
        )
        if step.number == steps.start:
            if number > 1 and settings.moves_reference:
                mix_reference(task.roles, alpha=1.0)
            cache.clear()
            pairs = _sample_round(session, task, steps)
            if session.folder:
                write_round(session.folder, number, pairs)
        elif not pairs and session.folder:
            pairs = read_round(session.folder, number)
        session.record("round", number)
        learn_pairs(session, task, pairs[step.number], cache=cache)


def _sample_round(session: Session, task: Task, steps: range) -> RoundPairs:
    """Pairs for each of the round's steps, of the policy as it stands."""
    settings = task.settings
    rows = [
        rows_of_step(
            number, num_rows=session.num_rows, size=settings.rows_per_step, seed=settings.seed
        )
        for number in steps
    ]
    batch = draw_rows(session, task, [i for some in rows for i in some], step=steps.start)
    seed = step_seed(settings, steps.start)
    made = iter(make_pairs(batch, label_temperature=settings.label_temperature, seed=seed))
    return {number: [next(made) for _ in some] for number, some in zip(steps, rows, strict=True)}
