"""Power laws: against NumPy's weighted least squares; the prior pulls the exponent."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.curves.fit.exponent_prior import ExponentPrior
from lcjax.studies.prediction.methods.power_laws import fit_power_law, power_law_rows

SIZE = np.array([24.0, 48.0, 72.0, 300.0])


@given(seed=st.integers(0, 2**32 - 1))
def test_rows_are_weighted_regressions_of_logarithms(seed):
    rng = np.random.default_rng(seed)
    rows, weight = -0.5 * np.log(SIZE) + 0.05 * rng.normal(size=(3, 4)), rng.uniform(0.1, 5.0, 4)
    expected = np.polyfit(np.log(SIZE), rows.T, 1, w=np.sqrt(weight))
    np.testing.assert_allclose(power_law_rows(SIZE, rows, weight), expected, rtol=1e-8)


def test_a_prior_is_the_maximum_of_the_posterior():
    rng = np.random.default_rng(0)
    rows, weight = -0.5 * np.log(SIZE) + 0.2 * rng.normal(size=(5, 4)), np.full(4, 4.0)
    prior = ExponentPrior(-0.25, 0.5)
    exponent, log_scale = power_law_rows(SIZE, rows, weight, prior=prior)
    grid = -np.exp(np.linspace(np.log(0.01), np.log(3), 20_001))
    x = np.log(SIZE) - np.log(SIZE).mean()
    residual = rows[:, None] - rows.mean(axis=1)[:, None, None] - grid[:, None] * x
    misfit = 4 * np.sum(residual**2, axis=2) + (np.log(grid / -0.25) / 0.5) ** 2
    np.testing.assert_allclose(exponent, grid[np.argmin(misfit, axis=1)], rtol=2e-3)
    np.testing.assert_allclose(log_scale, rows.mean(axis=1) - exponent * np.log(SIZE).mean(), rtol=1e-9)


def test_weak_and_strong_priors():
    rows, weight = -0.5 * np.log(SIZE)[None], np.full(4, 100.0)
    weak, _ = power_law_rows(SIZE, rows, weight, prior=ExponentPrior(-0.1, 1e3))
    strong, _ = power_law_rows(SIZE, rows, weight, prior=ExponentPrior(-0.1, 1e-3))
    np.testing.assert_allclose(weak, -0.5, rtol=1e-3)
    np.testing.assert_allclose(strong, -0.1, rtol=1e-2)


def test_a_fit_has_a_curve_for_every_draw(points_of):
    points = points_of(1.5 * SIZE[:3] ** -0.4)
    fit = fit_power_law(points, np.array([True, False, True]), SIZE)
    np.testing.assert_allclose(np.exp(fit.center), 1.5 * SIZE**-0.4, rtol=1e-9)
    np.testing.assert_allclose(np.exp(fit.draws), np.outer([0.9, 1.1], 1.5 * SIZE**-0.4), rtol=1e-9)
    assert float(fit.parameters["exponent"]) == pytest.approx(-0.4)
    assert float(fit.parameters["scale"]) == pytest.approx(1.5)


def test_rising_errors_have_the_shallowest_exponent():
    exponent, _ = power_law_rows(SIZE, 0.3 * np.log(SIZE)[None], np.ones(4))
    assert exponent[0] == -1e-3
