import math

import numpy as np
import pytest
from numpy.typing import NDArray

from palate.errors import DataError
from palate.measures.frontier import (
    FrontierPoint,
    OverOptimization,
    matched_difference,
    over_optimized,
    redraw,
    reward_at_kl,
)


def point(gold: float, kl: float, *, num: int = 4) -> FrontierPoint:
    return FrontierPoint(gold=np.full(num, gold), kl=np.full(num, kl))


def test_straight_lines_in_the_root_of_kl() -> None:
    at = [
        reward_at_kl(kl=kl, point_kls=[16.0, 4.0], point_rewards=[5.0, 3.0], sft_reward=1.0)
        for kl in (0.0, 1.0, 4.0, 9.0, 16.0)
    ]
    assert at == pytest.approx([1.0, 2.0, 3.0, 4.0, 5.0])


def test_nothing_is_extrapolated() -> None:
    assert reward_at_kl(kl=4.1, point_kls=[4.0], point_rewards=[3.0], sft_reward=1.0) is None
    assert reward_at_kl(kl=1.0, point_kls=[], point_rewards=[], sft_reward=1.0) is None


def test_points_of_equal_kl_are_averaged() -> None:
    value = reward_at_kl(kl=4.0, point_kls=[4.0, 4.0], point_rewards=[3.0, 5.0], sft_reward=0.0)
    assert value == 4.0


def test_matched_by_hand() -> None:
    result = matched_difference(
        first=[point(3.0, 4.0)],
        second=[point(2.0, 1.0), point(4.0, 9.0)],
        sft_gold=np.full(4, 1.0),
        redrawn=redraw(4, generator=np.random.default_rng(0), num_resamples=50),
    )
    # The first road ends at KL 4, where the second is halfway, in √KL, from 2 to 4.
    assert result is not None
    assert result.kl == 4.0
    assert (result.first_reward, result.second_reward) == pytest.approx((3.0, 3.0))
    # Prompts do not differ, so no resample does.
    assert result.difference.low == pytest.approx(0.0, abs=1e-12)
    assert result.difference.high == pytest.approx(0.0, abs=1e-12)
    assert (result.difference.n, result.difference.unit) == (4, "gold reward")


def test_no_overlap_is_none() -> None:
    def compare(
        first: list[FrontierPoint], second: list[FrontierPoint], kl: float | None = None
    ) -> object:
        return matched_difference(
            first=first,
            second=second,
            sft_gold=np.full(4, 1.0),
            kl=kl,
            redrawn=redraw(4, generator=np.random.default_rng(0), num_resamples=10),
        )

    assert compare([point(3.0, 4.0)], []) is None
    assert compare([point(3.0, 4.0)], [point(1.0, 0.0)]) is None
    assert compare([point(3.0, 4.0)], [point(3.0, 9.0)], kl=5.0) is None
    assert compare([point(3.0, 4.0)], [point(3.0, 9.0)], kl=2.0) is not None


def world(generator: np.random.Generator, num: int) -> dict[str, NDArray[np.float64]]:
    """Two roads whose true frontiers are 1·√KL and 0.8·√KL, on prompts of unequal hardness."""
    hardness = generator.normal(size=num)
    arrays = {"sft": hardness + 0.3 * generator.normal(size=num)}
    for road, slope, kls in (("first", 1.0, (3.0, 8.0)), ("second", 0.8, (2.0, 12.0))):
        for index, kl in enumerate(kls):
            arrays[f"{road} kl {index}"] = kl * generator.gamma(4.0, 0.25, size=num)
            noise = 0.3 * generator.normal(size=num)
            arrays[f"{road} gold {index}"] = hardness + slope * math.sqrt(kl) + noise
    return arrays


def roads(arrays: dict[str, NDArray[np.float64]]) -> dict[str, list[FrontierPoint]]:
    return {
        road: [
            FrontierPoint(gold=arrays[f"{road} gold {index}"], kl=arrays[f"{road} kl {index}"])
            for index in range(2)
        ]
        for road in ("first", "second")
    }


def test_coverage_where_both_axes_are_noisy() -> None:
    generator = np.random.default_rng(1)
    # Both true frontiers are straight in √KL, so interpolating them is exact.
    truth = 0.2 * math.sqrt(6.0)
    hits = 0
    for _ in range(200):
        arrays = world(generator, 40)
        both = roads(arrays)
        result = matched_difference(
            first=both["first"],
            second=both["second"],
            sft_gold=arrays["sft"],
            kl=6.0,
            redrawn=redraw(40, generator=generator, num_resamples=300),
        )
        hits += result is None or result.difference.low <= truth <= result.difference.high
    assert 0.91 <= hits / 200 <= 0.985


def test_laws() -> None:
    arrays = world(np.random.default_rng(2), 30)
    both = roads(arrays)

    def compare(first: list[FrontierPoint], second: list[FrontierPoint], seed: int = 7) -> object:
        result = matched_difference(
            first=first,
            second=second,
            sft_gold=arrays["sft"],
            redrawn=redraw(30, generator=np.random.default_rng(seed), num_resamples=200),
        )
        assert result is not None
        return result.difference.value, result.difference.low, result.difference.high

    straight = compare(both["first"], both["second"])
    assert straight == compare(both["first"][::-1], both["second"])
    value, low, high = straight if isinstance(straight, tuple) else (0.0, 0.0, 0.0)
    assert compare(both["second"], both["first"]) == pytest.approx((-value, -high, -low))
    assert compare(both["first"], both["first"]) == (0.0, 0.0, 0.0)


def test_over_optimization() -> None:
    kl = [9.0, 1.0, 4.0, 0.0]  # in any order
    proxy = [3.0, 1.0, 2.0, 0.0]
    hacked = over_optimized(proxy=proxy, gold=[0.5, 1.0, 0.8, 0.0], kl=kl)
    assert hacked == OverOptimization(peak_kl=1.0, gold_drop=0.5, proxy_rise=2.0)
    assert over_optimized(proxy=proxy, gold=[3.0, 1.0, 2.0, 0.0], kl=kl) is None
    assert over_optimized(proxy=[0.5, 1.0, 0.8, 0.0], gold=[0.5, 1.0, 0.8, 0.0], kl=kl) is None
    assert over_optimized(proxy=proxy, gold=[0.95, 1.0, 0.9, 0.0], kl=kl, min_drop=0.1) is None


def test_refusals() -> None:
    with pytest.raises(DataError, match="cannot be negative"):
        point(1.0, -0.5)
    with pytest.raises(DataError, match="one KL per prompt"):
        FrontierPoint(gold=np.zeros(3), kl=np.zeros(2))
    with pytest.raises(DataError, match="not finite"):
        point(math.nan, 1.0)
    with pytest.raises(DataError, match="same prompts"):
        matched_difference(
            first=[point(1.0, 1.0, num=5)],
            second=[point(1.0, 1.0)],
            sft_gold=np.zeros(4),
            redrawn=redraw(4, generator=np.random.default_rng(0)),
        )
    with pytest.raises(DataError, match="at least two models"):
        over_optimized(proxy=[1.0], gold=[1.0], kl=[1.0])


def test_a_road_is_matched_at_its_own_end_whatever_the_rounding() -> None:
    """A mean and a weighted sum of the same KLs differ in their last bit, either way."""
    drawn = np.random.default_rng(0)
    for _ in range(50):
        near = FrontierPoint(gold=drawn.normal(size=20), kl=drawn.exponential(size=20))
        far = FrontierPoint(gold=drawn.normal(size=20), kl=near.kl + 1.0)
        kl = float(near.kl.mean())
        found = matched_difference(
            first=[far],
            second=[near],
            sft_gold=np.zeros(20),
            kl=kl,
            redrawn=redraw(20, generator=drawn, num_resamples=20),
        )
        assert found is not None
        assert found.kl == pytest.approx(kl)
