"""`RLOOTrainer`, `GRPOTrainer`, `OnlineDPOTrainer`: from model objects, prompts and a reward."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from peft import LoraConfig, PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from palate.data.render import Renderer
from palate.data.trees import Tree
from palate.experiments.hashes import rewards_hash
from palate.experiments.reward_gate import GateMode
from palate.experiments.rewards import take_reward
from palate.trainers.arguments import strict
from palate.trainers.configs import GRPOConfig, OnlineDPOConfig, RLOOConfig
from palate.trainers.inputs import policy_of, take_model, take_settings, told
from palate.trainers.ppo import RewardFuncs, reward_sources
from palate.trainers.rows import PROMPTS
from palate.trainers.trainer import Course, Trainer
from palate.training.online import train_online
from palate.training.online_rollout import Task, evaluate_online
from palate.training.online_settings import OnlineSettings
from palate.training.run import Result, Run


class _GroupTrainer(Trainer):
    """What `RLOOTrainer` and `GRPOTrainer` share; they differ in their settings."""

    _config: ClassVar[type[OnlineSettings]]

    @strict
    def __init__(
        self,
        model: PreTrainedModel | PeftModel | str | Path,
        reward_funcs: RewardFuncs | None = None,
        args: OnlineSettings | None = None,
        train_dataset: object = None,
        eval_dataset: object = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        *,
        reward_weights: Sequence[float] | None = None,
        reward_gate: GateMode = "require",
        callbacks: Sequence[Any] | None = None,
        peft_config: LoraConfig | None = None,
    ) -> None:
        course = _course(
            take_settings(args, self._config), model, None, processing_class, peft_config,
            reward_funcs, reward_weights, reward_gate,
        )  # fmt: skip
        super().__init__(
            course, train_dataset=train_dataset, eval_dataset=eval_dataset, callbacks=callbacks
        )


class RLOOTrainer(_GroupTrainer):
    """REINFORCE leave-one-out: train a model on its own responses, tied to what it is now.

    Args:
        model: as `DPOTrainer` takes it; as it is now it is the reference too.
        reward_funcs: a function (prompts, responses, **columns) → one number a response, a source
            as `--reward` takes it (such as a reward model's folder), or several, which are summed.
        args: an `RLOOConfig`.
        reward_weights: what the rewards of `reward_funcs` are multiplied by; None: 1 each.
        reward_gate: what to do about a reward model that was not checked, or is not fit to be
            optimized against.
        train_dataset: a `datasets.Dataset`, a list of dicts or a path, with a column `prompt`.
        eval_dataset: held-out prompts of the same kinds.
        processing_class: the model's tokenizer.
        callbacks: transformers' `TrainerCallback`s, instances or classes.
        peft_config: trains a fresh LoRA adapter instead of all weights.

    Raises:
        RecipeError: an argument is unknown, of another kind, or contradicts another.
        DataError: a row cannot be used.
        GateError: the reward model is not fit to be optimized against.
    """

    _config = RLOOConfig


class GRPOTrainer(_GroupTrainer):
    """Group relative policy optimization: rewards in spreads of their own group.

    Args: as `RLOOTrainer`; `args` is a `GRPOConfig`.
    """

    _config = GRPOConfig


class OnlineDPOTrainer(Trainer):
    """Online DPO: pairs of the model's own responses, labelled by the reward.

    Args: as `RLOOTrainer`, and `ref_model`: the reference; None (recommended) is the model as it
        is now.
    """

    @strict
    def __init__(
        self,
        model: PreTrainedModel | PeftModel | str | Path,
        ref_model: PreTrainedModel | str | Path | None = None,
        reward_funcs: RewardFuncs | None = None,
        args: OnlineDPOConfig | None = None,
        *,
        train_dataset: object = None,
        eval_dataset: object = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        reward_weights: Sequence[float] | None = None,
        reward_gate: GateMode = "require",
        callbacks: Sequence[Any] | None = None,
        peft_config: LoraConfig | None = None,
    ) -> None:
        course = _course(
            take_settings(args, OnlineDPOConfig), model, ref_model, processing_class, peft_config,
            reward_funcs, reward_weights, reward_gate,
        )  # fmt: skip
        super().__init__(
            course, train_dataset=train_dataset, eval_dataset=eval_dataset, callbacks=callbacks
        )


def _course(
    config: OnlineSettings,
    model: PreTrainedModel | PeftModel | str | Path,
    ref_model: object,
    processing_class: PreTrainedTokenizerBase | None,
    peft_config: LoraConfig | None,
    reward_funcs: RewardFuncs | None,
    reward_weights: Sequence[float] | None,
    reward_gate: GateMode,
) -> Course:
    start = take_model(model, processing_class, peft_config)
    renderer = Renderer(start.loaded.tokenizer)
    sources = reward_sources(
        None, reward_funcs, reward_weights, reward_gate, folder=config.output_dir
    )
    roles = policy_of(start, config, ref_model=ref_model)
    settings = told(config, roles, "policy")
    taken = take_reward(
        sources, roles, max_length=settings.max_length, max_new_tokens=settings.max_new_tokens
    )
    ends = renderer.end_token_ids

    def learn(trees: Sequence[Tree], held_out: Sequence[Tree], run: Run) -> Result:
        return train_online(
            roles, trees, settings, reward=taken.reward, end_tokens=ends, eval_prompts=held_out,
            run=run,
        )  # fmt: skip

    def score(trees: Sequence[Tree]) -> dict[str, float]:
        return evaluate_online(Task(roles, trees, settings, taken.reward, ends), trees)

    return Course(
        stage="online",
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
