import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

import lcjax as lc
from lcjax.theory.binomial_law import ball_mass


@pytest.mark.parametrize("d", [1, 2, pytest.param(3, marks=pytest.mark.slow), 8])
def test_ball_mass_matches_scipy(d, x64):
    radius, distance = np.array([1e-3, 0.1, 1.0, 3.0, 9.0, 20.0]), np.array([0.0, 0.5, 3.0, 9.0, 21.0])
    expected = scipy.stats.ncx2.cdf(radius[:, None] ** 2, d, np.maximum(distance, 1e-7) ** 2)
    actual = ball_mass(jnp.asarray(radius), jnp.asarray(distance), d=d)
    trusted = expected > (1e-13 if x64 else 1e-30)  # SciPy's own relative accuracy ends there
    np.testing.assert_allclose(np.asarray(actual)[trusted], expected[trusted], rtol=1e-11 if x64 else 5e-5)
    assert (np.asarray(actual)[~trusted] <= 1.1e-13).all()


@pytest.mark.parametrize(
    ("d", "power"),
    [(1, 1), (2, 2), (8, 1), *(pytest.param(*v, marks=pytest.mark.slow) for v in ((1, 2), (2, 1), (8, 2)))],
)
def test_binomial_matches_quadrature(d, power, x64):
    size, distance, radius = np.array([1.0, 30.0, 1e4]), np.array([0.0, 1.5, 4.0]), 0.7

    def survival(w, n, x):
        mass = scipy.stats.ncx2.cdf((radius * np.exp(-w)) ** 2, d, max(x, 1e-7) ** 2)
        return np.exp(n * np.log1p(-mass) - power * w) * power

    expected = [
        [scipy.integrate.quad(survival, 0, 40, args=(n, x), epsabs=0, epsrel=1e-11, limit=300)[0] for x in distance]
        for n in size
    ]
    actual = lc.theory.binomial(jnp.asarray(size), jnp.asarray(distance), radius, d=d, power=power)
    np.testing.assert_allclose(actual, expected, rtol=1e-9 if x64 else 1e-5)


@pytest.mark.parametrize(
    ("d", "spread", "shift"),
    [(1, 1.0, 0.0), (1, 0.6, 1.3), (2, 1.4, 0.8), pytest.param(3, 1.0, 0.5, marks=pytest.mark.slow)],
)
def test_expected_error_matches_quadrature_over_test_points(d, spread, shift, x64):
    size, radius, scale = jnp.array([10.0, 100.0, 300.0, 1e3, 1e4, 1e5]), 0.5, 2.0
    train = lc.Gaussian(jnp.zeros(d), scale**2 * jnp.eye(d))
    test = lc.Gaussian(jnp.zeros(d).at[0].set(shift), spread**2 * jnp.eye(d))
    u, w = np.polynomial.legendre.leggauss(300)
    low, high = max(0.0, shift - 12 * spread), shift + 12 * spread
    distance, w = low + (high - low) * (u + 1) / 2, w * (high - low) / 2
    q = (distance / spread) ** 2
    density = scipy.stats.ncx2.pdf(q, d, max((shift / spread) ** 2, 1e-12)) * 2 * distance / spread**2
    with jax.enable_x64(True):
        exact = lc.theory.binomial(np.asarray(size, np.float64), distance / scale, radius / scale, d=d)
    actual = lc.expected_error(size, train, test, radius, lc.theory.binomial)
    np.testing.assert_allclose(actual, np.asarray(exact) @ (w * density), rtol=1e-9 if x64 else 2e-5)


def test_binomial_tends_to_the_local_law(x64):
    density = lc.Gaussian(jnp.zeros(2), jnp.eye(2))
    size = jnp.array([1e2, 1e4, 1e6, 1e2, 1e4, 1e6])
    exact, local = (
        lc.expected_error(size, density, density, 0.1, law) for law in (lc.theory.binomial, lc.laws.poisson)
    )
    deviation = np.abs(np.asarray(exact / local) - 1)
    assert deviation[2] < deviation[1] < 0.02


@pytest.mark.slow
def test_binomial_derivatives_match_central_differences(x64):
    if not x64:
        pytest.skip("differences need double precision")
    size = jnp.array([50.0, 2e3])

    def error(v):
        train = lc.Gaussian(jnp.zeros(2), v[0] ** 2 * jnp.eye(2))
        test = lc.Gaussian(jnp.stack([v[1], 0.2]), v[2] ** 2 * jnp.eye(2))
        return lc.expected_error(size, train, test, v[3], lc.theory.binomial)

    at, h = jnp.array([1.3, 0.4, 0.9, 0.6]), 1e-5
    derivative, moved = jax.jit(
        lambda v: (jax.jacfwd(error)(v), jax.vmap(error)(jnp.concatenate([v + h * jnp.eye(4), v - h * jnp.eye(4)])))
    )(at)
    np.testing.assert_allclose(derivative, ((moved[:4] - moved[4:]) / (2 * h)).T, rtol=1e-6, atol=1e-9)


def test_values_out_of_range_are_nan():
    standard = lc.Gaussian(jnp.zeros(2), jnp.eye(2))
    oblong = lc.Gaussian(jnp.zeros(2), jnp.diag(jnp.array([1.0, 1.1])))
    size = jnp.full(6, jnp.asarray(10.0))
    assert jnp.isnan(lc.expected_error(size, standard, oblong, 0.5, lc.theory.binomial)).all()
    assert jnp.isnan(lc.expected_error(size, standard, standard, 21.0, lc.theory.binomial)).all()
    with pytest.raises(ValueError, match="d=0"):
        lc.theory.binomial(size, jnp.zeros(1), 0.5, d=0)
