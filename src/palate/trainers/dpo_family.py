"""`KTOTrainer`, `CPOTrainer`, `ORPOTrainer`: doors to losses that `DPOTrainer` has too."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from peft import LoraConfig, PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from palate.trainers.arguments import strict
from palate.trainers.configs import CPOConfig, DPOConfig, KTOConfig, ORPOConfig
from palate.trainers.dpo import DPOTrainer
from palate.trainers.inputs import take_settings


class KTOTrainer(DPOTrainer):
    """`DPOTrainer` with KTO's loss: rows are single responses with a label, or pairs.

    Args: as `DPOTrainer`; `train_dataset` has columns `prompt`, `completion`, `label`.
    """

    @strict
    def __init__(
        self,
        model: PreTrainedModel | PeftModel | str | Path,
        ref_model: PreTrainedModel | str | Path | None = None,
        args: KTOConfig | None = None,
        *,
        train_dataset: object = None,
        eval_dataset: object = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        callbacks: Sequence[Any] | None = None,
        peft_config: LoraConfig | None = None,
    ) -> None:
        super().__init__(
            model, ref_model, take_settings(args, KTOConfig), train_dataset=train_dataset,
            eval_dataset=eval_dataset, processing_class=processing_class, callbacks=callbacks,
            peft_config=peft_config,
        )  # fmt: skip


class _ReferenceFreeTrainer(DPOTrainer):
    """What `CPOTrainer` and `ORPOTrainer` share; they differ in their settings."""

    _config: ClassVar[type[DPOConfig]]

    @strict
    def __init__(
        self,
        model: PreTrainedModel | PeftModel | str | Path,
        args: DPOConfig | None = None,
        *,
        train_dataset: object = None,
        eval_dataset: object = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        callbacks: Sequence[Any] | None = None,
        peft_config: LoraConfig | None = None,
    ) -> None:
        super().__init__(
            model, None, take_settings(args, self._config), train_dataset=train_dataset,
            eval_dataset=eval_dataset, processing_class=processing_class, callbacks=callbacks,
            peft_config=peft_config,
        )  # fmt: skip


class CPOTrainer(_ReferenceFreeTrainer):
    """`DPOTrainer` with a loss that needs no reference: CPO, or SimPO.

    Args: as `DPOTrainer`, without `ref_model`; `args` is a `CPOConfig`.
    """

    _config = CPOConfig


class ORPOTrainer(_ReferenceFreeTrainer):
    """`DPOTrainer` with the odds-ratio loss, which needs no reference.

    Args: as `DPOTrainer`, without `ref_model`; `args` is an `ORPOConfig`.
    """

    _config = ORPOConfig
