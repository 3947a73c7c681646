"""What stock classes compute from a written role, where the tokenizer or the model is awkward."""

from pathlib import Path

import pytest
import torch
from tests import tiny
from torch import Tensor
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    CohereConfig,
    CohereForCausalLM,
    PreTrainedTokenizerBase,
    pipeline,
)

from palate.data.trees import plant
from palate.errors import ModelError
from palate.models.reward_folder import RewardScale
from palate.models.roles import Roles
from palate.models.scoring import rewards
from palate.models.stock import PAD, write_classifier, write_merged

TREES = tiny.trees(4)
ENDS = (tiny.EOS,)


def _trained(name: str, tokenizer: PreTrainedTokenizerBase, *, num_heads: int = 1) -> Roles:
    roles = Roles(tiny.MODELS[name](), tokenizer)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        roles.add_reward(tiny.lora(), num_heads=num_heads)
    tiny.nudge(roles, "reward")
    roles["reward"].scale = RewardScale(mean=0.25, spread=2.0)
    return roles


@torch.no_grad()
def _padded_logits(folder: Path) -> Tensor:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [[*tree.prompt, *r.tokens] for tree in TREES for r in tree.responses]
    batch = tokenizer.pad({"input_ids": rows}, return_tensors="pt")
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    found: Tensor = model(**batch).logits[:, 0]
    return found


@pytest.mark.parametrize("name", tiny.MODELS)
@pytest.mark.parametrize("pad", ["</s>", None], ids=["pad is eos", "no pad"])
def test_padding_never_hides_the_token_that_ends_a_response(
    name: str, pad: str | None, tmp_path: Path
) -> None:
    tokenizer = tiny.tokenizer()
    tokenizer.pad_token = pad
    roles = _trained(name, tokenizer)
    expected = rewards(roles, plant(TREES))
    shift = write_classifier(roles, tmp_path, ends=ENDS)
    torch.testing.assert_close(_padded_logits(tmp_path) - shift, expected, rtol=0, atol=1e-5)
    found = AutoTokenizer.from_pretrained(tmp_path)
    assert (found.pad_token, found.pad_token_id) == (PAD, tiny.VOCAB)
    # An id of its own, so the embedding has grown by one row.
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert model.get_input_embeddings().num_embeddings == tiny.VOCAB + 1


def test_a_padding_token_of_its_own_is_kept_and_pipelines_give_the_logit(tmp_path: Path) -> None:
    roles = _trained("gpt2", tiny.tokenizer())
    expected = rewards(roles, plant(TREES))
    assert write_classifier(roles, tmp_path, ends=ENDS) == 0.0
    torch.testing.assert_close(_padded_logits(tmp_path), expected, rtol=0, atol=1e-5)
    assert AutoTokenizer.from_pretrained(tmp_path).pad_token == "<pad>"
    classify = pipeline("text-classification", model=str(tmp_path), device="cpu")
    row = [*TREES[0].prompt, *TREES[0].responses[0].tokens]
    (said,) = classify(" ".join(tiny.tokenizer().convert_ids_to_tokens(row)))
    assert said["label"] == "reward"
    assert said["score"] == pytest.approx(float(expected[0]), abs=1e-5)


def test_an_ensemble_is_written_as_its_mean(tmp_path: Path) -> None:
    roles = _trained("gpt2", tiny.tokenizer(), num_heads=3)
    expected = rewards(roles, plant(TREES))
    assert write_classifier(roles, tmp_path, ends=ENDS) == 0.0
    torch.testing.assert_close(_padded_logits(tmp_path), expected, rtol=0, atol=1e-5)


def test_one_number_is_left_where_there_is_no_bias(tmp_path: Path) -> None:
    roles = _trained("llama", tiny.tokenizer())
    assert write_classifier(roles, tmp_path, ends=ENDS) == pytest.approx(0.25 / 2.0)


def test_an_architecture_without_a_classifier_is_refused(tmp_path: Path) -> None:
    config = CohereConfig(
        vocab_size=tiny.VOCAB, hidden_size=tiny.WIDTH, intermediate_size=48, num_hidden_layers=1,
        num_attention_heads=4, pad_token_id=tiny.PAD, eos_token_id=tiny.EOS,
    )  # fmt: skip
    roles = Roles(CohereForCausalLM(config), tiny.tokenizer())
    roles.add_reward(tiny.lora())
    with pytest.raises(ModelError, match="no sequence classifier for cohere models"):
        write_classifier(roles, tmp_path, ends=ENDS)
    assert list(tmp_path.iterdir()) == []


def test_merging_one_role_leaves_the_others_out(tmp_path: Path) -> None:
    """A policy beside a reward adapter on the same base: the policy's alone is merged."""
    roles = tiny.roles_of(tiny.llama(), "policy", "reference", "reward")
    tiny.nudge(roles, "policy")
    tiny.nudge(roles, "reward")
    alone = tiny.roles_of(tiny.llama(), "policy")
    tiny.nudge(alone, "policy")
    write_merged(roles, tmp_path / "beside")
    write_merged(alone, tmp_path / "alone")
    for key, tensor in alone.model.state_dict().items():
        torch.testing.assert_close(roles.model.state_dict()[key], tensor, rtol=0, atol=1e-6)
