from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from palate.objectives.divergence import kl_k2
from palate.objectives.returns import Advantages, gae, kl_shaped_rewards, response_gae


@pytest.mark.parametrize(
    ("lam", "expected"),
    [
        (1.0, [[-1.45118, -4.4557, 2.5396, 0.5249, -0.49], [3.0, 2.0, 1.0, 0.0, -4.9]]),
        (0.7, [[-0.676979, -5.248167, 2.4846, 0.6704, -0.49], [2.2899, 1.73, 1.0, 0.0, -4.9]]),
    ],
)
def test_published_numbers_of_rlax(lam: float, expected: list[list[float]]) -> None:
    estimated = gae(
        rewards=torch.tensor([[0.0, 0, 1, 0, -0.5], [0, 0, 0, 0, 1]]),
        values=torch.tensor([[1.0, 4, -3, -2, -1, -1], [-3, -2, -1, 0, 5, -1]]),
        discounts=torch.tensor([[0.99] * 5, [0.9, 0.9, 0.9, 0.0, 0.9]]),
        lam=lam,
    )
    torch.testing.assert_close(estimated.advantages, torch.tensor(expected), atol=1e-3, rtol=0)


def test_published_returns_of_torchtune() -> None:
    line = torch.tensor([[0.0, 0.0, 0.0, 1.0]])
    estimated = response_gae(
        rewards=line,
        values=line,
        response_mask=torch.ones(1, 4, dtype=torch.bool),
        gamma=0.9,
        lam=0.95,
    )
    torch.testing.assert_close(estimated.returns, torch.tensor([[0.6579225, 0.7695, 0.9, 1.0]]))


def slow_advantages(rewards: Tensor, values: Tensor, gamma: float, lam: float) -> Tensor:
    """One unpadded response, straight from the definition: Σ_l (γλ)^l · error_{t+l}."""
    length = len(rewards)
    following = torch.cat([values[1:], torch.zeros(1, dtype=values.dtype)])
    errors = rewards + gamma * following - values
    return torch.stack(
        [
            sum(
                ((gamma * lam) ** (later - step) * errors[later] for later in range(step, length)),
                start=torch.zeros((), dtype=values.dtype),
            )
            for step in range(length)
        ]
    )


def estimate(seed: int, lengths: list[int], width: int) -> tuple[Advantages, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rewards = torch.randn(len(lengths), width, generator=generator, dtype=torch.float64)
    values = torch.randn(len(lengths), width, generator=generator, dtype=torch.float64)
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    estimated = response_gae(
        rewards=torch.where(mask, rewards, torch.nan),
        values=torch.where(mask, values, torch.inf),
        response_mask=mask,
        gamma=0.97,
        lam=0.9,
    )
    return estimated, rewards, values


@given(seed=st.integers(0, 1000), lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4))
@settings(max_examples=20, deadline=None)
def test_padding_is_slicing_and_a_slow_loop_agrees(seed: int, lengths: list[int]) -> None:
    estimated, rewards, values = estimate(seed, lengths, width=6)
    for row, length in enumerate(lengths):
        expected = slow_advantages(rewards[row, :length], values[row, :length], 0.97, 0.9)
        torch.testing.assert_close(estimated.advantages[row, :length], expected)
        torch.testing.assert_close(estimated.returns[row, :length], expected + values[row, :length])
        assert (estimated.advantages[row, length:] == 0).all()
        assert (estimated.returns[row, length:] == 0).all()


def test_lambda_one_gives_the_discounted_sum_of_rewards() -> None:
    estimated = response_gae(
        rewards=torch.tensor([[1.0, 2.0, 4.0]]),
        values=torch.tensor([[9.0, -3.0, 5.0]]),
        response_mask=torch.ones(1, 3, dtype=torch.bool),
        gamma=0.5,
        lam=1.0,
    )
    torch.testing.assert_close(estimated.returns, torch.tensor([[3.0, 4.0, 4.0]]))


def test_perfect_values_leave_no_advantage() -> None:
    rewards = torch.tensor([[1.0, -2.0, 4.0]])
    values = torch.tensor([[3.0, 2.0, 4.0]])  # sums of what is still to come
    estimated = response_gae(
        rewards=rewards,
        values=values,
        response_mask=torch.ones(1, 3, dtype=torch.bool),
        gamma=1.0,
        lam=0.8,
    )
    torch.testing.assert_close(estimated.advantages, torch.zeros(1, 3))


def test_gradient_and_extremes() -> None:
    generator = torch.Generator().manual_seed(0)
    rewards = torch.randn(2, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    values = torch.randn(2, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    discounts = torch.full((2, 4), 0.9, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda r, v: gae(rewards=r, values=v, discounts=discounts, lam=0.8).advantages,
        (rewards, values),
    )
    large = gae(
        rewards=torch.full((1, 3), 1e4),
        values=torch.full((1, 4), -1e4),
        discounts=torch.ones(1, 3),
        lam=1.0,
    )
    assert large.advantages.isfinite().all()


def shaped(
    *, penalty: float | None = None, stopped: tuple[bool, ...] = (True, False, True)
) -> Tensor:
    """A padded, a full-length and a one-token response; what is under the mask is NaN."""
    nan = torch.nan
    return kl_shaped_rewards(
        scores=torch.tensor([10.0, 20.0, 30.0]),
        logprobs=torch.tensor([[-1.0, -2.0, nan], [-1.0, -1.0, -1.0], [-3.0, nan, nan]]),
        reference_logprobs=torch.tensor([[-2.0, -1.0, nan], [-1.0, -3.0, -1.5], [-3.5, nan, nan]]),
        response_mask=torch.tensor([[True, True, False], [True] * 3, [True, False, False]]),
        kl_coef=0.1,
        missing_eos_penalty=penalty,
        stopped=torch.tensor(stopped),
    )


def test_the_score_lies_on_the_last_real_token() -> None:
    expected = [[-0.1, 10.1, 0.0], [0.0, -0.2, 19.95], [29.95, 0.0, 0.0]]
    torch.testing.assert_close(shaped(), torch.tensor(expected))


def test_a_cut_response_pays_the_penalty() -> None:
    difference = shaped(penalty=4.0) - shaped()
    torch.testing.assert_close(
        difference, torch.tensor([[0.0, 0, 0], [0, 0, -4], [0, 0, 0]]), atol=1e-5, rtol=0
    )


def test_permuting_the_batch_permutes_the_rewards() -> None:
    order = torch.tensor([2, 0, 1])
    arguments: dict[str, Any] = {
        "scores": torch.tensor([1.0, 2.0, 3.0]),
        "logprobs": torch.tensor([[-1.0, -2.0], [-3.0, -1.0], [-0.5, -0.1]]),
        "reference_logprobs": torch.tensor([[-2.0, -2.0], [-1.0, -1.0], [-0.5, -0.7]]),
        "response_mask": torch.tensor([[True, True], [True, False], [True, True]]),
        "stopped": torch.tensor([True, False, True]),
    }
    moved = {name: tensor[order] for name, tensor in arguments.items()}
    straight = kl_shaped_rewards(**arguments, kl_coef=0.2, missing_eos_penalty=1.0)
    torch.testing.assert_close(
        kl_shaped_rewards(**moved, kl_coef=0.2, missing_eos_penalty=1.0), straight[order]
    )


def test_an_empty_response_is_refused() -> None:
    with pytest.raises(ValueError, match=r"responses \[1\] have no token"):
        kl_shaped_rewards(
            scores=torch.zeros(2),
            logprobs=torch.zeros(2, 2),
            reference_logprobs=torch.zeros(2, 2),
            response_mask=torch.tensor([[True, False], [False, False]]),
            kl_coef=0.1,
            missing_eos_penalty=None,
            stopped=torch.tensor([True, True]),
        )


def test_the_penalty_can_be_another_estimator() -> None:
    logprobs, reference = torch.tensor([[-1.0, -2.0]]), torch.tensor([[-1.5, -1.0]])
    shaped = kl_shaped_rewards(
        scores=torch.tensor([3.0]), logprobs=logprobs, reference_logprobs=reference,
        response_mask=torch.ones(1, 2, dtype=torch.bool), kl_coef=0.1, missing_eos_penalty=None,
        stopped=torch.tensor([True]), estimator=kl_k2,
    )  # fmt: skip
    # d is 0.5, then -1: k2 is 0.125, then 0.5.
    torch.testing.assert_close(shaped, torch.tensor([[-0.0125, 3.0 - 0.05]]))
