"""What a script says, and what training, evaluating and saving then do."""

import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from tests import tiny
from tests.trainers.scripts import (
    Break,
    assert_same,
    dpo,
    dpo_config,
    logits_of,
    losses,
    moved_adapter,
    pairs,
    saved_base,
    state_of,
)
from transformers import AutoModelForCausalLM

from palate import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer
from palate.errors import CheckpointError, ModelError, RecipeError, UsageError
from palate.experiments.passport import read_passport, start_of
from palate.models.load import load


@pytest.mark.parametrize("adapters", [False, True], ids=["all weights", "peft_config"])
def test_the_snippet(tmp_path: Path, adapters: bool) -> None:
    model, tokenizer, rows = tiny.llama(), tiny.tokenizer(), pairs()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = []
    for kind, train in (("list", rows), ("set", Dataset.from_list(rows)), ("file", str(path))):
        model = tiny.llama()
        more = {"peft_config": tiny.lora()} if adapters else {}
        trainer = DPOTrainer(
            model=model,
            ref_model=None,
            args=DPOConfig(
                beta=0.1, learning_rate=5e-3, logging_steps=1, output_dir=str(tmp_path / kind),
                num_train_epochs=3, num_sample_prompts=0,
            ),
            train_dataset=train,
            processing_class=tokenizer,
            **more,
        )  # fmt: skip
        output = trainer.train()
        found.append(losses(trainer))
        assert isinstance(trainer.model, PeftModel) is adapters
        if not adapters:
            assert trainer.model is model
    assert found[0] == found[1] == found[2]
    assert found[0][0] == pytest.approx(math.log(2), abs=1e-6)
    assert found[0][-1] < 0.62
    assert output.global_step == trainer.state.global_step == 6
    assert output.training_loss == pytest.approx(np.mean(found[0]))
    assert output.metrics["train_loss"] == output.training_loss
    changed = [
        k for k, v in model.state_dict().items() if k in before and not torch.equal(v, before[k])
    ]
    assert bool(changed) is not adapters


def test_a_folder_name_brings_its_tokenizer(tmp_path: Path) -> None:
    base = saved_base(tmp_path / "base")
    by_name = DPOTrainer(str(base), args=dpo_config(tmp_path / "a"), train_dataset=pairs())
    by_object = DPOTrainer(
        AutoModelForCausalLM.from_pretrained(base),
        args=dpo_config(tmp_path / "b"),
        train_dataset=pairs(),
    )
    by_name.train()
    by_object.train()
    assert losses(by_name) == losses(by_object)
    assert_same(state_of(by_name), state_of(by_object))


def test_settings_and_recipe_are_true_to_the_adapter(tmp_path: Path) -> None:
    assert dpo(tmp_path).args.use_peft is False
    config = LoraConfig(r=3, lora_alpha=6, target_modules=["q_proj", "v_proj"])
    trainer = dpo(tmp_path, peft_config=config)
    assert trainer.args.use_peft is True
    assert (trainer.args.lora_r, trainer.args.lora_target_modules) == (3, "q_proj,v_proj")
    by_settings = dpo(tmp_path, config={"use_peft": True, "lora_r": 2})
    assert isinstance(by_settings.model, PeftModel)
    by_settings.train()
    assert "use_peft: true\nlora_r: 2\n" in (tmp_path / "recipe.yaml").read_text()


# -- references ----------------------------------------------------------------------------------


def test_a_peft_models_own_adapter_is_the_reference(tmp_path: Path) -> None:
    peft = moved_adapter(tiny.llama())
    start = logits_of(peft)
    assert not torch.allclose(start, logits_of(tiny.llama()), atol=1e-2)
    trainer = dpo(tmp_path, peft, eval_dataset=pairs(6, seed=1))
    before = trainer.evaluate()
    trainer.train()
    after = trainer.evaluate()
    assert losses(trainer)[0] == pytest.approx(math.log(2), abs=1e-6)
    assert trainer.model is peft
    for side in ("chosen", "rejected"):
        moved = after[f"eval_logps/{side}"] - before[f"eval_logps/{side}"]
        assert abs(moved) > 0.1
        assert after[f"eval_rewards/{side}"] == pytest.approx(0.1 * moved, abs=1e-4)
    folder = trainer.save_model(tmp_path / "saved")
    loaded = PeftModel.from_pretrained(tiny.llama(), str(folder))
    assert torch.equal(logits_of(loaded), logits_of(trainer.model))
    assert not torch.allclose(logits_of(loaded), start, atol=1e-3)


def test_a_trained_model_says_from_where_it_came_and_what_it_cost(tmp_path: Path) -> None:
    """What palate compare reads; a PeftModel object's adapter was in no folder."""
    base = saved_base(tmp_path / "base")
    start = start_of(load(base))
    trainer = dpo(tmp_path / "whole", AutoModelForCausalLM.from_pretrained(base))
    untrained = read_passport(trainer.save_model(tmp_path / "untrained"))
    assert untrained is not None
    assert (untrained.cost, untrained.start) == (None, start)
    trainer.train()
    trained = read_passport(tmp_path / "whole" / "model")
    assert trained is not None
    assert trained.start == start  # as it was before training
    assert trained.settings["beta"] == 0.1
    assert trained.cost is not None
    assert trained.cost.wall_s > 0
    peft = get_peft_model(AutoModelForCausalLM.from_pretrained(base), tiny.lora())
    adapter = dpo(tmp_path / "adapter", peft)
    adapter.train()
    found = read_passport(tmp_path / "adapter" / "model")
    assert found is not None
    assert found.start is not None
    assert (found.start.weights, found.start.adapter) == (start.weights, "unknown")
    assert found.base_hash == start.weights


def test_an_explicit_reference_is_used(tmp_path: Path) -> None:
    held_out = pairs(6, seed=1)
    mine = dpo(tmp_path, tiny.llama(seed=0), eval_dataset=held_out).evaluate()
    other = dpo(tmp_path, tiny.llama(seed=1), eval_dataset=held_out).evaluate()
    both = dpo(tmp_path, tiny.llama(seed=0), ref_model=tiny.llama(seed=1), eval_dataset=held_out)
    found = both.evaluate()
    for side in ("chosen", "rejected"):
        gap = mine[f"eval_logps/{side}"] - other[f"eval_logps/{side}"]
        assert found[f"eval_rewards/{side}"] == pytest.approx(0.1 * gap, abs=1e-4)
    both.train()
    assert losses(both)[0] != pytest.approx(math.log(2), abs=1e-3)


def test_settings_that_an_adapter_overrules_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="palate")
    dpo(tmp_path, config={"lora_r": 2}, peft_config=tiny.lora())
    dpo(tmp_path, moved_adapter(tiny.llama()), config={"lora_r": 2})
    dpo(tmp_path / "run", config={"lora_r": 2}).train()
    told = [record.message for record in caplog.records if "lora_r" in record.message]
    assert [message.partition("effect: ")[2] for message in told] == [
        "peft_config says what the adapter is",
        "the model is a PeftModel, whose adapter goes on being trained",
        "all weights are trained (use_peft is off)",
    ]


def test_a_reference_of_other_tokens_is_refused(tmp_path: Path) -> None:
    """As many tokens as the policy's, two of which have changed places."""
    folder = tmp_path / "reference"
    tiny.llama(seed=1).save_pretrained(folder)
    words = list(tiny.tokenizer().convert_ids_to_tokens(list(range(tiny.VOCAB))))
    words[7], words[9] = words[9], words[7]
    tiny.tokenizer_of(words).save_pretrained(folder)
    object_there = AutoModelForCausalLM.from_pretrained(folder)
    for given in (str(folder), object_there):
        with pytest.raises(ModelError, match=r"ref_model.* \(id 7 is 'w9' there and 'w7' here"):
            dpo(tmp_path, ref_model=given)


def test_a_tokenizer_of_more_tokens_than_the_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'w48' the id 48"):
        dpo(tmp_path, processing_class=tiny.tokenizer(tiny.VOCAB + 1))


# -- runs and checkpoints ------------------------------------------------------------------------


@pytest.mark.parametrize("adapters", [False, True], ids=["all weights", "peft_config"])
def test_resumed_equals_straight_to_the_last_bit(tmp_path: Path, adapters: bool) -> None:
    def trainer(name: str, *callbacks: Any) -> DPOTrainer:
        return dpo(
            tmp_path / name,
            config={"save_steps": 2, "eval_steps": 2, "save_total_limit": 9},
            eval_dataset=pairs(4, seed=1),
            callbacks=callbacks,
            **({"peft_config": tiny.lora(dropout=0.1)} if adapters else {}),
        )

    straight = trainer("straight")
    straight.train()
    with pytest.raises(ConnectionError, match="power cut"):
        trainer("cut", Break(5)).train()
    for where in (True, tmp_path / "cut" / "checkpoints" / "step-000002"):
        resumed = trainer("cut")
        output = resumed.train(resume_from_checkpoint=where)
        assert output.global_step == 6
        assert_same(state_of(resumed), state_of(straight))
        assert resumed.state.log_history[:-1] == straight.state.log_history[:-1]
        assert resumed.state.best_metric == straight.state.best_metric
        metrics = [(tmp_path / n / "metrics.jsonl").read_bytes() for n in ("cut", "straight")]
        assert metrics[0] == metrics[1]


def test_what_cannot_be_resumed_says_why(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint to resume from"):
        dpo(tmp_path / "none").train(resume_from_checkpoint=True)
    dpo(tmp_path / "a", config={"save_steps": 3}, peft_config=tiny.lora()).train()
    place = tmp_path / "a" / "checkpoints" / "step-000003"
    with pytest.raises(CheckpointError, match=r"goes on in its own folder: set output_dir"):
        dpo(tmp_path / "b", config={"save_steps": 3}).train(resume_from_checkpoint=str(place))
    other = {"save_steps": 3, "lora_r": 4, "lora_alpha": 8.0}
    with pytest.raises(CheckpointError, match="settings"):
        dpo(tmp_path / "a", config=other | {"beta": 0.3}, peft_config=tiny.lora()).train(True)
    started_elsewhere = dpo(tmp_path / "c", moved_adapter(tiny.llama()), config={"save_steps": 3})
    started_elsewhere.train()
    fresh = dpo(tmp_path / "c", get_peft_model(tiny.llama(), tiny.lora()), config={"save_steps": 3})
    with pytest.raises(CheckpointError, match="the reference is not what the run started with"):
        fresh.train(resume_from_checkpoint=True)


def test_training_again_replaces_the_run_of_the_same_stage_alone(tmp_path: Path) -> None:
    dpo(tmp_path, config={"max_steps": 2}).train()
    trainer = dpo(tmp_path)
    trainer.train()
    again = trainer.train()
    assert again.global_step == trainer.state.global_step == 6
    # The second time the policy starts from where the first run left it.
    assert losses(trainer)[0] < 0.6
    rows = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    sft = SFTTrainer(
        tiny.llama(),
        SFTConfig(output_dir=str(tmp_path)),
        train_dataset=[{"prompt": "w3", "completion": "w4"}],
        processing_class=tiny.tokenizer(),
    )
    with pytest.raises(UsageError, match=r"another stage \(dpo\)"):
        sft.train()
    with pytest.raises(UsageError, match="holds the model that training starts from"):
        DPOTrainer(tmp_path / "model", args=dpo_config(tmp_path), train_dataset=pairs()).train()


# -- the surface ---------------------------------------------------------------------------------


def test_evaluate_before_and_after_training(tmp_path: Path) -> None:
    trainer = dpo(tmp_path, eval_dataset=pairs(6, seed=1))
    before = trainer.evaluate()
    assert before["eval_loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert set(before) == {
        "eval_loss", "eval_rewards/chosen", "eval_rewards/rejected", "eval_rewards/margins",
        "eval_rewards/accuracies", "eval_logps/chosen", "eval_logps/rejected", "epoch",
        "eval_reference_gap", "eval_rewards/confident_errors", "eval_rewards/length_correlation",
    }  # fmt: skip
    trainer.train()
    after = trainer.evaluate()
    assert after["eval_loss"] < before["eval_loss"]
    at_the_end = [row for row in trainer.state.log_history if "eval_loss" in row]
    assert at_the_end[0]["eval_loss"] == at_the_end[1]["eval_loss"] == after["eval_loss"]
    other = trainer.evaluate(pairs(3, seed=2), metric_key_prefix="test")
    assert "test_loss" in other
    assert "eval_loss" not in other
    with pytest.raises(RecipeError, match="evaluate.. needs rows"):
        dpo(tmp_path).evaluate()


def test_saved_models_load_in_stock_libraries(tmp_path: Path) -> None:
    whole = dpo(tmp_path / "whole")
    whole.train()
    expected = logits_of(whole.model)
    for folder in (
        whole.save_model(),
        tmp_path / "whole" / "model",
        whole.save_model(tmp_path / "x"),
    ):
        assert torch.equal(logits_of(AutoModelForCausalLM.from_pretrained(folder)), expected)
        assert (folder / "tokenizer.json").exists()
    adapter = dpo(tmp_path / "adapter", peft_config=tiny.lora())
    adapter.train()
    for folder in (adapter.save_model(), tmp_path / "adapter" / "model"):
        loaded = PeftModel.from_pretrained(tiny.llama(), str(folder))
        assert torch.equal(logits_of(loaded), logits_of(adapter.model))


def test_rows_are_looked_at_as_before_every_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What the commands say of a data set, the trainers say too."""
    rows = pairs()
    spoilt = [*rows, rows[0] | {"chosen": rows[0]["rejected"], "rejected": rows[0]["chosen"]}]
    dpo(tmp_path / "clean", train_dataset=rows)
    assert "train_dataset: " not in caplog.text
    dpo(tmp_path / "run", train_dataset=spoilt, eval_dataset=rows[:1])
    told = [record.getMessage() for record in caplog.records]
    for code, place in (("E404", "row 0"), ("W407", "row 16")):
        (line,) = (one for one in told if one.startswith(f"train_dataset: warning {code}"))
        assert place in line
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in spoilt))
    caplog.clear()
    dpo(tmp_path / "file", train_dataset=path)
    assert f"{path}: warning W407" in caplog.text
    assert f"palate check {path}" in caplog.text
