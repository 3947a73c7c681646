"""The cache of reference log-probabilities: same numbers, any order, no random number drawn."""

import pytest
import torch
from tests import tiny

from palate.data.trees import plant
from palate.models.reference import ReferenceCache
from palate.models.roles import Roles
from palate.models.scoring import response_logprobs

TREES = tiny.trees(6, responses=(2, 1, 3, 2, 2, 1))
DEVICE = torch.device("cpu")


@pytest.fixture(scope="module")
def roles() -> Roles:
    """A policy away from its reference."""
    found = tiny.roles_of(tiny.llama(), "policy", "reference", dropout=0.3)
    tiny.nudge(found, "policy")
    return found


def test_cached_is_online(roles: Roles) -> None:
    cache = ReferenceCache()
    cache.fill(roles, TREES)
    with torch.no_grad():
        online = response_logprobs(roles, "reference", plant(TREES))
    assert torch.equal(cache.lookup(TREES, device=DEVICE), online)
    assert len(cache) == len(TREES)


def test_order_and_grouping_do_not_matter(roles: Roles) -> None:
    whole, small = ReferenceCache(), ReferenceCache(max_tokens=1)
    whole.fill(roles, TREES)
    small.fill(roles, TREES[::-1])
    for some in (TREES, TREES[::-1], TREES[2:4]):
        torch.testing.assert_close(
            small.lookup(some, device=DEVICE), whole.lookup(some, device=DEVICE), rtol=0, atol=1e-5
        )


def test_only_what_is_missing_is_computed(roles: Roles) -> None:
    cache = ReferenceCache()
    cache.fill(roles, TREES[:4])
    roles.meter.reset()
    cache.fill(roles, [*TREES, TREES[5]])
    assert roles.meter.tokens["score"] == TREES[4].num_tokens + TREES[5].num_tokens
    assert roles.meter.tokens["train"] == 0
    cache.fill(roles, TREES)
    assert roles.meter.tokens["score"] == TREES[4].num_tokens + TREES[5].num_tokens


def test_filling_draws_no_random_number_and_builds_no_graph(roles: Roles) -> None:
    before = torch.get_rng_state()
    cache = ReferenceCache()
    cache.fill(roles, TREES)
    assert torch.equal(torch.get_rng_state(), before)
    assert not cache.lookup(TREES, device=DEVICE).requires_grad


def test_a_row_that_was_never_filled_is_an_error(roles: Roles) -> None:
    with pytest.raises(KeyError):
        ReferenceCache().lookup(TREES, device=DEVICE)
