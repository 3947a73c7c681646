"""A frozen linear layer and its LoRA adapter as one function.

    y = x·Wᵀ + b + s·(x·Aᵀ)·Bᵀ          (Hu et al. 2021, arXiv 2106.09685, equation 3)

PEFT's layer makes the low-rank part, scales it and adds it in passes of their own over a tensor of
the output's size, and keeps what each needs; here the product is added in place, and only x and
x·Aᵀ (r numbers a row) are kept. Where anything but one plain adapter is at work, PEFT's own forward
is.

Axes: `row` tokens, `in`, `out`, r the rank.
"""

from types import MethodType
from typing import Any

import torch
from peft.tuners.lora.layer import Linear as LoraLayer
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers.pytorch_utils import Conv1D


def fit_lora(layer: nn.Module) -> None:
    """Give one of PEFT's linear layers its thrifty forward; others stay as they are."""
    plain = type(layer) is LoraLayer and type(layer.base_layer) in (nn.Linear, Conv1D)
    if plain and "forward" not in vars(layer):
        layer.forward = MethodType(layer_forward, layer)


def layer_forward(layer: LoraLayer, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Forward of a PEFT layer: the base and the active adapter at once."""
    names = [name for name in layer.active_adapters if name in layer.lora_A]
    if layer.disable_adapters or not names:
        base: Tensor = layer.base_layer(x)
        return base
    drops = layer.lora_dropout[names[0]]
    weight = layer.base_layer.weight
    if (
        args or kwargs or len(names) > 1 or layer.merged or names[0] in layer.lora_variant
        or (drops.training and not isinstance(drops, nn.Identity))
        or weight.requires_grad or torch.is_autocast_enabled(x.device.type)
    ):  # fmt: skip
        stock: Tensor = LoraLayer.forward(layer, x, *args, **kwargs)
        return stock
    name = names[0]
    return lora_linear(
        x,
        weight=weight.t() if isinstance(layer.base_layer, Conv1D) else weight,
        bias=layer.base_layer.bias,
        a=layer.lora_A[name].weight,
        b=layer.lora_B[name].weight,
        scaling=layer.scaling[name],
    )


def lora_linear(
    x: Tensor, *, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scaling: float
) -> Tensor:
    """The adapted layer's output [..., out], in the dtype of x.

    Args:
        x: [..., in].
        weight: [out, in], frozen.
        bias: [out], frozen.
        a: [r, in], the adapter's first matrix.
        b: [out, r], its second.
        scaling: factor on the adapter's part, α / r.
    """
    rows = x.reshape(-1, x.shape[-1])
    output: Tensor = _LoraLinear.apply(rows, weight, bias, a, b, scaling)  # type: ignore[no-untyped-call]
    return output.view(*x.shape[:-1], -1)


class _LoraLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, s: float
    ) -> Tensor:
        output = x @ weight.t() if bias is None else torch.addmm(bias, x, weight.t())
        low = x @ a.to(x.dtype).t()
        ctx.save_for_backward(x, weight, a, b, low)
        ctx.scaling = s
        return output.addmm_(low, b.to(x.dtype).t(), alpha=s)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, upstream: Tensor
    ) -> tuple[Tensor | None, None, None, Tensor | None, Tensor | None, None]:
        x, weight, a, b, low = ctx.saved_tensors
        low_gradient = (upstream @ b.to(x.dtype)).mul_(ctx.scaling)
        x_gradient = a_gradient = b_gradient = None
        if ctx.needs_input_grad[0]:
            x_gradient = (upstream @ weight).addmm_(low_gradient, a.to(x.dtype))
        if ctx.needs_input_grad[3]:
            a_gradient = (low_gradient.t() @ x).to(a.dtype)
        if ctx.needs_input_grad[4]:
            # This way round the product is faster: its rows are long.
            b_gradient = (low.t() @ upstream).mul_(ctx.scaling).t().to(b.dtype)
        return x_gradient, None, None, a_gradient, b_gradient, None
