"""What PPO looks at before its first rollout, and at the first one that nothing ended by itself."""

import logging
from collections.abc import Sequence

from palate.data.trees import Tree
from palate.errors import RecipeError
from palate.models.context import check_context
from palate.models.protocols import Reward
from palate.models.roles import Roles
from palate.training.ppo_checks import cautions
from palate.training.rollout import Rollout
from palate.training.session import Session
from palate.training.settings import PPOSettings

log = logging.getLogger("palate")
# In the run's standing, so that a resumed run does not say it again.
TOLD = "told_no_eos"


def check_ppo_start(
    roles: Roles,
    prompts: Sequence[Tree],
    eval_prompts: Sequence[Tree],
    settings: PPOSettings,
    *,
    gold: Reward | None,
) -> None:
    """Refuse what cannot work, and tell of settings without effect.

    Raises:
        DataError: a prompt leaves no room for a response in the model's context.
        RecipeError: a setting needs something that this run has not.
    """
    for some in (prompts, eval_prompts):
        check_context(
            roles.model.config,
            [tree.prompt for tree in some],
            max_new_tokens=settings.max_new_tokens,
            origins=[tree.origin for tree in some],
        )
    if settings.gold_patience and gold is None:
        raise RecipeError(
            f"gold_patience is {settings.gold_patience}, but there is no gold reward to compare "
            "with; name one (--gold), or set it to 0"
        )
    if settings.gold_patience and len(eval_prompts) < 2:
        raise RecipeError(
            f"gold_patience is {settings.gold_patience}, but there are {len(eval_prompts)} "
            "evaluation prompts, and a standard error needs two; give evaluation data"
        )
    for sentence in cautions(settings):
        log.warning("%s", sentence)


def warn_without_end(session: Session, rollout: Rollout, settings: PPOSettings) -> None:
    """Say once a run that not one response of a rollout has stopped."""
    kept = session.standing.extra
    if rollout.metrics["val/num_eos_tokens"] or TOLD in kept:
        return
    kept[TOLD] = 1.0
    log.warning(
        "ppo: none of the %d responses of a rollout ended by itself, all were cut at "
        "max_new_tokens %d, where a reward model has never been trained to read; start from an SFT "
        "model that says EOS, raise max_new_tokens, or give stop texts",
        len(rollout.scores), settings.max_new_tokens,
    )  # fmt: skip
