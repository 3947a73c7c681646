"""The fused LoRA layer against PEFT's own, values and gradients, on both kinds of linear layer."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora.layer import Linear as LoraLayer
from tests import tiny

from palate.models.fused.lora_linear import fit_lora, lora_linear


def test_gradients_are_those_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    x, weight, bias, a, b = (
        torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in ((2, 3, 4), (5, 4), (5,), (2, 4), (5, 2))
    )
    trained = [tensor.requires_grad_() for tensor in (x, a, b)]

    def layer(x: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return lora_linear(x, weight=weight, bias=bias, a=a, b=b, scaling=0.7)

    torch.testing.assert_close(layer(x, a, b), x @ (weight + 0.7 * b @ a).t() + bias)
    assert torch.autograd.gradcheck(layer, trained)


@pytest.mark.parametrize("name", tiny.MODELS)
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_fitted_model_gives_pefts_numbers(name: str, dropout: float) -> None:
    config = LoraConfig(
        r=3, lora_alpha=7, lora_dropout=dropout, target_modules="all-linear",
        init_lora_weights=False, fan_in_fan_out=name == "gpt2",
    )  # fmt: skip
    torch.manual_seed(2)
    model = get_peft_model(tiny.MODELS[name]().double(), config)
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    tokens = torch.tensor([[3, 4, 5, 6, 7, 8]])
    found = []
    for fitted in (False, True):
        if fitted:
            for layer in layers:
                fit_lora(layer)
            assert all("forward" in vars(layer) for layer in layers)
        model.zero_grad()
        torch.manual_seed(3)
        logits = model(input_ids=tokens).logits
        logits.square().sum().backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        assert len(gradients) == 2 * len(layers)
        found.append([logits.detach(), *gradients])
    for stock, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, stock, rtol=1e-10, atol=1e-12)


def test_adapters_off_is_the_base_to_the_bit() -> None:
    model = get_peft_model(tiny.llama(), LoraConfig(r=2, init_lora_weights=False))
    tokens = torch.tensor([[3, 4, 5]])
    with torch.no_grad(), model.disable_adapter():
        stock = model(input_ids=tokens).logits
        for module in model.modules():
            fit_lora(module)
        assert torch.equal(model(input_ids=tokens).logits, stock)
