"""Calibration of draws: ranks, quantiles, and the steepness of a curve."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from lcjax.studies.prediction.methods.calibration import SHAPE, calibrate_draws, shape_logarithms, steepness


def test_calibrated_quantiles_are_those_at_the_levels_of_the_beta_distribution():
    draws = np.random.default_rng(0).normal(size=(4001, 1))
    ratio = np.log(np.array([8.0]))
    calibrated = calibrate_draws(draws, ratio, 0.7)
    a, b = np.exp(np.ravel(shape_logarithms(0.7, ratio, SHAPE)))
    for level in (0.05, 0.5, 0.95):
        expected = scipy.stats.norm.ppf(scipy.stats.beta.ppf(level, a, b))
        assert np.quantile(calibrated, level) == pytest.approx(expected, abs=0.08)


@given(seed=st.integers(0, 2**32 - 1), steep=st.floats(0, 2))
def test_curves_keep_their_ranks_and_the_fitted_sizes(seed, steep):
    draws, ratio = np.random.default_rng(seed).normal(size=(40, 4)), np.log(np.array([0.5, 1.0, 3.0, 10.0]))
    calibrated = calibrate_draws(draws, ratio, steep)
    np.testing.assert_array_equal(calibrated[:, :2], draws[:, :2])
    order = np.argsort(draws, axis=0)
    assert np.all(np.diff(np.take_along_axis(calibrated, order, axis=0), axis=0) >= 0)
    assert calibrated.min() >= draws.min()
    assert calibrated.max() <= draws.max()


def test_steep_curves_have_a_lighter_upper_tail():
    draws, ratio = np.random.default_rng(0).normal(size=(1000, 1)), np.log(np.array([6.0]))
    upper = [np.quantile(calibrate_draws(draws, ratio, steep), 0.95) for steep in (0.1, 0.8)]
    assert upper[1] < upper[0] < np.quantile(draws, 0.95) + 0.1


def test_steepness_is_the_slope_over_the_last_two_octaves():
    size = np.array([10.0, 20.0, 40.0, 80.0, np.nan])
    error = np.array([0.5, *(size[1:4] ** -0.7), np.nan])
    assert steepness(size, error) == pytest.approx(0.7)
    assert steepness(size[:1], error[:1]) == 0
    assert np.isfinite(steepness(size[:3], np.array([0.4, 0.2, 0.0])))
