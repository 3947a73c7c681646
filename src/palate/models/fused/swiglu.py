"""The gated MLP's middle, silu(gate) · up, that keeps its two inputs and makes the rest anew.

Shazeer 2020 (arXiv 2002.05202), equation 6.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def mlp_forward(module: Any, hidden_state: Tensor) -> Tensor:
    """Forward of an MLP of `gate_proj`, `up_proj` and `down_proj` whose activation is silu."""
    middle = swiglu(module.gate_proj(hidden_state), module.up_proj(hidden_state))
    product: Tensor = module.down_proj(middle)
    return product


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """silu(gate) · up, element by element; both of one shape."""
    return _SwiGLU.apply(gate, up)  # type: ignore[no-any-return, no-untyped-call]


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return F.silu(gate).mul_(up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        gate_gradient = torch.ops.aten.silu_backward(upstream * up, gate)
        return gate_gradient, F.silu(gate).mul_(upstream)
