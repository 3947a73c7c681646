"""`SFTTrainer`: supervised fine-tuning from model objects and rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from palate.data.render import Renderer
from palate.data.trees import Tree
from palate.trainers.arguments import strict
from palate.trainers.configs import SFTConfig
from palate.trainers.inputs import policy_of, take_model, take_settings, told
from palate.trainers.rows import DEMONSTRATIONS
from palate.trainers.trainer import Course, Trainer
from palate.training.run import Result, Run
from palate.training.sft import evaluate_demonstrations, train_sft


class SFTTrainer(Trainer):
    """Train a model to give demonstrated responses; prompts never count in the loss.

    Args:
        model: a causal language model of transformers (trained in place), a `PeftModel` on one
            (its adapter goes on being trained), or the name of a model or adapter folder.
        args: settings.
        train_dataset: a `datasets.Dataset`, a list of dicts or a path, with columns `prompt` and
            `completion`, or `messages`, or `text`.
        eval_dataset: held-out rows of the same kinds.
        processing_class: the model's tokenizer; may be left out where the model was loaded from a
            folder that holds one.
        callbacks: transformers' `TrainerCallback`s, instances or classes.
        peft_config: trains a fresh LoRA adapter instead of all weights.

    Raises:
        RecipeError: an argument is unknown, of another kind, or contradicts another.
        DataError: a row cannot be used.
    """

    @strict
    def __init__(
        self,
        model: PreTrainedModel | PeftModel | str | Path,
        args: SFTConfig | None = None,
        *,
        train_dataset: object = None,
        eval_dataset: object = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        callbacks: Sequence[Any] | None = None,
        peft_config: LoraConfig | None = None,
    ) -> None:
        config = take_settings(args, SFTConfig)
        start = take_model(model, processing_class, peft_config)
        renderer = Renderer(start.loaded.tokenizer)
        roles = policy_of(start, config, with_reference=False)
        settings = told(config, roles, "policy")

        def learn(trees: Sequence[Tree], held_out: Sequence[Tree], run: Run) -> Result:
            return train_sft(roles, trees, settings, eval_demonstrations=held_out, run=run)

        course = Course(
            stage="sft",
            role="policy",
            roles=roles,
            settings=settings,
            renderer=renderer,
            grow=DEMONSTRATIONS.taker(renderer, settings),
            learn=learn,
            score=lambda trees: evaluate_demonstrations(roles, trees, settings),
            start=start,
        )
        super().__init__(
            course, train_dataset=train_dataset, eval_dataset=eval_dataset, callbacks=callbacks
        )
