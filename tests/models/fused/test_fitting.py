"""Thrifty norms and gated MLPs: the stock modules' numbers, and put in only where they agree."""

from collections.abc import Callable

import pytest
import torch
from tests import tiny
from torch import nn
from transformers import GemmaConfig, GemmaForCausalLM, PreTrainedModel
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm

from palate.models.fused.fitting import fit
from palate.models.fused.rms_norm import rms_norm
from palate.models.fused.swiglu import swiglu

SHAPE = {
    "vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8,
}  # fmt: skip


def test_gradients_are_those_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = (
        torch.randn(2, 3, 4, generator=generator, dtype=torch.float64).requires_grad_()
        for _ in range(2)
    )
    weight = torch.randn(4, generator=generator, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(swiglu, (x, y))
    assert torch.autograd.gradcheck(lambda x, w: rms_norm(x, w, 1e-3), (x, weight))


def test_by_hand() -> None:
    x = torch.tensor([[3.0, 4.0]])  # mean square 12.5
    weight = torch.tensor([1.0, 2.0])
    torch.testing.assert_close(rms_norm(x, weight, 0.0), x * weight / 12.5**0.5)
    torch.testing.assert_close(swiglu(x, x), x * x / (1 + (-x).exp()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_fitted_llama_has_the_stock_models_values_and_gradients(dtype: torch.dtype) -> None:
    tokens = torch.tensor([[3, 4, 5, 6, 7]])
    found = []
    for fitted in (False, True):
        model = tiny.llama().to(dtype)
        if fitted:
            fit(model)
            kinds = {type(m) for m in model.modules() if "forward" in vars(m)}
            assert kinds == {LlamaRMSNorm, LlamaMLP}
        logits = model(input_ids=tokens).logits.float()
        logits.square().sum().backward()
        found.append([logits.detach(), *(p.grad for p in model.parameters())])
    tolerance = 1e-5 if dtype == torch.float32 else 3e-2
    for stock, ours in zip(*found, strict=True):
        gap = (ours.float() - stock.float()).abs().max() / stock.float().abs().max()
        assert float(gap) < tolerance


def gemma() -> PreTrainedModel:
    torch.manual_seed(0)
    model = GemmaForCausalLM(GemmaConfig(**SHAPE))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model


@pytest.mark.parametrize("build", [gemma, tiny.gpt2])
def test_a_module_of_another_formula_stays_as_it_is(build: Callable[[], PreTrainedModel]) -> None:
    """Gemma's norm multiplies by 1 + w and its MLP's activation is gelu."""
    model = build()
    fit(model)
    assert not [module for module in model.modules() if "forward" in vars(module)]


def test_a_norm_that_looks_alike_is_found_out() -> None:
    looks = GemmaRMSNorm(32)
    looks.variance_epsilon = looks.eps
    model = tiny.llama()
    model.model.norm = looks
    fit(model)
    assert "forward" not in vars(model.model.norm)
    assert "forward" in vars(model.model.layers[0].input_layernorm)
