"""`RewardTrainer`: a reward model from model objects and rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from palate.data.render import Renderer
from palate.data.trees import Tree
from palate.errors import RecipeError
from palate.experiments.prepare import reward_roles
from palate.trainers.arguments import strict
from palate.trainers.configs import RewardConfig
from palate.trainers.inputs import take_model, take_settings, told
from palate.trainers.rows import PAIRS
from palate.trainers.trainer import Course, Trainer
from palate.training.reward import evaluate_rewards, train_reward
from palate.training.run import Result, Run


class RewardTrainer(Trainer):
    """Train a reward model on preference pairs.

    Differs from TRL: the model is the causal language model that the policy starts from
    (`AutoModelForCausalLM`, best the SFT model); the scalar head is added here. What
    `save_model` writes loads in `AutoModelForSequenceClassification`.

    Args:
        model: a causal language model of transformers (without adapters trained in place), or the
            name of a model or adapter folder.
        args: settings.
        train_dataset: a `datasets.Dataset`, a list of dicts or a path, with columns `prompt`,
            `chosen`, `rejected` (text or turns; optional `weight`, `margin`).
        eval_dataset: held-out pairs of the same kinds.
        processing_class: the model's tokenizer; may be left out where the model was loaded from a
            folder that holds one.
        callbacks: transformers' `TrainerCallback`s, instances or classes.
        peft_config: trains a fresh LoRA adapter (and the head) instead of all weights.

    Raises:
        RecipeError: an argument is unknown, of another kind, or contradicts another.
        DataError: a row cannot be used.
    """

    @strict
    def __init__(
        self,
        model: PreTrainedModel | PeftModel | str | Path,
        args: RewardConfig | None = None,
        *,
        train_dataset: object = None,
        eval_dataset: object = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        callbacks: Sequence[Any] | None = None,
        peft_config: LoraConfig | None = None,
    ) -> None:
        config = take_settings(args, RewardConfig)
        start = take_model(model, processing_class, peft_config)
        if start.peft is not None:
            raise RecipeError(
                "a reward model cannot start from a PeftModel object; give the adapter's folder "
                "(model.save_pretrained), or merge it: model.merge_and_unload()"
            )
        renderer = Renderer(start.loaded.tokenizer)
        roles = reward_roles(start.loaded, config, lora=start.lora)
        settings = told(config, roles, "reward")

        def learn(trees: Sequence[Tree], held_out: Sequence[Tree], run: Run) -> Result:
            ends = renderer.end_token_ids
            return train_reward(
                roles, trees, settings, end_tokens=ends, eval_pairs=held_out, run=run
            )

        course = Course(
            stage="reward",
            role="reward",
            roles=roles,
            settings=settings,
            renderer=renderer,
            grow=PAIRS.taker(renderer, settings),
            learn=learn,
            score=lambda trees: evaluate_rewards(roles, trees, settings),
            start=start,
        )
        super().__init__(
            course, train_dataset=train_dataset, eval_dataset=eval_dataset, callbacks=callbacks
        )
