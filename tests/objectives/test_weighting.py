import math

import pytest
import torch
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from palate.objectives.likelihood import log_collision, token_logprobs
from palate.objectives.weighting import length_desensitized, wpo_weights


def test_the_tail_counts_alpha_times() -> None:
    """Three tokens of −1, −2, −4 beside a response of one: −1 + α·(−6)."""
    for alpha, expected in ((0.0, -1.0), (0.5, -4.0), (1.0, -7.0)):
        found = length_desensitized(
            logprobs=torch.tensor([-7.0]), tail_logprobs=torch.tensor([-6.0]), alpha=alpha
        )
        assert found.item() == expected


def test_alpha_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"alpha is 1.5"):
        length_desensitized(logprobs=torch.zeros(1), tail_logprobs=torch.zeros(1), alpha=1.5)


def test_weights_by_hand() -> None:
    """Means −1 and +½: e^−½, and no gradient."""
    found = wpo_weights(
        chosen_aligned=torch.tensor([-2.0], requires_grad=True),
        rejected_aligned=torch.tensor([2.0]),
        chosen_lengths=torch.tensor([2]),
        rejected_lengths=torch.tensor([4]),
    )
    assert found.item() == pytest.approx(math.exp(-0.5))
    assert not found.requires_grad


@given(seed=st.integers(0, 1000))
@budget(max_examples=20, deadline=None)
def test_collisions_are_those_of_the_softmax(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    weight = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    slow = (hidden @ weight.t()).softmax(1).square().sum(1).log()
    torch.testing.assert_close(log_collision(hidden=hidden, weight=weight, chunk=2), slow)


def test_a_sample_weighs_one_on_average() -> None:
    """Σ p·p/Σp² = 1: the mean weight of a one-token sample of any distribution."""
    hidden = torch.tensor([[1.0, -0.5]], dtype=torch.float64)
    weight = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-1.0, 1.0]], dtype=torch.float64)
    every = torch.stack(
        [token_logprobs(hidden=hidden, weight=weight, targets=torch.tensor([v])) for v in range(3)]
    )[:, 0]
    aligned = every - log_collision(hidden=hidden, weight=weight)
    assert (every.exp() * aligned.exp()).sum().item() == pytest.approx(1.0)


def test_uniform_logits_collide_once_in_the_vocabulary() -> None:
    found = log_collision(hidden=torch.zeros(2, 3), weight=torch.ones(7, 3))
    torch.testing.assert_close(found, torch.full((2,), -math.log(7)))
