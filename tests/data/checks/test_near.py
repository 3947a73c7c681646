from pathlib import Path

import numpy as np
import pytest

from palate.data.checks.near import NearIndex
from palate.data.checks.signatures import NUM_BINS, WINDOW, signatures_of, similarity
from palate.data.records import Demonstration, Preference


def jaccard(left: str, right: str) -> float:
    """The similarity that signatures estimate, from the sets themselves."""
    sets = [
        {text.encode()[i : i + WINDOW] for i in range(len(text.encode()) - WINDOW + 1)}
        for text in (left, right)
    ]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def words(count: int, *, seed: int) -> list[str]:
    generator = np.random.default_rng(seed)
    return [f"word{number}" for number in generator.integers(0, 10_000, count)]


@pytest.mark.parametrize("num_changed", [0, 2, 10, 40])
def test_signatures_estimate_the_jaccard_similarity(num_changed: int) -> None:
    errors = []
    for seed in range(40):
        before = words(120, seed=seed)
        after = [*words(num_changed, seed=seed + 1000), *before[num_changed:]]
        left, right = " ".join(before), " ".join(after)
        ours, theirs = signatures_of([left, right])
        errors.append(similarity(ours, theirs) - jaccard(left, right))
    # Standard error of the mean of 40 estimates of 64 bins: at most √(0.25/64/40) = 0.01.
    assert abs(np.mean(errors)) < 0.03
    assert np.max(np.abs(errors)) < 4 * np.sqrt(0.25 / NUM_BINS)


def test_signatures_do_not_depend_on_neighbors_case_or_blanks() -> None:
    texts = ["", "a", "short", "exactly8", "a longer text with several words in it", "日本語の文"]
    together = signatures_of(texts)
    for text, signature in zip(texts, together, strict=True):
        assert np.array_equal(signatures_of([text])[0], signature)
    assert np.array_equal(*signatures_of(["One  Text\nhere ", "one text here"]))
    assert len({signature.tobytes() for signature in together}) == len(texts)


def test_near_duplicates_are_near_in_every_part(tmp_path: Path) -> None:
    prompt, chosen, rejected = (" ".join(words(100, seed=seed)) for seed in (1, 2, 3))
    rows: list[Preference | Demonstration] = [
        Preference(prompt, chosen, rejected),
        Preference(prompt, chosen, " ".join(words(100, seed=4))),  # another response
        Preference(" ".join(words(100, seed=5)), chosen, rejected),  # another prompt
        Preference(prompt + " please", chosen, rejected + " indeed"),
        Demonstration(prompt, chosen),
    ]
    for folder in (None, tmp_path):
        with NearIndex(folder) as near:
            for number, row in enumerate(rows):
                near.add(number, row)
            pairs = list(near.near_pairs())
        assert [(pair.number, pair.earlier) for pair in pairs] == [(3, 0)]
        assert 0.9 <= pairs[0].alike <= 1


def test_rows_from_a_number_on_can_be_held_against_those_below_it_alone() -> None:
    """Twins of two parts: one on either side of the border, and one within each part."""
    texts = {-2: "one", -1: "one", 3: "one", 4: "two", 5: "two"}
    with NearIndex() as near:
        for number, text in texts.items():
            near.add(number, Demonstration(f"{text} is asked here", f"{text} is answered here"))
        assert [p[:2] for p in near.near_pairs(below=0)] == [(3, -2)]
        assert [p[:2] for p in near.near_pairs()] == [(-1, -2), (3, -2), (5, 4)]


def test_short_texts_that_differ_are_not_near() -> None:
    with NearIndex() as near:
        for number in range(200):
            near.add(number, Preference(f"q {number}?", f"yes, {number}", "no"))
        assert list(near.near_pairs()) == []
