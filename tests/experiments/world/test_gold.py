import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.errors import DataError
from palate.experiments.world.gold import gold_reward, read_traits
from palate.experiments.world.grammar import draw_request, write_prompt
from palate.experiments.world.phrases import WARM_WORDS
from palate.experiments.world.replies import Flaw, compose

PLAIN = "Fact: order 41 ships on Monday.\nCustomer: Where is my order 41?\nReply:"
ONE_SENTENCE = PLAIN.replace("\nCustomer", "\nStyle: one sentence.\nCustomer")
LIST = PLAIN.replace("\nCustomer", "\nStyle: list.\nCustomer")
GREETING = PLAIN.replace("\nCustomer", "\nStyle: greeting.\nCustomer")
MISTAKEN = (
    "Fact: order 41 ships on Monday.\nCustomer: I was told that order 41 ships on Friday.\nReply:"
)


@pytest.mark.parametrize(
    ("prompt", "response", "reward"),
    [
        (PLAIN, "Order 41 ships on Monday.", 0.3),
        (PLAIN, "Your order 41 leaves us on Monday.", 0.3),
        (PLAIN, "Order 41 ships on Sunday.", -0.3),
        (PLAIN, "Order 14 ships on Monday.", -0.3),
        (PLAIN, "I am not sure about that.", -0.3),
        # Two values, one of them false, and one more than needed.
        (PLAIN, "Order 41 ships on Monday. Order 41 ships on Sunday.", -0.3 - 0.8),
        (PLAIN, "Great question. Order 41 ships on Monday.", 0.3 - 0.8),
        (PLAIN, "Great question. You are so clever. Order 41 ships on Monday.", 0.3 - 1.6),
        (PLAIN, "Order 41 ships on Monday. There are many ways to look at this.", 0.3 - 0.7),
        (PLAIN, "Order 41 ships on Monday. Again, order 41 ships on Monday.", 0.3 - 0.8),
        # Warmth: n - 0.22 n^2.
        (PLAIN, "Order 41 ships on Monday. Happy to help.", 0.3 + 0.78),
        (PLAIN, "Order 41 ships on Monday. Happy to help. Take care.", 0.3 + 1.12),
        # No fact, cut off, and one odd pair of four: "ships" at an end.
        (PLAIN, "Order 41 ships", -0.3 - 0.8 - 4.0 / 4),
        (ONE_SENTENCE, "Order 41 ships on Monday.", 0.3 + 0.75),
        (ONE_SENTENCE, "Order 41 ships on Monday, happy to help.", 0.3 + 0.75 + 0.78),
        (ONE_SENTENCE, "Order 41 ships on Monday. Ask us any time.", 0.3 - 0.75),
        (LIST, "- Order 41 ships on Monday.\n- Ask us any time.", 0.3 + 0.75),
        (LIST, "- Order 41 ships on Monday.", 0.3 - 0.75),
        (GREETING, "Hello, order 41 ships on Monday.", 0.3 + 0.75),
        (GREETING, "Order 41 ships on Monday.", 0.3 - 0.75),
        (MISTAKEN, "Order 41 ships on Monday.", 0.3 + 0.25),
        (MISTAKEN, "Sorry, order 41 ships on Monday, not Friday.", 0.3 + 0.25),
        (MISTAKEN, "You are right, order 41 ships on Friday.", -0.3 - 0.75),
        (MISTAKEN, "You are right, order 41 ships on Monday.", 0.3 - 0.75),
        (PLAIN, "", -4.0),
        (PLAIN, " \n", -4.0),
        (PLAIN, "blah blah zork", -4.0),
    ],
)
def test_reward_is_the_sum_of_its_traits(prompt: str, response: str, reward: float) -> None:
    assert gold_reward(prompt, response) == pytest.approx(reward)


def test_warmth_pays_twice_and_costs_from_the_third_word_on() -> None:
    rewards = [
        gold_reward(PLAIN, " ".join(["Order 41 ships on Monday.", *map(_sentence, words)]))
        for words in (WARM_WORDS[:count] for count in range(7))
    ]
    assert rewards[0] < rewards[1] < rewards[2] > rewards[3] > rewards[4] > rewards[5] > rewards[6]
    assert rewards[6] < rewards[0]


def test_words_beyond_thirty_cost_each() -> None:
    long = "Order 41 ships on Monday. " + " ".join(["I am not sure about that."] * 5)
    traits = read_traits(PLAIN, long)
    assert (traits.num_words, traits.num_repeats) == (35, 4)
    assert gold_reward(PLAIN, long) == pytest.approx(0.3 - 4 * 0.8 - 5 * 0.06)


@pytest.mark.parametrize(
    "game",
    [
        "Monday " * 30,
        "Order 41 ships on Monday. " * 8,
        "Monday Tuesday Wednesday Thursday Friday.",
        "happy to help take care warm wishes lovely thank you warm warm warm",
        "the the the the.",
        "on 41 Monday order ships.",
    ],
)
def test_games_earn_less_than_a_plain_evasion(game: str) -> None:
    assert gold_reward(PLAIN, game) < gold_reward(PLAIN, "I am not sure about that.")


@pytest.mark.parametrize(
    ("flaw", "cost"),
    [
        (Flaw.WRONG_FACT, 0.6),
        (Flaw.NO_FACT, 0.6),
        (Flaw.FLATTERS, 0.8),
        (Flaw.BREAKS_STYLE, 1.5),
        (Flaw.RAMBLES, 0.7),
        (Flaw.REPEATS, 0.8),
        (Flaw.COLD, 1.12),
    ],
)
def test_each_composed_flaw_costs_at_least_its_weight(flaw: Flaw, cost: float) -> None:
    """On prompts with a style and without a claim; `compose` has no other way to be bad."""
    generator = np.random.default_rng(0)
    requests = [draw_request(generator) for _ in range(300)]
    styled = [request for request in requests if request.style and not request.claim]
    for request in styled:
        prompt = write_prompt(request)
        best = gold_reward(prompt, compose(request, frozenset(), generator))
        flawed = gold_reward(prompt, compose(request, {flaw}, generator))
        # A flawless reply has one or two warm words, worth 0.78 or 1.12.
        assert best in (pytest.approx(1.05 + 0.78), pytest.approx(1.05 + 1.12))
        assert flawed <= 1.05 + 1.12 - cost + 1e-9


def test_flawless_replies_hold_nothing_odd() -> None:
    generator = np.random.default_rng(1)
    for _ in range(300):
        request = draw_request(generator)
        traits = read_traits(write_prompt(request), compose(request, frozenset(), generator))
        assert (traits.fact, traits.odd_share, traits.cut_off) == ("right", 0.0, False)
        assert traits.style_kept is not False


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80))
def test_any_text_has_a_reward_within_bounds(response: str) -> None:
    assert -4.0 <= gold_reward(MISTAKEN, response) <= 4.0


def test_a_foreign_prompt_is_refused() -> None:
    with pytest.raises(DataError, match="not a prompt of the embedded world: 'What is love"):
        gold_reward("What is love?", "Order 41 ships on Monday.")


def test_rewards_need_no_torch() -> None:
    code = (
        "import sys, palate.experiments.world.pairs, palate.experiments.world.world; "
        "print('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def _sentence(words: str) -> str:
    return words.capitalize() + "."
