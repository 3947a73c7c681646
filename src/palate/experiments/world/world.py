"""The embedded world's door: prompts, demonstrations, gold rewards and the shipped base model."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from palate.data.records import Demonstration, Prompt
from palate.errors import DataError, ModelError
from palate.experiments.world.corpus import draw_demonstrations, draw_prompts
from palate.experiments.world.gold import gold_reward
from palate.experiments.world.grammar import Split

DEFAULT_TEMPERATURE = 0.6
"""Temperature of the world's labeler, in units of gold reward; the gold reward itself then
agrees with about 83 of 100 labels on pairs that an SFT model wrote."""

MAX_RESPONSE_TOKENS = 48
"""Enough for practically every reply of the SFT model, end mark included."""


def base_model_path() -> Path:
    """Folder of the base model that ships with the package.

    Raises:
        ModelError: The folder is missing from this installation.
    """
    path = Path(str(files("palate.experiments.world"))) / "base"
    if not (path / "config.json").is_file():
        raise ModelError(
            f"{path}: the embedded world's base model is missing; reinstall palate, or rebuild it "
            "with `python -m palate.experiments.world.build`"
        )
    return path


def world_prompts(num_prompts: int, *, seed: int, split: Split = "train") -> list[Prompt]:
    """Different prompts from one side of the split; the two sides share none."""
    return draw_prompts(num_prompts, seed=seed, split=split)


def world_demonstrations(num_demonstrations: int, *, seed: int) -> list[Demonstration]:
    """Demonstrations for SFT, moderately good, on prompts of the training split."""
    return draw_demonstrations(num_demonstrations, seed=seed)


def gold_rewards(prompts: Sequence[Prompt | str], responses: Sequence[str]) -> list[float]:
    """The gold reward of each response to the prompt at the same place.

    Raises:
        DataError: The lists differ in length, or a prompt is not of this world.
    """
    if len(prompts) != len(responses):
        raise DataError(
            f"gold_rewards: {len(prompts)} prompts but {len(responses)} responses; give one "
            "response for each prompt (repeat a prompt that has several)"
        )
    rewards = []
    for prompt, response in zip(prompts, responses, strict=True):
        text = prompt if isinstance(prompt, str) else prompt.prompt
        if not isinstance(text, str):
            raise DataError("gold_rewards: a conversation is no prompt of the embedded world")
        rewards.append(gold_reward(text, response))
    return rewards
