"""The cache of reference log-probabilities: same numbers, any order, no random number drawn."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from tests import tiny

from palate.data.trees import plant
from palate.models.moving import add_moving_reference, frozen_twin, mix_reference
from palate.models.reference import ReferenceCache
from palate.models.roles import Roles
from palate.models.scoring import response_logprobs, token_logprobs_of

TREES = tiny.trees(6, responses=(2, 1, 3, 2, 2, 1))


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
    assert torch.equal(cache.lookup(roles, TREES), online)
    assert len(cache) == len(TREES)


def test_order_and_grouping_do_not_matter(roles: Roles) -> None:
    whole, small = ReferenceCache(), ReferenceCache(max_tokens=1)
    whole.fill(roles, TREES)
    small.fill(roles, TREES[::-1])
    for some in (TREES, TREES[::-1], TREES[2:4]):
        torch.testing.assert_close(
            small.lookup(roles, some), whole.lookup(roles, some), rtol=0, atol=1e-5
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
    assert not cache.lookup(roles, TREES).requires_grad


def test_a_row_that_was_never_filled_is_an_error(roles: Roles) -> None:
    with pytest.raises(KeyError):
        ReferenceCache().lookup(roles, TREES)


def _references(folder: Path) -> dict[str, Roles]:
    """Roles of five references, each another function; the policy is never the matter."""
    bare = tiny.roles_of(tiny.llama(), "policy", "reference")
    other = tiny.roles_of(tiny.llama(seed=4), "policy", "reference")
    explicit = tiny.roles_of(tiny.llama(), "policy")
    explicit.add_reference(tiny.llama(seed=5))
    sft = tiny.roles_of(tiny.llama(), "policy")
    tiny.nudge(sft, "policy")
    sft.save("policy", folder / "sft")
    config = json.loads((folder / "sft" / "adapter_config.json").read_text())
    shutil.copytree(folder / "sft", folder / "louder")
    louder = json.dumps(config | {"lora_alpha": 2 * config["lora_alpha"]})
    (folder / "louder" / "adapter_config.json").write_text(louder)
    adapted = {}
    for name in ("sft", "louder"):
        adapted[name] = Roles(tiny.llama(), tiny.tokenizer())
        adapted[name].add_policy(adapter=folder / name)
    return {"bare": bare, "other": other, "explicit": explicit, **adapted}


def test_one_cache_never_gives_a_reference_the_numbers_of_another(tmp_path: Path) -> None:
    cache = ReferenceCache()
    references = _references(tmp_path)
    for roles in references.values():
        cache.fill(roles, TREES)
    found = {}
    for name, roles in references.items():
        with torch.no_grad():
            online = response_logprobs(roles, "reference", plant(TREES))
        found[name] = cache.lookup(roles, TREES)
        assert torch.equal(found[name], online), name
    assert len({tuple(numbers.tolist()) for numbers in found.values()}) == len(references) == 5
    # A reference that was never filled in is no other one.
    stranger = tiny.roles_of(tiny.llama(seed=6), "policy", "reference")
    with pytest.raises(KeyError):
        cache.lookup(stranger, TREES)


def test_the_same_reference_by_another_way_is_computed_once(tmp_path: Path) -> None:
    """Under another adapter name, beside other adapters, or as a copy of all weights."""
    cache = ReferenceCache()
    references = _references(tmp_path)
    for name in ("bare", "sft"):
        cache.fill(references[name], TREES)
    again = Roles(tiny.llama(), tiny.tokenizer())
    again.add_start_reference(adapter=tmp_path / "sft")
    beside = tiny.roles_of(tiny.llama(), "reward", "policy", "reference", seed=3)
    copied = Roles(tiny.llama(), tiny.tokenizer())
    copied.add_policy()
    copied.add_reference()
    for roles in (again, beside, copied):
        cache.fill(roles, TREES)
        assert roles.meter.tokens["score"] == 0
    assert torch.equal(cache.lookup(copied, TREES), cache.lookup(references["bare"], TREES))


def test_a_reference_that_has_moved_is_never_given_its_old_numbers() -> None:
    roles = Roles(tiny.llama(), tiny.tokenizer())
    twin = frozen_twin(roles)
    roles.add_policy(tiny.lora())
    add_moving_reference(roles, twin)
    cache = ReferenceCache()
    cache.fill(roles, TREES)
    before = cache.lookup(roles, TREES)
    tiny.nudge(roles, "policy")
    assert torch.equal(cache.lookup(roles, TREES), before)
    mix_reference(roles, alpha=0.5)
    with pytest.raises(KeyError):
        cache.lookup(roles, TREES)
    cache.fill(roles, TREES)
    with torch.no_grad():
        online = response_logprobs(roles, "reference", plant(TREES))
    assert torch.equal(cache.lookup(roles, TREES), online)
    assert not torch.allclose(online, before, atol=1e-2)


def test_tokens_beyond_the_shorter_response_are_weighed_for_each_reference() -> None:
    cache, forest = ReferenceCache(), plant(TREES)
    for seed in (3, 4):
        roles = tiny.roles_of(tiny.llama(seed=seed), "policy", "reference")
        cache.fill(roles, TREES)
        with torch.no_grad():
            tokens = token_logprobs_of(roles, "reference", forest)
        expected = forest.sums(tokens) - 0.7 * forest.sums(tokens * forest.tails)
        found = cache.lookup(roles, TREES, ld_alpha=0.3)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
        assert not torch.allclose(found, cache.lookup(roles, TREES), atol=1e-2)
    assert len(cache) == 2 * len(TREES)
