"""What PPO looks at before its first rollout."""

import logging
from collections.abc import Sequence

from palate.data.trees import Tree
from palate.errors import RecipeError
from palate.models.protocols import Reward
from palate.models.roles import Roles
from palate.training.ppo_checks import cautions
from palate.training.sampling_start import check_gold, check_room
from palate.training.settings import PPOSettings

log = logging.getLogger("palate")


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
        check_room(roles, some, settings)
    check_gold(settings, gold)
    num_steps = settings.num_steps(len(prompts))
    if num_steps <= settings.value_warmup_steps:
        raise RecipeError(
            f"value_warmup_steps is {settings.value_warmup_steps}, but the run has {num_steps} "
            "rollouts, so that the policy would never learn; raise max_steps or num_train_epochs"
        )
    if settings.gold_patience and gold is None:
        raise RecipeError(
            f"gold_patience is {settings.gold_patience}, but there is no gold reward to compare "
            "with; name one (--gold; gold_funcs of PPOTrainer), or set it to 0"
        )
    if settings.gold_patience and len(eval_prompts) < 2:
        raise RecipeError(
            f"gold_patience is {settings.gold_patience}, but there are {len(eval_prompts)} "
            "evaluation prompts, and a standard error needs two; give evaluation data"
        )
    for sentence in cautions(settings):
        log.warning("%s", sentence)
