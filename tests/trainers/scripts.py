"""What scripts of people from TRL are made of, on a model of two layers."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel, get_peft_model
from tests import tiny
from transformers import TrainerCallback

from palate import DPOConfig, DPOTrainer

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
        **({"train_dataset": pairs(), "processing_class": tiny.tokenizer()} | more),
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


def moved_adapter(model: Any) -> PeftModel:
    peft = get_peft_model(model, tiny.lora())
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in peft.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.2, generator=generator)
    return peft


class Break(TrainerCallback):  # type: ignore[misc]
    """The power goes at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            raise ConnectionError("power cut")
