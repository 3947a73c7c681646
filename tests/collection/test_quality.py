"""The quality report finds what is wrong with votes, and who made them."""

import time

import pytest
from tests.collection.annotators import BAD_KINDS, accurate, adversarial, gold_items, take_turns
from tests.collection.conftest import MakeStore
from tests.collection.pairs import some_items

from palate.collection.quality import QualityReport

HONEST = {f"honest {number}": accurate for number in range(4)}
EXPECTED_CODES = {
    "noisy": "disagrees",
    "always_left": "one_side",
    "longest": "longer",
    "adversarial": "disagrees",
}


def voted(make_store: MakeStore, kinds: dict[str, object], *, seed: int) -> QualityReport:
    """The report after sixty votes of each."""
    store = make_store(0, votes_per_item=3, repeat_share=0.05, gold_share=0.05, salt=str(seed))
    items = [*some_items(60 * len(kinds) // 3 + 60), *gold_items(10)]
    store.add_items(items)
    take_turns(store, kinds, items=items, num_votes=60, seed=seed)  # type: ignore[arg-type]
    return store.quality()


def found_reasons(report: QualityReport) -> int:
    """How many bad ones are doubted for what they do; all of them must stand before the others."""
    assert {one.annotator for one in report.annotators[:4]} == set(BAD_KINDS)
    assert not any(one.reasons for one in report.annotators[4:])
    return sum(
        EXPECTED_CODES[one.annotator] in {reason.code for reason in one.reasons}
        for one in report.annotators[:4]
    )


def test_all_bad_kinds_are_found_within_sixty_votes(make_store: MakeStore) -> None:
    assert found_reasons(voted(make_store, {**HONEST, **BAD_KINDS}, seed=0)) == 4


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_all_bad_kinds_are_found_whatever_the_seed(make_store: MakeStore) -> None:
    found = [
        found_reasons(voted(make_store, {**HONEST, **BAD_KINDS}, seed=seed)) for seed in range(6)
    ]
    assert sum(found) >= 23  # of 24; a coin may look careful for a while


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_flipped_labels_are_ranked_first(make_store: MakeStore) -> None:
    first = [
        voted(make_store, {**HONEST, "flipped": adversarial}, seed=seed).annotators[0].annotator
        for seed in range(20)
    ]
    assert first.count("flipped") >= 19


def test_honest_annotators_are_not_doubted(make_store: MakeStore) -> None:
    report = voted(make_store, dict(HONEST), seed=0)
    assert [one.reasons for one in report.annotators] == [()] * 4
    assert report.alpha is not None
    # Two that are right nine times of ten agree with 0.82 on two values: α = 0.64.
    assert report.alpha.value == pytest.approx(0.64, abs=0.2)


def test_repeats_and_gold_come_at_their_rate_and_take_no_places(make_store: MakeStore) -> None:
    store = make_store(0, repeat_share=0.1, gold_share=0.1)
    items = [*some_items(300), *gold_items(60)]
    store.add_items(items)
    take_turns(store, {"ann": accurate}, items=items, num_votes=150, seed=0)
    [ann] = store.quality().annotators
    # Of 150 coins of 0.1: 15 ± 3 standard deviations of 3.7.
    assert 4 <= ann.repeats.of <= 26
    assert 4 <= ann.gold.of <= 26
    progress = store.progress(1)
    assert progress.num_votes == 150 - ann.repeats.of - ann.gold.of
    assert progress.num_items == 300


def test_repeats_come_with_their_sides_turned(make_store: MakeStore) -> None:
    store = make_store(0, repeat_share=0.2)
    items = some_items(80)
    store.add_items(items)
    take_turns(store, {"left": BAD_KINDS["always_left"]}, items=items, num_votes=60, seed=0)
    [one] = store.quality().annotators
    assert one.repeats.of > 5
    assert one.repeats.num == 0


def test_an_excluded_annotator_says_nothing_about_others(make_store: MakeStore) -> None:
    store = make_store(0, votes_per_item=2)
    items = some_items(60)
    store.add_items(items)
    take_turns(
        store,
        {"ann": accurate, "bea": accurate, "bad": adversarial},
        items=items, num_votes=40, seed=0,
    )  # fmt: skip
    before = store.quality()
    bad = next(a.id for a in store.annotators() if a.name == "bad")
    store.exclude(1, bad, "keys swapped")
    after = store.quality()
    assert before.alpha is not None
    assert after.alpha is not None
    assert after.alpha.value > 0.4 > before.alpha.value
    assert after.excluded == {"bad": "keys swapped"}
    assert after.num_votes < before.num_votes
    store.include(1, bad)
    assert store.quality() == before


def test_an_empty_store_has_no_alpha(make_store: MakeStore) -> None:
    report = make_store(3).quality()
    assert (report.alpha, report.annotators, report.num_votes) == (None, (), 0)


def test_the_report_is_live(make_store: MakeStore) -> None:
    store = make_store(0, votes_per_item=3)
    items = some_items(60)
    store.add_items(items)
    take_turns(store, dict(HONEST), items=items, num_votes=40, seed=0)
    start = time.perf_counter()
    store.quality()
    assert time.perf_counter() - start < 1.0
