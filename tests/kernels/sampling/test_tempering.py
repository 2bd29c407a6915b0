"""Tempered sampling against conjugate posteriors and their evidence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from lcjax.kernels.sampling.tempering import temper

KEYS = 8
MEAN, SCALE = np.array([1.5, -0.5]), np.array([0.3, 0.7])


def gaussian(z):
    """Return the likelihood of two measurements, of the first two parameters."""
    return jnp.sum(-0.5 * ((z[:, :2] - MEAN) / SCALE) ** 2 - jnp.log(SCALE * np.sqrt(2 * np.pi)), axis=1)


@jax.jit
def sample(keys):
    return jax.vmap(lambda key: temper(key, gaussian, jnp.array([True, True, False])))(keys)


@pytest.fixture(scope="module")
def posteriors():
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, sample(jax.random.split(jax.random.key(0), KEYS)))


def test_mean_and_spread_are_those_of_the_conjugate_posterior(posteriors):
    precision = 1 + SCALE**-2
    means = np.asarray(posteriors.particles[..., :2], float).mean(axis=1)
    error = means.std(axis=0, ddof=1) / np.sqrt(KEYS)
    assert np.all(error < 0.1)
    np.testing.assert_array_less(np.abs(means.mean(axis=0) - MEAN * SCALE**-2 / precision), 5 * error + 1e-3)
    spread = np.asarray(posteriors.particles[..., :2], float).std(axis=(0, 1))
    np.testing.assert_allclose(spread, precision**-0.5, rtol=0.1)


def test_evidence_is_the_density_of_the_measurements(posteriors):
    expected = scipy.stats.norm(0, np.sqrt(1 + SCALE**2)).logpdf(MEAN).sum()
    evidence = np.asarray(posteriors.log_evidence, float)
    assert evidence.std(ddof=1) < 0.3
    assert abs(evidence.mean() - expected) < 5 * evidence.std(ddof=1) / np.sqrt(KEYS) + 0.02


def test_unused_dimensions_stay_zero_and_the_likelihood_follows_its_particle(posteriors):
    assert not np.any(posteriors.particles[..., 2])
    with jax.enable_x64(True):
        expected = gaussian(posteriors.particles[0])
    np.testing.assert_allclose(posteriors.log_likelihood[0], expected, rtol=1e-4, atol=1e-4)


def test_two_modes_keep_their_weights():
    """The modes have equal likelihood; the one nearer to 0 has more prior mass."""

    def two(z):
        modes = jnp.stack([-0.5 * ((z[:, 0] - m) / 0.2) ** 2 for m in (-1.0, 2.0)])
        return jax.nn.logsumexp(modes, axis=0)

    run = jax.jit(lambda keys: jax.vmap(lambda key: temper(key, two, jnp.array([True])).particles[:, 0])(keys))
    share = np.mean(np.asarray(run(jax.random.split(jax.random.key(1), KEYS))) < 0.5, axis=1)
    # Prior times likelihood of a mode m of width 0.2 has the mass exp(-m^2 / 2 / 1.04).
    mass = np.exp(-0.5 * np.array([1.0, 4.0]) / 1.04)
    assert abs(share.mean() - mass[0] / mass.sum()) < 5 * share.std(ddof=1) / np.sqrt(KEYS) + 0.01


@pytest.mark.slow
def test_a_sharp_likelihood_with_heavy_tails_keeps_its_evidence():
    """Student's likelihood of 16 residuals with an error of 0.01: powers of it have a sudden transition."""
    time = np.linspace(-2.0, 0.0, 16)

    def student(z):
        residual = (z[:, :1] - 0.5) + (z[:, 1:2] + 1.0) * time
        return -8.5 * jnp.log(1e-4 + jnp.sum(residual**2, axis=1) / 2)

    def find_evidence(key):
        return temper(key, student, jnp.ones(2, bool), chains=128).log_evidence

    run = jax.jit(jax.vmap(find_evidence))
    evidence = np.asarray(run(jax.random.split(jax.random.key(2), KEYS)), float)
    # By quadrature: the posterior is narrow and the grid fine.
    grid = np.linspace(-0.5, 0.5, 1001)
    a, b = np.meshgrid(grid, grid, indexing="ij")
    square = sum((a + b * t) ** 2 for t in time)
    log_prior = -0.5 * ((0.5 + a) ** 2 + (b - 1.0) ** 2) - np.log(2 * np.pi)
    expected = scipy.special.logsumexp(log_prior - 8.5 * np.log(1e-4 + square / 2)) + 2 * np.log(grid[1] - grid[0])
    assert evidence.std(ddof=1) < 0.3
    assert abs(evidence.mean() - expected) < 5 * evidence.std(ddof=1) / np.sqrt(KEYS) + 0.02


def test_too_few_chains_or_stages_raise():
    for options in ({"chains": 2}, {"moves": 0}, {"stages": 0}):
        with pytest.raises(ValueError, match="temper needs"):
            temper(jax.random.key(0), gaussian, jnp.ones(3, bool), **options)
