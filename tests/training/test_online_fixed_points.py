"""Every online method reaches the fixed point of its own population objective (the cases' file)."""

import pytest
import torch
from tests.training.online_cases import CASES, QUICK, TOKENS, OnlineCase, reach
from tests.training.online_points import Policy, group_advantages, table_of
from tests.training.test_known_optimum import make_world


def test_a_table_is_every_distribution_over_the_strings() -> None:
    world = make_world()
    for row in world.logprobs("reference"):
        table = Policy(table_of(row, TOKENS), TOKENS)
        torch.testing.assert_close(table.logprobs, row)


def test_mean_group_advantages_are_those_of_many_groups() -> None:
    probs = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    rewards = torch.tensor([1.0, 0.0, -2.0], dtype=torch.float64)
    draws = torch.multinomial(
        probs.expand(100_000, -1), 4, replacement=True,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    groups = rewards[draws]
    lead = (groups - groups.mean(1, keepdim=True)) / (groups.std(1, keepdim=True) + 1e-4)
    found = group_advantages(rewards, size=4, scale="group")(probs)
    for string in range(3):
        assert float(lead[draws == string].mean()) == pytest.approx(float(found[string]), abs=0.01)


def test_rloo_reaches_the_optimum_small() -> None:
    found = reach(QUICK)
    assert found.start > 0.1
    assert found.own_to_optimum == 0
    assert found.to_own < QUICK.bound


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_method_reaches_its_own_fixed_point(case: OnlineCase) -> None:
    found = reach(case)
    print(f"{case}: {found}")
    assert found.start > 0.1
    assert found.to_own < case.bound
