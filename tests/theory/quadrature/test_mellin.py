import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

from lcjax.theory.quadrature.mellin import expected_value, hypercube_transform, poisson_transform

# The hypercube law is 1 at negative logarithms, where the integral does not exist.
LOG_COUNT = {hypercube_transform: np.array([0.1, 0.4, 2.0, 5.0, 9.0, 30.0]),
             poisson_transform: np.array([-3.0, -0.2, 0.4, 2.0, 9.0, 30.0])}  # fmt: skip


def hypercube_law(log_count, a):
    return np.exp(-a * np.maximum(log_count, 0))


def poisson_law(log_count, a):
    count = np.exp(log_count)
    if count < 1e-3:  # the power series, because the ratio below would be 0/0
        return sum((-count) ** k / scipy.special.factorial(k) * a / (a + k) for k in range(6))
    return scipy.special.gamma(1 + a) * scipy.special.gammainc(a, count) * count**-a


@pytest.mark.parametrize("transform", [hypercube_transform, poisson_transform])
def test_transforms_match_scipy(transform, x64):
    s = np.array([0.3 + 0j, 0.01 + 2j, -0.4 + 0.5j, 1.5 - 3j, 7 + 40j])
    expected = 1 / s if transform is hypercube_transform else scipy.special.gamma(s)
    actual = jnp.exp(transform(jnp.asarray(s)))
    np.testing.assert_allclose(actual, expected, rtol=1e-12 if x64 else 2e-5)


@functools.cache
def compiled(transform):
    return jax.jit(functools.partial(expected_value, exponent=0.5, transform=transform, order=2))


@pytest.mark.parametrize(("transform", "law"), [(hypercube_transform, hypercube_law), (poisson_transform, poisson_law)])
@pytest.mark.parametrize(("variance", "offset"), [(1.0, 0.0), (0.6, 1.3), (2.5, 0.0)])
def test_means_and_their_derivatives_match_quadrature(transform, law, variance, offset, x64):
    covariance, shift = variance * np.eye(2), np.array([0.6, 0.8]) * offset
    noncentral = scipy.stats.ncx2(2, max(offset**2 / variance, 1e-12), scale=variance)  # of |y|^2

    def mean(log_count):
        kink = max(2 * log_count, 0.0)
        edges = np.unique([0.0, kink, *np.linspace(0, 100 * max(variance, 1), 21)])
        pieces = [
            scipy.integrate.quad(
                lambda q: law(log_count - q / 2, 0.5) * noncentral.pdf(q), low, high, epsabs=0, epsrel=1e-11
            )[0]
            for low, high in itertools.pairwise(edges)
        ]
        return sum(pieces) + noncentral.sf(edges[-1]) * law(log_count - edges[-1] / 2, 0.5)

    def rows(log_count):
        return np.asarray(compiled(transform)(jnp.asarray(log_count), jnp.asarray(covariance), jnp.asarray(shift)))

    log_count = LOG_COUNT[transform]
    value, first, second = rows(log_count)
    np.testing.assert_allclose(value, [mean(x) for x in log_count], rtol=1e-8 if x64 else 1e-5)
    if x64:
        h = 1e-4
        high, low = rows(log_count + h), rows(log_count - h)
        np.testing.assert_allclose(first, (high[0] - low[0]) / (2 * h), rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(second, (high[1] - low[1]) / (2 * h), rtol=1e-5, atol=1e-9)


def test_an_indefinite_covariance_is_nan():
    log_count, covariance = jnp.asarray(LOG_COUNT[hypercube_transform]), jnp.asarray(np.diag([1.0, -0.1]))
    value = compiled(hypercube_transform)(log_count, covariance, jnp.asarray(np.zeros(2)))[0]
    assert np.isnan(value).all()
