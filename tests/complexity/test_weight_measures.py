import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from lcjax.complexity.weight_measures import margins, mean_cross_entropy, path_norm, sharpness, weight_norms

KEY = jax.random.key(0)


def test_norms_and_margins_match_numpy():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(5, 5, 2, 4)).astype(np.float32), rng.normal(size=(7, 3)).astype(np.float32)
    params = {"a": {"kernel": first, "bias": np.ones(4, np.float32)}, "b": {"kernel": second}}
    norms = weight_norms(params)
    singular = [np.linalg.svd(first.reshape(-1, 4))[1][0], np.linalg.svd(second)[1][0]]
    np.testing.assert_allclose(norms.spectral, singular, rtol=1e-5)
    np.testing.assert_allclose(norms.spectral_product, np.prod(singular), rtol=1e-5)
    np.testing.assert_allclose(norms.frobenius, np.sqrt((first**2).sum() + (second**2).sum()), rtol=1e-5)
    outputs, labels = rng.normal(size=(20, 4)), rng.integers(0, 4, 20)
    expected = [row[y] - max(np.delete(row, y)) for row, y in zip(outputs, labels, strict=True)]
    np.testing.assert_allclose(margins(outputs, labels), expected, rtol=1e-5)


def test_path_norm_is_a_sum_over_paths():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 4)), rng.normal(size=(4, 2))
    paths = [(a[i, j] * b[j, k]) ** 2 for i in range(3) for j in range(4) for k in range(2)]
    value = path_norm(lambda p, x: jax.nn.relu(x @ p[0]) @ p[1], (jnp.asarray(a), jnp.asarray(b)), (3,))
    np.testing.assert_allclose(value, np.sqrt(sum(paths)), rtol=1e-5)


def test_sharpness_of_a_quadratic_is_at_a_corner_of_the_box():
    weights, radius = jnp.array([1.0, -2.0, 0.5]), 0.1
    curvature = jnp.array([1.0, 10.0, 3.0])
    value = sharpness(KEY, lambda w: 0.5 * jnp.sum(curvature * (w - weights) ** 2), weights, radius=radius, steps=40)
    corner = 0.5 * np.sum(np.asarray(curvature) * (radius * (np.abs(np.asarray(weights)) + 1)) ** 2)
    np.testing.assert_allclose(value, corner, rtol=1e-5)


def test_cross_entropy_matches_scipy():
    rng = np.random.default_rng(0)
    outputs, labels = rng.normal(size=(20, 4)), rng.integers(0, 4, 20)
    expected = -np.mean(scipy.special.log_softmax(outputs, axis=1)[np.arange(20), labels])
    np.testing.assert_allclose(mean_cross_entropy(outputs, labels), expected, rtol=1e-5)


def test_bad_input():
    with pytest.raises(ValueError, match="two classes"):
        margins(np.ones((17, 1), np.float32), np.zeros(17, int))
    with pytest.raises(ValueError, match="no kernel"):
        weight_norms({"bias": np.zeros(3)})
    with pytest.raises(ValueError, match="radius=0"):
        sharpness(KEY, jnp.sum, jnp.ones(2), radius=0.0)
    with pytest.raises(ValueError, match="steps=0"):
        sharpness(KEY, jnp.sum, jnp.ones(2), steps=0)


def test_sharpness_traces_a_loss_once():
    traces = []

    def loss(weights):
        traces.append(weights)
        return jnp.sum(weights**2)

    first = sharpness(KEY, loss, jnp.ones(3))
    count = len(traces)
    again = sharpness(KEY, loss, 2 * jnp.ones(3))
    assert len(traces) == count
    assert float(first) != float(again)
    np.testing.assert_allclose(again, jax.jit(lambda w: sharpness(KEY, loss, w))(2 * jnp.ones(3)), rtol=1e-5)
