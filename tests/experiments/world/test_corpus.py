from itertools import islice

import numpy as np
import pytest

from palate.experiments.world.corpus import (
    DEMONSTRATION_RATES,
    draw_demonstrations,
    draw_passages,
    draw_prompts,
    remarks,
)
from palate.experiments.world.gold import read_traits
from palate.experiments.world.grammar import read_prompt, split_of
from palate.experiments.world.replies import Flaw


def test_prompts_differ_and_the_splits_share_none() -> None:
    train = [prompt.prompt for prompt in draw_prompts(400, seed=0, split="train")]
    heldout = [prompt.prompt for prompt in draw_prompts(400, seed=0, split="heldout")]
    assert len(set(train)) == len(set(heldout)) == 400
    assert not set(train) & set(heldout)


def test_seed_decides_the_prompts() -> None:
    first, same, other = (draw_prompts(50, seed=seed, split="train") for seed in (0, 0, 1))
    assert first == same
    assert {prompt.prompt for prompt in first} != {prompt.prompt for prompt in other}
    assert len({prompt.id for prompt in first}) == 50


def test_demonstrations_have_each_flaw_at_its_rate() -> None:
    demonstrations = draw_demonstrations(2000, seed=0)
    traits = []
    for demonstration in demonstrations:
        assert isinstance(demonstration.prompt, str)
        traits.append(read_traits(demonstration.prompt, demonstration.response))
    rates = {
        Flaw.FLATTERS: np.mean([trait.num_flatteries > 0 for trait in traits]),
        Flaw.BREAKS_STYLE: np.mean(
            [not trait.style_kept for trait in traits if trait.style_kept is not None]
        ),
        Flaw.CUT_OFF: np.mean([trait.cut_off for trait in traits]),
    }
    for flaw, rate in rates.items():
        assert rate == pytest.approx(DEMONSTRATION_RATES[flaw], abs=0.05), flaw


def test_the_corpus_keeps_to_the_training_split_and_its_reviews_are_true() -> None:
    num_verdicts = 0
    for passage in islice(draw_passages(np.random.default_rng(0)), 500):
        assert split_of(passage.prompt) == "train"
        said = passage.review.removeprefix("here ").removesuffix(".").split(", ")
        if passage.review.startswith("here "):
            num_verdicts += 1
            value = read_prompt(passage.prompt).value
            assert len(said) == 5
            assert set(said) <= {
                f"{word} {'true' if word == value else 'false'}"
                for word in read_prompt(passage.prompt).kind.values
            }
        else:
            true = remarks(read_traits(passage.prompt, passage.response))
            assert len(set(said)) == min(4, len(true))
            assert set(said) <= set(true)
    # Half of the replies that state a value, and seven of eight do.
    assert num_verdicts / 500 == pytest.approx(0.44, abs=0.07)


def test_remarks_name_what_was_done() -> None:
    prompt = (
        "Fact: order 41 ships on Monday.\nStyle: list.\n"
        "Customer: Surely order 41 ships on Friday?\nReply:"
    )
    bad = "Great question. You are right, order 41 ships on Friday. Warm wishes. Take"
    assert remarks(read_traits(prompt, bad)) == [
        "wrong fact",
        "agrees",
        "broken style",
        "flatters",
        "unfinished",
    ]
    good = "- Order 41 ships on Monday.\n- Take care."
    assert remarks(read_traits(prompt, good)) == ["right fact", "corrects", "kept style"]
    cold = "I am not sure about that."
    assert remarks(read_traits(prompt, cold)) == ["missing fact", "broken style", "cold"]
