"""A reward model's folder: read back by Palate and by stock libraries with equal scores."""

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from tests import tiny
from torch import Tensor
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from palate.data.trees import plant
from palate.errors import ModelError
from palate.models.reward_folder import HEADS_FILE, RewardScale
from palate.models.roles import Roles
from palate.models.scoring import head_rewards, hidden_rows, raw_rewards_from, rewards

TREES = tiny.trees(4)
FOREST = plant(TREES)


def _trained(name: str, *, peft: bool) -> Roles:
    roles = Roles(tiny.MODELS[name](), tiny.tokenizer())
    with torch.random.fork_rng():
        torch.manual_seed(3)
        roles.add_reward(tiny.lora() if peft else None)
    tiny.nudge(roles, "reward", by=0.1 if peft else 0.02)
    roles["reward"].scale = RewardScale(mean=0.25, spread=2.0)
    return roles


@torch.no_grad()
def _raw(roles: Roles) -> Tensor:
    return raw_rewards_from(roles["reward"], hidden_rows(roles, "reward", FOREST), FOREST)


@torch.no_grad()
def _stock_scores(model: PreTrainedModel) -> Tensor:
    """Right-padded rows in one batch, scored by the stock class."""
    rows = [[*tree.prompt, *r.tokens] for tree in TREES for r in tree.responses]
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[tiny.PAD] * (width - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    scores: Tensor = model(input_ids=ids, attention_mask=mask).logits[:, 0]
    return scores


@pytest.mark.parametrize("name", tiny.MODELS)
@pytest.mark.parametrize("peft", [True, False], ids=["lora", "full"])
def test_a_reward_model_comes_back_with_equal_rewards_scaled_once(
    name: str, peft: bool, tmp_path: Path
) -> None:
    roles = _trained(name, peft=peft)
    roles.save("reward", tmp_path / "reward")
    raw, scaled = _raw(roles), rewards(roles, FOREST)
    torch.testing.assert_close(scaled, (raw - 0.25) / 2.0)

    fresh = Roles(tiny.MODELS[name](), tiny.tokenizer())
    fresh.load_reward(tmp_path / "reward")
    assert torch.equal(rewards(fresh, FOREST), scaled)
    assert fresh["reward"].scale == RewardScale(mean=0.25, spread=2.0)
    assert fresh.parameters("reward") == {}
    assert not any(p.requires_grad for p in fresh["reward"].trunk.model.parameters())


@pytest.mark.parametrize("name", tiny.MODELS)
def test_an_adapter_loads_in_stock_peft_with_equal_scores(name: str, tmp_path: Path) -> None:
    roles = _trained(name, peft=True)
    roles.save("reward", tmp_path / "reward")
    config = json.loads((tmp_path / "reward" / "adapter_config.json").read_text())
    assert config["task_type"] == "SEQ_CLS"
    assert config["modules_to_save"] == ["score"]

    base = tmp_path / "base"
    tiny.MODELS[name]().save_pretrained(base)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    stock = PeftModel.from_pretrained(model, str(tmp_path / "reward")).eval()
    torch.testing.assert_close(_stock_scores(stock), _raw(roles), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", tiny.MODELS)
def test_a_model_with_all_weights_loads_in_stock_transformers(name: str, tmp_path: Path) -> None:
    roles = _trained(name, peft=False)
    roles.save("reward", tmp_path / "reward")
    model, report = AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "reward", output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert model.config.num_labels == 1
    torch.testing.assert_close(_stock_scores(model.eval()), _raw(roles), rtol=0, atol=1e-5)


def test_a_full_reward_model_beside_a_lora_policy(tmp_path: Path) -> None:
    _trained("gpt2", peft=False).save("reward", tmp_path / "reward")
    roles = tiny.roles_of(tiny.gpt2(), "policy", "reference")
    roles.load_reward(tmp_path / "reward")
    before = rewards(roles, FOREST)
    tiny.nudge(roles, "policy")
    assert torch.equal(rewards(roles, FOREST), before)


def test_a_reward_adapter_beside_a_lora_policy(tmp_path: Path) -> None:
    _trained("llama", peft=True).save("reward", tmp_path / "reward")
    roles = tiny.roles_of(tiny.llama(), "policy", "reference")
    roles.load_reward(tmp_path / "reward")
    before = rewards(roles, FOREST)
    tiny.nudge(roles, "policy")
    assert torch.equal(rewards(roles, FOREST), before)


def test_a_reward_adapter_is_not_put_on_a_base_that_is_trained(tmp_path: Path) -> None:
    _trained("llama", peft=True).save("reward", tmp_path / "reward")
    roles = Roles(tiny.llama(), tiny.tokenizer())
    roles.add_policy()
    with pytest.raises(ModelError, match="its rewards would change"):
        roles.load_reward(tmp_path / "reward")


def test_folders_without_a_head_are_refused(tmp_path: Path) -> None:
    roles = tiny.roles_of(tiny.llama(), "policy")
    tiny.nudge(roles, "policy")
    roles.save("policy", tmp_path / "adapter")
    tiny.llama().save_pretrained(tmp_path / "model")
    for folder, key in (("adapter", "base_model.model.score.weight"), ("model", "score.weight")):
        fresh = Roles(tiny.llama(), tiny.tokenizer())
        with pytest.raises(ModelError, match=f"no {key}.*not a reward model folder"):
            fresh.load_reward(tmp_path / folder)


def test_rewards_of_another_tool_are_raw_and_a_broken_scale_is_refused(tmp_path: Path) -> None:
    roles = _trained("llama", peft=True)
    roles.save("reward", tmp_path / "reward")
    scale = tmp_path / "reward" / "reward_scale.json"
    scale.unlink()
    fresh = Roles(tiny.llama(), tiny.tokenizer())
    fresh.load_reward(tmp_path / "reward")
    assert torch.equal(rewards(fresh, FOREST), _raw(roles))
    scale.write_text('{"mean": 1}}')
    with pytest.raises(ModelError, match="not a mean and a spread"):
        Roles(tiny.llama(), tiny.tokenizer()).load_reward(tmp_path / "reward")


def test_where_there_is_no_stock_class_palate_reads_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(config: object) -> None:
        raise ValueError("no such class")

    roles = _trained("llama", peft=False)
    monkeypatch.setattr(AutoModelForSequenceClassification, "from_config", none)
    roles.save("reward", tmp_path / "reward")
    fresh = Roles(tiny.llama(), tiny.tokenizer())
    fresh.load_reward(tmp_path / "reward")
    assert torch.equal(rewards(fresh, FOREST), rewards(roles, FOREST))


def _ensemble(*, peft: bool) -> Roles:
    roles = Roles(tiny.llama(), tiny.tokenizer())
    with torch.random.fork_rng():
        torch.manual_seed(3)
        roles.add_reward(tiny.lora() if peft else None, num_heads=3)
    tiny.nudge(roles, "reward", by=0.1 if peft else 0.02)
    roles["reward"].scale = RewardScale(mean=0.25, spread=2.0)
    return roles


@pytest.mark.parametrize("peft", [True, False], ids=["lora", "full"])
def test_an_ensemble_comes_back_whole_and_its_mean_is_the_reward(
    peft: bool, tmp_path: Path
) -> None:
    roles = _ensemble(peft=peft)
    by_head = head_rewards(roles, FOREST)
    assert by_head.shape == (len(TREES) * 2, 3)
    assert float(by_head.std(1).min()) > 1e-3  # heads that differ
    torch.testing.assert_close(rewards(roles, FOREST), by_head.mean(1), rtol=0, atol=1e-7)
    torch.testing.assert_close(rewards(roles, FOREST), (_raw(roles) - 0.25) / 2.0)
    roles.save("reward", tmp_path / "reward")
    fresh = Roles(tiny.llama(), tiny.tokenizer())
    fresh.load_reward(tmp_path / "reward")
    assert torch.equal(head_rewards(fresh, FOREST), by_head)
    assert fresh["reward"].scale == RewardScale(mean=0.25, spread=2.0)


def test_stock_libraries_get_the_mean_of_an_ensemble(tmp_path: Path) -> None:
    roles = _ensemble(peft=False)
    roles.save("reward", tmp_path / "reward")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "reward").eval()
    torch.testing.assert_close(_stock_scores(model), _raw(roles), rtol=0, atol=1e-5)


@pytest.mark.parametrize("peft", [True, False], ids=["lora", "full"])
def test_an_ensemble_with_a_lost_head_is_refused(peft: bool, tmp_path: Path) -> None:
    folder = tmp_path / "reward"
    _ensemble(peft=peft).save("reward", folder)
    heads = load_file(folder / HEADS_FILE)

    def refusal() -> str:
        with pytest.raises(ModelError) as refused:
            Roles(tiny.llama(), tiny.tokenizer()).load_reward(folder)
        return str(refused.value)

    save_file({k: v for k, v in heads.items() if "1" not in k}, folder / HEADS_FILE)
    assert "should hold 3 heads and differs in heads.1.weight" in refusal()
    save_file(heads | {"heads.1.weight": heads["heads.0.weight"].clone()}, folder / HEADS_FILE)
    assert "the mean of its heads is not the folder's score.weight" in refusal()
    (folder / HEADS_FILE).unlink()
    assert "an ensemble of 3 heads, which would be lost" in refusal()


def test_one_head_over_an_ensembles_folder_leaves_none_of_its_heads(tmp_path: Path) -> None:
    _ensemble(peft=True).save("reward", tmp_path / "reward")
    single = _trained("llama", peft=True)
    single.save("reward", tmp_path / "reward")
    fresh = Roles(tiny.llama(), tiny.tokenizer())
    fresh.load_reward(tmp_path / "reward")
    assert torch.equal(rewards(fresh, FOREST), rewards(single, FOREST))
