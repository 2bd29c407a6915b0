import itertools
from fractions import Fraction
from math import comb

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import lcjax as lc
from lcjax.theory.from_distances import subset_tail


def tolerance():
    return 1e-12 if jax.config.jax_enable_x64 else 3e-6


def distances(seed, m, n):
    return np.sort(np.random.default_rng(seed).exponential(0.5, (m, n)), axis=1).astype(jnp.result_type(float))


@given(seed=st.integers(0, 2**32 - 1), case=st.sampled_from([(1, 1), (4, 2), (9, 1)]))
def test_all_subsets_by_brute_force(seed, case):
    n, power = case
    distance = distances(seed, 3, n)
    sizes = np.arange(1, n + 1)
    phi = np.minimum(1, (distance.astype(float) / 0.7) ** power)
    expected = [
        np.mean([phi[:, list(subset)].min(axis=1).mean() for subset in itertools.combinations(range(n), size)])
        for size in sizes
    ]
    errors = lc.error_from_distances(jnp.asarray(distance), sizes, 0.7, power=power)
    assert errors.dtype == distance.dtype
    np.testing.assert_allclose(errors, expected, rtol=tolerance())


def test_exact_rational_weights_at_a_hundred_thousand_points():
    total, k, radius = 100_000, 400, 1.0
    distance = distances(0, 1, k) / 10
    sizes = [200, 3_000, 77_777, 99_999, 100_000]
    for n in sizes:
        missed, weights = Fraction(1), []
        for j in range(k):
            weights.append(missed * Fraction(n, total - j))
            missed *= 1 - Fraction(n, total - j)
        for j in (1, 2, 7):
            assert weights[j - 1] == Fraction(comb(total - j, n - 1), comb(total, n))
        phi = np.minimum(1, distance[0].astype(float) / radius)
        expected = sum(float(w) * p for w, p in zip(weights, phi, strict=True))
        expected += float(missed) * phi[-1]
        errors = lc.error_from_distances(jnp.asarray(distance), jnp.array([n]), radius, points=total, tolerance=np.inf)
        np.testing.assert_allclose(errors[0], expected, rtol=tolerance() * 10)


def test_subset_tail_is_hypergeometric():
    size, total = np.array([1, 50, 900, 5000]), 10_000
    expected = scipy.stats.hypergeom(total, 40, size).pmf(0)
    np.testing.assert_allclose(subset_tail(size, total, 40), expected, rtol=1e-9 if jax.config.jax_enable_x64 else 3e-5)


def test_random_subsets_agree():
    rng = np.random.default_rng(1)
    train, test = rng.normal(size=(400, 3)), rng.normal(size=(50, 3))
    pairs = np.linalg.norm(test[:, None] - train[None], axis=2)
    sizes = np.array([30, 100, 250])
    curve = lc.error_from_distances(jnp.asarray(np.sort(pairs, axis=1)[:, :120]), sizes, 0.8, points=400)
    for size, error in zip(sizes, np.asarray(curve), strict=True):
        draws = [
            np.minimum(1, pairs[:, rng.choice(400, size, replace=False)].min(axis=1) / 0.8).mean() for _ in range(600)
        ]
        assert abs(error - np.mean(draws)) < 5 * np.std(draws) / np.sqrt(600)


def test_truncation_is_bounded_or_refused():
    distance = distances(2, 20, 500)
    full = lc.error_from_distances(jnp.asarray(distance), np.array([5, 20, 100]), 2.0)
    cut = lc.error_from_distances(jnp.asarray(distance[:, :60]), np.array([5, 20, 100]), 2.0, points=500)
    forced = lc.error_from_distances(
        jnp.asarray(distance[:, :60]), np.array([5, 20, 100]), 2.0, points=500, tolerance=np.inf
    )
    assert np.isnan(cut).tolist() == [True, True, False]
    np.testing.assert_allclose(cut[2], full[2], rtol=1e-3)
    bound = subset_tail(np.array([5, 20, 100]), 500, 60) * (1 - np.minimum(1, distance[:, 59] / 2.0).mean())
    missing = np.asarray(full - forced)
    assert np.all(missing >= -1e-6)
    assert np.all(missing <= np.asarray(bound) * (1 + 1e-5) + 1e-6)
    saturated = lc.error_from_distances(jnp.asarray(0.1 + distance[:, :60]), np.array([1]), 0.1, points=500)
    np.testing.assert_allclose(saturated, 1.0, rtol=1e-5)  # nothing can be omitted beyond the radius


def test_sizes_out_of_range_are_nan():
    errors = lc.error_from_distances(jnp.asarray(distances(3, 2, 5)), np.array([0, 1, 5, 6]), 1.0)
    assert np.isnan(errors).tolist() == [True, False, False, True]


def test_transformations_and_derivatives():
    distance, sizes = jnp.asarray(distances(4, 6, 30)), jnp.array([2, 10, 30])
    stacked = jax.vmap(lambda radius: lc.error_from_distances(distance, sizes, radius))(jnp.array([0.5, 1.5]))
    np.testing.assert_allclose(stacked[1], lc.error_from_distances(distance, sizes, 1.5), rtol=tolerance())
    step = 1e-5 if jax.config.jax_enable_x64 else 1e-2
    slope = jax.jit(jax.jacfwd(lambda radius: lc.error_from_distances(distance, sizes, radius)))(3.0)
    difference = lc.error_from_distances(distance, sizes, 3 + step) - lc.error_from_distances(distance, sizes, 3 - step)
    np.testing.assert_allclose(slope, difference / (2 * step), rtol=1e-6 if jax.config.jax_enable_x64 else 2e-3)
    by_distance = jax.jit(jax.grad(lambda x: lc.error_from_distances(x, sizes, 3.0)[0]))(distance)
    weights = [comb(30 - j, 1) / comb(30, 2) for j in range(1, 31)]
    unsaturated = np.asarray(distance) < 3.0
    np.testing.assert_allclose(by_distance, unsaturated * np.array(weights) / (3 * 6), rtol=1e-5, atol=1e-9)


def test_wrong_arguments():
    distance = jnp.ones((2, 5))
    with pytest.raises(ValueError, match="power must be 1 or 2, got 3"):
        lc.error_from_distances(distance, jnp.array([1]), 1.0, power=3)
    with pytest.raises(ValueError, match="at least the number of neighbors, 5, got points=4"):
        lc.error_from_distances(distance, jnp.array([1]), 1.0, points=4)
