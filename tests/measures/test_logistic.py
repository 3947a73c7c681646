"""Logistic regression: scipy's optimizer of the same loss, the optimum's equation, one weight."""

import numpy as np
import pytest
from scipy import optimize, special

from palate.measures.logistic import SparseRows, fit_logistic


def sparse(dense: np.ndarray) -> SparseRows:
    rows, columns = np.nonzero(dense)
    return SparseRows(rows, columns, dense[rows, columns], *dense.shape)


@pytest.fixture
def dense() -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.normal(size=(60, 200)) * (generator.random((60, 200)) < 0.1)


@pytest.mark.parametrize("l2", [0.01, 1.0, 100.0])
def test_weights_are_those_of_scipy(dense: np.ndarray, l2: float) -> None:
    def objective(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margins = dense @ weights
        loss = -special.log_expit(margins).sum() + l2 / 2 * float(weights @ weights)
        return float(loss), l2 * weights - dense.T @ special.expit(-margins)

    expected = optimize.minimize(
        objective, np.zeros(200), jac=True, method="L-BFGS-B", options={"gtol": 1e-10, "ftol": 0}
    ).x
    assert fit_logistic(sparse(dense), l2=l2) == pytest.approx(expected, abs=1e-4)


def test_one_weight_by_hand() -> None:
    """Four rows of x = 1: 4·σ(−w) = l2·w, so w = 1 at l2 = 4·σ(−1)."""
    l2 = 4 / (1 + np.e)
    assert fit_logistic(sparse(np.ones((4, 1))), l2=l2) == pytest.approx([1.0], abs=1e-5)


def test_rows_that_are_left_out_teach_nothing(dense: np.ndarray) -> None:
    kept = np.arange(60) % 3 != 0
    alone = fit_logistic(sparse(dense[kept]), l2=1.0)
    assert fit_logistic(sparse(dense).only(kept), l2=1.0) == pytest.approx(alone, abs=1e-9)


def test_margins_far_from_zero_stay_finite() -> None:
    weights = fit_logistic(sparse(np.full((3, 2), 1e4)), l2=1e-6)
    assert np.isfinite(weights).all()
    assert (weights > 0).all()
