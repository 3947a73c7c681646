"""Log-probabilities of given tokens, entropy and exact KL, straight from hidden rows.

Only rows that predict a response token are passed in, and the vocabulary is visited in chunks of
rows, so that no [all rows, vocabulary] tensor exists. Three ways lead to the same numbers:

- nothing needs a gradient: only the log-probabilities are made;
- the head is frozen (LoRA): one row's upstream gradient is one scalar, so the row's hidden
  gradient is made in the forward pass, while the logits are at hand, and scaled in the backward:
  no second vocabulary product;
- the head is trained: the backward visits the chunks again and adds up the head's gradient.

Precision: the vocabulary product runs in the weight's dtype (autocast does not reach it), the
log-softmax in float32, or float64 for a float64 weight.

Axes: `rows` predicting rows, `width` of the hidden state, `vocab`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from palate.objectives.divergence import kl_exact


def token_logprobs(
    *,
    hidden: Float[Tensor, "rows width"],
    weight: Float[Tensor, "vocab width"],
    targets: Int[Tensor, " rows"],
    bias: Float[Tensor, " vocab"] | None = None,
    logit_scale: float = 1.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    chunk: int = 256,
) -> Float[Tensor, " rows"]:
    """Log-probability of each row's target token.

    With a = logit_scale · (h·Wᵀ + b) the logits are z = softcap · tanh(a / softcap) / temperature
    (without a softcap: a / temperature), and the result is z[target] − logsumexp(z).

    Args:
        hidden: the rows that predict a token, after the model's last norm.
        weight: the language-model head.
        targets: token ids in [0, vocab).
        bias: the head's bias, where it has one.
        logit_scale: factor on the raw logits (Cohere's `logit_scale`, 1 / Granite's
            `logits_scaling`).
        softcap: bound of the logits (Gemma 2's `final_logit_softcapping`).
        temperature: sampling temperature, > 0; log-probabilities of samples are those of the
            distribution that they were drawn from.
        chunk: rows whose logits exist at one time.

    Returns:
        Nats, in float32 (float64 for a float64 weight); −log(vocab) where all logits are equal.

    Raises:
        ValueError: if temperature, softcap or chunk is not positive.
    """
    shape = _Shape(logit_scale=logit_scale, softcap=softcap, temperature=temperature, chunk=chunk)
    head = _Head(weight=weight, bias=bias, shape=shape)
    with _own_precision(hidden):
        if torch.is_grad_enabled() and (weight.requires_grad or _requires_grad(bias)):
            return _TrainedHead.apply(hidden, weight, bias, targets, shape)  # type: ignore[no-any-return, no-untyped-call]
        if torch.is_grad_enabled() and hidden.requires_grad:
            return _FrozenHead.apply(hidden, targets, head)  # type: ignore[no-any-return, no-untyped-call]
        return _logprobs_only(hidden, targets, head)


@torch.no_grad()
def token_entropy(
    *,
    hidden: Float[Tensor, "rows width"],
    weight: Float[Tensor, "vocab width"],
    bias: Float[Tensor, " vocab"] | None = None,
    logit_scale: float = 1.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    chunk: int = 256,
) -> Float[Tensor, " rows"]:
    """Entropy of the next-token distribution of each row; without gradient, for metrics.

    Args: as `token_logprobs`.

    Returns:
        Nats, between 0 and log(vocab).
    """
    shape = _Shape(logit_scale=logit_scale, softcap=softcap, temperature=temperature, chunk=chunk)
    head = _Head(weight=weight, bias=bias, shape=shape)
    return head.each_row(hidden, lambda logits: torch.special.entr(logits.softmax(1)).sum(1))


@torch.no_grad()
def log_collision(
    *,
    hidden: Float[Tensor, "rows width"],
    weight: Float[Tensor, "vocab width"],
    bias: Float[Tensor, " vocab"] | None = None,
    logit_scale: float = 1.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    chunk: int = 256,
) -> Float[Tensor, " rows"]:
    """Log Σ p² of the next-token distribution of each row: that two samples of it are the same.

    Σ p² is also the mean probability of a sampled token, to which WPO compares a given one.

    Args: as `token_logprobs`.

    Returns:
        Nats, between −log(vocab) and 0.
    """
    shape = _Shape(logit_scale=logit_scale, softcap=softcap, temperature=temperature, chunk=chunk)
    head = _Head(weight=weight, bias=bias, shape=shape)
    return head.each_row(hidden, lambda logits: torch.logsumexp(2 * logits.log_softmax(1), 1))


@torch.no_grad()
def exact_kl_per_token(
    *,
    policy_hidden: Float[Tensor, "rows width"],
    policy_weight: Float[Tensor, "vocab width"],
    reference_hidden: Float[Tensor, "rows reference_width"],
    reference_weight: Float[Tensor, "vocab reference_width"],
    policy_bias: Float[Tensor, " vocab"] | None = None,
    reference_bias: Float[Tensor, " vocab"] | None = None,
    logit_scale: float = 1.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    chunk: int = 256,
) -> Float[Tensor, " rows"]:
    """KL(policy‖reference) of the next-token distributions of each row, over the whole vocabulary.

    Summed over the rows of one sampled response it estimates the KL of that response without the
    noise of the sampled token (`kl_k1` has it): the measure of drift in every report.

    Args: as `token_logprobs`, once for the policy and once for the reference; logit_scale,
        softcap and temperature hold for both.

    Returns:
        Nats per token; 0 where the two agree.
    """
    shape = _Shape(logit_scale=logit_scale, softcap=softcap, temperature=temperature, chunk=chunk)
    policy = _Head(weight=policy_weight, bias=policy_bias, shape=shape)
    reference = _Head(weight=reference_weight, bias=reference_bias, shape=shape)
    divergences = policy.empty_rows(policy_hidden)
    with _own_precision(policy_hidden):
        for rows in policy.chunks(policy_hidden):
            divergences[rows] = kl_exact(
                policy_logits=policy.logits(policy_hidden[rows]),
                reference_logits=reference.logits(reference_hidden[rows]),
            ).to(divergences.dtype)
    return divergences


@dataclass(frozen=True)
class _Shape:
    """What turns a raw vocabulary product into logits, and how many rows at a time."""

    logit_scale: float
    softcap: float | None
    temperature: float
    chunk: int

    def __post_init__(self) -> None:
        for name in ("softcap", "temperature", "chunk"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive, not {value}")


@dataclass(frozen=True)
class _Head:
    weight: Tensor
    bias: Tensor | None
    shape: _Shape

    def logits(self, hidden: Float[Tensor, "rows width"]) -> Float[Tensor, "rows vocab"]:
        """Logits in memory of their own, which the caller may overwrite."""
        product = hidden.to(self.weight.dtype) @ self.weight.t()
        logits = product if product.dtype == torch.float64 else product.float()
        if self.bias is not None:
            logits += self.bias
        if self.shape.logit_scale != 1.0:
            logits *= self.shape.logit_scale
        if self.shape.softcap is not None:
            logits.div_(self.shape.softcap).tanh_().mul_(self.shape.softcap)
        if self.shape.temperature != 1.0:
            logits /= self.shape.temperature
        return logits

    def chunks(self, hidden: Tensor) -> Iterator[slice]:
        for start in range(0, hidden.shape[0], self.shape.chunk):
            yield slice(start, start + self.shape.chunk)

    def empty_rows(self, hidden: Tensor) -> Float[Tensor, " rows"]:
        dtype = torch.float64 if self.weight.dtype == torch.float64 else torch.float32
        return hidden.new_empty(hidden.shape[0], dtype=dtype)

    def each_row(
        self, hidden: Float[Tensor, "rows width"], statistic: Callable[[Tensor], Tensor]
    ) -> Float[Tensor, " rows"]:
        """A statistic of every row's logits, a chunk at a time."""
        found = self.empty_rows(hidden)
        with _own_precision(hidden):
            for rows in self.chunks(hidden):
                found[rows] = statistic(self.logits(hidden[rows]))
        return found


class _Normalized(NamedTuple):
    logprobs: Tensor  # [rows]
    totals: Tensor  # [rows, 1], sum of exp(z − max z)


def _normalize_in_place(
    logits: Float[Tensor, "rows vocab"], targets: Int[Tensor, " rows"]
) -> _Normalized:
    """Target log-probabilities; leaves exp(z − max z) in `logits`.

    All three ways go through these operations, so their log-probabilities agree bit for bit.
    """
    logits -= logits.amax(dim=1, keepdim=True)
    chosen = logits.gather(1, targets[:, None])
    totals = logits.exp_().sum(dim=1, keepdim=True)
    return _Normalized(logprobs=(chosen - totals.log()).squeeze(1), totals=totals)


class _Scored(NamedTuple):
    logprobs: Tensor  # [rows]
    gradient: Tensor  # [rows, vocab], d logprob / d (h·Wᵀ + b)


def _score_with_gradient(
    head: _Head, hidden: Float[Tensor, "rows width"], targets: Int[Tensor, " rows"]
) -> _Scored:
    shape = head.shape
    logits = head.logits(hidden)
    bend = None  # 1 − tanh², the softcap's derivative
    if shape.softcap is not None:
        bend = (logits * (shape.temperature / shape.softcap)).square_().neg_().add_(1.0)
    normalized = _normalize_in_place(logits, targets)
    gradient = logits.div_(normalized.totals).neg_()
    gradient.scatter_add_(1, targets[:, None], torch.ones_like(normalized.totals))
    if bend is not None:
        gradient *= bend
    if shape.logit_scale != shape.temperature:
        gradient *= shape.logit_scale / shape.temperature
    return _Scored(logprobs=normalized.logprobs, gradient=gradient)


def _logprobs_only(
    hidden: Float[Tensor, "rows width"], targets: Int[Tensor, " rows"], head: _Head
) -> Float[Tensor, " rows"]:
    logprobs = head.empty_rows(hidden)
    with torch.no_grad():
        for rows in head.chunks(hidden):
            logprobs[rows] = _normalize_in_place(head.logits(hidden[rows]), targets[rows]).logprobs
    return logprobs


class _FrozenHead(torch.autograd.Function):
    """The hidden gradient is made in the forward pass."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, targets: Tensor, head: _Head) -> Tensor:
        logprobs, row_gradients = head.empty_rows(hidden), torch.empty_like(hidden)
        for rows in head.chunks(hidden):
            scored = _score_with_gradient(head, hidden[rows], targets[rows])
            logprobs[rows] = scored.logprobs
            row_gradients[rows] = scored.gradient.to(head.weight.dtype) @ head.weight
        ctx.save_for_backward(row_gradients)
        return logprobs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        (row_gradients,) = ctx.saved_tensors
        return (upstream[:, None] * row_gradients).to(row_gradients.dtype), None, None


class _TrainedHead(torch.autograd.Function):
    """The backward makes the logits again, chunk by chunk, for the head's own gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        shape: _Shape,
    ) -> Tensor:
        ctx.save_for_backward(hidden, weight, bias, targets)
        ctx.shape = shape
        return _logprobs_only(hidden, targets, _Head(weight=weight, bias=bias, shape=shape))

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, upstream: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        hidden, weight, bias, targets = ctx.saved_tensors
        head = _Head(weight=weight, bias=bias, shape=ctx.shape)
        needs_hidden, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        hidden_gradient = torch.empty_like(hidden) if needs_hidden else None
        weight_gradient = torch.zeros_like(weight) if needs_weight else None
        bias_gradient = torch.zeros_like(bias) if needs_bias else None
        with _own_precision(hidden):
            for rows in head.chunks(hidden):
                gradient = _score_with_gradient(head, hidden[rows], targets[rows]).gradient
                gradient *= upstream[rows, None]
                if bias_gradient is not None:
                    bias_gradient += gradient.sum(dim=0).to(bias.dtype)
                gradient = gradient.to(weight.dtype)
                if hidden_gradient is not None:
                    hidden_gradient[rows] = (gradient @ weight).to(hidden.dtype)
                if weight_gradient is not None:
                    weight_gradient.addmm_(gradient.t(), hidden[rows].to(weight.dtype))
        return hidden_gradient, weight_gradient, bias_gradient, None, None


def _requires_grad(bias: Tensor | None) -> bool:
    return bias is not None and bias.requires_grad


def _own_precision(hidden: Tensor) -> torch.autocast:
    return torch.autocast(device_type=hidden.device.type, enabled=False)
