"""Which modules of a model get a thrifty forward: those of the right parts whose numbers agree.

A module's name says little about its formula (Gemma's norm adds 1 to its weight), so one module of
each class is compared with its twin on random rows, values and gradient, before any is replaced.
"""

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from palate.models.fused.rms_norm import norm_forward
from palate.models.fused.swiglu import mlp_forward

Forward = Callable[[Any, Tensor], Tensor]
# Largest difference from the stock module, relative to its largest number.
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12, torch.bfloat16: 2e-2}
PROBE_ROWS = 3


def fit(model: PreTrainedModel) -> None:
    """Give a model's norms and gated MLPs their thrifty forwards, where they agree."""
    agreed: dict[tuple[type[nn.Module], Forward], bool] = {}
    for module in model.modules():
        forward = _twin_of(module)
        if forward is None or "forward" in vars(module):
            continue
        pair = (type(module), forward)
        if pair not in agreed:
            agreed[pair] = _agree(module, forward)
        if agreed[pair]:
            module.forward = MethodType(forward, module)


def _twin_of(module: nn.Module) -> Forward | None:
    """The thrifty forward that a module's parts ask for; None where there is none."""
    if hasattr(module, "variance_epsilon") and [n for n, _ in module.named_parameters()] == [
        "weight"
    ]:
        return norm_forward
    if all(hasattr(module, name) for name in ("gate_proj", "up_proj", "down_proj", "act_fn")):
        return mlp_forward
    return None


def _agree(module: nn.Module, forward: Forward) -> bool:
    """Whether the twin gives the module's values and the gradient of its input."""
    weight = next(module.parameters())
    generator = torch.Generator().manual_seed(0)
    width = weight.shape[-1]
    rows = torch.randn(1, PROBE_ROWS, width, generator=generator).to(weight)
    slope = torch.linspace(-1, 1, width).to(weight)
    found = []
    for function in (type(module).forward, forward):
        x = rows.clone().requires_grad_()
        try:
            with torch.enable_grad():
                y = function(module, x)
                (gradient,) = torch.autograd.grad((y * slope[: y.shape[-1]]).sum(), x)
        except Exception:  # foreign code, of another shape than its parts' names say
            return False
        found.append((y.detach(), gradient))
    return all(
        bool((ours - stock).abs().max() <= TOLERANCE[weight.dtype] * stock.abs().max())
        for stock, ours in zip(*found, strict=True)
    )
