import numpy as np
import pytest

from palate.errors import DataError
from palate.measures.baselines import (
    bag_of_words,
    first_wins,
    longer_wins,
    more_punctuation_wins,
)
from palate.measures.estimate import rate_estimate

NOUNS = ("order", "refund", "parcel", "bill", "address", "invoice", "ticket", "key")


def test_longer_wins_by_hand() -> None:
    estimate = longer_wins(chosen=["abcd", "a", "ab", "abc"], rejected=["abc", "ab", "xy", ""])
    assert estimate == rate_estimate([1.0, 0.0, 0.5, 1.0], unit="accuracy")
    assert estimate.value == 0.625


def test_swapping_pairs_mirrors() -> None:
    chosen, rejected = ["abcd", "a", "ab"], ["abc", "ab", "xy"]
    straight = longer_wins(chosen=chosen, rejected=rejected)
    swapped = longer_wins(chosen=rejected, rejected=chosen)
    assert swapped.value == pytest.approx(1 - straight.value)
    assert swapped.low == pytest.approx(1 - straight.high)


def test_groups_are_prompts() -> None:
    chosen, rejected = ["aa", "aa", "a", "aa"], ["a", "a", "aa", "a"]
    assert longer_wins(chosen=chosen, rejected=rejected, groups=["p", "p", "q", "r"]).n == 3


def test_bag_of_words_finds_a_word_that_gives_the_label_away() -> None:
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.choice(NOUNS, size=4)) for _ in range(80)]
    estimate = bag_of_words(
        chosen=[f"thanks {text}" for text in texts], rejected=texts[1:] + texts[:1]
    )
    assert estimate.value > 0.95
    assert (estimate.n, estimate.unit) == (80, "accuracy")


def test_bag_of_words_cannot_read_what_carries_no_signal() -> None:
    generator = np.random.default_rng(1)
    texts = [" ".join(generator.choice(NOUNS, size=4)) for _ in range(400)]
    estimate = bag_of_words(chosen=texts[:200], rejected=texts[200:])
    assert estimate.low < 0.5 < estimate.high


def test_the_order_of_words_is_invisible() -> None:
    estimate = bag_of_words(
        chosen=["not good but bad"] * 10, rejected=["not bad but good"] * 10, num_folds=2
    )
    assert estimate.value == 0.5


def test_a_group_is_never_on_both_sides_of_a_split() -> None:
    """Each group has a word of its own that tells chosen from rejected, and no other group's."""
    groups = [f"g{index}" for index in range(20) for _ in range(3)]
    chosen, rejected = [f"yes{group}" for group in groups], [f"no{group}" for group in groups]
    grouped = bag_of_words(chosen=chosen, rejected=rejected, groups=groups)
    leaking = bag_of_words(chosen=chosen, rejected=rejected)
    assert grouped.value == 0.5
    assert leaking.value == 1.0


def test_refusals() -> None:
    with pytest.raises(DataError, match="2 chosen responses, but 1"):
        longer_wins(chosen=["a", "b"], rejected=["a"])
    with pytest.raises(DataError, match="no pair"):
        bag_of_words(chosen=[], rejected=[])
    with pytest.raises(DataError, match="5 folds need as many prompts, and there are 2"):
        bag_of_words(chosen=["a", "b"], rejected=["c", "d"])


def test_punctuation_counts_signs_and_an_even_number_counts_half() -> None:
    found = more_punctuation_wins(
        chosen=["a, b.", "- a\n- b", "a!", "no"], rejected=["a b.", "a, b", "b?", "no. way."]
    )
    assert (found.value, found.n) == ((1 + 1 + 0.5 + 0) / 4, 4)


def test_first_wins_is_a_share_over_prompts() -> None:
    found = first_wins([True, True, False, True], groups=["a", "a", "b", "c"])
    assert (found.value, found.n) == (0.75, 3)
