import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import lcjax as lc
from lcjax.complexity.expressivity import memorizing_network

DEPTHS = (2, 3, 7)
N, D, CANDIDATES = 40, 3, 64  # one shape for most tests, so that few programs are compiled


def forward(layers, inputs):
    """Evaluate the network written out in NumPy."""
    value = np.asarray(inputs).reshape(len(inputs), -1)
    for kernel, bias in layers[:-1]:
        value = np.maximum(value @ kernel + bias, 0)
    return (value @ layers[-1][0] + layers[-1][1])[:, 0]


def cloud(n, d, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def build(inputs, targets, depth=2, seed=0):
    return memorizing_network(jax.random.key(seed), inputs, targets, depth=depth, candidates=CANDIDATES)


@pytest.mark.parametrize("depth", DEPTHS)
@given(
    targets=hnp.arrays(np.float64, N, elements=st.floats(-1e6, 1e6).map(lambda value: round(value, 6))),
    seed=st.integers(0, 2**32 - 1),
    offset=st.floats(-100, 100),
)
def test_any_targets_are_interpolated(depth, targets, seed, offset):
    with jax.enable_x64(True):
        inputs = cloud(N, D, seed) + offset
        network = build(inputs, targets, depth, seed)
        largest = np.abs(targets).max()
        np.testing.assert_allclose(network.apply(inputs), targets, rtol=0, atol=1e-9 * largest)
        # In another order of evaluation the condition may magnify rounding, and the slope that of a projection.
        params = jax.tree.map(np.asarray, network.params)
        slope = np.abs(np.cumsum(params["weight"], axis=-1)).max()
        projection = slope * np.max(np.abs(inputs) @ np.abs(params["projection"]))
        bound = 4 * np.finfo(float).eps * (float(network.condition) * largest + projection)
        assert np.abs(forward(network.layers(), inputs) - targets).max() <= bound


@pytest.mark.parametrize(
    ("d", "classes"),
    [(1, 2), pytest.param(2, 10, marks=pytest.mark.slow), pytest.param(20, 10, marks=pytest.mark.slow), (64, 100)],
)
def test_every_label_is_recovered_in_float32_at_1000_examples(d, classes):
    for seed in range(2):
        inputs = cloud(1000, d, seed).astype(np.float32)
        labels = np.random.default_rng(100 + seed).integers(0, classes, 1000).astype(np.int32)
        network = memorizing_network(jax.random.key(seed), inputs, labels)
        assert network.params["weight"].dtype == jnp.float32
        np.testing.assert_array_equal(jnp.round(network.apply(inputs)), labels)
        shuffled = np.random.default_rng(seed).permutation(1000)  # regardless of the other examples
        np.testing.assert_array_equal(jnp.round(network.apply(inputs[shuffled[:300]])), labels[shuffled[:300]])


@pytest.mark.parametrize("depth", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_ten_thousand_real_targets_to_1e_6_in_float64(depth):
    with jax.enable_x64(True):
        inputs, targets = cloud(10_000, 8), cloud(10_000, 1, 1)[:, 0]
        network = memorizing_network(jax.random.key(0), inputs, targets, depth=depth, candidates=32)
        assert np.abs(np.asarray(network.apply(inputs)) - targets).max() < 1e-6
        if depth == 2:
            assert sum(leaf.size for leaf in jax.tree.leaves(network.params)) == 20_008


@pytest.mark.slow
def test_random_labels_of_real_images():
    images = lc.load_data("digits").train.inputs.astype(np.float32)
    labels = lc.complexity.corrupt_labels(jax.random.key(0), np.zeros(len(images), np.int32), 10, 1.0)
    network = lc.memorizing_network(jax.random.key(1), images, labels)
    np.testing.assert_array_equal(jnp.round(network.apply(images)), labels)
    assert sum(leaf.size for leaf in jax.tree.leaves(network.params)) == 2 * len(images) + 64


@pytest.mark.parametrize(
    "n", [1, pytest.param(2, marks=pytest.mark.slow), 17, pytest.param(60, marks=pytest.mark.slow)]
)
def test_the_net_has_2n_plus_d_weights(n):
    inputs = cloud(n, 5).astype(np.float32)
    network = memorizing_network(jax.random.key(0), inputs, np.arange(n))
    assert sum(leaf.size for leaf in jax.tree.leaves(network.params)) == 2 * n + 5
    np.testing.assert_allclose(network.apply(network.params, inputs), np.arange(n), atol=1e-3)
    np.testing.assert_allclose(jax.jit(network.apply)(network.params, inputs), np.arange(n), atol=1e-3)


@pytest.mark.parametrize(
    ("n", "depth"),
    [
        pytest.param(60, 3, marks=pytest.mark.slow),
        (60, 4),
        pytest.param(60, 12, marks=pytest.mark.slow),
        pytest.param(400, 7, marks=pytest.mark.slow),
    ],
)
def test_a_deep_net_has_n_over_k_units_and_non_zero_weights_a_layer(n, depth):
    with jax.enable_x64(True):
        d = 6
        inputs, targets = cloud(n, d), cloud(n, 1, 1)[:, 0]
        network = memorizing_network(jax.random.key(0), inputs, targets, depth=depth)
        layers = network.layers()
        assert len(layers) == depth
        width = -(-n // (depth - 2))
        assert max(kernel.shape[1] for kernel, _ in layers) <= width + 3
        counts = [np.count_nonzero(kernel) + np.count_nonzero(bias) for kernel, bias in layers]
        assert counts[0] <= 2 * d + 2
        assert max(counts[1:]) <= 3 * width + 6  # a knot has one input weight, one bias and one output weight
        assert sum(counts) <= 3 * n + 2 * d + 7 * depth
        np.testing.assert_allclose(forward(layers, inputs), targets, atol=1e-9)
        elsewhere = cloud(500, d, 2)  # and it is the same function between the examples
        np.testing.assert_allclose(network.apply(elsewhere), forward(layers, elsewhere), rtol=0, atol=1e-7)


def test_the_weights_solve_the_triangular_system():
    with jax.enable_x64(True):
        inputs, targets = cloud(N, D), cloud(N, 1, 1)[:, 0]
        params = jax.tree.map(np.asarray, build(inputs, targets).params)
        z = inputs @ params["projection"]
        order = np.argsort(z)
        np.testing.assert_allclose(params["threshold"][1:], z[order][:-1])
        system = np.maximum(z[order][:, None] - params["threshold"], 0)
        np.testing.assert_allclose(np.triu(system, 1), 0, atol=4 * np.finfo(float).eps)  # NumPy's product and XLA's
        expected = scipy.linalg.solve_triangular(system, targets[order], lower=True)
        np.testing.assert_allclose(params["weight"], expected, rtol=1e-6)


def test_the_condition_is_the_sum_of_magnitudes():
    with jax.enable_x64(True):
        inputs, targets = cloud(N, D), cloud(N, 1, 1)[:, 0]
        network = build(inputs, targets)
        params = jax.tree.map(np.asarray, network.params)
        z = np.sort(inputs @ params["projection"])
        slope = np.abs(np.cumsum(params["weight"])).max()
        terms = np.sum(np.abs(params["weight"])) * (z[-1] - params["threshold"][0])
        expected = (terms + slope * np.abs(z).max()) / np.abs(targets).max()
        np.testing.assert_allclose(network.condition, expected, rtol=1e-9)


@pytest.mark.parametrize("depth", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_between_two_examples_the_output_lies_between_their_targets(depth):
    with jax.enable_x64(True):
        inputs, targets = np.array([[0.0], [1.0], [3.0]]), np.array([1.0, -2.0, 5.0])
        network = build(inputs, targets, depth)
        np.testing.assert_allclose(network.apply(np.array([[0.5], [2.0]])), [-0.5, 1.5], atol=1e-9)


def test_the_best_conditioned_projection_is_taken():
    inputs = (cloud(60, 10) + 50).astype(np.float32)  # far from the origin
    labels = np.arange(60) % 10
    one, many = (memorizing_network(jax.random.key(0), inputs, labels, candidates=c).condition for c in (1, 256))
    assert float(many) < float(one) / 2


@pytest.mark.parametrize("depth", DEPTHS)
def test_repeated_inputs_with_equal_targets_are_no_obstacle(depth):
    with jax.enable_x64(True):
        inputs, labels = np.repeat(cloud(N // 2, D), 2, axis=0), np.repeat(np.arange(N // 2) % 7.0, 2)
        np.testing.assert_array_equal(jnp.round(build(inputs, labels, depth).apply(inputs)), labels)


def test_many_nets_at_once():
    inputs = cloud(20, 3).astype(np.float32)
    labels = np.random.default_rng(1).integers(0, 5, (4, 20))
    keys = jax.random.split(jax.random.key(0), 4)
    nets = jax.vmap(lambda key, y: memorizing_network(key, jnp.asarray(inputs), y))(keys, jnp.asarray(labels))
    outputs = jax.vmap(lambda network: network.apply(jnp.asarray(inputs)))(nets)
    np.testing.assert_array_equal(jnp.round(outputs), labels)


def test_bad_input():
    key, inputs, labels = jax.random.key(0), cloud(10, 2).astype(np.float32), np.arange(10)
    twins = inputs.copy()
    twins[7] = twins[2]
    with pytest.raises(ValueError, match=r"rows 2 and 7 \(targets 2 and 7"):
        memorizing_network(key, twins, labels)
    signed = np.zeros((2, 2), np.float32)
    signed[1] = -0.0
    with pytest.raises(ValueError, match="rows 0 and 1"):
        memorizing_network(key, signed, np.arange(2))
    close = np.array([[1.2], [1.4], [1e8]], np.float32)  # the first two lie within the rounding of the third
    with pytest.raises(ValueError, match=r"distinguished in float32 .*rows [01] and [01]"):
        memorizing_network(key, close, np.arange(3), depth=3)
    with pytest.raises(ValueError, match=r"each of 10 inputs, got shape \(9,\)"):
        memorizing_network(key, inputs, labels[:9])
    for depth in (1, 13):
        with pytest.raises(ValueError, match=f"depth={depth} with n=10"):
            memorizing_network(key, inputs, labels, depth=depth)
    with pytest.raises(ValueError, match="candidates=0"):
        memorizing_network(key, inputs, labels, candidates=0)
    with pytest.raises(ValueError, match=r"got shape \(0, 2\)"):
        memorizing_network(key, inputs[:0], labels[:0])
    with pytest.raises(ValueError, match="1 rows of the inputs are not finite, the first is row 3"):
        memorizing_network(key, np.where(np.arange(10)[:, None] == 3, np.nan, inputs), labels)
    with pytest.raises(ValueError, match="1 rows of the targets are not finite, the first is row 4"):
        memorizing_network(key, inputs, np.where(labels == 4, np.inf, labels))
