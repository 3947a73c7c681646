"""Online methods beside PPO: one run's frame around the loop that `method` names.

Each loop is a page of its own: `rloo.py`, `grpo.py`, `reinforce.py`, `online_dpo.py`,
`best_of_n.py`, `iterated_dpo.py`.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from functools import partial

from palate.data.trees import Tree
from palate.models.moving import moving_weights
from palate.models.protocols import Reward
from palate.models.roles import Roles
from palate.models.scoring import token_logprobs_of
from palate.training.best_of_n import learn_best_of_n
from palate.training.dealing import longest_responses
from palate.training.grpo import learn_grpo
from palate.training.iterated_dpo import learn_iterated_dpo
from palate.training.online_checks import cautions
from palate.training.online_dpo import learn_online_dpo
from palate.training.online_rollout import Task, evaluate_online
from palate.training.online_settings import OnlineSettings
from palate.training.reinforce import learn_reinforce
from palate.training.rloo import learn_rloo
from palate.training.run import Result, Run
from palate.training.sampling_start import check_gold, check_room
from palate.training.session import Session

log = logging.getLogger("palate")

LOOPS: dict[str, Callable[[Session, Task], None]] = {
    "rloo": learn_rloo,
    "grpo": learn_grpo,
    "reinforce++": learn_reinforce,
    "online-dpo": learn_online_dpo,
    "best-of-n": learn_best_of_n,
    "iterated-dpo": learn_iterated_dpo,
}


def train_online(
    roles: Roles,
    prompts: Sequence[Tree],
    settings: OnlineSettings,
    *,
    reward: Reward,
    end_tokens: Collection[int],
    eval_prompts: Sequence[Tree] = (),
    gold: Reward | None = None,
    run: Run | None = None,
) -> Result:
    """Train the policy on responses that are sampled as training goes on.

    Args:
        roles: has a trainable `policy`, and a `reference`.
        prompts: trees without responses.
        settings: name the method.
        reward: scores responses; `ModelReward` or `FunctionReward`.
        end_tokens: ids that end a response.
        eval_prompts: held-out prompts, answered with one fixed seed at each evaluation.
        gold: what is really wanted, where it is known: watched in evaluations as
            `eval_objective/gold`, never trained on.
        run: folder, resume, listeners.

    Raises:
        RecipeError: the best metric is of a gold reward, and there is none.
        GateError: policy and reference were declared equal and are not, the policy that learns
            first is not the one that was sampled from, or no reward gave a gradient.
    """
    for sentence in cautions(settings):
        log.warning("%s", sentence)
    for some in (prompts, eval_prompts):
        check_room(roles, some, settings)
    check_gold(settings, gold)
    run = run or Run()
    task = Task(roles, prompts, settings, reward, end_tokens)
    evaluate = partial(evaluate_online, task, eval_prompts, gold=gold)
    with Session(
        "online", roles, ("policy",), settings, num_rows=len(prompts), run=run,
        evaluate=evaluate if eval_prompts else None,
        moving=moving_weights(roles) if settings.moves_reference else None,
    ) as session:  # fmt: skip
        if settings.moves_reference and run.resume:
            roles["reference"].moved()
        session.rehearse(
            longest_responses(
                prompts, count=settings.num_learned_per_prompt, length=settings.max_new_tokens
            ),
            lambda forest, plan, _: token_logprobs_of(roles, "policy", forest, plan=plan).sum(),
            sampled=True,
        )
        LOOPS[settings.method](session, task)
    return session.result()
