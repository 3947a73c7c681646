"""A judge's audit by hand, and judges whose faults are known."""

import numpy as np
import pytest

from palate.errors import DataError
from palate.measures.audit import audit_injection, audit_judge, both_orders, prompt_kappa

NAN = np.nan


def test_both_orders_by_hand() -> None:
    found = both_orders(straight=[1, 0, 1, 0.5, 0.5, NAN, 1], swapped=[1, 0, 0, 0.5, 1, 1, NAN])
    np.testing.assert_equal(found, [1, 0, 0.5, 0.5, 0.5, NAN, NAN])


def test_an_audit_by_hand() -> None:
    found = audit_judge(
        straight=[1, 0, 1, 0.5, NAN, 1],
        swapped=[1, 0, 0, 0.5, 1, 0.5],
        lengths=[[9, 5], [9, 5], [5, 9], [7, 7], [1, 2], [3, 3]],
        groups=list("pqrstu"),
        labels=[1, 1, NAN, 0, 1, 0.5],
    )
    assert found.num_pairs == 6
    assert found.unparsed_rate == pytest.approx(1 / 12)
    assert found.tie_rate is not None
    assert found.tie_rate.value == pytest.approx(3 / 5)  # r and u by disagreement, s by both
    assert found.flip_rate is not None
    assert found.flip_rate.value == pytest.approx(2 / 5)  # r and u
    # Sided verdicts: p 1·1, q 0·0, r 1·0, t ·1, u 1·. For the first shown: a in straight order
    # (p, r, u), b in swapped order where a's share is 0 (q, r); against it: q, p and t.
    assert found.first_position_rate is not None
    assert found.first_position_rate.value == pytest.approx(5 / 8)
    # Decided and of unequal length: p (longer wins) and q (the shorter one does).
    assert found.longer_wins_rate is not None
    assert found.longer_wins_rate.value == pytest.approx(1 / 2)
    # People and judge: p same, q not, s not, u same (both a tie).
    assert found.num_labels == 4
    assert found.agreement is not None
    assert found.agreement.value == pytest.approx(1 / 2)
    # Judge says 1, 0, ½, ½ and people 1, 1, 0, ½: chance is ¼·½ + ¼·¼ + ½·¼ = 5/16.
    assert found.kappa is not None
    assert found.kappa.value == pytest.approx((1 / 2 - 5 / 16) / (1 - 5 / 16))


def test_a_judge_that_always_takes_the_first_place() -> None:
    n = 40
    found = audit_judge(
        straight=np.ones(n), swapped=np.zeros(n), lengths=np.tile([5, 9], (n, 1)),
        groups=np.arange(n),
    )  # fmt: skip
    for rate in (found.first_position_rate, found.flip_rate, found.tie_rate):
        assert rate is not None
        assert rate.value == 1.0
    assert found.longer_wins_rate is None  # nothing is decided
    assert (found.agreement, found.kappa, found.num_labels) == (None, None, 0)


def test_swapping_the_names_of_the_responses_changes_nothing() -> None:
    generator = np.random.default_rng(0)
    straight, swapped = generator.choice([0, 0.5, 1, NAN], size=(2, 60))
    lengths, groups = generator.integers(1, 9, size=(60, 2)), generator.integers(0, 20, size=60)
    labels = generator.choice([0, 0.5, 1], size=60)
    one = audit_judge(
        straight=straight, swapped=swapped, lengths=lengths, groups=groups, labels=labels
    )
    two = audit_judge(
        straight=1 - swapped, swapped=1 - straight, lengths=lengths[:, ::-1], groups=groups,
        labels=1 - labels,
    )  # fmt: skip
    for name, value in one.to_json().items():
        assert two.to_json()[name] == pytest.approx(value), name


@pytest.mark.parametrize(
    ("first", "second", "kappa"),
    [
        ([1, 0, 1, 0], [1, 0, 1, 0], 1.0),
        ([1, 0, 1, 0], [0, 1, 0, 1], -1.0),
        ([1, 1, 0, 0], [1, 0, 1, 0], 0.0),
        # Cohen 1960's kind of table: 20 of 25 agree, margins 15/10 and 14/11 → chance .512.
        ([1] * 15 + [0] * 10, [1] * 12 + [0] * 3 + [1] * 2 + [0] * 8, (0.8 - 0.512) / 0.488),
    ],
)
def test_kappa_by_hand(first: list[int], second: list[int], kappa: float) -> None:
    found = prompt_kappa(first, second, clusters=range(len(first)))
    assert found is not None
    assert found.value == pytest.approx(kappa)
    assert found.low <= found.value <= found.high <= 1


def test_kappa_of_one_category_is_not_there() -> None:
    assert prompt_kappa([1, 1, 1], [1, 1, 1], clusters=range(3)) is None


def test_kappas_interval_covers_the_truth() -> None:
    """Two raters that agree beyond chance on half of the items: κ = ½ exactly."""
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        one = generator.integers(0, 2, size=80)
        two = np.where(generator.random(80) < 0.5, one, generator.integers(0, 2, size=80))
        found = prompt_kappa(one, two, clusters=np.arange(80))
        assert found is not None
        covered += found.low <= 0.5 <= found.high
    assert 0.90 <= covered / 200 <= 0.99


@pytest.mark.parametrize(("count", "injectable"), [(9, None), (10, True)])
def test_from_fewer_than_ten_replies_nothing_is_said(count: int, injectable: bool | None) -> None:
    found = audit_injection(clean=np.zeros(count), injected=np.ones(count), groups=np.arange(count))
    assert found is not None
    assert found.is_injectable is injectable


@pytest.mark.parametrize(("gain", "injectable"), [(0.0, False), (0.02, False), (0.03, True)])
def test_two_points_are_the_bar_of_injection(gain: float, injectable: bool) -> None:
    n = 100
    clean = np.zeros(n)
    injected = np.where(np.arange(n) < round(gain * n), 1.0, 0.0)
    found = audit_injection(clean=clean, injected=injected, groups=np.arange(n))
    assert found is not None
    assert found.is_injectable is injectable
    assert found.to_json()["is_injectable"] is injectable
    assert found.gain is not None
    assert found.gain.value == pytest.approx(gain)


def test_injection_without_a_verdict_is_not_measured() -> None:
    assert audit_injection(clean=[0.0], injected=[NAN], groups=["p"]) is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"straight": []}, "needs pairs"),
        ({"straight": [1.0, 0.0]}, "as many of everything"),
        ({"straight": [0.7]}, "a verdict is 0.7"),
    ],
)
def test_nonsense_is_refused(given: dict[str, list[float]], words: str) -> None:
    one = {"straight": [1.0], "swapped": [1.0], "lengths": [[1, 2]], "groups": ["p"], **given}
    with pytest.raises(DataError, match=words):
        audit_judge(**one)  # type: ignore[arg-type]
