import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.objectives.f_divergence import DIVERGENCE_SCORES

# f of the ratio t whose derivative each score is.
GENERATORS = {
    "reverse_kl": lambda t: t * t.log() - t,
    "forward_kl": lambda t: t - t.log(),
    "js_divergence": lambda t: t * t.log() - (t + 1) * ((t + 1) / 2).log(),
    "alpha_divergence": lambda t: (t.pow(0.7) / 0.7 - t) / (0.7 - 1),
}


@pytest.mark.parametrize(
    ("name", "at_two"),
    [
        ("reverse_kl", math.log(2)),
        ("forward_kl", 0.5),
        ("js_divergence", math.log(4 / 3)),
        # α = ½: (2^−½ − 1) / (−½)
        ("alpha_divergence", 2 * (1 - 2**-0.5)),
    ],
)
def test_by_hand(name: str, at_two: float) -> None:
    """At ratio 1 and at ratio 2."""
    found = DIVERGENCE_SCORES[name](torch.tensor([0.0, math.log(2)]), 0.5)
    torch.testing.assert_close(found, torch.tensor([0.0, at_two]))


@pytest.mark.parametrize("name", sorted(DIVERGENCE_SCORES))
def test_the_score_is_the_derivative_of_its_generator(name: str) -> None:
    ratio = torch.tensor([0.2, 0.9, 1.0, 3.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(GENERATORS[name](ratio).sum(), ratio)
    torch.testing.assert_close(DIVERGENCE_SCORES[name](ratio.detach().log(), 0.7), slope)


@pytest.mark.parametrize("name", sorted(DIVERGENCE_SCORES))
@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_scores_rise_with_the_ratio(name: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    log_ratio = 3 * torch.randn(8, generator=generator, dtype=torch.float64).sort().values
    assert (DIVERGENCE_SCORES[name](log_ratio, 0.5).diff() >= 0).all()


def test_alpha_joins_its_neighbours() -> None:
    log_ratio = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64)
    alpha, forward = DIVERGENCE_SCORES["alpha_divergence"], DIVERGENCE_SCORES["forward_kl"]
    torch.testing.assert_close(alpha(log_ratio, 0.0), forward(log_ratio, 0.5))
    torch.testing.assert_close(alpha(log_ratio, 1.0), log_ratio)
    torch.testing.assert_close(alpha(log_ratio, 1.0 + 2e-6), log_ratio, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", sorted(DIVERGENCE_SCORES))
def test_gradients_and_extremes(name: str) -> None:
    log_ratio = torch.tensor([-2.0, 0.3, 4.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda d: DIVERGENCE_SCORES[name](d, 0.5), (log_ratio,))
    extreme = torch.tensor([1e4, -1e4], requires_grad=True)
    scores = DIVERGENCE_SCORES[name](extreme, 0.5)
    scores.sum().backward()  # type: ignore[no-untyped-call]
    assert scores.isfinite().all()
    assert extreme.grad is not None
    assert extreme.grad.isfinite().all()
