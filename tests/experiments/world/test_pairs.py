import math

import numpy as np
import pytest

from palate.data.records import Preference, Prompt, Turn
from palate.errors import DataError
from palate.experiments.world.pairs import (
    draw_pairs,
    label_ceiling,
    label_statistics,
    preference_probability,
)

PROMPT = Prompt("Fact: order 41 ships on Monday.\nCustomer: Where is my order 41?\nReply:")
RIGHT, FLATTERING, EVASIVE = (
    "Order 41 ships on Monday.",
    "Great question. Order 41 ships on Monday.",
    "I am not sure about that.",
)
"""Gold rewards 0.3, -0.5 and -0.3."""


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_probability_is_bradley_terry_on_gold(temperature: float) -> None:
    assert isinstance(PROMPT.prompt, str)
    probability = preference_probability(PROMPT.prompt, RIGHT, FLATTERING, temperature=temperature)
    assert probability == pytest.approx(1 / (1 + math.exp(-0.8 / temperature)))


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_label_noise_matches_the_temperature(temperature: float) -> None:
    num_draws = 1000
    pairs = draw_pairs(
        [PROMPT] * num_draws,
        [[RIGHT, FLATTERING]] * num_draws,
        temperature=temperature,
        generator=np.random.default_rng(0),
    )
    expected = 1 / (1 + math.exp(-0.8 / temperature))
    share = sum(pair.chosen == RIGHT for pair in pairs) / num_draws
    # Three standard errors of a share of 1,000 draws are at most 0.048.
    assert share == pytest.approx(expected, abs=0.048)
    statistics = label_statistics(pairs, temperature=temperature)
    assert statistics.ceiling == pytest.approx(expected)
    assert statistics.agreement == pytest.approx(share)


def test_ceiling_is_the_mean_of_the_likelier_label() -> None:
    assert isinstance(PROMPT.prompt, str)
    pairs = [
        Preference(PROMPT.prompt, RIGHT, EVASIVE),
        Preference(PROMPT.prompt, EVASIVE, RIGHT),
        Preference(PROMPT.prompt, RIGHT, "Your order 41 leaves us on Monday."),
    ]
    sure = 1 / (1 + math.exp(-0.6 / 1.0))
    assert label_ceiling(pairs, temperature=1.0) == pytest.approx((2 * sure + 0.5) / 3)
    assert label_statistics(pairs, temperature=1.0).agreement == pytest.approx((1 + 0 + 0.5) / 3)


def test_responses_pair_up_in_order_and_equal_or_blank_ones_are_left_out() -> None:
    pairs = draw_pairs(
        [PROMPT, PROMPT],
        [[RIGHT, EVASIVE, RIGHT, RIGHT, EVASIVE], ["", RIGHT, FLATTERING, RIGHT]],
        temperature=1e-3,
        generator=np.random.default_rng(0),
    )
    assert [(pair.chosen, pair.rejected) for pair in pairs] == [
        (RIGHT, EVASIVE),
        (RIGHT, FLATTERING),
    ]


def test_same_generator_seed_same_labels() -> None:
    drawn = [
        draw_pairs(
            [PROMPT] * 50,
            [[RIGHT, FLATTERING]] * 50,
            temperature=1.0,
            generator=np.random.default_rng(seed),
        )
        for seed in (3, 3, 4)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_refusals_name_what_is_wrong() -> None:
    generator = np.random.default_rng(0)
    with pytest.raises(DataError, match="1 prompts but responses for 2"):
        draw_pairs([PROMPT], [[RIGHT], [RIGHT]], temperature=1.0, generator=generator)
    with pytest.raises(DataError, match="temperature is 0.0"):
        draw_pairs([PROMPT], [[RIGHT, EVASIVE]], temperature=0.0, generator=generator)
    with pytest.raises(DataError, match="no pairs"):
        label_ceiling([], temperature=1.0)
    conversation = Prompt((Turn("user", "hello"),), origin="row 7")
    with pytest.raises(DataError, match="row 7: a conversation"):
        draw_pairs([conversation], [[RIGHT, EVASIVE]], temperature=1.0, generator=generator)
