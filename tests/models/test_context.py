import pytest
from tests import tiny

from palate.errors import DataError
from palate.models.context import check_context
from palate.models.roles import Roles
from palate.models.sampling import sample


def test_the_longest_prompt_is_named() -> None:
    config = tiny.llama().config  # 128 positions
    prompts = [(5,) * 3, (5,) * 100, (5,) * 90]
    check_context(config, prompts, max_new_tokens=28)
    with pytest.raises(DataError) as caught:
        check_context(config, prompts, max_new_tokens=40, origins=["a:1", "a:2", "a:3"])
    words = str(caught.value)
    assert words.startswith(
        "a:2: the prompt has 100 tokens, which with max_new_tokens 40 go beyond"
    )
    assert "the 128 positions of the model (2 of 3 prompts do); lower max_new_tokens to 28" in words
    with pytest.raises(DataError, match="prompt 1: .*; leave it out"):
        check_context(config, [(5,) * 128], max_new_tokens=1)


def test_sampling_refuses_before_it_draws() -> None:
    roles = Roles(tiny.gpt2(), tiny.tokenizer())
    roles.add_policy_as_is()
    with pytest.raises(DataError, match="prompt 2: the prompt has 120 tokens"):
        sample(roles, "policy", [(5,), (5,) * 120], max_new_tokens=9, end_tokens=(2,), seed=0)


def test_models_without_positions_have_no_limit() -> None:
    check_context(tiny.bloom().config, [(5,) * 5000], max_new_tokens=5000)
