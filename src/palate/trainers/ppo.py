"""`PPOTrainer`: PPO from model objects and prompts, against a reward model or a function."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from palate.data.render import Renderer
from palate.data.trees import Tree
from palate.errors import RecipeError
from palate.experiments.hashes import rewards_hash
from palate.experiments.prepare import add_value
from palate.experiments.reward_gate import GateMode, GateRule
from palate.experiments.reward_source import JUDGE_CACHE, RewardSource, reward_source
from palate.experiments.rewards import take_reward, watch_reward
from palate.models.reward_function import RewardFunction
from palate.trainers.arguments import strict
from palate.trainers.configs import PPOConfig
from palate.trainers.inputs import policy_of, take_model, take_settings, told
from palate.trainers.rows import PROMPTS
from palate.trainers.trainer import Course, Trainer
from palate.training.ppo import evaluate_policy, train_ppo
from palate.training.run import Result, Run

RewardFuncs = RewardFunction | str | Sequence[RewardFunction | str]


class PPOTrainer(Trainer):
    """Train a model on responses that it samples, against a reward, tied to a reference.

    Differs from TRL: the value function is made here, as `args.value_model` says.

    Args:
        model: a causal language model of transformers (trained in place), a `PeftModel` on one
            (its adapter goes on being trained and, frozen as it is now, is the reference), or the
            name of a model or adapter folder.
        ref_model: the reference; None (recommended) is the model as it is now.
        reward_model: the folder of a reward model that Palate trained.
        reward_funcs: instead, a function (prompts, responses, **columns) → one number a response,
            a source as `--reward` takes it (a folder, "module:function", "judge:FILE.yaml"), or
            several, whose rewards are summed.
        reward_weights: what the rewards of `reward_funcs` are multiplied by; None: 1 each.
        reward_gate: what to do about a reward model that was not checked (`palate check-reward`),
            or is not fit to be optimized against: "require" refuses it, "warn" says so, "off" does
            not look.
        gold_funcs: what is really wanted, of the same kinds as `reward_funcs`: only watched, as
            `objective/gold`; `args.gold_patience` ends the run where the two part.
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
        ModelError: a reward model's folder is none.
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
        reward_funcs: RewardFuncs | None = None,
        reward_weights: Sequence[float] | None = None,
        reward_gate: GateMode = "require",
        gold_funcs: RewardFuncs | None = None,
        train_dataset: object = None,
        eval_dataset: object = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        callbacks: Sequence[Any] | None = None,
        peft_config: LoraConfig | None = None,
    ) -> None:
        config = take_settings(args, PPOConfig)
        start = take_model(model, processing_class, peft_config)
        renderer = Renderer(start.loaded.tokenizer)
        folder = config.output_dir
        sources = reward_sources(
            reward_model, reward_funcs, reward_weights, reward_gate, folder=folder
        )
        roles = policy_of(start, config, ref_model=ref_model)
        settings = told(config, roles, "policy")
        add_value(roles, start.loaded, settings)
        taken = take_reward(
            sources, roles, max_length=settings.max_length, max_new_tokens=settings.max_new_tokens,
            uncertainty_coef=settings.uncertainty_coef,
        )  # fmt: skip
        reward, gold = taken.reward, None
        if gold_funcs is not None:
            gold = watch_reward(reward_sources(None, gold_funcs, None, "off", folder=folder), roles)
        ends = renderer.end_token_ids

        def learn(trees: Sequence[Tree], held_out: Sequence[Tree], run: Run) -> Result:
            return train_ppo(
                roles, trees, settings, reward=reward, end_tokens=ends, eval_prompts=held_out,
                gold=gold, run=run,
            )  # fmt: skip

        def score(trees: Sequence[Tree]) -> dict[str, float]:
            return evaluate_policy(
                roles, trees, settings, reward=reward, end_tokens=ends, gold=gold
            )

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
            reward=taken.bill,
            reward_hash=rewards_hash(sources),
        )
        super().__init__(
            course, train_dataset=train_dataset, eval_dataset=eval_dataset, callbacks=callbacks
        )


def reward_sources(
    reward_model: object,
    reward_funcs: RewardFuncs | None,
    reward_weights: Sequence[float] | None,
    gate: GateMode,
    *,
    folder: str | None = None,
) -> list[RewardSource]:
    """The rewards that a trainer was given; a judge among them keeps what it is told in `folder`.

    Raises:
        RecipeError: there is none, or it cannot be one.
    """
    _check_reward(reward_model, reward_funcs)
    rule = GateRule(gate)
    if reward_funcs is None:
        if reward_weights is not None:
            raise RecipeError("reward_weights weigh reward_funcs; a reward_model has none")
        return [RewardSource(str(reward_model), folder=Path(str(reward_model)), gate=rule)]
    given: list[object] = [reward_funcs]
    if isinstance(reward_funcs, Sequence) and not isinstance(reward_funcs, str):
        given = list(reward_funcs)
    weights = [1.0] * len(given) if reward_weights is None else list(reward_weights)
    if len(weights) != len(given) or not given:
        raise RecipeError(
            f"reward_weights are {len(weights)} numbers for {len(given)} reward_funcs; give one "
            "weight a function"
        )
    return [
        _source(one, weight, rule, number, folder)
        for number, (one, weight) in enumerate(zip(given, weights, strict=True))
    ]


def _check_reward(reward_model: object, reward_funcs: object) -> None:
    if (reward_model is None) == (reward_funcs is None):
        raise RecipeError(
            "it needs one reward: the folder of a reward model (RewardTrainer's "
            "save_model) as reward_model, or a function of prompts and responses as reward_funcs"
        )
    if callable(reward_model) and not hasattr(reward_model, "parameters"):
        raise RecipeError("reward_model is a function; give it as reward_funcs")
    if reward_model is not None and not isinstance(reward_model, str | Path):
        raise RecipeError(
            f"reward_model is a {type(reward_model).__name__}; give the folder that RewardTrainer "
            "saved, or wrap the object into a function "
            "(prompts, responses) → numbers and give that as reward_funcs"
        )


def _source(
    given: object, weight: float, rule: GateRule, number: int, folder: str | None
) -> RewardSource:
    if isinstance(given, str):
        cache = None if folder is None else Path(folder) / JUDGE_CACHE
        named = reward_source(given, flag="reward_funcs", cache=cache)
        gate = rule if named.folder is not None else None
        return replace(named, weight=named.weight * weight, gate=gate)
    if not callable(given):
        raise RecipeError(
            f"reward_funcs[{number}] is a {type(given).__name__}; give a function (prompts, "
            "responses, **columns) → numbers, or a source such as a reward model's folder"
        )
    return RewardSource(_name(given), weight, function=given)


def _name(function: RewardFunction) -> str:
    """Where a function stands: in messages, and what a resumed run must share."""
    of = function if hasattr(function, "__qualname__") else type(function)
    return f"{of.__module__}:{of.__qualname__}"
