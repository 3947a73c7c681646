import numpy as np
import pytest

from palate.errors import DataError
from palate.experiments.world.grammar import (
    HELDOUT_SHARE,
    draw_request,
    read_prompt,
    split_of,
    write_prompt,
)
from palate.experiments.world.phrases import KINDS


def test_reading_a_prompt_gives_back_the_request() -> None:
    generator = np.random.default_rng(0)
    requests = [draw_request(generator) for _ in range(500)]
    assert [read_prompt(write_prompt(request)) for request in requests] == requests
    assert {request.kind.name for request in requests} == {kind.name for kind in KINDS}


def test_claims_are_false() -> None:
    generator = np.random.default_rng(1)
    requests = [draw_request(generator) for _ in range(500)]
    claims = [request for request in requests if request.claim is not None]
    assert len(claims) > 100
    assert all(request.claim != request.value for request in claims)


def test_prompts_are_many() -> None:
    generator = np.random.default_rng(2)
    texts = {write_prompt(draw_request(generator)) for _ in range(3000)}
    assert len(texts) > 2700


def test_the_split_keeps_its_share() -> None:
    generator = np.random.default_rng(3)
    texts = [write_prompt(draw_request(generator)) for _ in range(3000)]
    heldout = sum(split_of(text) == "heldout" for text in texts) / len(texts)
    # Three standard errors of a share of 0.1 in 3,000 draws.
    assert heldout == pytest.approx(HELDOUT_SHARE, abs=0.017)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Where is my order 41?",
        "Fact: order 41 ships on Monday.\nCustomer: Where is my order 42?\nReply:",
        "Fact: order 41 ships on Monday.\nStyle: poem.\nCustomer: Where is my order 41?\nReply:",
        "Fact: order 41 ships on Monday.\nCustomer: Where is my order 41?\nReply: Here.",
    ],
)
def test_foreign_prompts_are_refused(text: str) -> None:
    with pytest.raises(DataError, match="not a prompt of the embedded world"):
        read_prompt(text)
