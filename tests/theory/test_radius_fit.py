import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree

import lcjax as lc
from lcjax.theory.expected_error import saturation_size


def densities(d):
    rng = np.random.default_rng(d)
    train = lc.Gaussian(jnp.zeros(d), jnp.diag(jnp.asarray(rng.uniform(0.5, 2, d))))
    return train, lc.Gaussian(jnp.asarray(0.3 * rng.normal(size=d)), jnp.diag(jnp.asarray(rng.uniform(0.5, 2, d))))


def measured(d, law, radius=0.37, noise=0.0, **fields):
    train, test = densities(d)
    size = saturation_size(train, radius) * jnp.array([2.0, 4.0, 8.0, 16.0, 32.0])
    error = lc.expected_error(size, train, test, radius, law)
    error = error * jnp.exp(noise * jnp.array([0.3, -1.0, 0.8, 0.5, -0.7]))
    return lc.LearningCurve(size, error, **fields), train, test


@pytest.mark.parametrize(("d", "law"), [(2, lc.laws.hypercube), (5, lc.laws.poisson)])
def test_exact_curve_gives_the_radius_back(d, law, x64):
    curve, train, test = measured(d, law)
    fit = lc.fit_radius(curve, train, test, law)
    assert fit.radius.dtype == curve.error.dtype
    assert fit.converged
    assert fit.used == 5
    np.testing.assert_allclose(fit.radius, 0.37, rtol=1e-9 if x64 else 5e-5)
    np.testing.assert_allclose(fit.predict(curve.size), curve.error, rtol=1e-9 if x64 else 5e-5)
    size = lc.theory.size_for_error(fit, curve.error[1:3])
    np.testing.assert_allclose(size, curve.size[1:3], rtol=1e-8 if x64 else 5e-4)


@pytest.mark.parametrize("weighted", [False, True])
def test_noisy_curve_gives_scipys_minimum(weighted, x64):
    curve, train, test = measured(2, lc.laws.hypercube, noise=0.15)
    relative = jnp.array([0.02, 0.3, 0.05, 0.01, 0.1]) if weighted else jnp.zeros(5)
    if weighted:
        curve = lc.LearningCurve(curve.size, curve.error, relative * curve.error)
    fit = lc.fit_radius(curve, train, test)
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
    curve, train, test = measured(2, lc.laws.hypercube, noise=0.1)
    fit = lc.fit_radius(jax.tree.map(lambda v: v[:2], curve), train, test)
    size = curve.size.at[3].set(jnp.nan)
    error = curve.error.at[2].set(jnp.nan).at[4].set(0.0)
    padded = lc.fit_radius(lc.LearningCurve(size, error), train, test)
    assert padded.used == fit.used == 2
    np.testing.assert_allclose(padded.radius, fit.radius, rtol=1e-10 if x64 else 1e-4)


def test_zero_errors_count_as_half_a_mistake(x64):
    curve, train, test = measured(2, lc.laws.hypercube)
    error = curve.error.at[4].set(0.0)
    left_out = lc.fit_radius(lc.LearningCurve(curve.size, error), train, test)
    assert left_out.used == 4
    counted = lc.fit_radius(lc.LearningCurve(curve.size, error, test_count=jnp.asarray(1000)), train, test)
    assert counted.used == 5
    assert 1 < counted.radius / left_out.radius < 1.1  # lower errors mean a larger radius; the weight is small


def test_nothing_to_fit_is_a_value():
    curve, train, test = measured(2, lc.laws.hypercube)
    empty = lc.fit_radius(lc.LearningCurve(curve.size, jnp.full(5, jnp.nan)), train, test)
    assert not empty.converged
    assert jnp.isnan(empty.radius)
    assert jnp.isnan(lc.theory.size_for_error(empty, 0.1))
    guessing = lc.fit_radius(lc.LearningCurve(curve.size, jnp.ones(5)), train, test)  # flat: every small radius fits
    assert not guessing.converged
    singular = lc.Gaussian(train.mean, jnp.ones((2, 2)))
    assert jnp.isnan(lc.fit_radius(curve, singular, test).radius)
    percent = lc.fit_radius(lc.LearningCurve(curve.size, 100 * curve.error), train, test)
    assert not percent.converged
    assert jnp.isnan(percent.radius)


def test_one_point_is_enough(x64):
    curve, train, test = measured(5, lc.laws.poisson)
    only = jnp.where(jnp.arange(5) == 2, curve.error, jnp.nan)
    fit = lc.fit_radius(lc.LearningCurve(curve.size, only), train, test, lc.laws.poisson)
    assert fit.converged
    assert fit.used == 1
    np.testing.assert_allclose(fit.radius, 0.37, rtol=1e-9 if x64 else 1e-4)


def test_vmap_over_seeds_matches_a_loop(x64):
    curve, train, test = measured(2, lc.laws.hypercube)
    factors = jnp.array([0.8, 1.0, 1.3])
    batch = lc.LearningCurve(jnp.tile(curve.size, (3, 1)), factors[:, None] * curve.error)
    fits = jax.jit(jax.vmap(lambda c: lc.fit_radius(c, train, test)))(batch)
    single = [lc.fit_radius(jax.tree.map(lambda v, i=i: v[i], batch), train, test).radius for i in range(3)]
    np.testing.assert_allclose(fits.radius, single, rtol=1e-10 if x64 else 1e-5)
    assert fits.law is lc.laws.hypercube


def test_derivatives_of_the_radius_match_central_differences(x64):
    if not x64:
        pytest.skip("differences need double precision")
    curve, train, test = measured(2, lc.laws.hypercube, noise=0.1)

    def radius(log_error, spread, target):
        wide = lc.Gaussian(test.mean, spread * test.covariance)
        fit = lc.fit_radius(lc.LearningCurve(curve.size, jnp.exp(log_error)), train, wide)
        return jnp.stack([fit.radius, jnp.log(lc.theory.size_for_error(fit, target))])

    at, h = (jnp.log(curve.error), jnp.asarray(1.1), jnp.asarray(0.02)), 1e-5
    flat, restore = ravel_pytree(at)
    moves = np.eye(len(flat))

    @jax.jit
    def both(flat):
        moved = jax.vmap(lambda v: radius(*restore(v)))(jnp.concatenate([flat + h * moves, flat - h * moves]))
        return jax.jacfwd(lambda v: radius(*restore(v)))(flat), moved

    derivative, moved = both(flat)
    n = len(flat)
    np.testing.assert_allclose(derivative, ((moved[:n] - moved[n:]) / (2 * h)).T, rtol=2e-6, atol=1e-8)


@given(scale=st.floats(1e-3, 1e3))
def test_radius_scales_with_the_units_of_the_features(scale):
    curve, train, test = measured(2, lc.laws.hypercube)
    scaled = [lc.Gaussian(scale * g.mean, scale**2 * g.covariance) for g in (train, test)]
    np.testing.assert_allclose(lc.fit_radius(curve, *scaled).radius, 0.37 * scale, rtol=1e-4)


def test_sizes_beyond_the_data_have_no_bound_but_the_dtype(x64):
    curve, train, test = measured(2, lc.laws.hypercube)
    fit = lc.fit_radius(curve, train, test)
    sizes = lc.theory.size_for_error(fit, jnp.array([1e-4, 1e-6, 1e-30, 0.0, 1.0, 1.5]))
    assert jnp.isfinite(sizes[:2]).all()
    assert sizes[1] > 10 * sizes[0]
    assert jnp.isfinite(sizes[2]) == x64
    assert jnp.isnan(sizes[3:]).all()
    np.testing.assert_allclose(fit.predict(sizes[:2]), [1e-4, 1e-6], rtol=1e-8 if x64 else 1e-3)


def test_wrong_shapes_are_named():
    curve, train, test = measured(1, lc.laws.hypercube)
    with pytest.raises(ValueError, match=r"\(2, 5\)"):
        lc.fit_radius(lc.LearningCurve(jnp.tile(curve.size, (2, 1)), jnp.tile(curve.error, (2, 1))), train, test)
    with pytest.raises(ValueError, match="hypercube or poisson"):
        lc.fit_radius(curve, train, test, lc.theory.binomial)
