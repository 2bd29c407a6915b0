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


@given(n=st.integers(1, 30), d=st.integers(1, 4), seed=st.integers(0, 99))
def test_fit_is_maximum_likelihood(n, d, seed):
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


@pytest.mark.parametrize(("n", "width", "d"), [(200, 6, 3), (10, 40, 4), (5, 5, 5)])
def test_pca_matches_a_singular_value_decomposition(n, width, d, x64):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n, width)) * np.linspace(3, 1, width) + 5
    dtype = np.float64 if x64 else np.float32
    fitted = lc.theory.fit_pca(jnp.asarray(features), d)
    assert fitted.components.dtype == dtype
    _, singular, axes = np.linalg.svd(features - features.mean(0), full_matrices=False)
    keep = d if n > d else d - 1  # n centred points span n - 1 directions
    np.testing.assert_allclose(fitted.variance[:keep], singular[:keep] ** 2 / n, rtol=1e-10 if x64 else 1e-4)
    overlap = np.abs(np.sum(np.asarray(fitted.components) * axes[:d], axis=1))[:keep]
    np.testing.assert_allclose(overlap, 1, rtol=1e-9 if x64 else 1e-3)
    np.testing.assert_allclose(fitted.components @ fitted.components.T, np.eye(d), atol=1e-10 if x64 else 1e-4)
    largest = np.take_along_axis(
        np.asarray(fitted.components), np.abs(fitted.components).argmax(1)[:, None].astype(int), 1
    )
    assert (largest > 0).all()
    projected = lc.fit_gaussian(fitted.project(jnp.asarray(features)))
    np.testing.assert_allclose(np.diag(projected.covariance), fitted.variance, rtol=1e-6, atol=1e-3)


def test_wrong_dimensions_are_named():
    with pytest.raises(ValueError, match="d=4 for features of dimension D=3"):
        lc.theory.fit_pca(jnp.ones((9, 3)), 4)
    with pytest.raises(ValueError, match="2 points span fewer than d=3"):
        lc.theory.fit_pca(jnp.ones((2, 5)), 3)
    with pytest.raises(ValueError, match=r"\(0, 3\)"):
        lc.fit_gaussian(jnp.ones((0, 3)))
