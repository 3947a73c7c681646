import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from palate.objectives.preference import (
    bradley_terry_loss,
    discopop_loss,
    exo_pair_loss,
    hinge_loss,
    implicit_reward,
    ipo_loss,
    log_ratio_margin,
    robust_loss,
)

# Each loss as a function of one margin, with settings of its own that do not degenerate.
LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": lambda m: bradley_terry_loss(margin=m),
    "smoothed": lambda m: bradley_terry_loss(margin=m, label_smoothing=0.2),
    "robust": lambda m: robust_loss(margin=m, label_smoothing=0.2),
    "hinge": lambda m: hinge_loss(margin=m),
    "ipo": lambda m: ipo_loss(log_ratio_margin=m, beta=0.1),
    "exo_pair": lambda m: exo_pair_loss(margin=m, label_smoothing=0.01),
    "discopop": lambda m: discopop_loss(margin=m, tau=0.05),
}

margins = st.lists(st.floats(-50, 50), min_size=1, max_size=6).map(
    lambda values: torch.tensor(values, dtype=torch.float64)
)


def published_margin() -> Tensor:
    return log_ratio_margin(
        policy_chosen=torch.tensor([-0.5, -10.0, -1.0]),
        policy_rejected=torch.tensor([-0.1, -30.0, -21.0]),
        reference_chosen=torch.tensor([-0.5, -10.1, -0.1]),
        reference_rejected=torch.tensor([-0.1, -20.1, -0.1]),
    )


def test_published_numbers_of_torchtune() -> None:
    margin = published_margin()
    torch.testing.assert_close(margin, torch.tensor([0.0, 10.0, 20.0]), atol=1e-5, rtol=0)
    sigmoid = bradley_terry_loss(margin=0.1 * margin)
    expected = torch.tensor([0.693147, 0.313262, 0.126928])
    torch.testing.assert_close(sigmoid, expected, atol=1e-5, rtol=0)
    hinge = hinge_loss(margin=0.1 * margin)
    torch.testing.assert_close(hinge, torch.tensor([1.0, 0.0, 0.0]), atol=1e-5, rtol=0)


def test_losses_by_hand() -> None:
    margin = torch.tensor([0.0, math.log(3)])  # σ(ln 3) = 3/4
    torch.testing.assert_close(
        bradley_terry_loss(margin=margin), torch.tensor([math.log(2), math.log(4 / 3)])
    )
    smoothed = 0.9 * math.log(4 / 3) + 0.1 * math.log(4)
    robust = (0.9 * math.log(4 / 3) - 0.1 * math.log(4)) / 0.8
    torch.testing.assert_close(
        bradley_terry_loss(margin=margin, label_smoothing=0.1),
        torch.tensor([math.log(2), smoothed]),
    )
    torch.testing.assert_close(
        robust_loss(margin=margin, label_smoothing=0.1), torch.tensor([math.log(2), robust])
    )
    torch.testing.assert_close(
        ipo_loss(log_ratio_margin=torch.tensor([0.0, 5.0, 8.0]), beta=0.1),
        torch.tensor([25.0, 0.0, 9.0]),
    )
    torch.testing.assert_close(
        hinge_loss(margin=torch.tensor([-1.0, 0.25, 2.0])), torch.tensor([2.0, 0.75, 0.0])
    )


def test_margin_is_a_difference_of_implicit_rewards() -> None:
    chosen = implicit_reward(
        logprobs=torch.tensor([-1.0]), reference_logprobs=torch.tensor([-3.0]), beta=0.5
    )
    rejected = implicit_reward(
        logprobs=torch.tensor([-4.0]), reference_logprobs=torch.tensor([-2.0]), beta=0.5
    )
    margin = log_ratio_margin(
        policy_chosen=torch.tensor([-1.0]),
        policy_rejected=torch.tensor([-4.0]),
        reference_chosen=torch.tensor([-3.0]),
        reference_rejected=torch.tensor([-2.0]),
    )
    assert chosen.item() == 1.0
    assert margin.item() == 4.0
    assert (chosen - rejected).item() == 0.5 * margin.item()


@given(seed=st.integers(0, 1000), shift=st.floats(-100, 100))
@settings(max_examples=20, deadline=None)
def test_margin_laws(seed: int, shift: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    pc, pr, rc, rr = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    margin = log_ratio_margin(
        policy_chosen=pc, policy_rejected=pr, reference_chosen=rc, reference_rejected=rr
    )
    swapped = log_ratio_margin(
        policy_chosen=pr, policy_rejected=pc, reference_chosen=rr, reference_rejected=rc
    )
    torch.testing.assert_close(margin, -swapped)
    moved = log_ratio_margin(
        policy_chosen=pc + shift,
        policy_rejected=pr + shift,
        reference_chosen=rc,
        reference_rejected=rr,
    )
    torch.testing.assert_close(margin, moved)
    itself = log_ratio_margin(
        policy_chosen=pc, policy_rejected=pr, reference_chosen=pc, reference_rejected=pr
    )
    assert (itself == 0).all()


@given(margin=margins)
@settings(max_examples=30, deadline=None)
def test_bradley_terry_laws(margin: Tensor) -> None:
    loss, swapped = bradley_terry_loss(margin=margin), bradley_terry_loss(margin=-margin)
    torch.testing.assert_close(swapped - loss, margin)  # log σ(m) − log σ(−m) = m
    torch.testing.assert_close(loss.neg().exp() + swapped.neg().exp(), torch.ones_like(margin))


@given(margin=margins, noise=st.floats(0, 0.4))
@settings(max_examples=30, deadline=None)
def test_robust_loss_is_unbiased_under_swapped_labels(margin: Tensor, noise: float) -> None:
    kept = robust_loss(margin=margin, label_smoothing=noise)
    swapped = robust_loss(margin=-margin, label_smoothing=noise)
    expected = (1 - noise) * kept + noise * swapped
    torch.testing.assert_close(expected, bradley_terry_loss(margin=margin))


def test_smoothed_loss_is_least_at_the_noise_log_odds() -> None:
    margin = torch.tensor([math.log(9)], dtype=torch.float64, requires_grad=True)
    bradley_terry_loss(margin=margin, label_smoothing=0.1).sum().backward()  # type: ignore[no-untyped-call]
    assert margin.grad is not None
    assert abs(margin.grad.item()) < 1e-12


def test_every_loss_pulls_an_undecided_pair_towards_chosen() -> None:
    for name, loss in LOSSES.items():
        if name == "discopop":
            continue
        margin = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        loss(margin).sum().backward()  # type: ignore[no-untyped-call]
        assert margin.grad is not None, name
        assert margin.grad.item() < 0, name


def test_the_bradley_terry_slope_at_zero_is_half_beta() -> None:
    margin = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    bradley_terry_loss(margin=0.3 * margin).sum().backward()  # type: ignore[no-untyped-call]
    assert margin.grad is not None
    assert margin.grad.item() == pytest.approx(-0.15)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_gradients_and_extremes(name: str) -> None:
    margin = torch.tensor([-3.0, -0.5, 0.3, 4.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m: LOSSES[name](0.7 * m), (margin,))
    extreme = torch.tensor([1e4, -1e4], requires_grad=True)
    loss = LOSSES[name](extreme)
    loss.sum().backward()  # type: ignore[no-untyped-call]
    assert loss.isfinite().all()
    assert extreme.grad is not None
    assert extreme.grad.isfinite().all()


def test_exo_by_hand() -> None:
    """σ(ln 3) = 3/4: 3/4·ln((3/4)/0.9) + 1/4·ln((1/4)/0.1)."""
    found = exo_pair_loss(margin=torch.tensor([math.log(3)]), label_smoothing=0.1)
    expected = 0.75 * math.log(0.75 / 0.9) + 0.25 * math.log(0.25 / 0.1)
    assert found.item() == pytest.approx(expected, rel=1e-5)


@given(margin=margins, noise=st.floats(0.01, 0.4))
@settings(max_examples=30, deadline=None)
def test_exo_is_a_divergence_from_the_label(margin: Tensor, noise: float) -> None:
    assert (exo_pair_loss(margin=margin, label_smoothing=noise) >= -1e-12).all()
    rest = torch.tensor([math.log((1 - noise) / noise)], dtype=torch.float64)
    assert exo_pair_loss(margin=rest, label_smoothing=noise).item() == pytest.approx(0, abs=1e-12)


def test_discopop_by_hand() -> None:
    """At ln 3 with τ = 1: s = 3/4, so 1/4·ln(4/3) + 3/4·(1/3)."""
    found = discopop_loss(margin=torch.tensor([0.0, math.log(3)]), tau=1.0)
    expected = [(math.log(2) + 1) / 2, 0.25 * math.log(4 / 3) + 0.25]
    torch.testing.assert_close(found, torch.tensor(expected))


@pytest.mark.parametrize(("tau", "sign"), [(0.05, 1), (0.1, 1), (0.11, -1), (1.0, -1)])
def test_discopop_pushes_an_undecided_pair_the_wrong_way_with_a_narrow_blend(
    tau: float, sign: int
) -> None:
    """Its slope at 0 is (1 − log 2)/(4τ) − 3/4."""
    margin = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    discopop_loss(margin=margin, tau=tau).sum().backward()  # type: ignore[no-untyped-call]
    assert margin.grad is not None
    assert margin.grad.item() == pytest.approx((1 - math.log(2)) / (4 * tau) - 0.75)
    assert sign * margin.grad.item() > 0


def test_discopop_is_logistic_far_below_and_exponential_far_above() -> None:
    margin = torch.tensor([-5.0, 5.0], dtype=torch.float64)
    expected = torch.tensor([math.log1p(math.exp(5)), math.exp(-5)], dtype=torch.float64)
    torch.testing.assert_close(discopop_loss(margin=margin, tau=0.05), expected)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_exo_refuses_a_certain_label(noise: float) -> None:
    with pytest.raises(ValueError, match="divides by it"):
        exo_pair_loss(margin=torch.zeros(1), label_smoothing=noise)


def test_discopop_refuses_a_blend_without_width() -> None:
    with pytest.raises(ValueError, match="tau is 0"):
        discopop_loss(margin=torch.zeros(1), tau=0.0)


@pytest.mark.parametrize("noise", [-0.1, 0.5, 1.0])
def test_impossible_noise_is_refused(noise: float) -> None:
    with pytest.raises(ValueError, match="swapped labels"):
        bradley_terry_loss(margin=torch.zeros(1), label_smoothing=noise)
    with pytest.raises(ValueError, match="swapped labels"):
        robust_loss(margin=torch.zeros(1), label_smoothing=noise)


def test_known_optimum_recovers_the_preference_probability() -> None:
    """With 70 % of labels for A, the Bradley–Terry optimum is the margin log(0.7 / 0.3)."""
    margin = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([margin], tolerance_grad=1e-10, tolerance_change=0.0)

    def objective() -> float:
        optimizer.zero_grad()
        loss = 0.7 * bradley_terry_loss(margin=margin) + 0.3 * bradley_terry_loss(margin=-margin)
        loss.sum().backward()  # type: ignore[no-untyped-call]
        return loss.sum().item()

    optimizer.step(objective)  # type: ignore[no-untyped-call]
    assert margin.item() == pytest.approx(math.log(0.7 / 0.3), abs=1e-5)
