"""How far people who judge the same things agree: Krippendorff's α, Cohen's and Fleiss' κ.

Everything works on one table, `counts[item, value]`: how many annotators gave an item a value.
Items that have one pattern of counts are one row with a multiplicity, and there are few patterns,
so the bootstrap costs the same for a hundred items as for a million: fast enough to be live.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from palate.errors import DataError
from palate.measures.estimate import Estimate, bootstrap_interval

NUM_RESAMPLES = 2000

Labels = Sequence[Hashable] | NDArray[Any]


def count_values(
    items: Labels, values: Labels, *, domain: Sequence[Hashable] | None = None
) -> Int[NDArray[Any], "item value"]:
    """Count how often each item was given each value.

    Args:
        items: [votes], the item of each vote.
        values: [votes], what was voted.
        domain: the values that there are, in the order of the columns; None: those met, sorted.

    Raises:
        DataError: if there is no vote, or the two differ in length.
    """
    if len(items) != len(values):
        raise DataError(f"agreement: {len(items)} items, but {len(values)} values")
    if len(items) == 0:
        raise DataError("agreement: there is no vote")
    rows: dict[Hashable, int] = {}
    known = sorted(set(values), key=str) if domain is None else domain
    columns = {value: column for column, value in enumerate(known)}
    places = [
        (rows.setdefault(i, len(rows)), columns[v]) for i, v in zip(items, values, strict=True)
    ]
    counts = np.zeros((len(rows), len(columns)), dtype=np.int64)
    np.add.at(counts, tuple(np.array(places).T), 1)
    return counts


def krippendorff_alpha(
    counts: Int[NDArray[Any], "item value"], *, confidence: float = 0.95, seed: int = 0
) -> Estimate:
    """Krippendorff's α for nominal values: 1 − observed / expected disagreement.

    1 where all agree, 0 where they agree as chance would have it, below 0 where they agree less.
    Items may have different numbers of votes; those with fewer than two say nothing.

        D_o = Σ_items Σ_{v≠w} n_v·n_w / (m − 1) / n        D_e = Σ_{v≠w} N_v·N_w / (n·(n − 1))

    with m votes on an item, N_v votes of value v on all such items, n in all.

    Args:
        counts: votes by item and value, ≥ 0.
        confidence: of the interval, in (0, 1).
        seed: of the bootstrap over items; resamples without two different values are left out.

    Returns:
        α with an interval; n is the number of items with two votes or more.

    Raises:
        DataError: if fewer than two items have two votes, or all those votes are equal (α is 0/0).

    Reference:
        Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C. The bootstrap
        resamples items as units; Krippendorff's own resamples pairs of votes.
    """
    patterns = _patterns(_paired(counts, "Krippendorff's α"))
    alpha = _alpha(patterns, patterns.times[None].astype(np.float64))[0]
    return _with_interval(alpha, patterns, _alpha, "Krippendorff's α", confidence, seed)


def fleiss_kappa(
    counts: Int[NDArray[Any], "item value"], *, confidence: float = 0.95, seed: int = 0
) -> Estimate:
    """Fleiss' κ: (P̄ − P̄_e) / (1 − P̄_e), for items that all have the same number of votes.

    Arguments and errors are those of `krippendorff_alpha`; also DataError where items differ in
    their number of votes.

    Reference:
        Fleiss 1971, Psychological Bulletin 76(5), 378–382, equations 1–7.
    """
    paired = _paired(counts, "Fleiss' κ")
    sizes = paired.sum(axis=1)
    if sizes.min() != sizes.max():
        raise DataError(
            f"Fleiss' κ: items have {sizes.min()} to {sizes.max()} votes; it needs equal numbers "
            "(Krippendorff's α does not)"
        )
    patterns = _patterns(paired)
    kappa = _fleiss(patterns, patterns.times[None].astype(np.float64))[0]
    return _with_interval(kappa, patterns, _fleiss, "Fleiss' κ", confidence, seed)


def cohen_kappa(
    first: Labels, second: Labels, *, confidence: float = 0.95, seed: int = 0
) -> Estimate:
    """Cohen's κ of two annotators who judged the same items: (p_o − p_e) / (1 − p_e).

    Args:
        first: [items], what the one gave.
        second: [items], what the other gave the same items.
        confidence: of the interval, in (0, 1).
        seed: of the bootstrap over items.

    Returns:
        1 where they agree throughout, 0 where they agree as chance would have it.

    Raises:
        DataError: if there are fewer than two items, the two differ in length, or both gave one
            value throughout (κ is 0/0).

    Reference:
        Cohen 1960, Educational and Psychological Measurement 20(1), 37–46, equation 1.
    """
    if len(first) != len(second):
        raise DataError(f"Cohen's κ: {len(first)} values against {len(second)}")
    if len(first) < 2:
        raise DataError(
            f"Cohen's κ: an interval needs at least two items, and there is {len(first)}"
        )
    patterns = _pairs(first, second)
    kappa = _cohen(patterns, patterns.times[None].astype(np.float64))[0]
    return _with_interval(kappa, patterns, _cohen, "Cohen's κ", confidence, seed)


def cohen_value(first: Labels, second: Labels) -> float | None:
    """Cohen's κ without an interval; None where both gave one value throughout (κ is 0/0)."""
    patterns = _pairs(first, second)
    kappa = float(_cohen(patterns, patterns.times[None].astype(np.float64))[0])
    return kappa if np.isfinite(kappa) else None


@dataclass(frozen=True, eq=False)
class _Patterns:
    """Distinct rows, and how many items have each."""

    rows: NDArray[np.int64]  # [pattern, …]
    times: NDArray[np.int64]  # [pattern]


def _paired(counts: NDArray[Any], name: str) -> NDArray[np.int64]:
    paired: NDArray[np.int64] = counts[counts.sum(axis=1) >= 2]
    if len(paired) < 2:
        raise DataError(
            f"{name}: at least two items need two votes each; {len(paired)} of {len(counts)} have"
        )
    return paired


def _pairs(first: Labels, second: Labels) -> _Patterns:
    values = {v: i for i, v in enumerate(sorted({*first, *second}, key=str))}
    pairs = np.array([[values[a], values[b]] for a, b in zip(first, second, strict=True)])
    rows, times = np.unique(pairs, axis=0, return_counts=True)
    return _Patterns(rows, times)


def _patterns(counts: NDArray[np.int64]) -> _Patterns:
    rows, times = np.unique(counts, axis=0, return_counts=True)
    return _Patterns(rows, times)


def _alpha(
    patterns: _Patterns, weights: Float[NDArray[Any], "resample pattern"]
) -> NDArray[np.float64]:
    sizes = patterns.rows.sum(axis=1)
    differing = (sizes**2 - (patterns.rows**2).sum(axis=1)) / (sizes - 1)
    totals = weights @ patterns.rows  # [resample, value]
    number = totals.sum(axis=1)
    expected = (number**2 - (totals**2).sum(axis=1)) / (number - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        alphas: NDArray[np.float64] = 1 - (weights @ differing) / expected
    return alphas


def _fleiss(
    patterns: _Patterns, weights: Float[NDArray[Any], "resample pattern"]
) -> NDArray[np.float64]:
    size = patterns.rows[0].sum()
    agreeing = ((patterns.rows**2).sum(axis=1) - size) / (size * (size - 1))
    observed = weights @ agreeing / weights.sum(axis=1)
    shares = weights @ patterns.rows / (weights.sum(axis=1) * size)[:, None]
    return _above_chance(observed, (shares**2).sum(axis=1))


def _cohen(
    patterns: _Patterns, weights: Float[NDArray[Any], "resample pattern"]
) -> NDArray[np.float64]:
    number = weights.sum(axis=1)
    same = patterns.rows[:, 0] == patterns.rows[:, 1]
    values = np.arange(patterns.rows.max() + 1)
    first, second = (
        weights @ (patterns.rows[:, [side]] == values) / number[:, None] for side in (0, 1)
    )
    return _above_chance(weights @ same / number, (first * second).sum(axis=1))


def _above_chance(
    observed: NDArray[np.float64], expected: NDArray[np.float64]
) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected < 1, (observed - expected) / (1 - expected), np.nan)


def _with_interval(
    value: float,
    patterns: _Patterns,
    statistic: Any,
    name: str,
    confidence: float,
    seed: int,
) -> Estimate:
    if not np.isfinite(value):
        raise DataError(f"{name}: all votes are equal, so agreement by chance is certain too")
    number = int(patterns.times.sum())
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(number, patterns.times / number, size=NUM_RESAMPLES)
    draws = statistic(patterns, weights.astype(np.float64))
    return bootstrap_interval(
        draws[np.isfinite(draws)], value=float(value), n=number, unit=name, confidence=confidence
    )
