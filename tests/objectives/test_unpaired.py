import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from palate.objectives.anchored import apo_zero_loss, bco_pair_loss
from palate.objectives.unpaired import (
    apo_zero_unpaired_loss,
    bco_loss,
    kto_loss,
    mismatched_kl,
    reward_shift,
)

LABELS = torch.tensor([True, False])
LN3 = math.log(3)  # σ(ln 3) = 3/4


def test_by_hand() -> None:
    """Both responses lie ln 3 above the point of reference: good for one, bad for the other."""
    ratio, here = torch.tensor([LN3 + 1, LN3 + 1]), torch.tensor(1.0)
    kto = kto_loss(log_ratio=ratio, desirable=LABELS, kl=here, beta=1.0, desirable_weight=2.0)
    torch.testing.assert_close(kto, torch.tensor([2 * 0.25, 0.75]))
    bco = bco_loss(log_ratio=ratio, desirable=LABELS, shift=here, beta=1.0, undesirable_weight=3.0)
    torch.testing.assert_close(bco, torch.tensor([math.log(4 / 3), 3 * math.log(4)]))


def test_the_point_of_reference_is_a_mean_and_never_below_0() -> None:
    assert mismatched_kl(log_ratio=torch.tensor([1.0, 2.0])).item() == 1.5
    assert mismatched_kl(log_ratio=torch.tensor([1.0, -2.0])).item() == 0.0
    moving = torch.tensor([1.0], requires_grad=True)
    assert not mismatched_kl(log_ratio=moving).requires_grad


def test_the_threshold_lies_between_the_labels() -> None:
    rewards, labels = torch.tensor([4.0, 2.0, -1.0]), torch.tensor([True, True, False])
    assert reward_shift(rewards=rewards, desirable=labels).item() == 1.0
    assert reward_shift(rewards=rewards, desirable=torch.ones(3).bool()).item() == pytest.approx(
        5 / 3
    )


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_a_pair_is_two_labelled_responses(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    c, r = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    both, labels = torch.cat([c, r]), torch.tensor([True] * 4 + [False] * 4)
    apo = apo_zero_unpaired_loss(log_ratio=both, desirable=labels, beta=0.7).view(2, 4).sum(0)
    torch.testing.assert_close(
        apo, apo_zero_loss(chosen_log_ratio=c, rejected_log_ratio=r, beta=0.7)
    )
    none = torch.zeros((), dtype=torch.float64)
    bco = bco_loss(log_ratio=both, desirable=labels, shift=none, beta=0.7).view(2, 4).sum(0)
    torch.testing.assert_close(
        bco, bco_pair_loss(chosen_log_ratio=c, rejected_log_ratio=r, beta=0.7)
    )


@given(seed=st.integers(0, 1000), shift=st.floats(0, 5))
@settings(max_examples=20, deadline=None)
def test_only_what_lies_beyond_the_drift_counts(seed: int, shift: float) -> None:
    ratio = torch.randn(2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    kl = torch.tensor(0.5, dtype=torch.float64)
    torch.testing.assert_close(
        kto_loss(log_ratio=ratio + shift, desirable=LABELS, kl=kl + shift, beta=0.3),
        kto_loss(log_ratio=ratio, desirable=LABELS, kl=kl, beta=0.3),
    )


def test_gradients_and_extremes() -> None:
    def every(ratio: Tensor) -> tuple[Tensor, Tensor]:
        point = ratio.new_tensor(0.2)
        return (
            kto_loss(log_ratio=ratio, desirable=LABELS, kl=point, beta=0.7),
            bco_loss(log_ratio=ratio, desirable=LABELS, shift=point, beta=0.7),
        )

    ratio = torch.tensor([-2.0, 0.3], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(every, (ratio,))
    extreme = torch.tensor([-1e4, 1e4], requires_grad=True)
    losses = torch.stack(every(extreme))
    losses.sum().backward()  # type: ignore[no-untyped-call]
    assert losses.isfinite().all()
    assert extreme.grad is not None
    assert extreme.grad.isfinite().all()
