"""What every sampling method looks at before its first rollout, and at one that nothing ended."""

import logging
from collections.abc import Sequence

import torch

from palate.data.trees import Tree, plant
from palate.errors import RecipeError
from palate.models.context import check_context
from palate.models.protocols import Reward
from palate.models.roles import Roles
from palate.models.scoring import response_logprobs
from palate.training.checks import check_step_zero
from palate.training.sampling_settings import SamplingSettings
from palate.training.session import Session

log = logging.getLogger("palate")
# In the run's standing, so that a resumed run does not say it again.
TOLD = "told_no_eos"
# Keeps evaluation's draws apart from the training's, and the same at every step.
EVAL_SEED = 7919


def check_room(roles: Roles, prompts: Sequence[Tree], settings: SamplingSettings) -> None:
    """Refuse prompts that leave no room for a response.

    Raises:
        DataError: names the longest one.
    """
    check_context(
        roles.model.config,
        [tree.prompt for tree in prompts],
        max_new_tokens=settings.max_new_tokens,
        origins=[tree.origin for tree in prompts],
    )


def check_gold(settings: SamplingSettings, gold: Reward | None) -> None:
    """Refuse a best metric that needs a gold reward, where there is none.

    Raises:
        RecipeError: it does.
    """
    if settings.metric_for_best_model == "eval_objective/gold" and gold is None:
        raise RecipeError(
            "metric_for_best_model is 'eval_objective/gold', but there is no gold reward; name one "
            "(--gold), or take another metric"
        )


@torch.no_grad()
def check_equal(roles: Roles, trees: Sequence[Tree], *, what: str) -> None:
    """Policy and reference, which were declared equal, are compared on a few responses.

    Raises:
        GateError: they are not.
    """
    forest = plant(trees[:8], device=roles.device)
    check_step_zero(
        policy=response_logprobs(roles, "policy", forest),
        reference=response_logprobs(roles, "reference", forest),
        dtype=roles.model.dtype,
        what=what,
    )


def warn_without_end(
    session: Session, settings: SamplingSettings, *, num_responses: int, num_stopped: int
) -> None:
    """Say once a run that not one response of a rollout has stopped."""
    kept = session.standing.extra
    if num_stopped or TOLD in kept:
        return
    kept[TOLD] = 1.0
    log.warning(
        "%s: none of the %d responses of a rollout ended by itself, all were cut at "
        "max_new_tokens %d, where a reward model has never been trained to read; start from an SFT "
        "model that says EOS, raise max_new_tokens, or give stop texts",
        session.stage, num_responses, settings.max_new_tokens,
    )  # fmt: skip
