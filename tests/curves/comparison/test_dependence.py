"""Correlation, pooling and pairing of the forecasts of several curves."""

import jax
import numpy as np
import pytest
import scipy.stats

from lcjax.curves.comparison.dependence import correlate, noise_correlation, pair_draws, pool_falls, weigh_crossings
from lcjax.curves.comparison.orders import best_probability, order_probability

KEY = jax.random.key(0)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_paired_ranks_have_the_correlation_of_the_copula(x64, rho):
    score = np.random.default_rng(0).normal(size=(2, 256)).astype(np.float64 if x64 else np.float32)
    place = pair_draws(KEY, score, np.array([[1.0, rho], [rho, 1.0]]), rounds=8)
    for row in place:
        assert np.array_equal(np.bincount(row), np.full(256, 8))  # the distribution of each curve stays the same
    ranks = np.argsort(np.argsort(score, axis=1), axis=1)
    paired = np.take_along_axis(ranks, place, axis=1)
    expected = 6 / np.pi * np.arcsin(rho / 2)  # Spearman's correlation of a normal copula
    assert scipy.stats.spearmanr(*paired).statistic == pytest.approx(expected, abs=0.03)


def test_many_draws_are_paired():
    """With 30,000 draws in four rounds, a rank times the number of draws exceeds 32 bits."""
    score = np.random.default_rng(0).normal(size=(2, 30_000)).astype(np.float32)
    place = pair_draws(KEY, score, np.eye(2), rounds=4)
    assert all(np.array_equal(np.bincount(row), np.full(30_000, 4)) for row in place)


def test_correlations_are_positive_definite_and_symmetric():
    rng = np.random.default_rng(0)
    noise = np.corrcoef(rng.normal(size=(6, 3)))
    matrix = correlate(rng.normal(size=6), rng.normal(size=6), noise)
    np.testing.assert_allclose(matrix, matrix.T)
    np.testing.assert_allclose(np.diag(matrix), 1.0)
    assert np.linalg.eigvalsh(matrix).min() > 0


def test_noise_of_unrelated_curves_is_uncorrelated_and_common_noise_is_found():
    rng = np.random.default_rng(0)
    size = 2.0 ** (np.arange(32) / 4 + 6)
    common, own = np.exp(0.02 * rng.normal(size=(1, 32))), np.exp(0.02 * rng.normal(size=(2, 32)))
    base = np.stack([2 * size**-0.4, size**-0.3])
    assert abs(noise_correlation(size, base * own)[0, 1]) < 0.45
    assert noise_correlation(size, base * common)[0, 1] > 0.8
    repeats = base[:, None] * np.exp(0.02 * rng.normal(size=(1, 8, 32)))
    assert noise_correlation(size[:2], base[:, :2], repeats[..., :2])[0, 1] > 0.7
    np.testing.assert_array_equal(noise_correlation(size[:2], base[:, :2]), np.eye(2))


def test_zeros_and_absent_sizes_do_not_count():
    size = 2.0 ** np.arange(10)
    error = np.stack([size**-0.5, size**-0.4])
    error[0, 3], error[1, 5] = 0.0, np.nan
    assert np.isfinite(noise_correlation(size, error)).all()


def test_equal_curves_are_pooled_and_distant_ones_are_not():
    weight = pool_falls(np.array([0.0, 0.0, -4.0]))
    falls = np.array([-0.2, -0.6, -1.0])
    pooled = falls + weight @ falls - weight.sum(axis=1) * falls
    np.testing.assert_allclose(pooled, [-0.26, -0.54, -1.0], atol=1e-6)


def test_draws_that_cross_have_less_weight():
    errors = np.array([[[0.1, 0.1]] * 3, [[0.2, 0.3], [0.2, 0.05], [0.05, 0.05]]])
    order = np.array([[0.0, 1.0], [-1.0, 0.0]])
    weight = weigh_crossings(errors, order)
    np.testing.assert_allclose(weight[0, 1], np.exp(-0.6 * np.array([0.0, 0.5, 1.0])))
    np.testing.assert_allclose(weight[1, 0], weight[0, 1])
    np.testing.assert_allclose(weigh_crossings(errors, 0 * order), 1.0)


def test_probabilities_of_order_and_of_the_best_are_shares_of_draws(x64):
    errors = np.random.default_rng(0).normal(size=(4, 500, 3)).astype(np.float64 if x64 else np.float32)
    order, best = order_probability(errors), best_probability(errors)
    expected = np.mean(errors[1] < errors[2], axis=0)
    np.testing.assert_allclose(order[1, 2], (500 * expected + 0.5) / 501, rtol=1e-5)
    np.testing.assert_allclose(order + order.transpose(1, 0, 2), 1.0, rtol=1e-5)
    np.testing.assert_allclose(best.sum(axis=0), 1.0, rtol=1e-5)
    np.testing.assert_allclose(best[0], np.mean(errors.argmin(axis=0) == 0, axis=0), rtol=1e-4)
    weight = np.ones((4, 4, 500))
    weight[1, 2] = weight[2, 1] = errors[1, :, 0] < errors[2, :, 0]
    assert order_probability(errors, weight)[1, 2, 0] == pytest.approx(1.0, abs=2e-3)
