"""Annotators: hand-worked shares and p-values; simulated kinds are found, careful ones are not."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from palate.measures import CastVote, judge_annotators
from palate.measures.annotators import Share, _at_least, _at_most, estimate_skills


def vote(annotator: str, item: int, value: str, **more: object) -> CastVote:
    return CastVote(annotator, item, value, **more)  # type: ignore[arg-type]


def test_tails_are_the_binomial_ones() -> None:
    # Of 3 coins: at most one head 4/8, at least two heads 4/8, at most none 1/8.
    assert _at_most(Share(1, 3), 0.5) == pytest.approx(4 / 8)
    assert _at_least(Share(2, 3), 0.5) == pytest.approx(4 / 8)
    assert _at_most(Share(0, 3), 0.5) == pytest.approx(1 / 8)
    assert _at_most(Share(3, 3), 0.5) == _at_least(Share(0, 3), 0.5) == 1.0
    assert _at_most(Share(0, 0), 0.5) == _at_least(Share(0, 0), 0.5) == 1.0


def test_agreement_by_hand() -> None:
    votes = [
        vote("ann", 1, "first"), vote("bea", 1, "first"), vote("cid", 1, "second"),
        vote("ann", 2, "tie"), vote("bea", 2, "tie"),
        vote("ann", 3, "first"),
    ]  # fmt: skip
    judged = {one.annotator: one for one in judge_annotators(votes)}
    # cid agrees with nobody and is not believed: ann is compared with bea alone, on items 1 and 2.
    assert judged["ann"].agreeing == judged["bea"].agreeing == Share(2, 2)
    assert judged["cid"].agreeing == Share(0, 1)
    assert judged["cid"].peers == (4 + 1) / (4 + 2)
    assert judged["ann"].peers == (2 + 1) / (2 + 2)
    assert not any(one.reasons for one in judged.values())


def test_skills_are_the_factor_of_agreement() -> None:
    skills = np.array([0.9, 0.6, 0.0, -0.8, 0.5])
    compared = np.full((5, 5), 100.0)
    equal = compared * (1 + np.outer(skills, skills)) / 2
    for matrix in (equal, compared):
        np.fill_diagonal(matrix, 0)
    assert estimate_skills(equal, compared) == pytest.approx(skills, abs=1e-6)
    assert estimate_skills(np.zeros((2, 2)), np.zeros((2, 2))).tolist() == [0, 0]


def test_shares_by_hand() -> None:
    votes = [
        vote("ann", 1, "first", is_left=True, is_longer=False, seconds=8.0),
        vote("ann", 2, "tie", seconds=1.9),
        vote("ann", 3, "second", is_left=True, is_longer=True, seconds=40.0),
        vote("ann", 4, "first", is_left=False, gold="second", seconds=7.0),
        vote("ann", 1, "first", is_left=False, earlier="first", seconds=9.0),
    ]
    [ann] = judge_annotators(votes)
    assert (ann.num_votes, ann.left, ann.longer) == (5, Share(2, 4), Share(1, 2))
    assert (ann.gold, ann.repeats, ann.fast) == (Share(0, 1), Share(1, 1), Share(1, 5))
    assert (ann.median_seconds, ann.agreeing, ann.reasons) == (8.0, Share(0, 0), ())


def test_fast_is_also_a_quarter_of_the_median() -> None:
    seconds = [20.0] * 8 + [4.9, 5.1]
    [ann] = judge_annotators(vote("ann", i, "tie", seconds=s) for i, s in enumerate(seconds))
    assert ann.fast == Share(1, 10)


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("one_side", {"is_left": False}),
        ("gold", {"gold": "second"}),
        ("inconsistent", {"earlier": "second"}),
        ("too_fast", {"seconds": 0.4}),
    ],
)
def test_one_annotator_alone_can_be_doubted(code: str, change: dict[str, object]) -> None:
    [ann] = judge_annotators(vote("ann", i, "first", **change) for i in range(40))
    assert [reason.code for reason in ann.reasons] == [code]
    assert ann.reasons[0].p_value < 1e-6


Opinion = Callable[[bool, np.random.Generator], bool]


def crowd(kinds: Mapping[str, Opinion], *, num_items: int, seed: int) -> list[CastVote]:
    """Everybody's votes on the same items, whose truth is a coin."""
    generator = np.random.default_rng(seed)
    return [
        vote(name, item, "first" if opinion(truth, generator) else "second")
        for item, truth in enumerate(generator.random(num_items) < 0.5)
        for name, opinion in kinds.items()
    ]


def careful(truth: bool, generator: np.random.Generator) -> bool:
    return bool(truth == (generator.random() < 0.85))


def flipped(truth: bool, generator: np.random.Generator) -> bool:
    return not careful(truth, generator)


def coin(truth: bool, generator: np.random.Generator) -> bool:
    return bool(generator.random() < 0.5)


def test_flipped_labels_are_ranked_first() -> None:
    kinds = {"flipped": flipped, **{f"careful {i}": careful for i in range(3)}}
    first = [
        judge_annotators(crowd(kinds, num_items=60, seed=seed))[0].annotator for seed in range(60)
    ]
    assert first.count("flipped") >= 57  # 19 of 20


def test_several_bad_ones_do_not_hide_each_other() -> None:
    bad = {"flipped": flipped, "coin": coin, "other coin": coin}
    kinds = {**bad, **{f"careful {i}": careful for i in range(4)}}
    found = 0
    for seed in range(20):
        judged = judge_annotators(crowd(kinds, num_items=60, seed=seed))
        assert {one.annotator for one in judged[:3]} == set(bad)
        assert not any(one.reasons for one in judged[3:])
        found += sum(bool(one.reasons) for one in judged[:3])
    assert found >= 54  # of 60


def test_false_alarms_are_as_rare_as_said() -> None:
    kinds = {f"careful {i}": careful for i in range(5)}
    alarms = sum(
        any(one.reasons for one in judge_annotators(crowd(kinds, num_items=40, seed=seed)))
        for seed in range(100)
    )
    assert alarms <= 4  # of 100 at a chance of at most 0.01: five or more has probability 0.004


def test_names_and_order_do_not_matter() -> None:
    kinds = {"flipped": flipped, **{f"careful {i}": careful for i in range(3)}}
    votes = crowd(kinds, num_items=30, seed=1)
    assert judge_annotators(reversed(votes)) == judge_annotators(votes)


def test_nobody_is_nobody() -> None:
    assert judge_annotators([]) == []
