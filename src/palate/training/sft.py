"""Supervised fine-tuning: the next-token loss on responses, the prompt never counted."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from palate.data.trees import Forest, Tree, pack, plant
from palate.models.attention import Plan
from palate.models.roles import Roles
from palate.models.scoring import token_logprobs_of
from palate.training.run import Result, Run
from palate.training.session import Session
from palate.training.settings import SFTSettings


@torch.no_grad()
def evaluate_demonstrations(
    roles: Roles, demonstrations: Sequence[Tree], settings: SFTSettings
) -> dict[str, float]:
    """The loss on held-out demonstrations, in nats a response token."""
    total, tokens = 0.0, 0
    for indices in pack(demonstrations, max_tokens=settings.max_tokens_per_microbatch):
        trees = [demonstrations[i] for i in indices]
        forest = plant(trees, device=roles.device)
        total += float(_losses(roles, forest, trees).double().sum())
        tokens += len(forest.targets)
    return {"eval_loss": total / tokens, "eval_mean_token_nll": total / tokens}


def train_sft(
    roles: Roles,
    demonstrations: Sequence[Tree],
    settings: SFTSettings,
    *,
    eval_demonstrations: Sequence[Tree] = (),
    run: Run | None = None,
) -> Result:
    """Raise the likelihood of demonstrated responses.

    The loss of a step is −Σ weight·log π(token) over the response tokens of all its rows, divided
    by their number: long responses count for their length, however rows fall into micro-batches.

    Args:
        roles: has a trainable `policy`.
        demonstrations: trees with one response each.
        settings: see `SFTSettings`.
        eval_demonstrations: held-out rows, for `eval_loss` and `eval_mean_token_nll`.
        run: folder, resume, listeners.
    """

    def evaluate() -> dict[str, float]:
        return evaluate_demonstrations(roles, eval_demonstrations, settings)

    with Session(
        "sft", roles, ("policy",), settings, num_rows=len(demonstrations), run=run or Run(),
        evaluate=evaluate if eval_demonstrations else None,
    ) as session:  # fmt: skip
        session.rehearse(
            demonstrations, lambda forest, plan, trees: _losses(roles, forest, trees, plan).sum()
        )
        for step in session.steps():
            rows = [demonstrations[i] for i in step.rows]
            session.accumulate(rows, partial(_learn, session, rows))
            session.update()
    return session.result()


def _learn(
    session: Session, rows: Sequence[Tree], forest: Forest, plan: Plan, indices: Sequence[int]
) -> None:
    """Add the gradient of one micro-batch, `indices` of the step's rows."""
    num_tokens = sum(tree.num_response_tokens for tree in rows)
    loss = _losses(session.roles, forest, [rows[i] for i in indices], plan).sum()
    session.backward(loss / num_tokens, tokens=len(forest.tokens))
    session.record("loss", loss, len(forest.targets))


def _losses(
    roles: Roles, forest: Forest, trees: Sequence[Tree], plan: Plan | None = None
) -> Tensor:
    per_token = token_logprobs_of(roles, "policy", forest, plan=plan)
    weights = per_token.new_tensor([tree.weight for tree in trees])
    return -per_token * weights[forest.owner]
