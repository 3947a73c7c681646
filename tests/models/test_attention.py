"""Tree attention equals one sequence at a time, values and gradients, on stock models."""

import random
from collections.abc import Callable

import pytest
import torch
from tests import tiny
from torch import nn
from transformers import PreTrainedModel

from palate.data.trees import Forest, Tree, pack, plant
from palate.errors import ModelError
from palate.models.attention import palate_attention, plan_forest
from palate.models.load import prepare
from palate.models.scoring import token_logprobs_of
from palate.models.trunk import Trunk

BUILDERS: dict[str, Callable[[], PreTrainedModel]] = {
    "llama": tiny.llama,
    "gpt2": tiny.gpt2,
    "mistral": lambda: tiny.mistral(window=4),
}


def _logprobs(trunk: Trunk, forest: Forest, *, flat: bool) -> torch.Tensor:
    rows = trunk.hidden(forest) if flat else trunk._padded_rows(forest)
    assert trunk.head is not None
    logits = trunk.head(rows)[forest.predicting_rows].log_softmax(-1)
    found: torch.Tensor = logits.gather(1, forest.targets[:, None])[:, 0]
    return found


def _gradients(model: PreTrainedModel, number: torch.Tensor) -> list[torch.Tensor]:
    model.zero_grad()
    number.backward()  # type: ignore[no-untyped-call]
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("name", BUILDERS)
def test_flat_padded_and_one_at_a_time_agree_in_values_and_gradients(name: str) -> None:
    trees = tiny.trees(5, responses=(2, 1, 3, 2, 1))
    forest = plant(trees)
    stock = BUILDERS[name]().double()
    expected = torch.cat(tiny.stock_logprobs(stock, trees))
    weights = torch.linspace(-1, 1, len(expected), dtype=torch.float64)
    wanted = _gradients(stock, (expected * weights).sum())

    model = prepare(BUILDERS[name]().double())
    trunk = Trunk(model)
    assert trunk.flat
    for flat in (True, False):
        found = _logprobs(trunk, forest, flat=flat)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
        gradients = _gradients(model, (found * weights).sum())
        assert len(gradients) == len(wanted)
        # The stock Llama and Mistral compute their norms in float32 whatever the weights are.
        atol = 1e-10 if name == "gpt2" else 1e-5
        for mine, theirs in zip(gradients, wanted, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=0, atol=atol)


@pytest.mark.parametrize("name", BUILDERS)
def test_the_scoring_function_agrees_in_float32(name: str) -> None:
    trees = tiny.trees(6, responses=3)
    roles = tiny.roles_of(BUILDERS[name](), "policy")
    with torch.no_grad():
        expected = torch.cat(tiny.stock_logprobs(BUILDERS[name](), trees))
        found = token_logprobs_of(roles, "policy", plant(trees))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_a_short_window_matters() -> None:
    """Without this, the Mistral cases above could pass with the window ignored."""
    trees = tiny.trees(4)
    with torch.no_grad():
        near, far = (
            torch.cat(tiny.stock_logprobs(tiny.mistral(window=w), trees)) for w in (4, 100)
        )
    assert float((near - far).abs().max()) > 1e-3


@pytest.mark.parametrize("name", tiny.MODELS)
def test_order_and_splitting_leave_the_numbers(name: str) -> None:
    trees = tiny.trees(6)
    trunk = Trunk(prepare(tiny.MODELS[name]().double()))

    def sums(some: list[Tree]) -> list[float]:
        forest = plant(some)
        values: list[float] = forest.sums(_logprobs(trunk, forest, flat=True)).tolist()
        return values

    with torch.no_grad():
        whole = sums(trees)
        shuffled = list(range(6))
        random.Random(0).shuffle(shuffled)
        permuted = sums([trees[i] for i in shuffled])
        for place, i in enumerate(shuffled):
            assert permuted[2 * place : 2 * place + 2] == pytest.approx(
                whole[2 * i : 2 * i + 2], abs=1e-10
            )
        split = [
            value
            for group in pack(trees, max_tokens=30)
            for value in sums([trees[i] for i in group])
        ]
        assert split == pytest.approx(whole, abs=1e-10)


def test_a_response_sees_neither_its_sibling_nor_the_next_tree() -> None:
    trees = tiny.trees(2)
    trunk = Trunk(prepare(tiny.llama()))
    forest = plant(trees)
    first = slice(0, len(trees[0].prompt) + len(trees[0].responses[0].tokens))
    changed = forest.tokens.clone()
    changed[first.stop :] = 5
    other = Forest(**{**{f: getattr(forest, f) for f in forest.__annotations__}, "tokens": changed})
    with torch.no_grad():
        assert torch.equal(trunk.hidden(forest)[first], trunk.hidden(other)[first])
        assert not torch.equal(trunk.hidden(forest), trunk.hidden(other))


def test_prompts_alone_can_be_scored() -> None:
    prompts = [Tree(tree.prompt) for tree in tiny.trees(3)]
    trunk = Trunk(prepare(tiny.llama()))
    with torch.no_grad():
        together = trunk.hidden(plant(prompts))
        alone = torch.cat([trunk.hidden(plant([one])) for one in prompts])
        padded = trunk._padded_rows(plant(prompts))
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(padded, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", tiny.MODELS)
def test_without_a_plan_a_model_is_the_stock_model(name: str) -> None:
    rows = torch.tensor([[3, 4, 5, 6, 7], [8, 9, 10, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    stock, model = tiny.MODELS[name](), prepare(tiny.MODELS[name]())
    with torch.no_grad():
        expected = stock(input_ids=rows, attention_mask=mask).logits
        found = model(input_ids=rows, attention_mask=mask).logits
    assert torch.equal(found[mask.bool()], expected[mask.bool()])
    for sampled in (False, True):
        answers = []
        for one in (stock, model):
            torch.manual_seed(1)
            answers.append(
                one.generate(
                    input_ids=rows[:1], attention_mask=mask[:1], do_sample=sampled,
                    max_new_tokens=8, pad_token_id=tiny.PAD,
                )
            )  # fmt: skip
        assert torch.equal(*answers)


def test_an_unknown_keyword_is_refused_under_a_plan_and_handed_on_without() -> None:
    module = nn.Module()
    module.layer_idx = 0  # type: ignore[assignment]
    module.is_causal = True  # type: ignore[assignment]
    forest = plant(tiny.trees(1, responses=1))
    plan, rows = plan_forest(forest), len(forest.tokens)
    query = torch.randn(1, 2, rows, 4)

    with pytest.raises(ModelError, match="asks attention for s_aux"):
        palate_attention(module, query, query, query, None, plan=plan, s_aux=torch.ones(2))
    output, _ = palate_attention(module, query, query, query, None, plan=plan, is_causal=True)
    assert output.shape == (1, rows, 2, 4)
    assert plan.calls == 1
