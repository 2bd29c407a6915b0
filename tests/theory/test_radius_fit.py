"""The fitted radius against exact curves, SciPy's minimum and central differences, with few compiled shapes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st

import lcjax as lc
from lcjax.theory.expected_error import saturation_size

HYPERCUBE, POISSON = lc.laws.hypercube, lc.laws.poisson


def densities(d):
    rng = np.random.default_rng(d)
    train = lc.Gaussian(jnp.zeros(d), jnp.diag(jnp.asarray(rng.uniform(0.5, 2, d))))
    return train, lc.Gaussian(jnp.asarray(0.3 * rng.normal(size=d)), jnp.diag(jnp.asarray(rng.uniform(0.5, 2, d))))


def measured(d, law, radius=0.37, noise=0.0):
    train, test = densities(d)
    size = saturation_size(train, radius) * jnp.array([2.0, 4.0, 8.0, 16.0, 32.0, 64.0])
    error = lc.expected_error(size, train, test, radius, law)
    error = error * jnp.exp(noise * jnp.array([-0.3, -1.0, 0.8, 0.5, -0.7, 0.1]))  # no error above 1
    return lc.LearningCurve(size, error), train, test


def weighted(curve, relative, error=None):
    """Return the curve with standard errors and a number of test points, always in one structure."""
    error = curve.error if error is None else error
    return lc.LearningCurve(curve.size, error, relative * curve.error, test_count=jnp.asarray(1000))


@pytest.mark.parametrize(("d", "law"), [(3, HYPERCUBE), pytest.param(2, POISSON, marks=pytest.mark.slow)])
def test_exact_curve_gives_the_radius_back(d, law, x64):
    curve, train, test = measured(d, law)
    fit = lc.fit_radius(curve, train, test, law)
    assert fit.radius.dtype == curve.error.dtype
    assert fit.converged
    assert fit.used == 6
    np.testing.assert_allclose(fit.radius, 0.37, rtol=1e-9 if x64 else 5e-5)


@pytest.mark.parametrize(("d", "law"), [(3, HYPERCUBE), pytest.param(2, POISSON, marks=pytest.mark.slow)])
def test_predictions_and_sizes_are_inverse(d, law, x64):
    curve, train, test = measured(d, law)
    fit = lc.fit_radius(curve, train, test, law)
    np.testing.assert_allclose(fit.predict(curve.size), curve.error, rtol=1e-9 if x64 else 5e-5)
    size = fit.size_for_error(curve.error[1:3]).value
    np.testing.assert_allclose(size, curve.size[1:3], rtol=1e-8 if x64 else 5e-4)


@pytest.mark.slow
def test_squared_distances_are_fitted_too(x64):
    train, test = densities(2)
    size = saturation_size(train, 0.37, power=2) * jnp.array([2.0, 4.0, 8.0, 16.0, 32.0])
    curve = lc.LearningCurve(size, lc.expected_error(size, train, test, 0.37, power=2))
    fit = lc.fit_radius(curve, train, test, power=2)
    np.testing.assert_allclose(fit.radius, 0.37, rtol=1e-9 if x64 else 5e-5)
    np.testing.assert_allclose(fit.size_for_error(curve.error[1:3]).value, size[1:3], rtol=1e-8 if x64 else 5e-4)


@pytest.mark.parametrize("has_errors", [False, True])
def test_noisy_curve_gives_scipys_minimum(has_errors, x64):
    curve, train, test = measured(3, HYPERCUBE, noise=0.15)
    relative = jnp.array([0.02, 0.3, 0.05, 0.01, 0.1, 0.2]) if has_errors else jnp.zeros(6)
    fit = lc.fit_radius(weighted(curve, relative) if has_errors else curve, train, test)
    weight = 1 / (0.01**2 + np.asarray(relative) ** 2)

    def distance(log_radius):
        expected = lc.expected_error(curve.size, train, test, float(np.exp(log_radius)))
        return float(np.sum(weight * np.log(np.asarray(curve.error / expected, np.float64)) ** 2))

    best = scipy.optimize.minimize_scalar(
        distance, bounds=np.log([0.1, 1.0]), method="bounded", options={"xatol": 1e-9 if x64 else 1e-5}
    )
    assert fit.converged
    np.testing.assert_allclose(np.log(fit.radius), best.x, atol=2e-7 if x64 else 2e-3)
    np.testing.assert_allclose(fit.residual, np.sqrt(best.fun / weight.sum()), rtol=1e-6 if x64 else 1e-3)


def test_absent_points_change_nothing(x64):
    curve, train, test = measured(3, HYPERCUBE, noise=0.1)
    size = curve.size.at[3].set(jnp.nan)
    error = curve.error.at[2].set(jnp.nan).at[4].set(0.0).at[5].set(-jnp.inf)
    padded = lc.fit_radius(lc.LearningCurve(size, error), train, test)
    assert padded.used == 2
    # The same two points, each repeated, have the same minimum.
    twice = lc.LearningCurve(*(v[jnp.array([0, 1, 0, 1, 2, 3])].at[4:].set(jnp.nan) for v in (curve.size, curve.error)))
    fit = lc.fit_radius(twice, train, test)
    assert fit.used == 4
    np.testing.assert_allclose(padded.radius, fit.radius, rtol=1e-10 if x64 else 1e-4)
    np.testing.assert_allclose(padded.residual, fit.residual, rtol=1e-10 if x64 else 1e-4)


def test_points_without_a_standard_error_take_the_mean_of_the_others(x64):
    curve, train, test = measured(3, HYPERCUBE, noise=0.15)
    some = lc.fit_radius(weighted(curve, jnp.array([0.02, jnp.nan, 0.06, jnp.nan, 0.1, 0.06])), train, test)
    all_of_them = lc.fit_radius(weighted(curve, jnp.array([0.02, 0.06, 0.06, 0.06, 0.1, 0.06])), train, test)
    np.testing.assert_allclose(some.radius, all_of_them.radius, rtol=1e-10 if x64 else 1e-5)


def test_zero_errors_count_as_half_a_mistake(x64):
    curve, train, test = measured(3, HYPERCUBE)
    error = curve.error.at[4].set(0.0)
    excluded = lc.fit_radius(lc.LearningCurve(curve.size, error), train, test)
    assert excluded.used == 5
    counted = lc.fit_radius(weighted(curve, jnp.nan * curve.error, error), train, test)
    assert counted.used == 6
    assert 1 < counted.radius / excluded.radius < 1.1  # lower errors mean a larger radius; the weight is small
    half = lc.fit_radius(weighted(curve, jnp.array([0, 0, 0, 0, 1.0, 0]), error.at[4].set(0.5 / 1000)), train, test)
    assert abs(float(counted.radius / half.radius) - 1) < 1e-3


def test_nothing_to_fit_is_a_value():
    curve, train, test = measured(3, HYPERCUBE)
    empty = lc.fit_radius(lc.LearningCurve(curve.size, jnp.nan * curve.error), train, test)
    assert not empty.converged
    assert jnp.isnan(empty.radius)
    assert jnp.isnan(empty.size_for_error(jnp.full_like(curve.error[:2], 0.1)).value).all()
    guessing = lc.fit_radius(
        lc.LearningCurve(curve.size, jnp.ones_like(curve.error)), train, test
    )  # flat: every small radius fits
    assert not guessing.converged
    singular = lc.Gaussian(train.mean, jnp.ones((3, 3)))
    assert jnp.isnan(lc.fit_radius(curve, singular, test).radius)
    percent = lc.fit_radius(lc.LearningCurve(curve.size, 100 * curve.error), train, test)
    assert not percent.converged
    assert jnp.isnan(percent.radius)


def test_one_point_is_enough(x64):
    curve, train, test = measured(2, POISSON)
    only = jnp.where(jnp.arange(6) == 2, curve.error, jnp.nan)
    fit = lc.fit_radius(lc.LearningCurve(curve.size, only), train, test, POISSON)
    assert fit.converged
    assert fit.used == 1
    np.testing.assert_allclose(fit.radius, 0.37, rtol=1e-9 if x64 else 1e-4)


@pytest.mark.slow
def test_vmap_over_seeds_matches_a_loop(x64):
    curve, train, test = measured(3, HYPERCUBE)
    factors = jnp.array([0.8, 1.0, 1.3])
    batch = lc.LearningCurve(jnp.tile(curve.size, (3, 1)), factors[:, None] * curve.error)
    fits = jax.jit(jax.vmap(lambda c: lc.fit_radius(c, train, test)))(batch)
    single = [lc.fit_radius(jax.tree.map(lambda v, i=i: v[i], batch), train, test).radius for i in range(3)]
    np.testing.assert_allclose(fits.radius, single, rtol=1e-10 if x64 else 1e-5)
    assert fits.law is HYPERCUBE


def compare_with_differences(function, at, h=1e-5):
    slope = jax.jit(lambda at, move: jax.jvp(function, at, move)[1])
    for seed in range(3):
        rng = np.random.default_rng(seed)
        move = tuple(jnp.asarray(rng.normal(size=v.shape)) * jnp.abs(v) for v in at)
        high, low = (function(*(v + sign * h * m for v, m in zip(at, move, strict=True))) for sign in (1, -1))
        np.testing.assert_allclose(slope(at, move), (high - low) / (2 * h), rtol=2e-6, atol=1e-8)


def test_derivatives_of_the_radius_match_central_differences(x64):
    if not x64:
        pytest.skip("differences need double precision")
    curve, train, test = measured(3, HYPERCUBE, noise=0.1)

    def radius(log_error, spread):
        wide = lc.Gaussian(test.mean, spread * test.covariance)
        return lc.fit_radius(lc.LearningCurve(curve.size, jnp.exp(log_error)), train, wide).radius

    compare_with_differences(radius, (jnp.log(curve.error), jnp.asarray(1.1)))


@pytest.mark.slow
def test_derivatives_of_the_size_match_central_differences(x64):
    if not x64:
        pytest.skip("differences need double precision")
    curve, train, test = measured(3, HYPERCUBE, noise=0.1)
    fit = lc.fit_radius(curve, train, test)

    def log_size(log_scale, spread, targets):
        wide = lc.Gaussian(test.mean, spread * test.covariance)
        moved = lc.theory.RadiusFit(fit.radius, log_scale, fit.residual, fit.used, fit.converged, train, wide)
        return jnp.log(moved.size_for_error(targets).value)

    compare_with_differences(log_size, (fit.log_size_scale, jnp.asarray(1.1), jnp.array([0.02, 0.05])))


@given(scale=st.floats(1e-3, 1e3))
def test_radius_scales_with_the_units_of_the_features(scale):
    curve, train, test = measured(3, HYPERCUBE)
    scaled = [lc.Gaussian(scale * g.mean, scale**2 * g.covariance) for g in (train, test)]
    np.testing.assert_allclose(lc.fit_radius(curve, *scaled).radius, 0.37 * scale, rtol=1e-4)


def test_sizes_beyond_the_data_have_no_bound_but_the_dtype(x64):
    curve, train, test = measured(3, HYPERCUBE)
    fit = lc.fit_radius(curve, train, test)
    sizes = jnp.concatenate([fit.size_for_error(jnp.array(v)).value for v in ([1e-4, 1e-6], [1e-30, 0.0], [1.0, 1.5])])
    assert jnp.isfinite(sizes[:2]).all()
    assert sizes[1] > 10 * sizes[0]
    assert jnp.isfinite(sizes[2]) == x64
    assert jnp.isnan(sizes[3:]).all()
    np.testing.assert_allclose(fit.predict(jnp.tile(sizes[:2], 3))[:2], [1e-4, 1e-6], rtol=1e-8 if x64 else 1e-3)


def test_wrong_shapes_are_named():
    curve, train, test = measured(3, HYPERCUBE)
    with pytest.raises(ValueError, match=r"\(2, 6\)"):
        lc.fit_radius(lc.LearningCurve(jnp.tile(curve.size, (2, 1)), jnp.tile(curve.error, (2, 1))), train, test)
    with pytest.raises(ValueError, match="hypercube or poisson"):
        lc.fit_radius(curve, train, test, lc.theory.binomial)
