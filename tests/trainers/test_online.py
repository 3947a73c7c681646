"""Online methods through their trainers, under TRL's names."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tests import tiny
from tests.trainers.scripts import GOOD, logits_of, pairs, saved_base
from transformers import AutoModelForCausalLM

from palate import (
    GRPOConfig,
    GRPOTrainer,
    OnlineDPOConfig,
    OnlineDPOTrainer,
    RLOOConfig,
    RLOOTrainer,
)
from palate.errors import CheckpointError, RecipeError

PROMPTS = [{"prompt": row["prompt"]} for row in pairs(16)]


def says_it(prompts: Sequence[str], responses: Sequence[str]) -> list[float]:
    assert all(prompt.startswith("w") for prompt in prompts)
    return [float(response.split().count(GOOD)) for response in responses]


@pytest.mark.parametrize(
    ("trainer", "config", "own"),
    [
        (RLOOTrainer, RLOOConfig, {"beta": 0.01, "num_generations": 4}),
        (GRPOTrainer, GRPOConfig, {"loss_type": "dr_grpo", "scale_rewards": "none"}),
        (OnlineDPOTrainer, OnlineDPOConfig, {"beta": 0.1, "loss_type": "ipo"}),
    ],
)
def test_a_script_from_trl_trains_and_saves(
    tmp_path: Path, trainer: Any, config: Any, own: dict[str, Any]
) -> None:
    base = saved_base(tmp_path / "base")
    made = trainer(
        model=str(base),
        reward_funcs=says_it,
        args=config(
            output_dir=str(tmp_path / "run"), learning_rate=2e-2, max_steps=8, logging_steps=1,
            per_device_train_batch_size=16, max_new_tokens=4, num_sample_prompts=0, **own,
        ),
        train_dataset=PROMPTS,
        eval_dataset=PROMPTS,
        peft_config=tiny.lora(),
    )  # fmt: skip
    before = made.evaluate()
    assert before["eval_objective/kl"] == pytest.approx(0, abs=1e-5)
    made.train()
    assert made.evaluate()["eval_objective/scores"] > before["eval_objective/scores"]
    assert made.state.log_history[0]["reward_std"] >= 0
    from peft import PeftModel

    loaded = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(base), str(made.save_model())
    )
    assert torch.equal(logits_of(loaded), logits_of(made.model))


def test_trls_names_and_defaults() -> None:
    given: dict[str, Any] = {"num_generations": 6, "max_completion_length": 32, "beta": 0.04}
    config = GRPOConfig(**given, epsilon_high=0.28)
    assert (config.num_samples_per_prompt, config.max_new_tokens) == (6, 32)
    assert (config.kl_coef, config.epsilon, config.epsilon_high) == (0.04, 0.2, 0.28)
    assert (config.method, config.average, config.scale_rewards) == ("grpo", "dapo", "group")
    assert (GRPOConfig().kl_coef, GRPOConfig().num_samples_per_prompt) == (0.0, 8)
    assert (RLOOConfig().kl_coef, RLOOConfig().num_samples_per_prompt) == (0.05, 2)
    assert (OnlineDPOConfig().kl_coef, OnlineDPOConfig().learning_rate) == (0.1, 5e-7)


@pytest.mark.parametrize(
    ("config", "values", "hint"),
    [
        (GRPOConfig, {"beta": 0.1, "kl_coef": 0.1}, "beta is kl_coef; give one of them"),
        (GRPOConfig, {"loss_type": "sapo"}, "auto, dapo, bnpo, grpo, dr_grpo"),
        (GRPOConfig, {"epsilonn": 0.1}, "did you mean 'epsilon'?"),
        (GRPOConfig, {"use_vllm": True}, "GRPOConfig has no setting 'use_vllm'"),
        (RLOOConfig, {"method": "grpo"}, "this config is of rloo"),
        (OnlineDPOConfig, {"loss_type": "kto"}, "learns from pairs"),
        (RLOOConfig, {"top_p": 0.9}, "what is sampled is what is scored"),
    ],
)
def test_what_cannot_be_is_refused(config: Any, values: dict[str, Any], hint: str) -> None:
    with pytest.raises(RecipeError) as found:
        config(**values)
    assert hint in str(found.value)


def test_a_trainer_needs_a_reward_and_its_own_config() -> None:
    given: dict[str, Any] = {"model": tiny.llama(), "processing_class": tiny.tokenizer()}
    with pytest.raises(RecipeError, match="needs one reward"):
        RLOOTrainer(**given)
    with pytest.raises(RecipeError, match="give a GRPOConfig"):
        GRPOTrainer(**given, reward_funcs=says_it, args=RLOOConfig())
    with pytest.raises(RecipeError, match="GRPOTrainer takes no 'reward_function'; it is called"):
        GRPOTrainer(**given, reward_function=says_it)  # type: ignore[call-arg]


def test_a_run_is_not_resumed_against_another_reward(tmp_path: Path) -> None:
    def brevity(prompts: Sequence[str], responses: Sequence[str]) -> list[float]:
        return [-float(len(response)) for response in responses]

    def trainer(reward: Any, weights: list[float] | None = None) -> RLOOTrainer:
        return RLOOTrainer(
            model=tiny.llama(),
            reward_funcs=reward,
            args=RLOOConfig(
                output_dir=str(tmp_path), max_steps=2, save_steps=1, max_new_tokens=4,
                num_sample_prompts=0, per_device_train_batch_size=4,
            ),
            train_dataset=PROMPTS,
            processing_class=tiny.tokenizer(),
            reward_weights=weights,
        )  # fmt: skip

    trainer(brevity).train()
    for reward, weights in ((says_it, None), (brevity, [0.5])):
        with pytest.raises(CheckpointError, match="reward"):
            trainer(reward, weights).train(resume_from_checkpoint=True)
    assert trainer(brevity).train(resume_from_checkpoint=True).global_step == 2
