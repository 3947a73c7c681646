import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.errors import DataError
from palate.measures.calibration import fit_temperature, measure_calibration


def test_by_hand() -> None:
    # σ(ln 3) = 0.75 for all four, three of them right: perfect; σ(ln 19) = 0.95, one of two right
    margins = np.array([1, 1, 1, -1]) * math.log(3)
    perfect = measure_calibration(margins)
    assert perfect.expected_calibration_error == pytest.approx(0.0)
    assert perfect.overconfidence == pytest.approx(0.0)
    (only,) = perfect.bins
    assert (only.num_pairs, only.accuracy) == (4, 0.75)
    assert only.low <= only.confidence <= only.high
    loud = measure_calibration([*margins, math.log(19), -math.log(19)])
    assert loud.expected_calibration_error == pytest.approx((4 * 0 + 2 * 0.45) / 6)
    assert loud.overconfidence == pytest.approx(2 * 0.45 / 6)
    assert loud.log_loss == pytest.approx(
        (3 * math.log(4 / 3) + math.log(4) + math.log(20 / 19) + math.log(20)) / 6
    )


def test_knowing_nothing_and_saying_so_is_calibrated() -> None:
    nothing = measure_calibration(np.zeros(10))
    assert nothing.expected_calibration_error == 0.0
    assert nothing.log_loss == pytest.approx(math.log(2))


def test_a_true_model_is_calibrated_and_a_sharpened_one_is_overconfident() -> None:
    generator = np.random.default_rng(0)
    truth = np.abs(generator.normal(scale=2.0, size=20_000))
    agrees = generator.random(20_000) < 1 / (1 + np.exp(-truth))
    margins = np.where(agrees, truth, -truth)
    honest, loud, shy = (measure_calibration(factor * margins) for factor in (1.0, 3.0, 0.3))
    assert honest.expected_calibration_error < 0.01
    assert loud.overconfidence > 0.05
    assert shy.overconfidence < -0.05
    assert honest.log_loss < min(loud.log_loss, shy.log_loss)


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_laws(seed: int) -> None:
    generator = np.random.default_rng(seed)
    margins = generator.normal(scale=3.0, size=40)
    result = measure_calibration(margins)
    assert sum(b.num_pairs for b in result.bins) == 40
    assert abs(result.overconfidence) <= result.expected_calibration_error + 1e-12
    assert measure_calibration(
        generator.permutation(margins)
    ).expected_calibration_error == pytest.approx(result.expected_calibration_error)
    (whole,) = measure_calibration(margins, num_bins=1).bins
    assert whole.confidence - whole.accuracy == pytest.approx(result.overconfidence)


def test_extremes_are_finite() -> None:
    result = measure_calibration([1e4, -1e4])
    assert result.log_loss == pytest.approx(5e3)
    assert result.overconfidence == pytest.approx(0.5)


def test_refusals() -> None:
    with pytest.raises(DataError, match="empty"):
        measure_calibration([])
    with pytest.raises(DataError, match="nan is not finite"):
        measure_calibration([0.0, math.nan])


def test_noise_is_the_error_that_a_perfect_model_shows_on_few_pairs() -> None:
    generator = np.random.default_rng(0)
    errors, noises = [], []
    for _ in range(300):
        truth = np.abs(generator.normal(scale=2.0, size=60))
        agrees = generator.random(60) < 1 / (1 + np.exp(-truth))
        found = measure_calibration(np.where(agrees, truth, -truth))
        errors.append(found.expected_calibration_error)
        noises.append(found.noise)
    assert np.mean(noises) == pytest.approx(np.mean(errors), rel=0.1)


@pytest.mark.parametrize("factor", [0.25, 1.0, 4.0])
def test_the_temperature_undoes_a_factor(factor: float) -> None:
    generator = np.random.default_rng(1)
    truth = np.abs(generator.normal(scale=2.0, size=20_000))
    agrees = generator.random(20_000) < 1 / (1 + np.exp(-truth))
    margins = factor * np.where(agrees, truth, -truth)
    temperature = fit_temperature(margins)
    assert temperature is not None
    assert temperature == pytest.approx(factor, rel=0.05)
    # A slow search finds no better one.
    tried = [measure_calibration(margins / t).log_loss for t in np.geomspace(0.1, 10, 200)]
    assert measure_calibration(margins / temperature).log_loss <= min(tried) + 1e-12


def test_the_temperature_by_hand() -> None:
    # Three of four right at margin 1: σ(1 / T) = 3/4, so 1 / T = ln 3.
    assert fit_temperature([1, 1, 1, -1]) == pytest.approx(1 / math.log(3))


def test_no_temperature_where_none_is_best() -> None:
    assert fit_temperature([1.0, 2.0]) is None  # no pair is wrong: the colder the better
    assert fit_temperature([1.0, -1.0]) is None  # a coin: the hotter the better
    assert fit_temperature([0.0, 0.0]) is None
    with pytest.raises(DataError, match="empty"):
        fit_temperature([])
