"""`DPOTrainer`: direct preference optimization from model objects and rows."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from palate.data.render import Renderer
from palate.data.trees import Tree
from palate.models.reference import ReferenceCache
from palate.trainers.arguments import strict
from palate.trainers.configs import DPOConfig
from palate.trainers.inputs import policy_of, take_model, take_settings, told
from palate.trainers.rows import COMPARISONS
from palate.trainers.trainer import Course, Trainer
from palate.training.dpo import evaluate_pairs, train_dpo
from palate.training.run import Result, Run

log = logging.getLogger("palate")


class DPOTrainer(Trainer):
    """Train a model on preference pairs, tied to a reference.

    Args:
        model: a causal language model of transformers (trained in place), a `PeftModel` on one
            (its adapter goes on being trained and, frozen as it is now, is the reference), or the
            name of a model or adapter folder.
        ref_model: the reference; None (recommended) is the model as it is now.
        args: settings.
        train_dataset: a `datasets.Dataset`, a list of dicts or a path, with columns `prompt`,
            `chosen`, `rejected` (text or turns; optional `weight`); for loss types kto and bco
            also `prompt`, `completion`, `label` (true: desirable).
        eval_dataset: held-out pairs of the same kinds.
        processing_class: the model's tokenizer; may be left out where the model was loaded from a
            folder that holds one.
        callbacks: transformers' `TrainerCallback`s, instances or classes.
        peft_config: trains a fresh LoRA adapter. Without it (and with `args.use_peft` off, as it
            is by default) all weights are trained.

    Raises:
        RecipeError: an argument is unknown, of another kind, or contradicts another.
        DataError: a row cannot be used.
    """

    @strict
    def __init__(
        self,
        model: PreTrainedModel | PeftModel | str | Path,
        ref_model: PreTrainedModel | str | Path | None = None,
        args: DPOConfig | None = None,
        *,
        train_dataset: object = None,
        eval_dataset: object = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        callbacks: Sequence[Any] | None = None,
        peft_config: LoraConfig | None = None,
    ) -> None:
        config = take_settings(args, DPOConfig)
        if ref_model is not None and not config.needs_reference:
            log.warning("ref_model has no effect: loss_type %s has no reference", config.loss_type)
            ref_model = None
        start = take_model(model, processing_class, peft_config)
        renderer = Renderer(start.loaded.tokenizer)
        roles = policy_of(
            start, config, ref_model=ref_model, with_reference=config.needs_reference,
            moving_reference=config.moves_reference,
        )  # fmt: skip
        settings = told(config, roles, "policy")
        cache = ReferenceCache(max_tokens=settings.max_tokens_per_microbatch)

        def learn(trees: Sequence[Tree], held_out: Sequence[Tree], run: Run) -> Result:
            return train_dpo(roles, trees, settings, eval_pairs=held_out, cache=cache, run=run)

        course = Course(
            stage="dpo",
            role="policy",
            roles=roles,
            settings=settings,
            renderer=renderer,
            grow=COMPARISONS.taker(renderer, settings),
            learn=learn,
            score=lambda trees: evaluate_pairs(roles, trees, settings, cache=cache),
            start=start,
        )
        super().__init__(
            course, train_dataset=train_dataset, eval_dataset=eval_dataset, callbacks=callbacks
        )
