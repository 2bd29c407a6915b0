import jax
import jax.numpy as jnp
import numpy as np

from lcjax.models.layers.attention import attend, hybrid_scores, masked_softmax


def test_masked_softmax_and_mean():
    generator = np.random.default_rng(0)
    scores, values = 9 * generator.normal(size=(3, 5)), generator.normal(size=(3, 5, 2))
    mask = np.arange(5) < np.array([5, 2, 1])[:, None]
    with jax.enable_x64(True):
        weights = np.asarray(masked_softmax(scores, mask))
        mean = attend(weights, values)
    expected = np.where(mask, np.exp(scores), 0)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(weights, expected, rtol=1e-12)
    np.testing.assert_allclose(mean, (expected[..., None] * values).sum(axis=1), rtol=1e-12)


def test_masks_without_a_position_give_zeros():
    weights = masked_softmax(jnp.array([[1.0, 2.0], [1.0, 2.0]]), jnp.array([[False, False], [False, True]]))
    assert weights.tolist() == [[0.0, 0.0], [0.0, 1.0]]
    gradient = jax.jit(jax.grad(lambda x: masked_softmax(x, jnp.zeros(2, bool)).sum()))(jnp.array([1.0, 2.0]))
    assert gradient.tolist() == [0.0, 0.0]


def test_hybrid_scores_by_hand():
    generator = np.random.default_rng(0)
    shapes = {"query": (4, 3), "location": (5, 3), "score": (3,)}
    weights = {name: generator.normal(size=shape) for name, shape in shapes.items()}
    query, keys, before = generator.normal(size=(2, 4)), generator.normal(size=(2, 6, 3)), generator.random((2, 6))
    with jax.enable_x64(True):
        scores = hybrid_scores(weights, query, keys, before)
    for k in range(2):
        for s in range(6):
            near = [before[k, s + j] if 0 <= s + j < 6 else 0.0 for j in range(-2, 3)]
            value = query[k] @ weights["query"] + keys[k, s] + near @ weights["location"]
            np.testing.assert_allclose(scores[k, s], np.tanh(value) @ weights["score"], rtol=1e-12)
