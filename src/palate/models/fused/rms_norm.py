"""Root mean square norm that keeps its input and one number a row instead of every intermediate.

y = w · x / √(mean x² + ε)          (Zhang & Sennrich 2019, arXiv 1910.07467, equation 4)
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def norm_forward(module: Any, hidden_states: Tensor) -> Tensor:
    """Forward of a norm that has `weight` and `variance_epsilon`."""
    return rms_norm(hidden_states, module.weight, module.variance_epsilon)


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Rows [..., width] of unit root mean square, times `weight` [width], in the rows' dtype.

    The mean is made in float32 at least.
    """
    return _RMSNorm.apply(x, weight, epsilon)  # type: ignore[no-any-return, no-untyped-call]


def _wide(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        wide = _wide(x)
        mean_square = torch.linalg.vecdot(wide, wide).div_(x.shape[-1])
        scale = mean_square.add_(epsilon).rsqrt_()[..., None]
        ctx.save_for_backward(x, weight, scale)
        normed: Tensor = wide * scale
        return normed.to(x.dtype).mul_(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor | None, None]:
        x, weight, scale = ctx.saved_tensors
        wide = _wide(x)
        weight_gradient = None
        if ctx.needs_input_grad[1]:
            by_row = (wide * scale).mul_(upstream)
            weight_gradient = by_row.flatten(0, -2).sum(0).to(weight.dtype)
        weighted = _wide(upstream) * weight
        along = torch.linalg.vecdot(weighted, wide)[..., None].mul_(scale**3 / x.shape[-1])
        gradient = weighted.mul_(scale).addcmul_(wide, along, value=-1)
        return gradient.to(x.dtype), weight_gradient, None
