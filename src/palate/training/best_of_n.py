"""Best-of-n as training: the likelihood of the best of n sampled responses is raised.

One step:

    1. sample n responses to each prompt, from the start (`sample_from` reference) or from the
       policy as it is (policy)
    2. the one with the highest reward is a demonstration
    3. one update of supervised fine-tuning on these, at the temperature that was sampled with

From the start this distils best-of-n sampling (Stiennon et al. 2020, arXiv 2009.01325, compare with
it) into a model that samples once; its fixed point is the exact distribution of the best of n. From
the policy it is rejection-sampling fine-tuning (Touvron et al. 2023, arXiv 2307.09288, section
3.2.3; Dong et al. 2023, arXiv 2304.06767, RAFT), which has no fixed point but the best response:
how far it goes is how long it is trained.
"""

from palate.data.trees import Tree
from palate.measures.best_of_n import kl_of_best, kl_upper_bound
from palate.models.scoring import token_logprobs_of
from palate.training.online_rollout import Batch, Task, draw_rows
from palate.training.session import Session


def learn_best_of_n(session: Session, task: Task) -> None:
    """The steps of a run."""
    settings = task.settings
    for step in session.steps():
        batch = draw_rows(session, task, step.rows, step=step.number, role=settings.sample_from)
        rows = _best(session, batch)
        num_tokens = sum(tree.num_response_tokens for tree in rows)
        for forest, plan, _ in session.microbatches(rows):
            losses = -token_logprobs_of(
                task.roles, "policy", forest, plan=plan, temperature=settings.temperature
            )
            session.backward(losses.sum() / num_tokens, tokens=len(forest.tokens))
            session.record("loss", losses.sum(), losses.numel())
        session.update()


def _best(session: Session, batch: Batch) -> list[Tree]:
    """Each prompt with its best response, the first of equal ones."""
    rewards = batch.grid(batch.penalized)
    best, n = rewards.argmax(1), rewards.shape[1]
    logprobs = batch.grid(batch.whole.sums(batch.logprobs)).gather(1, best[:, None])
    kl = kl_of_best(logprobs=logprobs[:, 0].double().cpu().numpy(), n=n)
    session.record("best_of_n/scores", rewards.amax(1).sum(), len(rewards))
    session.record("best_of_n/kl", float(kl.sum()), len(kl))
    session.record("best_of_n/kl_bound", kl_upper_bound(n))
    return [
        Tree(tree.prompt, (tree.responses[column],), origin=tree.origin)
        for tree, column in zip(batch.trees, best.tolist(), strict=True)
    ]
