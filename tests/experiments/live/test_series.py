"""Buckets: whatever comes in whatever pieces, they hold what a slow look at all points finds."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.experiments.live.series import MOST_BUCKETS, Series

PIECES = st.lists(st.integers(1, 900), min_size=1, max_size=12)


def filled(pieces: list[int], seed: int = 0) -> tuple[Series, np.ndarray[Any, Any]]:
    values = np.random.default_rng(seed).normal(size=sum(pieces))
    series, at = Series(), 0
    for version, length in enumerate(pieces, start=1):
        piece = values[at : at + length]
        series.add(np.arange(at, at + length, dtype=float), piece, version=version)
        at += length
    return series, values


@given(PIECES)
def test_buckets_hold_what_a_slow_look_finds(pieces: list[int]) -> None:
    series, values = filled(pieces)
    assert len(series) <= MOST_BUCKETS
    slices = [values[i : i + series.width] for i in range(0, len(values), series.width)]
    assert series.count.tolist() == [len(one) for one in slices]
    assert series.low.tolist() == [one.min() for one in slices]
    assert series.high.tolist() == [one.max() for one in slices]
    np.testing.assert_allclose(series.mean, [one.mean() for one in slices], atol=1e-12)
    ends = np.minimum(np.arange(1, len(slices) + 1) * series.width, len(values)) - 1
    assert series.step.tolist() == ends.tolist()


@given(PIECES, st.data())
def test_a_page_that_asks_now_and_then_has_it_all(pieces: list[int], data: st.DataObject) -> None:
    page: dict[str, list[float]] = {name: [] for name in ("count", "step", "mean")}
    series, known, at = Series(), 0, 0
    for version, length in enumerate(pieces, start=1):
        steps = np.arange(at, at + length, dtype=float)
        series.add(steps, np.sin(steps), version=version)
        at += length
        if data.draw(st.booleans()) or version == len(pieces):
            news = series.since(known)
            assert news is not None
            page = {name: page[name][: news["at"]] + news[name] for name in page}
            known = version
    whole = series.since(-1)
    assert whole is not None
    assert whole["at"] == 0
    assert page == {name: whole[name] for name in page}
    assert series.since(known) is None


def test_a_spike_among_a_million_points_stays() -> None:
    values = np.zeros(1_000_000)
    values[654_321] = 7.0
    series = Series()
    series.add(np.arange(1e6), values, version=1)
    assert (series.high.max(), series.low.min(), series.step[-1]) == (7.0, 0.0, 999_999)
    assert series.width == 1024
    assert series.count.sum() == 1_000_000


def test_one_point_more_sends_one_bucket() -> None:
    series, _ = filled([5000])
    before = len(series)
    series.add(np.array([5000.0]), np.array([1.0]), version=2)
    news = series.since(1)
    assert news is not None
    assert news["at"] in (before - 1, before)
    assert len(news["mean"]) == 1


def test_the_largest_floats_do_not_overflow() -> None:
    series = Series()
    series.add(np.arange(4000.0), np.full(4000, 1.7e308), version=1)
    assert series.mean == pytest.approx(np.full(len(series), 1.7e308))


def test_no_points_are_no_news() -> None:
    series = Series()
    series.add(np.empty(0), np.empty(0), version=1)
    assert series.since(-1) is None
