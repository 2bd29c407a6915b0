"""Methods of prediction: known radii and exponents are recovered; intervals and sizes are those of the fits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lcjax as lc
from lcjax.studies.prediction import methods
from lcjax.studies.prediction.methods import Draws, fit_law, fit_methods, fit_power_law

SIZE = np.array([24.0, 48.0, 72.0])
GRID = np.array([24.0, 48.0, 72.0, 1000.0])


@pytest.fixture(scope="module")
def densities():
    train = lc.Gaussian(jnp.zeros((2, 2)), jnp.stack([jnp.eye(2), 4 * jnp.eye(2)]))
    return train, train


def draws_of(error, *, seed=(0, 1), factors=(0.9, 1.1), spread=0.02):
    points = lc.LearningCurve(SIZE, error, np.full(3, spread) * error, test_count=np.asarray(60))
    return Draws(points, jnp.stack([factor * error for factor in factors]), jnp.asarray(seed))


def test_the_radius_of_each_seed_comes_back(densities):
    """Features twice as far apart have twice the radius for the same errors; draws use their own seed's densities."""
    one = jax.tree.map(lambda leaf: leaf[0], densities[0])
    error = np.asarray(lc.expected_error(jnp.asarray(SIZE), one, one, 0.8, lc.laws.hypercube))
    method = fit_law(draws_of(error), *densities, GRID, 0.1, law=lc.laws.hypercube)
    np.testing.assert_allclose(method.parameters["radius"], [0.8, 1.6], rtol=1e-3)
    assert bool(method.converged)
    at = jnp.asarray(GRID)
    exact = np.asarray(lc.expected_error(at, one, one, 0.8, lc.laws.hypercube))
    np.testing.assert_allclose(method.curve.error, exact, rtol=1e-3)
    low, high = method.interval
    np.testing.assert_allclose(np.sqrt(low * high)[:3], error, rtol=0.02)
    np.testing.assert_allclose(high[:3] / low[:3] - 1, 0.9 * 0.2, atol=0.03)  # 5 % to 95 % of two draws, +- 10 %
    np.testing.assert_allclose(method.curve.standard_error[:3], 0.1 * error, rtol=0.15)
    answer = method.size_for_error
    reached = np.asarray(lc.expected_error(jnp.asarray([float(answer.value)]), one, one, 0.8, lc.laws.hypercube))
    assert float(reached[0]) == pytest.approx(0.1, rel=1e-3)
    assert answer.low < answer.value < answer.high
    assert float(answer.never) == 0


def test_a_power_law_comes_back():
    error = (1.5 * SIZE**-0.4).astype(np.float32)
    method = fit_power_law(draws_of(error), GRID, 0.05)
    assert float(method.parameters["exponent"]) == pytest.approx(-0.4, abs=1e-3)
    assert float(method.parameters["scale"]) == pytest.approx(1.5, rel=1e-2)
    np.testing.assert_allclose(method.curve.error, 1.5 * GRID**-0.4, rtol=1e-3)
    assert float(method.size_for_error.value) == pytest.approx((0.05 / 1.5) ** -2.5, rel=1e-2)
    assert bool(method.converged)


def test_points_count_by_their_relative_standard_error():
    error = np.array([0.4, 0.2, 0.05], np.float32)
    spread = np.array([0.0, 0.0, 1.0])  # the last point has no influence
    method = fit_power_law(draws_of(error, spread=spread), GRID, None)
    np.testing.assert_allclose(method.curve.error[:2], error[:2], rtol=0.01)
    assert method.size_for_error is None


def test_sizes_without_a_mistake_or_without_a_right_answer_leave_the_power_law_finite():
    """Neither has a spread for a weight: an error of zero counts as half a mistake, and no error is known to 1 %."""
    error = np.array([1.0, 0.4, 0.0], np.float32)
    points = lc.LearningCurve(SIZE, error, np.array([0.0, 0.05, 0.0], np.float32), test_count=np.asarray(100))
    method = fit_power_law(Draws(points, jnp.stack([error, error]), jnp.zeros(2, int)), GRID, None)
    np.testing.assert_allclose(method.curve.error[:2], [1.0, 0.4], rtol=0.25)
    assert np.isfinite(method.curve.error).all()


def test_a_size_beyond_1e15_is_never_reached():
    size = np.array([1e3, 4e3, 1e2, 1e4, 2e15, np.inf])
    answer = methods._size_for_error(size, 2)
    assert float(answer.value) == pytest.approx(2e3)
    assert float(answer.low) == 1e2
    assert float(answer.high) == np.inf
    assert float(answer.never) == 0.5
    assert answer.level == 0.9
    assert methods._size_for_error(np.array([1e16, 1e2]), 1).status == "unreachable"


def test_all_methods_are_fitted_under_the_callers_settings(densities):
    """Rows of every law are those of `fit_law`; nothing is lost in double precision."""
    error = (1.5 * SIZE**-0.4).astype(np.float32)
    with jax.enable_x64(True):
        result = fit_methods(draws_of(error), *densities, GRID, 0.1, (lc.laws.hypercube, lc.laws.poisson))
        alone = fit_law(draws_of(error), *densities, GRID, 0.1, law=lc.laws.poisson)
    assert list(result) == ["hypercube", "poisson", "power_law"]
    np.testing.assert_array_equal(result["poisson"].curve.error, alone.curve.error)
    assert result["poisson"].size_for_error.value == alone.size_for_error.value
