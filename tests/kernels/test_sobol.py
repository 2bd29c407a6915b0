"""Sobol points against SciPy's, their balance and randomness; the chi quantile against SciPy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from lcjax.kernels import sobol as point_sets
from lcjax.kernels.sobol import chi_quantile, sobol, sobol_block, sobol_gaussian


@pytest.mark.parametrize("d", [1, 2, 7, 1000])
@pytest.mark.parametrize("start", [0, 2**14 - 8])
def test_generators_give_scipys_unscrambled_points(d, start):
    generator = point_sets.direction_numbers(d)
    number = np.arange(start, start + 64)
    gray = number ^ number >> 1  # SciPy's order
    points = np.zeros((64, d), np.uint32)
    for bit in range(15):
        points ^= np.where(gray[:, None] >> bit & 1, generator[bit], 0).astype(np.uint32)
    sequence = scipy.stats.qmc.Sobol(d, scramble=False, bits=32)
    if start:
        sequence.fast_forward(start)
    np.testing.assert_array_equal(points / 2.0**32, sequence.random(64))


def test_initial_numbers_are_those_published():
    # The first lines of Joe and Kuo's table new-joe-kuo-6.21201, columns m_i, from coordinate 2 on.
    published = [[1], [1, 3], [1, 3, 1], [1, 1, 1], [1, 1, 3, 3], [1, 3, 5, 13], [1, 1, 5, 5, 17], [1, 1, 5, 5, 5]]
    generator = point_sets.direction_numbers(1 + len(published)).T[1:]
    for row, numbers in zip(generator, published, strict=True):
        assert [int(v) >> 31 - i for i, v in enumerate(row[: len(numbers)])] == numbers


@pytest.mark.parametrize("seed", [0, 1])
def test_scrambled_points_keep_the_net(seed):
    # The first two coordinates are a (0, 8, 2)-net: one point in each elementary interval of volume 2^-8.
    points = np.asarray(sobol(jax.random.key(seed), 256, 2), np.float64)
    assert points.min() > 0
    assert points.max() < 1
    for first in range(9):
        cell = np.floor(points * [2**first, 2 ** (8 - first)]).astype(int)
        assert len(np.unique(cell[:, 0] * 2 ** (8 - first) + cell[:, 1])) == 256


def test_each_point_is_uniform_over_keys():
    keys = jax.random.split(jax.random.key(0), 2000)
    points = np.asarray(jax.vmap(lambda key: sobol(key, 4, 3))(keys))
    for i in range(4):
        for j in range(3):
            assert scipy.stats.kstest(points[:, i, j], "uniform").pvalue > 1e-4
    # Two randomizations of one point are uncorrelated with each other and between coordinates.
    correlation = np.corrcoef(points[:, 0].T)
    assert np.abs(correlation - np.eye(3)).max() < 5 / np.sqrt(2000)


def test_blocks_continue_one_sequence():
    key = jax.random.key(3)
    whole = sobol(key, 64, 5)
    parts = [jax.jit(sobol_block, static_argnums=(2, 3))(key, start, 16, 5) for start in range(0, 64, 16)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize("d", [1, 2, *(pytest.param(d, marks=pytest.mark.slow) for d in (3, 4, 9)), 60])
def test_chi_quantile_matches_scipy(d, x64):
    dtype = np.float64 if x64 else np.float32
    small = np.logspace(-6, -0.31, 300)
    probability = np.concatenate([small, 1 - small]).astype(dtype)
    expected = scipy.stats.chi.ppf(probability.astype(np.float64), d)
    actual = chi_quantile(jnp.asarray(probability), d)
    assert actual.dtype == dtype
    np.testing.assert_allclose(actual, expected, rtol=1e-11 if x64 else 3e-6)
    slope = jax.vmap(jax.grad(lambda p: chi_quantile(p, d)))(jnp.asarray(probability))
    np.testing.assert_allclose(slope, 1 / scipy.stats.chi.pdf(expected, d), rtol=1e-9 if x64 else 2e-4)


@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_gaussian_points_have_normal_moments(d):
    keys = jax.random.split(jax.random.key(1), 32)
    points = np.asarray(jax.vmap(lambda key: sobol_gaussian(key, 512, d))(keys), np.float64)
    # The last number is the variance of one normal sample of that moment (its largest entry).
    moments = ((points, 0, 1), (points[..., :, None] * points[..., None, :], np.eye(d), 2), (points**4, 3, 96))
    for moment, exact, variance in moments:
        replicate = moment.mean(axis=1)
        error = replicate.std(axis=0, ddof=1) / np.sqrt(32)
        np.testing.assert_array_less(np.abs(replicate.mean(axis=0) - exact), 5 * error + 1e-6)
        assert error.max() < np.sqrt(variance / (32 * 512))  # never worse than plain Monte Carlo


def test_wrong_sizes_are_named():
    with pytest.raises(ValueError, match="n=0"):
        sobol(jax.random.key(0), 0, 2)
    with pytest.raises(ValueError, match="d=30000"):
        sobol(jax.random.key(0), 4, 30000)
    with pytest.raises(ValueError, match="n=12"):
        sobol_block(jax.random.key(0), 0, 12, 2)


def test_lowers_for_every_platform():
    def points(data):
        return sobol_gaussian(jax.random.wrap_key_data(data), 64, 5)

    exported = jax.export.export(jax.jit(points), platforms=("cpu", "cuda", "tpu"))(
        jax.random.key_data(jax.random.key(0))
    )
    assert exported.platforms == ("cpu", "cuda", "tpu")
