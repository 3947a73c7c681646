"""The door for people from TRL: what their scripts say, and what it then does."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from tests import tiny
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    EarlyStoppingCallback,
    LlamaForSequenceClassification,
    TrainerCallback,
)

from palate import (
    DPOConfig,
    DPOTrainer,
    PPOConfig,
    PPOTrainer,
    RewardConfig,
    RewardTrainer,
    SFTConfig,
    SFTTrainer,
)
from palate.errors import CheckpointError, DataError, RecipeError, UsageError
from palate.trainers.inputs import policy_of, take_model, take_settings

GOOD, BAD = "w5", "w9"


def words(generator: np.random.Generator, count: int) -> str:
    return " ".join(f"w{i}" for i in generator.integers(10, tiny.VOCAB, size=count))


def pairs(count: int = 16, *, seed: int = 0) -> list[dict[str, Any]]:
    """What is preferred can be learned: chosen ends in one word, rejected in another."""
    draw = np.random.default_rng(seed)
    return [
        {
            "prompt": words(draw, 4),
            "chosen": f"{words(draw, 2)} {GOOD}",
            "rejected": f"{words(draw, 2)} {BAD}",
        }
        for _ in range(count)
    ]


def dpo_config(folder: Path, **more: Any) -> DPOConfig:
    settings = {"learning_rate": 5e-3, "logging_steps": 1, "max_steps": 6, "num_sample_prompts": 0}
    return DPOConfig(output_dir=str(folder), **(settings | more))


def dpo(
    folder: Path, model: Any = None, *, config: dict[str, Any] | None = None, **more: Any
) -> DPOTrainer:
    return DPOTrainer(
        model=model if model is not None else tiny.llama(),
        args=dpo_config(folder, **(config or {})),
        processing_class=tiny.tokenizer(),
        **({"train_dataset": pairs()} | more),
    )


def losses(trainer: Any) -> list[float]:
    return [row["loss"] for row in trainer.state.log_history if "loss" in row]


def saved_base(folder: Path) -> Path:
    tiny.llama().save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder


def logits_of(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(input_ids=torch.tensor([[1, 7, 11, 5, 30]])).logits
    return found


def state_of(trainer: Any) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in trainer.model.state_dict().items()}


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [k for k in a if not torch.equal(a[k], b[k])] == []


# -- the snippet ---------------------------------------------------------------------------------


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


def moved_adapter(model: Any) -> PeftModel:
    peft = get_peft_model(model, tiny.lora())
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in peft.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.2, generator=generator)
    return peft


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


def test_a_peft_models_reference_cannot_follow(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="sync_ref_model is on and the model is a PeftModel"):
        dpo(tmp_path, moved_adapter(tiny.llama()), config={"sync_ref_model": True})


# -- runs and checkpoints ------------------------------------------------------------------------


class Break(TrainerCallback):  # type: ignore[misc]
    """The power goes at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            raise ConnectionError("power cut")


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


class Diary(TrainerCallback):  # type: ignore[misc]
    """Writes down what it is told, and asks to stop after a step."""

    def __init__(self, stop_at: int = 0) -> None:
        self.events: list[str] = []
        self.stop_at = stop_at

    def _note(self, event: str, state: Any) -> None:
        self.events.append(f"{event} {state.global_step}")

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        assert isinstance(args, DPOConfig)
        assert kwargs["model"] is not None
        assert kwargs["processing_class"] is not None
        self._note("train_begin", state)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._note("epoch_begin", state)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._note("step_begin", state)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._note("step_end", state)
        control.should_training_stop = state.global_step == self.stop_at

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        kind = next(k for k in ("loss", "eval_loss", "train_loss") if k in logs)
        assert state.log_history[-1][kind] == logs[kind]
        self._note(f"log {kind}", state)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any, **_: Any) -> None:
        assert metrics["eval_loss"] >= state.best_metric
        self._note("evaluate", state)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        saved = Path(args.output_dir) / "checkpoints" / f"step-{state.global_step:06d}"
        assert (saved / "manifest.json").exists()
        self._note("save", state)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._note("epoch_end", state)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._note("train_end", state)


def test_callbacks_hear_of_everything_in_order(tmp_path: Path) -> None:
    diary = Diary()
    trainer = dpo(
        tmp_path,
        config={"max_steps": 4, "logging_steps": 2, "eval_steps": 2, "save_steps": 2},
        callbacks=[diary],
        eval_dataset=pairs(3, seed=1),
    )
    trainer.train()
    epoch = ["step_begin {}", "step_end {}", "step_begin {}", "step_end {}", "log loss {}"]
    epoch += ["log eval_loss {}", "evaluate {}", "epoch_end {}", "save {}"]
    first = [line.format(n) for line, n in zip(epoch, (0, 1, 1, 2, 2, 2, 2, 2, 2), strict=True)]
    second = [line.format(n) for line, n in zip(epoch, (2, 3, 3, 4, 4, 4, 4, 4, 4), strict=True)]
    assert diary.events == [
        "train_begin 0", "epoch_begin 0", *first, "epoch_begin 2", *second, "log train_loss 4",
        "train_end 4",
    ]  # fmt: skip
    assert trainer.state.max_steps == 4
    assert trainer.state.epoch == trainer.state.num_train_epochs == 2


def test_a_callback_can_stop_the_run(tmp_path: Path) -> None:
    diary = Diary(stop_at=3)
    trainer = dpo(tmp_path, callbacks=[diary])
    assert trainer.train().global_step == trainer.state.global_step == 3
    assert diary.events[-3:] == ["epoch_end 3", "log train_loss 3", "train_end 3"]
    assert len(losses(trainer)) == 3


def test_callbacks_that_could_not_work_are_refused(tmp_path: Path) -> None:
    class Deaf(TrainerCallback):  # type: ignore[misc]
        def on_substep_end(self, *_: Any, **__: Any) -> None: ...

    class Saver(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            control.should_save = True
            return control

    with pytest.raises(RecipeError, match="on_substep_end never happens here; use on_step_end"):
        dpo(tmp_path, callbacks=[Deaf])
    with pytest.raises(RecipeError, match="early_stopping_patience"):
        dpo(tmp_path, callbacks=[EarlyStoppingCallback()])
    with pytest.raises(RecipeError, match="not a transformers.TrainerCallback"):
        dpo(tmp_path, callbacks=[print])
    trainer = dpo(tmp_path)
    trainer.add_callback(Saver)
    with pytest.raises(RecipeError, match="should_save, which does nothing here; set save_steps"):
        trainer.train()


# -- the other three -----------------------------------------------------------------------------


def test_sft_trainer_reads_all_three_shapes(tmp_path: Path) -> None:
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['content'] }} {{ eos_token }} {% endfor %}"
    )
    draw = np.random.default_rng(0)
    shown = [(words(draw, 3), f"{GOOD} {BAD} {GOOD}") for _ in range(8)]
    shapes: dict[str, list[dict[str, Any]]] = {
        "columns": [{"prompt": p, "completion": c} for p, c in shown],
        "text": [{"text": c} for _, c in shown],
        "messages": [
            {"messages": [{"role": "user", "content": p}, {"role": "assistant", "content": c}]}
            for p, c in shown
        ],
    }
    config: dict[str, Any] = {"learning_rate": 1e-2, "num_train_epochs": 8, "logging_steps": 1}
    config["num_sample_prompts"] = 0
    for name, rows in shapes.items():
        trainer = SFTTrainer(
            model=tiny.llama(),
            args=SFTConfig(**config, output_dir=str(tmp_path / name)),
            train_dataset=Dataset.from_list(rows),
            eval_dataset=rows[:4],
            processing_class=tokenizer,
        )
        before = trainer.evaluate()["eval_loss"]
        # A response of three words and its end, about as likely as any at first.
        assert 2.5 < before < 6
        trainer.train()
        assert losses(trainer)[0] == pytest.approx(before, rel=0.2)
        assert trainer.evaluate()["eval_mean_token_nll"] < 0.5 * before


def score_of(model: Any, text: str) -> torch.Tensor:
    ids = torch.tensor([tiny.tokenizer()(f"{text} </s>").input_ids])
    with torch.no_grad():
        found: torch.Tensor = model.eval()(input_ids=ids).logits[0]
    return found


def test_reward_model_then_ppo_against_it(tmp_path: Path) -> None:
    base = saved_base(tmp_path / "base")
    rows = pairs(32)
    reward = RewardTrainer(
        model=str(base),
        args=RewardConfig(
            output_dir=str(tmp_path / "reward"), learning_rate=1e-2, num_train_epochs=3,
            logging_steps=1, num_scale_samples=8, max_new_tokens=4,
        ),
        train_dataset=rows,
        eval_dataset=pairs(16, seed=1),
        peft_config=tiny.lora(),
    )  # fmt: skip
    assert reward.train().training_loss < 0.69
    found = reward.evaluate()
    assert found["eval_accuracy"] > 0.9
    folder = reward.save_model(tmp_path / "saved")
    classifier = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    stock = PeftModel.from_pretrained(classifier, str(folder))
    gaps = [
        float(score_of(stock, f"{r['prompt']} {r['chosen']}")) -
        float(score_of(stock, f"{r['prompt']} {r['rejected']}"))
        for r in pairs(16, seed=1)
    ]  # fmt: skip
    assert np.mean(gaps) == pytest.approx(found["eval_rewards/margins"], abs=1e-4)

    ppo = PPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(base),
        reward_model=folder,
        args=PPOConfig(
            output_dir=str(tmp_path / "ppo"), learning_rate=2e-2, max_steps=6, logging_steps=1,
            per_device_train_batch_size=32, num_samples_per_prompt=4, max_new_tokens=4,
            kl_coef=0.0, missing_eos_penalty=0.0, num_sample_prompts=0,
        ),
        train_dataset=[{"prompt": row["prompt"]} for row in rows],
        eval_dataset=[{"prompt": row["prompt"]} for row in rows],
        peft_config=tiny.lora(),
    )  # fmt: skip
    before = ppo.evaluate()
    assert before["eval_objective/kl"] == pytest.approx(0, abs=1e-5)
    ppo.train()
    after = ppo.evaluate()
    assert after["eval_objective/scores"] > before["eval_objective/scores"] + 0.1
    assert ppo.state.log_history[0]["objective/kl"] == pytest.approx(0, abs=1e-5)
    loaded = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(base), str(ppo.save_model())
    )
    assert torch.equal(logits_of(loaded), logits_of(ppo.model))


def test_ppo_trains_all_weights_against_functions(tmp_path: Path) -> None:
    def says_it(prompts: Sequence[str], responses: Sequence[str]) -> list[float]:
        assert all(prompt.startswith("w") for prompt in prompts)
        return [float(response.split().count(GOOD)) for response in responses]

    model = tiny.llama()
    ppo = PPOTrainer(
        model=model,
        reward_funcs=[says_it, says_it],
        args=PPOConfig(
            output_dir=str(tmp_path), learning_rate=5e-3, max_steps=6, logging_steps=1,
            per_device_train_batch_size=32, num_ppo_epochs=2, max_new_tokens=4, kl_coef=0.0,
            missing_eos_penalty=0.0, num_sample_prompts=0,
        ),
        train_dataset=Dataset.from_list([{"prompt": row["prompt"]} for row in pairs(32)]),
        processing_class=tiny.tokenizer(),
    )  # fmt: skip
    ppo.train()
    scores = [row["objective/scores"] for row in ppo.state.log_history if "loss" in row]
    assert ppo.model is model
    assert scores[0] < 0.5
    assert scores[-1] > scores[0] + 0.5


def test_whole_reward_models_start_from_causal_models(tmp_path: Path) -> None:
    trainer = RewardTrainer(
        tiny.llama(),
        RewardConfig(
            output_dir=str(tmp_path), learning_rate=3e-3, num_train_epochs=2, max_new_tokens=4
        ),
        train_dataset=pairs(),
        eval_dataset=pairs(8, seed=1),
        processing_class=tiny.tokenizer(),
    )
    trainer.train()
    stock = AutoModelForSequenceClassification.from_pretrained(trainer.save_model())
    gaps = [
        float(score_of(stock, f"{r['prompt']} {r['chosen']}")) -
        float(score_of(stock, f"{r['prompt']} {r['rejected']}"))
        for r in pairs(8, seed=1)
    ]  # fmt: skip
    assert np.mean(gaps) == pytest.approx(trainer.evaluate()["eval_rewards/margins"], abs=1e-4)


# -- what does not exist -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "hint"),
    [
        ("tokenizer", "it is called processing_class"),
        ("data_collator", "nothing to collate"),
        ("optimizers", "set learning_rate"),
        ("compute_metrics", "evaluate"),
        ("model_init", "give it as model"),
        ("formatting_func", "train_dataset.map"),
        ("train_data", "did you mean 'train_dataset'?"),
    ],
)
def test_unknown_arguments_name_the_nearest(argument: str, hint: str) -> None:
    for trainer in (DPOTrainer, RewardTrainer, SFTTrainer, PPOTrainer):
        with pytest.raises(RecipeError, match=f"{trainer.__name__} takes no '{argument}'") as found:
            trainer(model="x", **{argument: None})
        assert hint in str(found.value)


def test_unknown_arguments_of_methods(tmp_path: Path) -> None:
    trainer = dpo(tmp_path)
    with pytest.raises(RecipeError, match="train takes no 'resume'; it takes resume_from_ch"):
        trainer.train(resume=True)  # type: ignore[call-arg]
    with pytest.raises(RecipeError, match="evaluate takes no 'ignore_keys'"):
        trainer.evaluate(ignore_keys=[])  # type: ignore[call-arg]
    with pytest.raises(RecipeError, match="missing a required argument: 'model'"):
        DPOTrainer()  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        ({"max_prompt_length": 8}, "DPOConfig has no setting 'max_prompt_length'; here it is max_"),
        ({"gradient_checkpointing": True}, "max_tokens_per_microbatch"),
        ({"bf16": True}, "dtype of the model"),
        ({"betta": 0.1}, "did you mean 'beta'?"),
        ({"beta": "strong"}, "beta is 'strong'; it is a number"),
        ({"logging_steps": 0.5}, "logging_steps is 0.5; it is a whole number"),
        ({"beta": -1}, "beta is -1"),
    ],
)
def test_unknown_and_unusable_settings(values: dict[str, Any], hint: str) -> None:
    with pytest.raises(RecipeError) as found:
        DPOConfig(**values)
    assert isinstance(found.value, ValueError)
    assert hint in str(found.value)


def test_configs_are_settings_with_trls_defaults() -> None:
    with pytest.raises(RecipeError, match="by name"):
        DPOConfig("out")  # type: ignore[call-arg]
    assert DPOConfig(learning_rate="1e-5").learning_rate == 1e-5  # type: ignore[arg-type]
    assert DPOConfig(output_dir=Path("runs") / "a").output_dir == "runs/a"  # type: ignore[arg-type]
    assert DPOConfig().learning_rate == 1e-6
    assert not any(c().use_peft for c in (DPOConfig, RewardConfig, SFTConfig, PPOConfig))
    assert DPOConfig.from_mapping({"beta": 0.3}) == DPOConfig(beta=0.3)


def classifier() -> Any:
    config = tiny.llama().config
    config.num_labels = 1
    return LlamaForSequenceClassification(config)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (lambda: {"model": classifier()}, "AutoModelForCausalLM"),
        (lambda: {"processing_class": None}, "give it as processing_class"),
        (lambda: {"train_dataset": {"train": pairs()}}, "train_dataset=…['train']"),
        (lambda: {"eval_dataset": {"easy": pairs()}}, "eval_dataset=…['easy']"),
        (lambda: {"train_dataset": iter(pairs())}, "list(stream.take(n))"),
        (
            lambda: {"model": moved_adapter(tiny.llama()), "ref_model": tiny.llama()},
            "its adapter, frozen, is the reference",
        ),
        (
            lambda: {"model": moved_adapter(tiny.llama()), "peft_config": tiny.lora()},
            "leave peft_config out",
        ),
        (lambda: dict.fromkeys(("model", "ref_model"), tiny.llama()), "object that is trained"),
    ],
)
def test_unusable_arguments_are_refused(arguments: Any, hint: str) -> None:
    given = {"model": tiny.llama(), "processing_class": tiny.tokenizer(), "train_dataset": pairs()}
    with pytest.raises(RecipeError) as found:
        DPOTrainer(**(given | arguments()))
    assert hint in str(found.value)


def test_arguments_of_another_type_are_refused() -> None:
    model, tokenizer = tiny.llama(), tiny.tokenizer()
    with pytest.raises(RecipeError, match="model is a Linear; give a causal language model"):
        take_model(torch.nn.Linear(2, 2), tokenizer, None)
    with pytest.raises(RecipeError, match="processing_class is a .*; give the model's tokenizer"):
        take_model(model, print, None)
    with pytest.raises(RecipeError, match=r"peft_config is a dict; .* give a peft.LoraConfig"):
        take_model(model, tokenizer, {"r": 4})
    for args in ({"beta": 0.1}, SFTConfig()):
        with pytest.raises(RecipeError, match="args is a .*; give a DPOConfig"):
            take_settings(args, DPOConfig)
    start = take_model(model, tokenizer, None)
    with pytest.raises(RecipeError, match=r"ref_model is a PeftModel; .* \(merge adapters"):
        policy_of(start, DPOConfig(), ref_model=moved_adapter(tiny.llama()))


def test_rewards_that_cannot_be_used_are_refused() -> None:
    given = {"model": tiny.llama(), "processing_class": tiny.tokenizer()}
    for arguments, hint in (
        ({}, "needs one reward"),
        ({"reward_model": classifier()}, "give the folder that RewardTrainer saved"),
        ({"reward_model": len}, "give it as reward_funcs"),
        ({"reward_model": "x", "value_model": None}, "value_model='shared'"),
    ):
        with pytest.raises(RecipeError) as found:
            PPOTrainer(**given, **arguments)
        assert hint in str(found.value)
    with pytest.raises(RecipeError, match="cannot start from a PeftModel"):
        RewardTrainer(moved_adapter(tiny.llama()), processing_class=tiny.tokenizer())
    with pytest.raises(RecipeError, match="give the trainer a train_dataset"):
        dpo(Path("nowhere"), train_dataset=None).train()
