import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from palate.objectives.groups import (
    best_and_worst,
    group_relative_advantages,
    leave_one_out_advantages,
)

REWARDS = torch.tensor([[1.0, 2.0, 6.0], [4.0, 4.0, 4.0]])
numbers = st.lists(st.floats(-50, 50), min_size=2, max_size=6)


def test_leave_one_out_by_hand() -> None:
    found = leave_one_out_advantages(rewards=REWARDS)
    # 1 − (2 + 6)/2, 2 − (1 + 6)/2, 6 − (1 + 2)/2
    torch.testing.assert_close(found, torch.tensor([[-3.0, -1.5, 4.5], [0.0, 0.0, 0.0]]))


@given(numbers, st.floats(-10, 10))
def test_leave_one_out_is_a_scaled_mean_baseline_and_ignores_a_shift(
    values: list[float], shift: float
) -> None:
    rewards = torch.tensor([values], dtype=torch.float64)
    k = len(values)
    found = leave_one_out_advantages(rewards=rewards)
    torch.testing.assert_close(found, (rewards - rewards.mean()) * k / (k - 1))
    torch.testing.assert_close(leave_one_out_advantages(rewards=rewards + shift), found)


def test_group_relative_by_hand() -> None:
    centered = torch.tensor([[-2.0, -1.0, 3.0], [0.0, 0.0, 0.0]])
    group = group_relative_advantages(rewards=REWARDS, scale="group")
    # variance (4 + 1 + 9)/2 = 7
    torch.testing.assert_close(group, centered / torch.tensor([[7**0.5 + 1e-4], [1e-4]]))
    assert torch.equal(group_relative_advantages(rewards=REWARDS, scale="none"), centered)
    # all six: mean 3.5, squares 6.25 + 2.25 + 6.25 + 3·0.25 = 15.5, over 5
    batch = group_relative_advantages(rewards=REWARDS, scale="batch")
    torch.testing.assert_close(batch, centered / (3.1**0.5 + 1e-4))


def test_a_groups_spread_hides_how_much_its_rewards_differ() -> None:
    near = group_relative_advantages(rewards=REWARDS[:1], scale="group")
    far = group_relative_advantages(rewards=100 * REWARDS[:1], scale="group")
    torch.testing.assert_close(near, far, rtol=1e-4, atol=0)


@pytest.mark.parametrize("single", [torch.tensor([[1.0]]), torch.tensor([[1.0], [2.0]])])
def test_a_single_response_is_refused(single: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="sample at least two"):
        leave_one_out_advantages(rewards=single)
    with pytest.raises(ValueError, match="sample at least two"):
        group_relative_advantages(rewards=single, scale="group")


def test_best_and_worst_take_the_first_of_equal_ones() -> None:
    rewards = torch.tensor([[1.0, 3.0, 3.0, 1.0], [2.0, 2.0, 2.0, 2.0]])
    assert best_and_worst(rewards) == [(1, 0), None]
