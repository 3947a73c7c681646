import json
from itertools import islice

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from palate.data.records import Prompt
from palate.errors import DataError
from palate.experiments.world import world
from palate.experiments.world.corpus import draw_passages
from palate.experiments.world.gold import gold_reward, read_traits
from palate.experiments.world.tokens import EOS, passage_text


def test_the_base_folder_is_small_and_free_of_pickle() -> None:
    names = {path.name for path in world.base_model_path().iterdir()}
    assert names == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert sum(path.stat().st_size for path in world.base_model_path().iterdir()) <= 5_000_000


def test_the_base_model_knows_the_house_language() -> None:
    """Untrained it would need log(614) = 6.4 nats a token."""
    path = world.base_model_path()
    config = json.loads((path / "config.json").read_text())
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(path)
    assert model.num_parameters() <= 2_400_000
    assert (config["model_type"], config["dtype"]) == ("llama", "bfloat16")
    losses = []
    for passage in islice(draw_passages(np.random.default_rng(11)), 30):
        ids = torch.tensor([tokenizer(passage_text(passage))["input_ids"]])
        with torch.no_grad():
            labels = ids.clone()
            labels[0, : len(tokenizer(passage.prompt)["input_ids"])] = -100
            losses.append(model(input_ids=ids, labels=labels).loss.item())
    assert np.mean(losses) < 0.6


def test_the_base_model_sees_whether_a_reply_is_right() -> None:
    """Read from its next-token probabilities at the end mark: "right" against "wrong"."""
    path = world.base_model_path()
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(path)
    right, wrong = tokenizer.convert_tokens_to_ids(["right", "wrong"])
    num_seen, num_correct = 0, 0
    for passage in islice(draw_passages(np.random.default_rng(12)), 150):
        traits = read_traits(passage.prompt, passage.response)
        if traits.fact == "missing" or traits.agrees:
            continue
        ids = tokenizer(passage.prompt + passage.response + EOS, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, -1]
        num_seen += 1
        num_correct += int(bool(logits[right] > logits[wrong]) is (traits.fact == "right"))
    assert num_correct / num_seen > 0.9


def test_gold_rewards_go_pair_by_pair() -> None:
    prompts = world.world_prompts(3, seed=0, split="heldout")
    responses = ["Hello.", "Take care.", "I am not sure about that."]
    expected = [
        gold_reward(prompt.prompt, response)
        for prompt, response in zip(prompts, responses, strict=True)
        if isinstance(prompt.prompt, str)
    ]
    assert world.gold_rewards(prompts, responses) == expected
    assert world.gold_rewards([str(prompt.prompt) for prompt in prompts], responses) == expected


def test_gold_rewards_refuses_unequal_lists_and_foreign_prompts() -> None:
    prompts = world.world_prompts(2, seed=0)
    with pytest.raises(DataError, match="2 prompts but 1 responses"):
        world.gold_rewards(prompts, ["Hello."])
    with pytest.raises(DataError, match="not a prompt of the embedded world"):
        world.gold_rewards([Prompt("What is love?")], ["Hello."])
