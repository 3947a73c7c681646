"""DPO's family through its trainer: labelled rows, several losses, a reference that follows."""

import math
from pathlib import Path
from typing import Any

import pytest
from tests import tiny
from tests.trainers.scripts import (
    Break,
    assert_same,
    dpo,
    losses,
    moved_adapter,
    pairs,
    state_of,
)

from palate import DPOTrainer
from palate.errors import DataError, RecipeError


def labelled(count: int) -> list[dict[str, Any]]:
    sides = ("chosen", "rejected")
    return [
        {"prompt": row["prompt"], "completion": row[side], "label": side == "chosen"}
        for row in pairs(count)
        for side in sides
    ]


def test_labelled_responses_are_trained_on_as_by_trls_kto_trainer(tmp_path: Path) -> None:
    config = {"loss_type": "kto", "learning_rate": 5e-3, "num_train_epochs": 4}
    trainer = dpo(tmp_path, config=config, train_dataset=labelled(6), eval_dataset=labelled(6))
    trainer.train()
    assert losses(trainer)[0] == pytest.approx(0.5, abs=1e-5)
    after = trainer.evaluate()
    assert after["eval_rewards/chosen"] > after["eval_rewards/rejected"]
    with pytest.raises(DataError, match="needs a chosen and a rejected one"):
        dpo(tmp_path / "other", train_dataset=labelled(6)).train()


def test_several_losses_as_lists(tmp_path: Path) -> None:
    config = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.5]}
    trainer = dpo(tmp_path, config=config)
    trainer.train()
    alone = dpo(tmp_path / "sft", config={"loss_type": "sft"})
    alone.train()
    assert losses(trainer)[0] == pytest.approx(math.log(2) + 0.5 * losses(alone)[0], rel=1e-5)


@pytest.mark.parametrize("adapters", [False, True], ids=["all weights", "peft_config"])
def test_a_reference_that_follows(tmp_path: Path, adapters: bool) -> None:
    """Each step starts where the reference is, and so does an evaluation after the last one."""
    config = {
        "sync_ref_model": True, "ref_model_mixup_alpha": 1.0, "ref_model_sync_steps": 1,
        "num_train_epochs": 2,
    }  # fmt: skip
    more = {"peft_config": tiny.lora()} if adapters else {}
    trainer = dpo(tmp_path, config=config, eval_dataset=pairs(6, seed=1), **more)
    before = trainer.evaluate()
    trainer.train()
    assert losses(trainer) == pytest.approx([math.log(2)] * len(losses(trainer)), abs=1e-4)
    after = trainer.evaluate()
    assert after["eval_rewards/margins"] == pytest.approx(0.0, abs=1e-4)
    assert abs(after["eval_logps/chosen"] - before["eval_logps/chosen"]) > 1e-3


def test_a_reference_that_no_loss_looks_at_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dpo(tmp_path, ref_model=tiny.llama(seed=1), config={"loss_type": "simpo"})
    assert "ref_model has no effect: loss_type simpo has no reference" in caplog.messages


def test_a_peft_models_reference_cannot_follow(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="sync_ref_model is on and the model is a PeftModel"):
        dpo(tmp_path, moved_adapter(tiny.llama()), config={"sync_ref_model": True})


def test_a_reference_that_followed_goes_on_where_it_was(tmp_path: Path) -> None:
    """In the process that moved it and in a fresh one: it is known by its start."""
    config = {"sync_ref_model": True, "ref_model_sync_steps": 2, "save_steps": 3}

    def fresh(name: str, *callbacks: Any) -> DPOTrainer:
        more = {"callbacks": callbacks, "peft_config": tiny.lora()}
        return dpo(tmp_path / name, config=config, eval_dataset=pairs(4, seed=1), **more)

    straight = fresh("straight")
    straight.train()
    cut = fresh("cut", Break(5))
    with pytest.raises(ConnectionError, match="power cut"):
        cut.train()
    with pytest.raises(ConnectionError, match="power cut"):
        cut.train(resume_from_checkpoint=True)
    resumed = fresh("cut")
    resumed.train(resume_from_checkpoint=True)
    assert_same(state_of(resumed), state_of(straight))
    metrics = [(tmp_path / n / "metrics.jsonl").read_bytes() for n in ("cut", "straight")]
    assert metrics[0] == metrics[1]
    assert resumed.evaluate() == straight.evaluate()
