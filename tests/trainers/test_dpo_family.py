"""KTO, CPO and ORPO under TRL's names: the same runs as DPOTrainer's with their losses."""

from pathlib import Path
from typing import Any

import pytest
from tests import tiny
from tests.trainers.scripts import assert_same, dpo, pairs, state_of

from palate import CPOConfig, CPOTrainer, KTOConfig, KTOTrainer, ORPOConfig, ORPOTrainer
from palate.errors import RecipeError

SETTINGS: dict[str, Any] = {
    "learning_rate": 5e-3, "logging_steps": 1, "max_steps": 3, "num_sample_prompts": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("trainer", "config", "loss"),
    [
        (KTOTrainer, KTOConfig, "kto"),
        (CPOTrainer, CPOConfig, "cpo"),
        (ORPOTrainer, ORPOConfig, "orpo"),
    ],
)
def test_it_is_dpo_trainer_with_its_loss(
    tmp_path: Path, trainer: Any, config: Any, loss: str
) -> None:
    made = trainer(
        model=tiny.llama(), args=config(output_dir=str(tmp_path / "it"), **SETTINGS),
        train_dataset=pairs(), processing_class=tiny.tokenizer(),
    )  # fmt: skip
    made.train()
    same = dpo(tmp_path / "dpo", config={**SETTINGS, "loss_type": loss})
    same.train()
    assert_same(state_of(made), state_of(same))


def test_kto_trainer_takes_labelled_responses(tmp_path: Path) -> None:
    rows = [
        {"prompt": row["prompt"], "completion": row[name], "label": name == "chosen"}
        for row in pairs()
        for name in ("chosen", "rejected")
    ]
    made = KTOTrainer(
        model=tiny.llama(), args=KTOConfig(output_dir=str(tmp_path), **SETTINGS),
        train_dataset=rows, processing_class=tiny.tokenizer(),
    )  # fmt: skip
    assert made.train().global_step == 3


@pytest.mark.parametrize(
    ("config", "loss", "hint"),
    [
        (KTOConfig, "sigmoid", "kto; apo_zero_unpaired. DPOConfig takes every loss"),
        (CPOConfig, "hinge", "cpo; simpo; simpo,sft"),
        (ORPOConfig, "cpo", "it is one of orpo"),
        (ORPOConfig, "orpoo", "did you mean 'orpo'?"),
    ],
)
def test_other_losses_are_refused(config: Any, loss: str, hint: str) -> None:
    with pytest.raises(RecipeError) as found:
        config(loss_type=loss)
    assert hint in str(found.value)


def test_without_a_reference_there_is_no_ref_model() -> None:
    for trainer in (CPOTrainer, ORPOTrainer):
        with pytest.raises(RecipeError, match="takes no 'ref_model'"):
            trainer(model=tiny.llama(), ref_model=None)  # type: ignore[call-arg]
