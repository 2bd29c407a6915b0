import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lcjax as lc
from lcjax.compression.pruning_curve import SMALLEST
from tests.compression.problems import magnitudes, network


def test_the_papers_largest_ratio_is_one_weight_in_each_of_four_layers():
    sides = [300, 50, 50, 50, 2]
    rng = np.random.default_rng(0)
    params = {
        f"layer_{i}": {"kernel": rng.normal(size=sides[i : i + 2]), "bias": rng.normal(size=sides[i + 1])}
        for i in range(4)
    }
    curve = lc.prune_curve(jax.tree.map(np.float32, params), lambda params: jnp.float32(0), steps=2)
    assert int(curve.before) == 20252
    assert int(curve.surviving[-1]) == 4
    assert float(curve.ratio[-1]) == 5063


def test_a_curve_is_a_loop_over_its_thresholds(x64):
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(network(seed) for seed in range(3)))
    inputs = jnp.asarray(np.random.default_rng(0).normal(size=(40, 5)), jnp.float32)
    targets = jnp.arange(40) % 3

    def accuracy(inputs, targets, params):
        hidden = jax.nn.relu(inputs @ params["hidden_0"]["kernel"] + params["hidden_0"]["bias"])
        outputs = hidden @ params["head"]["kernel"] + params["head"]["bias"]
        return jnp.mean(jnp.argmax(outputs, axis=1) == targets)

    evaluate = jax.tree_util.Partial(accuracy, inputs, targets)
    curve = lc.prune_curve(batch, evaluate, steps=20, models=True)
    chunked = lc.prune_curve(batch, evaluate, steps=20, models=True, chunk=3)
    np.testing.assert_array_equal(chunked.accuracy, curve.accuracy)
    assert curve.accuracy.shape == (3, 21)
    assert curve.threshold["head"].shape == (3, 21)
    for i in range(3):
        params = jax.tree.map(lambda leaf, i=i: leaf[i], batch)
        top = {name: values.max() for name, values in magnitudes(params).items()}
        for name, largest in top.items():
            expected = np.linspace(SMALLEST, largest, 20)
            np.testing.assert_allclose(curve.threshold[name][i, 1:], expected, rtol=1e-6)
        for step in (0, 1, 7, 20):
            by_hand = {
                name: {
                    part: np.where(np.abs(leaf) < curve.threshold[name][i, step], 0, leaf)
                    for part, leaf in layer.items()
                }
                for name, layer in params.items()
            }
            left = sum(np.count_nonzero(leaf) for leaf in jax.tree.leaves(by_hand))
            assert int(curve.surviving[i, step]) == left
            np.testing.assert_allclose(curve.accuracy[i, step], accuracy(inputs, targets, by_hand), rtol=1e-6)
            single = lc.prune(params, threshold={name: t[i, step] for name, t in curve.threshold.items()}).report
            assert float(single.ratio) == float(curve.ratio[i, step])
            assert {n: int(v) for n, v in single.live.items()} == {n: int(v[i, step]) for n, v in curve.live.items()}
    assert curve.surviving[:, -1].tolist() == [
        sum(
            int(np.sum(values == values.max()))
            for values in magnitudes(jax.tree.map(lambda leaf, i=i: leaf[i], batch)).values()
        )
        for i in range(3)
    ]


@given(st.integers(0, 2**32 - 1), st.floats(0, 0.5))
def test_largest_within_is_the_last_good_step(seed, tolerance):
    accuracy = np.random.default_rng(seed).random((2, 12)).astype(np.float32)
    none = jnp.zeros(())
    found = lc.compression.PruneCurve({}, accuracy, none, none, none, {}, {}, {}).largest_within(tolerance)
    for row, step in zip(accuracy, found, strict=True):
        assert row[step] >= row.max() - tolerance - 1e-5
        assert np.all(row[step + 1 :] < row.max() - tolerance + 1e-5)


def test_a_layer_below_the_smallest_threshold_goes_at_the_first_step():
    params = {"a": {"kernel": np.full((2, 2), 1e-4, "f4")}, "b": {"kernel": np.ones((2, 2), "f4")}}
    curve = lc.prune_curve(params, lambda params: jnp.float32(0), steps=4)
    assert curve.layers["a"].tolist() == [4, 0, 0, 0, 0]
    assert curve.layers["b"].tolist() == [4] * 5
    assert not np.isnan(curve.ratio).any()


@pytest.mark.parametrize(
    "options", [{"steps": 1}, {"smallest": -1.0}, {"chunk": 0}, {"models": True, "params": {"a": 1.0}}]
)
def test_bad_curves(options):
    params = jax.tree.map(jnp.asarray, options.pop("params", network(0)))
    with pytest.raises(ValueError, match=r"1|models"):
        lc.prune_curve(params, lambda params: jnp.float32(0), **options)
