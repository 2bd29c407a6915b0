import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lcjax as lc
from lcjax.compression.pruning import chance_error, mask_params
from lcjax.compression.pruning_curve import SMALLEST
from lcjax.compression.storage import compression_ratio, nonzero_counts, stored_bits

SHAPES = {"head": {"kernel": (4, 3), "bias": (3,)}, "hidden_0": {"kernel": (5, 4), "bias": (4,)}}


def net(seed, dtype="float32", zeros=0.2):
    """A small net, some of whose weights are zero or equal."""
    rng = np.random.default_rng(seed)

    def leaf(shape):
        values = np.round(rng.normal(size=shape), 1)
        return (values * (rng.random(shape) > zeros)).astype(dtype)

    return jax.tree.map(leaf, SHAPES, is_leaf=lambda shape: isinstance(shape, tuple))


def magnitudes(params):
    return {name: np.concatenate([np.abs(leaf).ravel() for leaf in layer.values()]) for name, layer in params.items()}


seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.floats(0, 3), st.floats(0, 3))
def test_masks_are_nested_in_the_threshold(seed, a, b):
    low, high = (lc.prune(net(seed), threshold=t).masks for t in sorted((a, b)))
    for wide, narrow in zip(jax.tree.leaves(low), jax.tree.leaves(high), strict=True):
        assert not np.any(narrow & ~wide)


@given(seeds, st.floats(0, 1), st.floats(0, 1), st.sampled_from(["layer", "global"]))
def test_masks_are_nested_in_the_sparsity(seed, a, b, scope):
    low, high = (lc.prune(net(seed), sparsity=s, scope=scope).masks for s in sorted((a, b)))
    for wide, narrow in zip(jax.tree.leaves(low), jax.tree.leaves(high), strict=True):
        assert not np.any(narrow & ~wide)


@given(seeds)
def test_threshold_and_sparsity_of_zero_are_the_identity(seed):
    params = net(seed)
    for pruned in (lc.prune(params, threshold=0), lc.prune(params, sparsity=0.0), lc.prune(params, 0.0)):
        jax.tree.map(np.testing.assert_array_equal, pruned.params, params)
        assert all(np.all(mask) for mask in jax.tree.leaves(pruned.masks))
        assert float(pruned.report.ratio) == 1


@given(seeds, st.floats(0, 10))
def test_ratio_is_at_least_one_and_never_nan(seed, threshold):
    report = lc.prune(net(seed), threshold=threshold).report
    assert float(report.ratio) >= 1  # false for nan, too
    assert all(float(bits) > 0 for bits in report.bits.values())


def test_everything_pruned_is_an_infinite_ratio_and_an_empty_net_has_ratio_one():
    report = lc.prune(net(0), threshold=np.inf).report
    assert float(report.ratio) == np.inf
    assert int(report.surviving) == 0
    assert set(map(int, report.live.values())) == {0}
    empty = jax.tree.map(np.zeros_like, net(0))
    assert float(lc.prune(empty, threshold=1.0).report.ratio) == 1


@given(seeds, st.floats(0, 1), st.sampled_from(["layer", "global"]))
def test_sparsity_removes_the_smallest_and_as_many_as_it_says(seed, sparsity, scope):
    params = net(seed)
    pruned = lc.prune(params, sparsity=sparsity, scope=scope)
    every, masks = magnitudes(params), magnitudes(pruned.masks)
    if scope == "global":
        every, masks = ({"": np.concatenate(list(part.values()))} for part in (every, masks))
    for name, magnitude in every.items():
        kept = masks[name].astype(bool)
        assert abs(np.sum(~kept) - sparsity * magnitude.size) <= 0.5 + 1e-5
        if kept.any() and not kept.all():
            assert magnitude[~kept].max() <= magnitude[kept].min()


def test_report_against_counting_by_hand():
    params = {
        "a": {
            "kernel": np.array([[0.5, 0.0, 0.01], [2.0, 0.02, -0.02]], "f4"),
            "bias": np.array([0.0, 1.0, 0.03], "f4"),
        },
        "b": {"kernel": np.array([[0.3], [-0.2], [0.05]], "f4")},
    }
    report = lc.prune(params, threshold=0.1).report
    assert (int(report.before), int(report.surviving), float(report.ratio)) == (10, 5, 2)
    assert {name: int(n) for name, n in report.layers.items()} == {"a": 3, "b": 2}
    assert {name: int(n) for name, n in report.live.items()} == {"a": 1, "b": 1}  # the second of a has a bias alone
    assert int(report.bits["dense"]) == 12 * 32
    assert int(report.bits["bit mask"]) == 12 + 5 * 32
    # Kernel of a: 3 rows of 2 (column in 1 bit), starts up to 6 in 3 bits; its bias: a row of 3 (2 bits), starts in 2;
    # kernel of b: a row of 3.
    assert int(report.bits["CSR"]) == (2 * (32 + 1) + 4 * 3) + (1 * (32 + 2) + 2 * 2) + (2 * (32 + 2) + 2 * 2)
    assert float(report.bit_ratio["bit mask"]) == pytest.approx(384 / 172)


def test_the_papers_largest_ratio_is_one_weight_in_each_of_four_layers():
    model = lc.models.MLP((50, 50, 50), 2)
    params = model.init(jax.random.key(0), np.zeros((1, 300)))["params"]
    params = jax.tree.map(lambda leaf: jax.random.normal(jax.random.key(leaf.size), leaf.shape), params)
    curve = lc.prune_curve(params, lambda params: jnp.float32(0))
    assert int(curve.before) == 20252
    assert int(curve.surviving[-1]) == 4
    assert float(curve.ratio[-1]) == 5063


def test_stored_bits_of_csr_against_scipy():
    import scipy.sparse

    rng = np.random.default_rng(0)
    kernel = (rng.normal(size=(60, 40)) * (rng.random((60, 40)) < 0.1)).astype(np.float32)
    matrix = scipy.sparse.csr_array(kernel.T)
    expected = matrix.nnz * 32 + matrix.indices.size * 6 + matrix.indptr.size * 12  # 59 in 6 bits, 2400 in 12
    assert int(stored_bits({"kernel": kernel})["CSR"]) == expected


def test_where_leaves_the_rest_alone_but_counts_it():
    params = net(3, zeros=0)
    params = jax.tree.map(lambda leaf: np.where(leaf == 0, np.float32(0.1), leaf), params)
    pruned = lc.prune(params, threshold=np.inf, where=lambda path, leaf: path.startswith("hidden_0"))
    assert not np.any(pruned.params["hidden_0"]["kernel"])
    np.testing.assert_array_equal(pruned.params["head"]["kernel"], params["head"]["kernel"])
    assert int(pruned.report.surviving) == 15
    assert int(pruned.report.before) == 39


def test_a_threshold_for_each_layer():
    params = net(1)
    pruned = lc.prune(params, threshold={"head": np.inf, "hidden_0": 0.0})
    assert not np.any(pruned.params["head"]["kernel"])
    np.testing.assert_array_equal(pruned.params["hidden_0"]["kernel"], params["hidden_0"]["kernel"])
    with pytest.raises(ValueError, match="head, hidden_0"):
        lc.prune(params, threshold={"head": 1.0})


def test_prune_under_jit_and_vmap():
    params = net(4)
    thresholds = jnp.linspace(0, 2, 5)
    batch = jax.jit(jax.vmap(lambda t: lc.prune(params, threshold=t)))(thresholds)
    for i, threshold in enumerate(thresholds):
        one = lc.prune(params, threshold=threshold)
        assert int(one.report.surviving) == int(batch.report.surviving[i])
        np.testing.assert_array_equal(one.params["head"]["kernel"], batch.params["head"]["kernel"][i])
    shares = jax.vmap(lambda s: lc.prune(params, sparsity=s).report.surviving)(jnp.array([0.0, 0.5, 1.0]))
    assert shares.tolist() == [int(lc.prune(params, sparsity=s).report.surviving) for s in (0.0, 0.5, 1.0)]


def test_bfloat16_keeps_its_dtype_and_integers_are_refused():
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.bfloat16), net(5))
    pruned = lc.prune(params, threshold=0.5)
    assert {leaf.dtype for leaf in jax.tree.leaves(pruned.params)} == {jnp.dtype(jnp.bfloat16)}
    for leaf, mask in zip(jax.tree.leaves(params), jax.tree.leaves(pruned.masks), strict=True):
        np.testing.assert_array_equal(mask, np.abs(np.asarray(leaf, np.float32)) >= 0.5)
    counted = {"step": np.int32(3), "kernel": np.ones((2, 2), np.float32)}
    with pytest.raises(ValueError, match=r"'step' holds int32.*where"):
        lc.prune(counted, threshold=0.5)
    left = lc.prune(counted, threshold=2.0, where=lambda path, leaf: path == "kernel")
    assert int(left.params["step"]) == 3
    assert int(left.report.before) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": -0.1}, r"-0\.1"),
        ({"threshold": float("nan")}, "nan"),
        ({"sparsity": 1.5}, r"1\.5"),
        ({"sparsity": -0.5}, r"-0\.5"),
        ({}, "either"),
        ({"threshold": 0.1, "sparsity": 0.1}, "either"),
        ({"sparsity": 0.1, "scope": "net"}, "'net'"),
        ({"threshold": 0.1, "where": lambda path, leaf: False}, "head/kernel"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        lc.prune(net(0), **options)


def test_a_curve_is_a_loop_over_its_thresholds(x64):
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(net(seed) for seed in range(3)))
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


@given(seeds, st.floats(0, 0.5))
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
    params = jax.tree.map(jnp.asarray, options.pop("params", net(0)))
    with pytest.raises(ValueError, match=r"1|models"):
        lc.prune_curve(params, lambda params: jnp.float32(0), **options)


def test_fine_tuning_holds_the_mask():
    from lcjax.training import Budget, constant, with_replacement

    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(60, 5)).astype(np.float32)
    examples = lc.Examples(inputs, (inputs[:, 0] > 0).astype(np.int32))
    data = lc.Data(examples, examples, None, classes=2)
    model = lc.models.MLP((6,), 2)
    program = lc.Program(model, lc.cross_entropy, optax.adam, constant, 10, Budget(steps=20), with_replacement)
    params = model.init(jax.random.key(0), inputs[:1])["params"]
    pruned = lc.prune(params, sparsity=0.6)
    columns = {"size": np.array([60]), "seed": np.array([0]), "learning_rate": np.array([0.01])}
    result = lc.sweep(
        jax.random.key(0), data, lc.Runs((program,), np.array([0]), columns),
        initial=[{"params": pruned.params}], mask=[pruned.masks], keep=np.array([True]),
    )  # fmt: skip
    after = result.params[0]["params"]
    jax.tree.map(lambda leaf, mask: np.testing.assert_array_equal(leaf[~np.asarray(mask)], 0), after, pruned.masks)
    assert not np.allclose(after["head"]["kernel"], pruned.params["head"]["kernel"])
    jax.tree.map(np.testing.assert_array_equal, mask_params(after, pruned.masks), after)


def test_chance_error_and_ratio():
    assert chance_error(np.array([2, 2, 0]), np.array([2, 0, 1, 2])) == 0.5
    assert compression_ratio(jnp.array(10), jnp.array(4)) == 2.5
    assert {name: int(n) for name, n in nonzero_counts(net(0, zeros=1.0)).items()} == {"head": 0, "hidden_0": 0}


@given(seeds, st.sampled_from(["float32", "float64", "bfloat16"]), st.floats(0, 1))
def test_of_equal_weights_the_first_go(seed, dtype, sparsity):
    values = np.round(np.random.default_rng(seed).normal(size=40), 1)
    with jax.enable_x64(True):
        leaf = jnp.asarray(values, dtype)
        kept = lc.prune({"w": leaf}, sparsity=sparsity).masks["w"]
        order = np.argsort(np.abs(np.asarray(leaf, np.float64)), kind="stable")
        expected = np.ones(40, bool)
        expected[order[: int(np.round(sparsity * 40))]] = False
    np.testing.assert_array_equal(kept, expected)


def test_nan_goes_last_and_empty_leaves_stay():
    params = {"w": np.array([np.nan, -1.0, 2.0], "f4"), "none": np.zeros((0, 2), "f4")}
    assert lc.prune(params, sparsity=0.67).masks["w"].tolist() == [True, False, False]
    assert lc.prune({"a": {"w": params["none"]}, "b": {"w": params["w"]}}, sparsity=0.3).masks["a"]["w"].size == 0
