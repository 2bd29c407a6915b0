import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lcjax as lc


def nets(count):
    rng = np.random.default_rng(1)
    shapes = {"head": {"bias": (3,), "kernel": (6, 3)}}
    return jax.tree.map(
        lambda shape: jnp.asarray(rng.normal(size=(count, *shape)), jnp.float32),
        shapes,
        is_leaf=lambda shape: isinstance(shape, tuple),
    )


def test_a_curve_is_a_search_over_formats(x64):
    inputs = jnp.asarray(np.random.default_rng(0).normal(size=(80, 6)), jnp.float32)
    params = nets(2)
    targets = jnp.argmax(inputs @ params["head"]["kernel"][0], axis=1)

    def accuracy(params):
        return jnp.mean(jnp.argmax(inputs @ params["head"]["kernel"] + params["head"]["bias"], axis=1) == targets)

    bits, grid = (10, 6, 3, 2), (0, 1, 2, 5, 9)
    curve = lc.quantize_curve(
        params, accuracy, measure=lambda p: {"loss": jnp.sum(p["head"]["bias"])}, bits=bits, fraction_bits=grid,
        tolerance=0.05, models=True,
    )  # fmt: skip
    assert curve.grid_accuracy.shape == (2, 4, 5)
    assert curve.bits.tolist() == list(bits)
    for i in range(2):
        one = jax.tree.map(lambda leaf, i=i: leaf[i], params)
        by_hand = np.array([[float(accuracy(lc.quantize(one, b, f).params)) for f in grid] for b in bits])
        np.testing.assert_allclose(curve.grid_accuracy[i], by_hand, atol=1e-6)
        for j, b in enumerate(bits):
            chosen = min(f for f, a in zip(grid, by_hand[j], strict=True) if a >= by_hand[j].max() - 0.05 - 1e-6)
            assert int(curve.fraction_bits[i, j]) == chosen
            net = lc.quantize(one, b, chosen).params
            assert float(curve.accuracy[i, j]) == pytest.approx(float(accuracy(net)))
            np.testing.assert_allclose(curve.margin[i, j], 2 / np.sum(np.square(net["head"]["kernel"])), rtol=1e-6)
            np.testing.assert_allclose(curve.measured["loss"][i, j], np.sum(net["head"]["bias"]), rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(curve.full_accuracy[i], accuracy(one), atol=1e-7)


def test_fewest_bits_does_not_jump_over_a_gap():
    none = jnp.zeros(())
    accuracy = jnp.array([[0.9, 0.5, 0.9], [0.9, 0.9, 0.9], [0.1, 0.9, 0.9]])
    curve = lc.compression.QuantizeCurve(
        jnp.array([2, 8, 4]), none, none, none, accuracy[:, [2, 0, 1]], none, {}, none + 0.9, none, {}
    )
    assert curve.fewest_bits().tolist() == [8, 2, 9]


@pytest.mark.parametrize(
    "options", [{"bits": ()}, {"bits": (1,)}, {"fraction_bits": (101,)}, {"tolerance": -1.0}, {"chunk": 0}]
)
def test_bad_curves(options):
    with pytest.raises(ValueError, match=r"bits|-1|chunk"):
        lc.quantize_curve(nets(2), lambda params: jnp.float32(0), models=True, **options)
