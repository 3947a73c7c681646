"""Logistic regression on sparse rows: ridge penalty, no intercept, in numpy alone.

scipy's optimizers do the same, and take longer to load than a check of a thousand pairs takes.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

_MAX_STEPS = 100
_MAX_INNER_STEPS = 200
# Of the gradient's norm, against its norm at weight 0.
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class SparseRows:
    """A matrix [rows, columns] by its entries: the place and value of each.

    Attributes:
        rows: [entry], ascending.
        columns: [entry].
        values: [entry].
        num_rows: of the matrix.
        num_columns: of the matrix.
    """

    rows: Whole
    columns: Whole
    values: Floats
    num_rows: int
    num_columns: int

    def times(self, weights: Floats) -> Floats:
        """The matrix times [column]; returns [row]."""
        filled, starts = self._filled
        sums = np.zeros(self.num_rows)
        if len(starts):
            sums[filled] = np.add.reduceat(self.values * weights[self.columns], starts)
        return sums

    @cached_property
    def _filled(self) -> tuple[Whole, Whole]:
        """The rows that have entries, and where the entries of each begin."""
        filled, starts = np.unique(self.rows, return_index=True)
        return filled, starts

    def times_transposed(self, amounts: Floats) -> Floats:
        """The transposed matrix times [row]; returns [column]."""
        sums = np.bincount(self.columns, self.values * amounts[self.rows], self.num_columns)
        return sums.astype(np.float64, copy=False)

    def only(self, kept: NDArray[np.bool_]) -> "SparseRows":
        """The rows that are kept [row]; the others become empty ones, which teach nothing."""
        there = kept[self.rows]
        return SparseRows(
            self.rows[there], self.columns[there], self.values[there], self.num_rows,
            self.num_columns,
        )  # fmt: skip


def fit_logistic(features: SparseRows, *, l2: float) -> Floats:
    """Weights [column] that make every row's margin as likely positive as they can.

        minimize  Σ log(1 + exp(−x·w)) + l2/2 · ‖w‖²

    By Newton's method; each step is found by conjugate gradients, as far as it is worth it
    (Dembo, Eisenstat and Steihaug 1982), and halved until the loss goes down.

    Args:
        features: a row each.
        l2: weight of the penalty, above 0, in nats.
    """
    weights = np.zeros(features.num_columns)
    margins = features.times(weights)
    first = float(np.linalg.norm(_gradient(features, weights, margins, l2)))
    for _ in range(_MAX_STEPS):
        gradient = _gradient(features, weights, margins, l2)
        size = float(np.linalg.norm(gradient))
        if size <= _TOLERANCE * first:
            break
        step = _newton_step(
            features, margins, gradient, l2, tolerance=min(0.5, size / first) * size
        )
        loss, slope = _loss(weights, margins, l2), float(gradient @ step)
        change, length = features.times(step), 1.0
        while _loss(weights + length * step, margins + length * change, l2) > (
            loss + 1e-4 * length * slope
        ):
            length /= 2
        weights = weights + length * step
        margins = margins + length * change
    return weights


def _loss(weights: Floats, margins: Floats, l2: float) -> float:
    return float(np.logaddexp(0, -margins).sum() + l2 / 2 * (weights @ weights))


def _gradient(features: SparseRows, weights: Floats, margins: Floats, l2: float) -> Floats:
    return l2 * weights - features.times_transposed(_wrong(margins))


def _wrong(margins: Floats) -> Floats:
    """The probability of the other outcome, σ(−margin)."""
    return np.exp(-np.logaddexp(0, margins))


def _newton_step(
    features: SparseRows, margins: Floats, gradient: Floats, l2: float, *, tolerance: float
) -> Floats:
    """Solve (l2 + Xᵀ·diag(p·(1−p))·X) · step = −gradient by conjugate gradients."""
    wrong = _wrong(margins)
    curvature = wrong * (1 - wrong)
    step = np.zeros_like(gradient)
    residual = -gradient
    direction, square = residual.copy(), float(residual @ residual)
    for _ in range(_MAX_INNER_STEPS):
        if square**0.5 <= tolerance:
            break
        pushed = l2 * direction + features.times_transposed(curvature * features.times(direction))
        length = square / float(direction @ pushed)
        step = step + length * direction
        residual = residual - length * pushed
        before, square = square, float(residual @ residual)
        direction = residual + (square / before) * direction
    return step
