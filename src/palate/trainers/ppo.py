"""`PPOTrainer`: PPO from model objects and prompts, against a reward model or a function."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from palate.data.render import Renderer
from palate.data.trees import Tree
from palate.errors import RecipeError
from palate.experiments.prepare import add_value, load_reward
from palate.experiments.reward_gate import GateMode, GateRule, pass_gate
from palate.experiments.run import reward_bill
from palate.models.protocols import FunctionReward, ModelReward, Reward
from palate.models.roles import Roles
from palate.trainers.arguments import strict
from palate.trainers.configs import PPOConfig
from palate.trainers.inputs import PROMPTS, policy_of, take_model, take_settings, told
from palate.trainers.trainer import Course, Trainer
from palate.training.ppo import evaluate_policy, train_ppo
from palate.training.session import Result, Run

RewardFunction = Callable[[Sequence[str], Sequence[str]], Sequence[float]]


class PPOTrainer(Trainer):
    """Train a model on responses that it samples, against a reward, tied to a reference.

    Differs from TRL: the value function is made here, as `args.value_model` says.

    Args:
        model: a causal language model of transformers (trained in place), a `PeftModel` on one
            (its adapter goes on being trained and, frozen as it is now, is the reference), or the
            name of a model or adapter folder.
        ref_model: the reference; None (recommended) is the model as it is now.
        reward_model: the folder of a reward model that Palate trained.
        reward_funcs: instead, a function (prompts, responses) → one number a response, or several
            whose numbers add up.
        reward_gate: what to do about a reward model that was checked (`palate check-reward`) and
            is not fit to be optimized against: "require" refuses it, "warn" says so, "off" does
            not look.
        args: settings.
        train_dataset: a `datasets.Dataset`, a list of dicts or a path, with a column `prompt`.
        eval_dataset: held-out prompts of the same kinds.
        processing_class: the model's tokenizer; may be left out where the model was loaded from a
            folder that holds one.
        callbacks: transformers' `TrainerCallback`s, instances or classes.
        peft_config: trains a fresh LoRA adapter instead of all weights.

    Raises:
        RecipeError: an argument is unknown, of another kind, or contradicts another.
        DataError: a row cannot be used.
        ModelError: the reward model is none, or was trained on another base.
        GateError: the reward model is not fit to be optimized against.
    """

    @strict
    def __init__(
        self,
        model: PreTrainedModel | PeftModel | str | Path,
        ref_model: PreTrainedModel | str | Path | None = None,
        reward_model: object = None,
        args: PPOConfig | None = None,
        *,
        reward_funcs: RewardFunction | Sequence[RewardFunction] | None = None,
        reward_gate: GateMode = "require",
        train_dataset: object = None,
        eval_dataset: object = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        callbacks: Sequence[Any] | None = None,
        peft_config: LoraConfig | None = None,
    ) -> None:
        config = take_settings(args, PPOConfig)
        start = take_model(model, processing_class, peft_config)
        renderer = Renderer(start.loaded.tokenizer)
        _check_reward(reward_model, reward_funcs)
        roles = policy_of(start, config, ref_model=ref_model)
        settings = told(config, roles, "policy")
        add_value(roles, start.loaded, settings)
        reward = _reward(roles, renderer, reward_model, reward_funcs)
        bill = None
        if reward_model is not None:
            folder = Path(str(reward_model))
            bill = reward_bill(folder)
            pass_gate(
                GateRule(reward_gate), folder, roles, max_length=settings.max_length,
                max_new_tokens=settings.max_new_tokens,
            )  # fmt: skip
        ends = renderer.end_token_ids

        def learn(trees: Sequence[Tree], held_out: Sequence[Tree], run: Run) -> Result:
            return train_ppo(
                roles, trees, settings, reward=reward, end_tokens=ends, eval_prompts=held_out,
                run=run,
            )  # fmt: skip

        def score(trees: Sequence[Tree]) -> dict[str, float]:
            return evaluate_policy(roles, trees, settings, reward=reward, end_tokens=ends)

        course = Course(
            stage="ppo",
            role="policy",
            roles=roles,
            settings=settings,
            renderer=renderer,
            grow=PROMPTS.taker(renderer, settings),
            learn=learn,
            score=score,
            start=start,
            reward=bill,
        )
        super().__init__(
            course, train_dataset=train_dataset, eval_dataset=eval_dataset, callbacks=callbacks
        )


def _check_reward(reward_model: object, reward_funcs: object) -> None:
    if (reward_model is None) == (reward_funcs is None):
        raise RecipeError(
            "PPOTrainer needs one reward: the folder of a reward model (RewardTrainer's "
            "save_model) as reward_model, or a function of prompts and responses as reward_funcs"
        )
    if callable(reward_model) and not hasattr(reward_model, "parameters"):
        raise RecipeError("reward_model is a function; give it as reward_funcs")
    if reward_model is not None and not isinstance(reward_model, str | Path):
        raise RecipeError(
            f"reward_model is a {type(reward_model).__name__}; give the folder that RewardTrainer "
            "saved (it belongs to the policy's base), or wrap the object into a function "
            "(prompts, responses) → numbers and give that as reward_funcs"
        )


def _reward(
    roles: Roles,
    renderer: Renderer,
    reward_model: object,
    reward_funcs: RewardFunction | Sequence[RewardFunction] | None,
) -> Reward:
    if reward_funcs is None:
        load_reward(roles, Path(str(reward_model)))
        return ModelReward(roles)
    if callable(reward_funcs):
        return FunctionReward(reward_funcs, renderer.decode)
    functions = list(reward_funcs)

    def total(prompts: Sequence[str], responses: Sequence[str]) -> list[float]:
        each = [function(prompts, responses) for function in functions]
        return [sum(map(float, numbers)) for numbers in zip(*each, strict=True)]

    return FunctionReward(total, renderer.decode)
