import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from palate.objectives.preference import bradley_terry_loss
from palate.objectives.reference_free import cpo_loss, log_odds, orpo_loss, sft_loss, simpo_loss


def test_the_mean_of_the_sft_loss_is_nats_a_token() -> None:
    """Six nats on two tokens and three on four: 9 / 6 a token, whatever the rows."""
    found = sft_loss(logprobs=torch.tensor([-6.0, -3.0]), mean_length=3.0)
    torch.testing.assert_close(found, torch.tensor([2.0, 1.0]))
    assert found.mean().item() == 1.5


def test_by_hand() -> None:
    """σ(ln 3) = 3/4."""
    chosen, rejected = torch.tensor([-1.0]), torch.tensor([-1.0 - math.log(3)])
    cpo = cpo_loss(chosen_logprobs=chosen, rejected_logprobs=rejected, beta=1.0)
    assert cpo.item() == pytest.approx(math.log(4 / 3), rel=1e-6)
    simpo = simpo_loss(
        chosen_mean_logprobs=chosen, rejected_mean_logprobs=rejected, beta=2.0, gamma=math.log(3)
    )
    assert simpo.item() == pytest.approx(math.log(4 / 3), rel=1e-6)
    # p = 3/4 has odds 3, p = 1/2 has odds 1.
    orpo = orpo_loss(
        chosen_mean_logprobs=torch.tensor([math.log(0.75)]),
        rejected_mean_logprobs=torch.tensor([math.log(0.5)]),
        beta=0.5,
    )
    assert orpo.item() == pytest.approx(0.5 * math.log(4 / 3), rel=1e-6)


@given(seed=st.integers(0, 1000), gamma=st.floats(0, 3))
@settings(max_examples=20, deadline=None)
def test_simpo_is_bradley_terry_with_a_target(seed: int, gamma: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    c, r = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    found = simpo_loss(chosen_mean_logprobs=c, rejected_mean_logprobs=r, beta=2.0, gamma=gamma)
    torch.testing.assert_close(found, bradley_terry_loss(margin=2 * (c - r) - gamma))
    none = simpo_loss(chosen_mean_logprobs=c, rejected_mean_logprobs=r, beta=2.0, gamma=0.0)
    torch.testing.assert_close(none, cpo_loss(chosen_logprobs=c, rejected_logprobs=r, beta=2.0))


@given(p=st.floats(0.01, 0.99))
@settings(max_examples=20, deadline=None)
def test_odds_of_a_complement_are_inverse(p: float) -> None:
    both = log_odds(torch.tensor([math.log(p), math.log1p(-p)], dtype=torch.float64))
    assert both.sum().item() == pytest.approx(0, abs=1e-9)


def test_gradients_and_extremes() -> None:
    given_ = torch.tensor([[-2.0, -0.3, -4.0], [-1.0, -0.2, -0.5]], dtype=torch.float64)

    def every(x: Tensor) -> tuple[Tensor, ...]:
        return (
            cpo_loss(chosen_logprobs=x[0], rejected_logprobs=x[1], beta=0.7, label_smoothing=0.1),
            simpo_loss(chosen_mean_logprobs=x[0], rejected_mean_logprobs=x[1], beta=0.7, gamma=0.5),
            orpo_loss(chosen_mean_logprobs=x[0], rejected_mean_logprobs=x[1], beta=0.7),
            sft_loss(logprobs=x[0], mean_length=2.0),
        )

    assert torch.autograd.gradcheck(every, (given_.requires_grad_(),))
    extreme = torch.tensor([[-1e4, 0.0], [0.0, -1e4]], requires_grad=True)
    losses = torch.stack(every(extreme))
    losses.sum().backward()  # type: ignore[no-untyped-call]
    assert losses.isfinite().all()
    assert extreme.grad is not None
    assert extreme.grad.isfinite().all()
