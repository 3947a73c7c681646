import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from palate.objectives.preference import bradley_terry_loss
from palate.objectives.transport import aot_loss, aot_unpaired_loss


def test_paired_by_hand() -> None:
    """Sorted policy margins (−1, 2) meet sorted reference margins (−1, 1): leads 0 and 1."""
    found = aot_loss(
        policy_margin=torch.tensor([2.0, -1.0]), reference_margin=torch.tensor([-1.0, 1.0]), beta=1
    )
    expected = [math.log(2), math.log(1 + math.exp(-1))]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_unpaired_by_hand() -> None:
    """Sorted chosen (0, 3) meet sorted rejected (−1, 3): leads 1 and 0; with ε = 0.1."""
    found = aot_unpaired_loss(
        chosen_log_ratio=torch.tensor([3.0, 0.0]),
        rejected_log_ratio=torch.tensor([3.0, -1.0]),
        beta=2.0,
        label_smoothing=0.1,
    )
    first = 0.9 * math.log(1 + math.exp(-2)) + 0.1 * math.log(1 + math.exp(2))
    torch.testing.assert_close(found, torch.tensor([first, math.log(2)]))


def _some(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    one, two = torch.randn(2, 5, generator=generator, dtype=torch.float64)
    return one, two


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    one, two = _some(seed)
    there = aot_unpaired_loss(chosen_log_ratio=one, rejected_log_ratio=two, beta=0.5)
    back = aot_unpaired_loss(chosen_log_ratio=one.flip(0), rejected_log_ratio=two, beta=0.5)
    torch.testing.assert_close(there, back)


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_sorting_is_the_cheapest_coupling(seed: int) -> None:
    """The loss is convex in the lead, so no other coupling of the two samples costs less."""
    one, two = _some(seed)
    sorted_ = aot_loss(policy_margin=one, reference_margin=two, beta=0.5).sum()
    as_given = bradley_terry_loss(margin=0.5 * (one - two)).sum()
    assert sorted_ <= as_given + 1e-12


def test_one_pair_is_dpo() -> None:
    found = aot_loss(
        policy_margin=torch.tensor([1.5]), reference_margin=torch.tensor([0.5]), beta=0.3
    )
    torch.testing.assert_close(found, bradley_terry_loss(margin=torch.tensor([0.3])))


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_gradients_and_extremes(noise: float) -> None:
    given_ = torch.tensor([[-2.0, 0.3, 4.0], [1.0, -0.2, 0.5]], dtype=torch.float64)
    for loss, names in (
        (aot_loss, ("policy_margin", "reference_margin")),
        (aot_unpaired_loss, ("chosen_log_ratio", "rejected_log_ratio")),
    ):

        def of(x: Tensor, loss: object = loss, names: tuple[str, str] = names) -> Tensor:
            pair = dict(zip(names, x, strict=True))
            found: Tensor = loss(**pair, beta=0.7, label_smoothing=noise)  # type: ignore[operator]
            return found

        assert torch.autograd.gradcheck(of, (given_.clone().requires_grad_(),))
        extreme = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
        losses = of(extreme)
        losses.sum().backward()  # type: ignore[no-untyped-call]
        assert losses.isfinite().all()
        assert extreme.grad is not None
        assert extreme.grad.isfinite().all()
