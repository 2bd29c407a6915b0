import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import lcjax as lc
from lcjax.theory.gaussian import is_full_rank


def random_gaussian(d, seed=0):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(d, d)) + 2 * np.eye(d)
    return lc.Gaussian(jnp.asarray(rng.normal(size=d)), jnp.asarray(mixing @ mixing.T))


@pytest.mark.parametrize("d", [1, 2, 5])
def test_log_density_matches_scipy(d, x64):
    gaussian = random_gaussian(d)
    points = jnp.asarray(np.random.default_rng(1).normal(size=(20, d)))
    expected = scipy.stats.multivariate_normal(gaussian.mean, gaussian.covariance).logpdf(np.asarray(points))
    np.testing.assert_allclose(gaussian.log_density(points), expected.reshape(20), rtol=1e-12 if x64 else 2e-5)


def test_whiten_and_unwhiten_are_inverse_and_make_it_standard(x64):
    gaussian = random_gaussian(3)
    points = jnp.asarray(np.random.default_rng(1).normal(size=(4, 5, 3)))
    white = gaussian.whiten(points)
    np.testing.assert_allclose(gaussian.unwhiten(white), points, rtol=1e-11 if x64 else 1e-4, atol=1e-5)
    mahalanobis = np.einsum(
        "...i,ij,...j->...", points - gaussian.mean, np.linalg.inv(gaussian.covariance), points - gaussian.mean
    )
    np.testing.assert_allclose(jnp.sum(white**2, axis=-1), mahalanobis, rtol=1e-11 if x64 else 1e-4)


def test_samples_have_the_moments():
    gaussian = random_gaussian(2)
    fitted = lc.fit_gaussian(gaussian.sample(jax.random.key(0), 40_000))
    error = np.sqrt(np.diag(gaussian.covariance) / 40_000)
    assert (np.abs(fitted.mean - gaussian.mean) < 5 * error).all()
    deviation = np.sqrt(np.outer(np.diag(gaussian.covariance), np.diag(gaussian.covariance)))
    assert (np.abs(fitted.covariance - gaussian.covariance) < 5 * deviation * np.sqrt(2 / 40_000)).all()


@given(shape=st.sampled_from([(1, 2), (30, 1), (7, 3)]), seed=st.integers(0, 99))
def test_fit_is_maximum_likelihood(shape, seed):
    n, d = shape
    features = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    gaussian = lc.fit_gaussian(features)
    assert gaussian.mean.dtype == jnp.float32
    np.testing.assert_allclose(gaussian.mean, features.mean(0), rtol=1e-5, atol=1e-6)
    expected = np.cov(features.T, bias=True).reshape(d, d) if n > 1 else np.zeros((d, d))
    np.testing.assert_allclose(gaussian.covariance, expected, rtol=1e-4, atol=1e-6)


def test_gaussians_of_several_seeds_by_vmap():
    features = jax.random.normal(jax.random.key(0), (3, 50, 2))
    batch = jax.vmap(lc.fit_gaussian)(features)
    assert batch.covariance.shape == (3, 2, 2)
    np.testing.assert_allclose(batch.covariance[1], lc.fit_gaussian(features[1]).covariance, rtol=1e-5)
    assert is_full_rank(batch).tolist() == [True, True, True]


def test_rank_check_does_not_depend_on_units():
    good = np.diag([1e-12, 1e12])
    thin = np.array([[1.0, 1.0], [1.0, 1.0]]) * 1e8
    cases = [good, thin, np.diag([1.0, 0.0]), np.full((2, 2), np.nan), -np.eye(2), np.diag([1.0, np.inf])]
    stacked = lc.Gaussian(np.zeros((6, 2)), np.stack(cases))
    assert is_full_rank(stacked).tolist() == [True, False, False, False, False, False]
    few = lc.fit_gaussian(np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32))
    assert not is_full_rank(few)


def test_no_points_are_named():
    with pytest.raises(ValueError, match=r"\(0, 3\)"):
        lc.fit_gaussian(jnp.ones((0, 3)))
