import pytest

from palate.measures.text import distinct_2, length_in_words, repetition_rate


def test_words() -> None:
    assert length_in_words(" Thank  you,\nit works ") == 4
    assert length_in_words("") == 0


def test_distinct_pairs_by_hand() -> None:
    # "a b", "b a", "a b" and "a b": two different ones of four
    assert distinct_2(["a b a b", "A b"]) == 2 / 4
    assert distinct_2(["one two three"]) == 1.0
    assert distinct_2(["word", ""]) is None


def test_saying_the_same_to_everybody_lowers_distinct_pairs() -> None:
    assert distinct_2(["it is open today"] * 10) == pytest.approx(3 / 30)


def test_repetition_by_hand() -> None:
    assert repetition_rate("a b c d e") == 0.0
    # 4-grams of "a a a a a a": three, all equal
    assert repetition_rate("a a a a a a") == pytest.approx(2 / 3)
    assert repetition_rate("a b a b a", ngram=2) == 1 / 2
    assert repetition_rate("too short now") is None


def test_zero_grams_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        repetition_rate("a b", ngram=0)
