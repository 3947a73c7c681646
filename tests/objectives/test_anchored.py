import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from palate.objectives.anchored import (
    apo_down_loss,
    apo_zero_loss,
    bco_pair_loss,
    nca_pair_loss,
    sppo_hard_loss,
)

Loss = Callable[..., Tensor]
LOSSES: tuple[Loss, ...] = (
    nca_pair_loss,
    bco_pair_loss,
    sppo_hard_loss,
    apo_zero_loss,
    apo_down_loss,
)
LN3 = math.log(3)  # σ(ln 3) = 3/4


@pytest.mark.parametrize(
    ("loss", "at_reference", "apart"),
    [
        (
            nca_pair_loss,
            2 * math.log(2),
            math.log(4 / 3) + 0.5 * math.log(4) + 0.5 * math.log(4 / 3),
        ),
        (bco_pair_loss, 2 * math.log(2), 2 * math.log(4 / 3)),
        (apo_zero_loss, 1.0, 0.25 + 0.25),
        # σ(ln 3) + 1 − σ(2·ln 3), and σ(ln 9) = 9/10
        (apo_down_loss, 1.0, 0.75 + 0.1),
    ],
)
def test_by_hand(loss: Loss, at_reference: float, apart: float) -> None:
    """Policy = reference, then chosen three times as probable and rejected a third, β = 1."""
    found = loss(
        chosen_log_ratio=torch.tensor([0.0, LN3]),
        rejected_log_ratio=torch.tensor([0.0, -LN3]),
        beta=1.0,
    )
    torch.testing.assert_close(found, torch.tensor([at_reference, apart]))


def test_sppo_by_hand() -> None:
    """With β = ½ the targets are ±1."""
    found = sppo_hard_loss(
        chosen_log_ratio=torch.tensor([0.0, 1.0, 3.0]),
        rejected_log_ratio=torch.tensor([0.0, -1.0, 1.0]),
        beta=0.5,
    )
    torch.testing.assert_close(found, torch.tensor([2.0, 0.0, 8.0]))


@pytest.mark.parametrize("loss", LOSSES)
def test_which_way_each_response_is_pushed_from_the_reference(loss: Loss) -> None:
    chosen, rejected = torch.zeros(2, 1, dtype=torch.float64).requires_grad_().unbind(0)
    losses = loss(chosen_log_ratio=chosen, rejected_log_ratio=rejected, beta=0.5)
    up, down = torch.autograd.grad(losses.sum(), (chosen, rejected))
    assert down.item() > 0
    # apo_down: σ' of its first term and of its second cancel at the reference.
    assert up.item() == 0 if loss is apo_down_loss else up.item() < 0


@pytest.mark.parametrize("loss", LOSSES)
@given(seed=st.integers(0, 1000), beta=st.floats(0.05, 3.0))
@settings(max_examples=20, deadline=None)
def test_beta_is_the_unit_of_log_ratios(loss: Loss, seed: int, beta: float) -> None:
    """Halving β and doubling the log-ratios is the same loss (times ¼ where it is squared)."""
    generator = torch.Generator().manual_seed(seed)
    chosen, rejected = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    once = loss(chosen_log_ratio=chosen, rejected_log_ratio=rejected, beta=beta)
    wide = loss(chosen_log_ratio=2 * chosen, rejected_log_ratio=2 * rejected, beta=beta / 2)
    torch.testing.assert_close(wide, 4 * once if loss is sppo_hard_loss else once)


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_swapping_the_labels_mirrors(seed: int) -> None:
    """Losses that treat both labels alike: ℓ(c, r) = ℓ(−r, −c)."""
    generator = torch.Generator().manual_seed(seed)
    c, r = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    for loss in (bco_pair_loss, sppo_hard_loss, apo_zero_loss):
        torch.testing.assert_close(
            loss(chosen_log_ratio=c, rejected_log_ratio=r, beta=0.7),
            loss(chosen_log_ratio=-r, rejected_log_ratio=-c, beta=0.7),
        )


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_and_extremes(loss: Loss) -> None:
    ratios = torch.tensor([[-2.0, 0.3, 4.0], [1.0, -0.2, 0.5]], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda x: loss(chosen_log_ratio=x[0], rejected_log_ratio=x[1], beta=0.7),
        (ratios.requires_grad_(),),
    )
    extreme = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    losses = loss(chosen_log_ratio=extreme[0], rejected_log_ratio=extreme[1], beta=1.0)
    losses.sum().backward()  # type: ignore[no-untyped-call]
    assert losses.isfinite().all()
    assert extreme.grad is not None
    assert extreme.grad.isfinite().all()
