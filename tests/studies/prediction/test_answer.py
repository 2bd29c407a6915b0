"""The answer: its mixture, and its size for the target with the interval."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.studies.prediction.answer import mix, size_from_draws, widen
from lcjax.studies.prediction.methods.points import Fit, Points
from lcjax.studies.prediction.scoring.discrepancy import EXACT, Discrepancy

GRID = np.geomspace(10.0, 1e5, 81)
SIZE = GRID[:20:5]


def power_laws(exponent):
    return np.log(2.0) - np.asarray(exponent)[:, None] * np.log(GRID)


def points():
    logs, level = power_laws([0.5])[0][:20:5], np.zeros(4)
    draws = np.tile(logs, (4, 1))
    share, seed = np.ones((4, 1)), np.zeros(4, int)
    return Points(SIZE, logs, np.full(4, 0.1), draws, level, draws, draws, np.exp(logs)[None], share, seed)


def test_methods_enter_the_mixture_by_their_weights():
    fits = {
        name: Fit(power_laws([exponent])[0], power_laws(np.full(30, exponent)), {}, True)
        for name, exponent in (("power_law", 0.4), ("forecast", 0.6))
    }
    joint = mix(fits, {"power_law": 0.25, "forecast": 0.75}, dict.fromkeys(fits, EXACT), points(), GRID, count=100)
    exponents = -(joint[:, -1] - joint[:, 0]) / np.log(GRID[-1] / GRID[0])
    np.testing.assert_allclose(np.sort(exponents), [0.4] * 25 + [0.6] * 75)


def test_the_size_is_the_median_crossing_and_draws_at_infinity_count():
    draws = power_laws(np.concatenate([np.linspace(0.4, 0.6, 95), np.full(5, 0.01)]))
    size = size_from_draws(None, draws, GRID, 0.1, SIZE)
    assert float(size.value) == pytest.approx(20 ** (1 / 0.495), rel=0.03)
    assert float(size.never) == 0.05
    assert size.high == np.inf  # 5 % of the draws never cross
    better = size_from_draws(None, power_laws(np.append(np.linspace(0.4, 0.6, 98), [0.01, 0.01])), GRID, 0.1, SIZE)
    assert np.isfinite(better.high)
    worse = size_from_draws(None, np.concatenate([draws, draws[-12:-5] * 0]), GRID, 0.1, SIZE)
    assert worse.high == np.inf
    assert float(worse.never) > 0.1


@given(seed=st.integers(0, 2**32 - 1))
def test_the_interval_is_the_central_one_that_holds_90_percent(seed):
    exponent = np.maximum(np.random.default_rng(seed).gamma(20.0, 0.025, 200), 0.3)
    size = size_from_draws(None, power_laws(exponent), GRID, 0.1, SIZE)
    crossing = np.maximum(20 ** (1 / exponent), SIZE[0])
    low, high = (np.quantile(crossing, level, method=side) for level, side in ((0.05, "lower"), (0.95, "higher")))
    np.testing.assert_allclose([size.low, size.high], [low, high], rtol=1e-3)


def test_widened_draws_are_those_at_the_fitted_sizes():
    draws, ratio = power_laws([0.5] * 50), np.log(GRID / GRID[15])
    wide = widen(draws, ratio, Discrepancy(0.2, 5.0))
    np.testing.assert_array_equal(wide[:, :16], draws[:, :16])
    assert np.all(np.diff(wide.std(axis=0)[15:]) > 0)
