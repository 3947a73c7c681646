import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from palate.objectives.likelihood import exact_kl_per_token, token_entropy, token_logprobs

SHAPES: list[dict[str, Any]] = [
    {},
    {"logit_scale": 0.25},
    {"softcap": 3.0},
    {"temperature": 0.7},
    {"logit_scale": 1.7, "softcap": 2.0, "temperature": 1.3},
]


@dataclass(frozen=True)
class Rows:
    hidden: Tensor
    weight: Tensor
    bias: Tensor
    targets: Tensor


def rows(seed: int = 0, num: int = 11, dtype: torch.dtype = torch.float64) -> Rows:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    return Rows(
        hidden=draw(num, 5),
        weight=draw(13, 5),
        bias=draw(13),
        targets=torch.randint(0, 13, (num,), generator=generator),
    )


def plain_logits(
    r: Rows,
    *,
    logit_scale: float = 1.0,
    softcap: float | None = None,
    temperature: float = 1.0,
) -> Tensor:
    logits = (r.hidden @ r.weight.t() + r.bias) * logit_scale
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    return logits / temperature


def plain_logprobs(r: Rows, **shape: Any) -> Tensor:
    logprobs = plain_logits(r, **shape).log_softmax(-1)
    return torch.stack([row[target] for row, target in zip(logprobs, r.targets, strict=True)])


def ours(r: Rows, **options: Any) -> Tensor:
    return token_logprobs(
        hidden=r.hidden, weight=r.weight, bias=r.bias, targets=r.targets, **options
    )


def test_by_hand() -> None:
    logprobs = token_logprobs(
        hidden=torch.tensor([[1.0], [0.0]]),
        weight=torch.tensor([[math.log(3)], [0.0]]),
        targets=torch.tensor([0, 1]),
    )
    torch.testing.assert_close(logprobs, torch.tensor([math.log(0.75), math.log(0.5)]))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("chunk", [1, 4, 256])
def test_equals_the_plain_log_softmax(shape: dict[str, Any], chunk: int) -> None:
    r = rows()
    torch.testing.assert_close(ours(r, chunk=chunk, **shape), plain_logprobs(r, **shape))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "names",
    [
        ("hidden",),
        ("weight",),
        ("bias",),
        ("hidden", "weight"),
        ("hidden", "bias"),
        ("weight", "bias"),
        ("hidden", "weight", "bias"),
    ],
)
def test_gradients_equal_those_of_autograd(shape: dict[str, Any], names: tuple[str, ...]) -> None:
    upstream = torch.randn(11, generator=torch.Generator().manual_seed(9), dtype=torch.float64)

    def gradients(score: Callable[[Rows], Tensor]) -> tuple[Tensor, ...]:
        r = rows()
        leaves = [getattr(r, name).requires_grad_() for name in names]
        return torch.autograd.grad((score(r) * upstream).sum(), leaves)

    torch.testing.assert_close(
        gradients(lambda r: ours(r, chunk=4, **shape)),
        gradients(lambda r: plain_logprobs(r, **shape)),
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_gradcheck(shape: dict[str, Any]) -> None:
    r = rows(num=5)

    def frozen(hidden: Tensor) -> Tensor:
        return ours(replace(r, hidden=hidden), chunk=2, **shape)

    def trained(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return ours(replace(r, hidden=hidden, weight=weight, bias=bias), chunk=2, **shape)

    assert torch.autograd.gradcheck(frozen, (r.hidden.clone().requires_grad_(),))
    assert torch.autograd.gradcheck(
        trained, tuple(t.clone().requires_grad_() for t in (r.hidden, r.weight, r.bias))
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_with_and_without_gradient_agree_bit_for_bit(dtype: torch.dtype) -> None:
    r = rows(dtype=dtype)
    without = ours(r, chunk=4)
    frozen = ours(replace(r, hidden=r.hidden.clone().requires_grad_()), chunk=4)
    trained = ours(replace(r, weight=r.weight.clone().requires_grad_()), chunk=4)
    assert torch.equal(without, frozen)
    assert torch.equal(without, trained)
    assert not without.requires_grad
    assert frozen.requires_grad
    with torch.no_grad():
        assert not ours(replace(r, hidden=r.hidden.clone().requires_grad_())).requires_grad


def test_bfloat16_rows_have_float32_logprobs_and_their_own_gradient_dtype() -> None:
    half = rows(dtype=torch.bfloat16)
    full = Rows(half.hidden.float(), half.weight.float(), half.bias.float(), half.targets)
    for trained in (False, True):
        hidden = half.hidden.clone().requires_grad_()
        weight = half.weight.clone().requires_grad_(trained)
        logprobs = ours(replace(half, hidden=hidden, weight=weight))
        assert logprobs.dtype == torch.float32
        torch.testing.assert_close(logprobs, plain_logprobs(full), atol=0.05, rtol=0.01)
        logprobs.sum().backward()  # type: ignore[no-untyped-call]
        assert hidden.grad is not None
        assert hidden.grad.dtype == torch.bfloat16
        reference = full.hidden.clone().requires_grad_()
        plain_logprobs(replace(full, hidden=reference)).sum().backward()  # type: ignore[no-untyped-call]
        assert reference.grad is not None
        torch.testing.assert_close(hidden.grad.float(), reference.grad, atol=0.05, rtol=0.02)


def test_a_float32_head_on_bfloat16_rows_works_in_float32() -> None:
    half = rows(dtype=torch.bfloat16)
    mixed = replace(half, weight=half.weight.float(), bias=half.bias.float())
    full = replace(mixed, hidden=half.hidden.float())
    torch.testing.assert_close(ours(mixed), plain_logprobs(full))


def test_autocast_does_not_reach_the_head() -> None:
    r = rows(dtype=torch.float32)
    r.weight.requires_grad_()
    plain = ours(r)
    (expected,) = torch.autograd.grad(plain.sum(), r.weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = ours(r)
        (gradient,) = torch.autograd.grad(inside.sum(), r.weight)
    assert torch.equal(inside, plain)
    assert torch.equal(gradient, expected)


def test_the_backward_of_a_frozen_head_can_run_twice() -> None:
    r = rows()
    r.hidden.requires_grad_()
    total = ours(r).sum()
    (first,) = torch.autograd.grad(total, r.hidden, retain_graph=True)
    (second,) = torch.autograd.grad(total, r.hidden)
    assert torch.equal(first, second)


def test_a_frozen_head_keeps_nothing_of_vocabulary_size() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(64, 4, generator=generator, requires_grad=True)
    saved: list[int] = []

    def record(tensor: Tensor) -> Tensor:
        saved.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor):
        token_logprobs(
            hidden=hidden,
            weight=torch.randn(1000, 4, generator=generator),
            targets=torch.zeros(64, dtype=torch.long),
        )
    assert saved == [64 * 4]


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_finite_at_extreme_logits(size: float) -> None:
    hidden = torch.tensor([[size]], requires_grad=True)
    weight = torch.tensor([[1.0], [-1.0]], requires_grad=True)
    logprobs = token_logprobs(hidden=hidden, weight=weight, targets=torch.tensor([0]))
    logprobs.sum().backward()  # type: ignore[no-untyped-call]
    assert logprobs.item() == pytest.approx(min(0.0, 2 * size))
    assert hidden.grad is not None
    assert weight.grad is not None
    assert hidden.grad.isfinite().all()
    assert weight.grad.isfinite().all()


def test_no_rows_give_no_logprobs() -> None:
    r = rows(num=0)
    r.hidden.requires_grad_()
    r.weight.requires_grad_()
    ours(r).sum().backward()  # type: ignore[no-untyped-call]
    assert r.weight.grad is not None
    assert (r.weight.grad == 0).all()


def test_shifting_every_logit_changes_nothing() -> None:
    r = rows()
    torch.testing.assert_close(ours(replace(r, bias=r.bias + 100.0)), ours(r))


@pytest.mark.parametrize("shape", SHAPES)
def test_entropy(shape: dict[str, Any]) -> None:
    r = rows()
    logprobs = plain_logits(r, **shape).log_softmax(-1)
    expected = -(logprobs.exp() * logprobs).sum(-1)
    entropy = token_entropy(hidden=r.hidden, weight=r.weight, bias=r.bias, chunk=4, **shape)
    torch.testing.assert_close(entropy, expected)
    flat = token_entropy(hidden=torch.zeros(2, 5), weight=r.weight.float())
    torch.testing.assert_close(flat, torch.full((2,), math.log(13)))


@pytest.mark.parametrize("shape", SHAPES)
def test_exact_kl(shape: dict[str, Any]) -> None:
    policy, reference = rows(seed=1), rows(seed=2)
    p = plain_logits(policy, **shape).log_softmax(-1)
    q = plain_logits(reference, **shape).log_softmax(-1)
    divergence = exact_kl_per_token(
        policy_hidden=policy.hidden,
        policy_weight=policy.weight,
        policy_bias=policy.bias,
        reference_hidden=reference.hidden,
        reference_weight=reference.weight,
        reference_bias=reference.bias,
        chunk=4,
        **shape,
    )
    torch.testing.assert_close(divergence, (p.exp() * (p - q)).sum(-1))
    assert (divergence > 0).all()


def test_kl_of_a_policy_with_itself_is_zero() -> None:
    r = rows(dtype=torch.float32)
    divergence = exact_kl_per_token(
        policy_hidden=r.hidden,
        policy_weight=r.weight,
        reference_hidden=r.hidden,
        reference_weight=r.weight,
    )
    assert (divergence == 0).all()


@pytest.mark.parametrize("wrong", [{"temperature": 0.0}, {"softcap": -1.0}, {"chunk": 0}])
def test_impossible_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        ours(rows(), **wrong)
