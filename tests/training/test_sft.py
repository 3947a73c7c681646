"""SFT: the loss of responses alone, against a slow version."""

import pytest
import torch
from tests import tiny

from palate.data.trees import Tree
from palate.models.roles import Roles
from palate.training.settings import SFTSettings
from palate.training.sft import train_sft

ROWS = tiny.trees(6, responses=1)
ONE_STEP = SFTSettings(per_device_train_batch_size=6, max_steps=1, learning_rate=1e-9)


def _slow() -> list[torch.Tensor]:
    with torch.no_grad():
        return tiny.stock_logprobs(tiny.llama(), ROWS)


@pytest.mark.parametrize("peft", [True, False], ids=["lora", "full"])
def test_the_loss_is_the_mean_over_response_tokens(peft: bool) -> None:
    roles = Roles(tiny.llama(), tiny.tokenizer())
    roles.add_policy(tiny.lora() if peft else None)
    result = train_sft(roles, ROWS, ONE_STEP, eval_demonstrations=ROWS[:2])
    assert result.metrics["loss"] == pytest.approx(-float(torch.cat(_slow()).mean()), abs=1e-5)
    assert result.metrics["eval_loss"] == pytest.approx(
        -float(torch.cat(_slow()[:2]).mean()), abs=1e-5
    )
    assert result.tokens == sum(tree.num_tokens for tree in ROWS)


def test_weights_multiply_and_the_divisor_stays() -> None:
    weights = [0.0, 1.0, 2.0, 0.5, 1.0, 3.0]
    rows = [Tree(t.prompt, t.responses, weight=w) for t, w in zip(ROWS, weights, strict=True)]
    result = train_sft(tiny.roles_of(tiny.llama(), "policy"), rows, ONE_STEP)
    sums = [float(x.sum()) for x in _slow()]
    tokens = sum(tree.num_response_tokens for tree in ROWS)
    expected = -sum(w * x for w, x in zip(weights, sums, strict=True)) / tokens
    assert result.metrics["loss"] == pytest.approx(expected, abs=1e-5)


def test_rows_are_learned_by_heart() -> None:
    roles = Roles(tiny.llama(), tiny.tokenizer())
    roles.add_policy()
    settings = SFTSettings(
        per_device_train_batch_size=6, max_steps=25, learning_rate=1e-2, warmup_steps=0,
        logging_steps=25,
    )  # fmt: skip
    train_sft(roles, ROWS, settings)
    last = train_sft(roles, ROWS, ONE_STEP)
    assert last.metrics["loss"] < 0.5
