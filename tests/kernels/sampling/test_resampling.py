"""Resampling: moments of the draws against theory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from lcjax.kernels.sampling.resampling import resample_rows, student_noise

DRAWS = 20_000


def test_bootstrap_means_have_the_variance_of_the_mean():
    replicates = np.random.default_rng(0).normal(1.0, 0.3, size=(4, 3))
    means = resample_rows(jax.random.key(1), jnp.asarray(replicates), draws=DRAWS)
    expected = replicates.var(axis=0, ddof=1) / 4
    # The variance of a sample variance of a bounded variable is below 2 variance^2 / draws.
    np.testing.assert_allclose(means.var(axis=0), expected, rtol=5 * np.sqrt(2 / DRAWS))
    np.testing.assert_allclose(means.mean(axis=0), replicates.mean(axis=0), atol=5 * np.sqrt(expected.max() / DRAWS))


def test_rows_are_drawn_whole():
    row = jnp.asarray([0.1, 0.5, 0.2])
    replicates = jnp.stack([row, row + 0.1, row + 0.4])
    means = resample_rows(jax.random.key(0), replicates, draws=50)
    np.testing.assert_allclose(means - means[:, :1], jnp.broadcast_to(row - row[0], means.shape), atol=1e-6)


def test_absent_replicates_are_left_out():
    replicates = jnp.asarray([[0.1, 0.2, jnp.nan], [0.3, jnp.nan, jnp.nan]])
    means = np.asarray(resample_rows(jax.random.key(0), replicates, draws=200))
    assert np.all(np.isnan(means[:, 2]))
    seen = means[~np.isnan(means[:, 1]), 1]
    np.testing.assert_allclose(seen, 0.2, rtol=1e-6)
    # One draw in four misses the row with the only value.
    assert abs(seen.size / 200 - 0.75) < 5 * np.sqrt(0.75 * 0.25 / 200)


@pytest.mark.parametrize("degrees", [1.0, 5.0])
def test_noise_has_students_distribution(degrees):
    noise = np.asarray(student_noise(jax.random.key(2), jnp.asarray(degrees), draws=DRAWS, size=1, most=6))[:, 0]
    for level in (0.05, 0.25, 0.5, 0.9):
        below = np.mean(noise < scipy.stats.t.ppf(level, degrees))
        assert abs(below - level) < 5 * np.sqrt(level * (1 - level) / DRAWS)


def test_a_row_shares_its_scale():
    noise = np.asarray(student_noise(jax.random.key(3), jnp.asarray(2.0), draws=4000, size=2, most=2))
    assert scipy.stats.spearmanr(np.abs(noise[:, 0]), np.abs(noise[:, 1])).statistic > 0.1


def test_wrong_arguments_raise():
    with pytest.raises(ValueError, match="draws=0"):
        resample_rows(jax.random.key(0), jnp.ones((2, 2)), draws=0)
    with pytest.raises(ValueError, match="size=0"):
        student_noise(jax.random.key(0), jnp.asarray(1.0), draws=1, size=0, most=1)
