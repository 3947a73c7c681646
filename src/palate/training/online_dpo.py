"""Online DPO: pairs of the policy's own responses, labelled by the reward, learned from at once.

Guo et al. 2024 (arXiv 2402.04792). One step:

    1. sample k responses to each prompt with the policy as it is
    2. the best is chosen and the worst rejected (the paper: of two), or labels are drawn
    3. one update of a DPO loss on these pairs, kl_coef its β; the reference stays the start

With labels drawn by Bradley–Terry the fixed point of the sigmoid loss is π*. With certain labels it
has none but the best response alone: there a loss with a minimum (ipo) or `label_smoothing` is
wanted, or few steps.
"""

from palate.models.reference import ReferenceCache
from palate.training.online_pairs import learn_pairs, make_pairs
from palate.training.online_rollout import Task, draw_rows, step_seed
from palate.training.session import Session


def learn_online_dpo(session: Session, task: Task) -> None:
    """The steps of a run."""
    settings = task.settings
    cache = ReferenceCache(max_tokens=settings.max_tokens_per_microbatch)
    for step in session.steps():
        batch = draw_rows(session, task, step.rows, step=step.number)
        pairs = make_pairs(
            batch,
            label_temperature=settings.label_temperature,
            seed=step_seed(settings, step.number),
        )
        learn_pairs(session, task, pairs, cache=cache)
        cache.clear()
