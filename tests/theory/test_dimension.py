import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

import lcjax as lc
from lcjax.theory.dimension import (
    inverse_local_dimension,
    levina_bickel,
    nearest_neighbor_accuracy,
    spectral_dimension,
    two_nn,
)


def reference_rule(width, accuracy, standard_error, reference, reference_error, margin, level):
    """Apply the rule in scalar Python."""
    z = scipy.stats.norm.isf(level)
    enough = [
        w
        for w, a, s in zip(width, accuracy, standard_error, strict=True)
        if a - reference + margin >= z * np.hypot(s, reference_error)
    ]
    return (min(enough), True) if enough else (width[int(np.argmax(accuracy))], False)


@given(seed=st.integers(0, 2**32 - 1), margin=st.floats(0.0, 0.05), level=st.floats(0.001, 0.3))
def test_rule_matches_scalar_python(seed, margin, level):
    rng = np.random.default_rng(seed)
    width = rng.permutation(np.arange(1, 9))
    accuracy = 0.9 - 0.5 * np.exp(-width) + rng.normal(0, 0.01, 8)
    standard_error, reference_error = rng.uniform(0.001, 0.02, 8), rng.uniform(0, 0.01)
    expected = reference_rule(width, accuracy, standard_error, 0.9, reference_error, margin, level)
    dimension = lc.effective_dimension(
        width, accuracy, standard_error, 0.9, reference_error=reference_error, margin=margin, level=level
    )
    assert (int(dimension.value), bool(dimension.established)) == expected


@given(seed=st.integers(0, 2**32 - 1), factor=st.floats(1.0, 100.0))
def test_noise_never_makes_the_dimension_smaller(seed, factor):
    rng = np.random.default_rng(seed)
    accuracy = np.sort(rng.uniform(0.8, 1.0, 6))[rng.permutation(6)]
    sharp = lc.effective_dimension(np.arange(1, 7), accuracy, 0.003, 0.95)
    noisy = lc.effective_dimension(np.arange(1, 7), accuracy, 0.003 * factor, 0.95)
    assert int(noisy.value) >= int(sharp.value)
    assert not (noisy.established and not sharp.established)


def test_a_width_that_loses_the_margin_passes_at_the_stated_rate():
    rng = np.random.default_rng(0)
    draws, standard_error, margin, level = 4000, 0.01, 0.005, 0.05
    accuracy = np.stack([np.full(draws, 0.2), rng.normal(0.9 - margin, standard_error, draws)], axis=1)
    dimension = lc.effective_dimension(
        np.arange(1, 3), accuracy, standard_error, np.full(draws, 0.9), margin=margin, level=level
    )
    passed = np.asarray(dimension.established).mean()
    assert abs(passed - level) < 4 * np.sqrt(level * (1 - level) / draws)
    assert scipy.stats.kstest(np.asarray(dimension.pvalue)[:, 1], "uniform").pvalue > 1e-3


def test_known_cases_batched_and_jitted():
    width = jnp.arange(1, 5)
    accuracy = jnp.array(
        [
            [0.50, 0.97, 0.98, 0.98],  # 2 loses 0.01 > margin
            [0.50, 0.98, 0.90, 0.98],  # a failed wider bottleneck does not hide 2
            [0.50, 0.60, 0.70, 0.80],  # none is sufficient: the best is returned
            [0.98, jnp.nan, 0.98, 0.98],  # an absent width is never selected
        ]
    )
    batched = jax.jit(lc.effective_dimension)(width, accuracy, 0.001, jnp.full(4, 0.98))
    assert batched.value.tolist() == [3, 2, 4, 1]
    assert batched.established.tolist() == [True, True, False, True]
    assert batched.value.dtype == width.dtype
    mapped = jax.vmap(lambda a: lc.effective_dimension(width, a, jnp.full(4, 0.001), 0.98))(accuracy)
    np.testing.assert_array_equal(mapped.value, batched.value)


def test_no_noise_is_a_plain_comparison():
    dimension = lc.effective_dimension(np.array([1, 2, 3]), np.array([0.25, 0.5, 0.75]), 0.0, 0.75, margin=0.25)
    assert (int(dimension.value), bool(dimension.established)) == (2, True)


def test_different_numbers_of_widths_are_refused():
    with pytest.raises(ValueError, match=r"one entry per width, got shapes \(3,\), \(2,\)"):
        lc.effective_dimension(np.arange(1, 4), np.array([0.1, 0.2]), 0.1, 0.2)


def cloud(manifold, key, n):
    if manifold == "cube3":
        return 3, jax.random.uniform(key, (n, 3))
    if manifold == "sphere":
        points = jax.random.normal(key, (n, 3))
        return 2, points / jnp.linalg.norm(points, axis=1, keepdims=True)
    if manifold == "swiss roll":
        u, v = jax.random.uniform(key, (2, n))
        angle = 4 * jnp.sqrt(1 + 8 * u)
        return 2, jnp.stack([angle * jnp.cos(angle), angle * jnp.sin(angle), 30 * v], axis=1)
    if manifold == "helix":
        t = 6 * jax.random.uniform(key, (n,))
        return 1, jnp.stack([jnp.cos(t), jnp.sin(t), 0.3 * t, jnp.cos(2 * t)], axis=1)
    raise KeyError(manifold)


@pytest.mark.parametrize("manifold", ["cube3", "sphere", "swiss roll", "helix"])
@pytest.mark.parametrize("estimator", [two_nn, levina_bickel])
def test_dimension_of_known_manifolds(manifold, estimator):
    d, points = cloud(manifold, jax.random.key(5), 1500)
    estimate = estimator(points)
    # Boundaries and curvature bias both estimators at finite n, by a few per cent here.
    assert abs(float(estimate.value) - d) < 4 * float(estimate.standard_error) + 0.08 * d
    assert estimate.value.dtype == points.dtype


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [two_nn, levina_bickel])
def test_error_bars_of_dimension_is_the_spread(estimator):
    key = jax.random.key(0)
    angle = 2 * jnp.pi * jax.random.uniform(key, (150, 200, 2))
    torus = jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], axis=2)  # flat, without boundary
    estimate = jax.vmap(estimator)(torus)
    ratio = float(jnp.std(estimate.value) / jnp.mean(estimate.standard_error))
    assert 0.6 < ratio < 1.1
    assert abs(float(jnp.mean(estimate.value)) - 2) < 0.05


def test_two_nn_matches_the_published_algorithm():
    points = np.random.default_rng(1).normal(size=(400, 2))
    distance = np.sort(np.linalg.norm(points[:, None] - points[None], axis=2), axis=1)
    mu = np.sort(distance[:, 2] / distance[:, 1])
    used = int(0.9 * 400)
    x, y = np.log(mu[:used]), -np.log(1 - np.arange(1, used + 1) / 400)
    slope = np.linalg.lstsq(x[:, None], y, rcond=None)[0][0]
    estimate = two_nn(jnp.asarray(points))
    rtol = 1e-9 if jax.config.jax_enable_x64 else 2e-4
    np.testing.assert_allclose(estimate.value, slope, rtol=rtol)
    # log mu_(i) = sum_{j <= i} E_j / (n - j + 1) / dimension, with independent exponentials E_j of variance 1.
    weights = [np.sum(y[j:]) / (400 - j) for j in range(used)]
    expected = slope * np.sqrt(2 * np.sum(np.square(weights))) / np.sum(y**2)
    np.testing.assert_allclose(estimate.standard_error, expected, rtol=rtol)


def test_inverse_local_dimension_matches_scipy():
    points = np.random.default_rng(2).normal(size=(200, 5))
    distance = scipy.spatial.KDTree(points).query(points, k=9)[0][:, 1:]
    expected = np.log(distance[:, -1:] / distance[:, :-1]).mean(axis=1)
    np.testing.assert_allclose(inverse_local_dimension(jnp.asarray(points), k=8), expected, rtol=1e-4)
    estimate = levina_bickel(jnp.asarray(points), k=8)
    np.testing.assert_allclose(estimate.value, 1 / expected.mean(), rtol=1e-4)
    error = np.sqrt(2 / 200) * expected.std(ddof=1) / expected.mean() ** 2
    np.testing.assert_allclose(estimate.standard_error, error, rtol=1e-4)


def test_ten_neighbors_by_default():
    points = jax.random.normal(jax.random.key(0), (64, 5))
    assert levina_bickel(points).value == levina_bickel(points, k=10).value


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(1e-4, 1e4))
def test_dimension_does_not_depend_on_units(seed, scale):
    points = jax.random.normal(jax.random.key(seed), (64, 5))
    for estimator in (two_nn, levina_bickel, spectral_dimension):
        np.testing.assert_allclose(estimator(scale * points).value, estimator(points).value, rtol=1e-4)


def test_coinciding_points_are_left_out():
    points = jax.random.uniform(jax.random.key(3), (400, 2))
    doubled = points.at[370:].set(points[:30])
    for estimator in (two_nn, levina_bickel):
        estimate, plain = estimator(doubled), estimator(points)
        assert abs(float(estimate.value - plain.value)) < 3 * float(plain.standard_error)
    assert jnp.isnan(two_nn(jnp.zeros((400, 2))).value)
    assert jnp.isnan(spectral_dimension(jnp.zeros((400, 2))).value)


def test_spectral_dimension_counts_singular_values():
    rng = np.random.default_rng(4)
    for share in (0.5, 0.99):
        points = rng.normal(size=(300, 12)) * np.geomspace(3, 0.05, 12) + 7
        singular = np.linalg.svd(points - points.mean(axis=0), compute_uv=False) ** 2
        expected = 1 + int(np.argmax(np.cumsum(singular) / singular.sum() >= share))
        assert int(spectral_dimension(jnp.asarray(points), share=share).value) == expected


def test_error_bars_of_the_spectral_count_is_the_spread_of_its_interpolation():
    scale = jnp.array([2.0, 1.0, 0.5, 0.25])

    def interpolated(points):
        variance = jnp.linalg.eigvalsh(jnp.cov(points.T, ddof=0))[::-1]
        return jnp.interp(0.9, jnp.cumsum(variance) / jnp.sum(variance), jnp.arange(1, 5).astype(points.dtype))

    clouds = scale * jax.random.normal(jax.random.key(6), (200, 300, 4))
    stated = jax.vmap(lambda points: spectral_dimension(points, share=0.9).standard_error)(clouds)
    spread = jnp.std(jax.vmap(interpolated)(clouds))
    assert abs(float(spread / jnp.mean(stated)) - 1) < 5 / np.sqrt(2 * 200)


def test_nearest_neighbor_accuracy_matches_scipy():
    rng = np.random.default_rng(7)
    train, test = rng.normal(size=(300, 3)), rng.normal(size=(100, 3))
    label = lambda x: (x[:, 0] + 0.3 * rng.normal(size=len(x)) > 0).astype(int)  # noqa: E731
    train_labels, test_labels = label(train), label(test)
    expected = np.mean(train_labels[scipy.spatial.KDTree(train).query(test)[1]] == test_labels)
    accuracy = nearest_neighbor_accuracy(jnp.asarray(train), train_labels, jnp.asarray(test), test_labels)
    np.testing.assert_allclose(accuracy, expected, rtol=1e-6)
    with pytest.raises(ValueError, match="300 train features and 299 labels"):
        nearest_neighbor_accuracy(train, train_labels[:-1], test, test_labels)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: two_nn(x[:2]), "at least three points, got 2"),
        (lambda x: two_nn(x, fraction=1.0), "between 0 and 1, got 1.0"),
        (lambda x: levina_bickel(x, k=1), "k must satisfy 2 <= k < n, got k=1 with n=5"),
        (lambda x: levina_bickel(x, k=5), "got k=5 with n=5"),
        (lambda x: spectral_dimension(x, share=0.0), "between 0 and 1, got 0.0"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call(jnp.zeros((5, 2)))
