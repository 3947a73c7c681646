import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Bool, Float
from torch import Tensor

from palate.objectives.masked import masked_mean, masked_sum, masked_var, masked_whiten

VALUES = torch.tensor([[1.0, 2.0, torch.nan], [6.0, torch.inf, -torch.inf]])
MASK = torch.tensor([[True, True, False], [True, False, False]])


def test_hand_worked() -> None:
    assert masked_sum(VALUES, MASK).item() == 9.0
    assert masked_mean(VALUES, MASK).item() == 3.0
    assert masked_var(VALUES, MASK).item() == pytest.approx((4 + 1 + 9) / 3)


def test_whitening_by_hand() -> None:
    deviation = (14 / 3) ** 0.5
    expected = torch.tensor([[-2.0, -1.0, 0.0], [3.0, 0.0, 0.0]]) / deviation
    torch.testing.assert_close(masked_whiten(VALUES, MASK), expected)
    torch.testing.assert_close(
        masked_whiten(VALUES, MASK, shift_mean=False), torch.where(MASK, expected + 3, 0.0)
    )


def test_one_value_whitens_to_zero() -> None:
    assert masked_whiten(torch.tensor([5.0]), torch.tensor([True])).item() == 0.0


@pytest.mark.parametrize("poison", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("statistic", [masked_sum, masked_mean, masked_var, masked_whiten])
def test_under_the_mask_nothing_matters(statistic: object, poison: float) -> None:
    assert callable(statistic)
    generator = torch.Generator().manual_seed(0)
    clean = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    mask = torch.rand(4, 5, generator=generator) < 0.5
    dirty = torch.where(mask, clean, poison).requires_grad_()
    clean.requires_grad_()
    ours, theirs = statistic(dirty, mask), statistic(clean, mask)
    torch.testing.assert_close(ours, theirs)
    weights = torch.randn(theirs.shape, generator=generator, dtype=torch.float64)
    (ours * weights).sum().backward()
    (theirs * weights).sum().backward()
    assert dirty.grad is not None
    torch.testing.assert_close(dirty.grad, clean.grad)
    assert (dirty.grad[~mask] == 0).all()


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_masking_is_slicing(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    values: Float[Tensor, " n"] = torch.randn(12, generator=generator, dtype=torch.float64)
    mask: Bool[Tensor, " n"] = torch.rand(12, generator=generator) < 0.6
    mask[seed % 12] = True
    kept = values[mask]
    torch.testing.assert_close(masked_sum(values, mask), kept.sum())
    torch.testing.assert_close(masked_mean(values, mask), kept.mean())
    torch.testing.assert_close(masked_var(values, mask), kept.var(correction=0))
    everything = torch.ones_like(kept, dtype=torch.bool)
    torch.testing.assert_close(masked_whiten(values, mask)[mask], masked_whiten(kept, everything))
    shifted = masked_whiten(values + 7.0, mask)
    torch.testing.assert_close(shifted, masked_whiten(values, mask))
    order = torch.randperm(12, generator=generator)
    torch.testing.assert_close(masked_mean(values[order], mask[order]), masked_mean(values, mask))


def test_half_precision_is_summed_in_float32() -> None:
    values = torch.full((3000,), 1.0, dtype=torch.bfloat16)
    total = masked_sum(values, torch.ones(3000, dtype=torch.bool))
    assert total.dtype == torch.float32
    assert total.item() == 3000.0


def test_empty_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="False everywhere"):
        masked_mean(torch.ones(2, 3), torch.zeros(2, 3, dtype=torch.bool))
