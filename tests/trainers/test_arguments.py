"""Arguments that do not exist or cannot be used: errors that name what to use instead."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests import tiny
from tests.trainers.scripts import dpo, moved_adapter, pairs
from transformers import LlamaForSequenceClassification

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
from palate.errors import RecipeError
from palate.trainers.inputs import policy_of, take_model, take_settings


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
    given: dict[str, Any] = {argument: None}
    for trainer in (DPOTrainer, RewardTrainer, SFTTrainer, PPOTrainer):
        with pytest.raises(RecipeError, match=f"{trainer.__name__} takes no '{argument}'") as found:
            trainer(model="x", **given)
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
        ({"beta": "strong"}, "beta is 'strong'; it must be a number"),
        ({"logging_steps": 0.5}, "logging_steps is 0.5; it must be a whole number"),
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
