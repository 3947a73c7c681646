"""SFT, reward model and PPO through their trainers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from peft import PeftModel
from tests import tiny
from tests.trainers.scripts import BAD, GOOD, logits_of, losses, pairs, saved_base, words
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from palate import PPOConfig, PPOTrainer, RewardConfig, RewardTrainer, SFTConfig, SFTTrainer
from palate.errors import GateError, RecipeError
from palate.experiments.hashes import folder_hash
from palate.experiments.passport import RewardBill, read_passport
from palate.models.roles import Roles


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
        reward_gate="off",
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
    # Who compares pays for the reward model too.
    bill, passport = read_passport(folder), read_passport(tmp_path / "ppo" / "model")
    assert bill is not None
    assert passport is not None
    assert passport.reward == RewardBill(str(folder), bill.cost)
    assert passport.cost is not None
    assert bill.cost is not None
    assert passport.road_cost == bill.cost.plus(passport.cost)


def test_ppo_refuses_a_reward_model_that_was_checked_and_is_not_fit(tmp_path: Path) -> None:
    base = saved_base(tmp_path / "base")
    roles = Roles(AutoModelForCausalLM.from_pretrained(base), tiny.tokenizer())
    roles.add_reward(tiny.lora())
    folder = tmp_path / "reward"
    roles.save("reward", folder)
    report = {"weights": folder_hash(folder), "passed": False, "verdict": "not fit: length"}
    (folder / "gate.json").write_text(json.dumps(report), encoding="utf-8")

    def trainer(**given: Any) -> PPOTrainer:
        return PPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(base),
            reward_model=folder,
            args=PPOConfig(output_dir=str(tmp_path / "ppo")),
            train_dataset=[{"prompt": "w3 w4"}],
            peft_config=tiny.lora(),
            **given,
        )

    with pytest.raises(GateError, match="not fit: length"):
        trainer()
    trainer(reward_gate="warn")
    (folder / "gate.json").unlink()
    with pytest.raises(GateError, match="never checked, and no held-out pairs are known"):
        trainer()
    trainer(reward_gate="off")


def test_ppo_trains_all_weights_against_functions(tmp_path: Path) -> None:
    def says_it(prompts: Sequence[str], responses: Sequence[str]) -> list[float]:
        assert all(prompt.startswith("w") for prompt in prompts)
        return [float(response.split().count(GOOD)) for response in responses]

    model = tiny.llama()
    ppo = PPOTrainer(
        model=model,
        reward_funcs=[says_it, says_it],
        gold_funcs=says_it,
        args=PPOConfig(
            output_dir=str(tmp_path), learning_rate=5e-3, max_steps=6, logging_steps=1,
            per_device_train_batch_size=32, num_ppo_epochs=2, max_new_tokens=4, kl_coef=0.0,
            missing_eos_penalty=0.0, num_sample_prompts=0,
        ),
        train_dataset=Dataset.from_list([{"prompt": row["prompt"]} for row in pairs(32)]),
        processing_class=tiny.tokenizer(),
    )  # fmt: skip
    ppo.train()
    rows = [row for row in ppo.state.log_history if "loss" in row]
    scores = [row["objective/scores"] for row in rows]
    assert [2 * row["objective/gold"] for row in rows] == pytest.approx(scores)
    assert ppo.model is model
    assert scores[0] < 0.5
    assert scores[-1] > scores[0] + 0.5


def test_rewards_of_functions_and_names_are_weighted(tmp_path: Path) -> None:
    (tmp_path / "four.py").write_text(
        "def four(prompts, responses):\n    return [4.0] * len(responses)\n", encoding="utf-8"
    )

    def level(prompts: Sequence[str], responses: Sequence[str], level: Sequence[int]) -> list[int]:
        return list(level)

    def trainer(**given: Any) -> PPOTrainer:
        return PPOTrainer(
            model=tiny.llama(),
            args=PPOConfig(output_dir=str(tmp_path), max_new_tokens=2, missing_eos_penalty=0.0),
            train_dataset=[{"prompt": "w3 w4", "level": 3}],
            eval_dataset=[{"prompt": "w5", "level": 3}, {"prompt": "w6", "level": 5}],
            processing_class=tiny.tokenizer(),
            **given,
        )

    both = trainer(reward_funcs=[level, f"0.5*{tmp_path}/four.py:four"], reward_weights=[2.0, -1.0])
    # 2 · (3 + 5)/2 − 0.5 · 4
    assert both.evaluate()["eval_objective/scores"] == pytest.approx(6.0)
    for given, said in (
        ({"reward_funcs": [level], "reward_weights": [1.0, 2.0]}, "2 numbers for 1 reward_funcs"),
        ({"reward_funcs": []}, "for 0 reward_funcs"),
        ({"reward_model": tmp_path, "reward_weights": [1.0]}, "reward_weights weigh reward_funcs"),
    ):
        with pytest.raises(RecipeError, match=said):
            trainer(**given)


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
