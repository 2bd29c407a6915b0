import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lcjax as lc
from lcjax.compression.pruning import chance_error, mask_params
from tests.compression.problems import magnitudes, network

seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.floats(0, 3), st.floats(0, 3))
def test_masks_are_nested_in_the_threshold(seed, a, b):
    low, high = (lc.prune(network(seed), threshold=t).masks for t in sorted((a, b)))
    for wide, narrow in zip(jax.tree.leaves(low), jax.tree.leaves(high), strict=True):
        assert not np.any(narrow & ~wide)


@given(seeds, st.floats(0, 1), st.floats(0, 1), st.sampled_from(["layer", "global"]))
def test_masks_are_nested_in_the_sparsity(seed, a, b, scope):
    low, high = (lc.prune(network(seed), sparsity=s, scope=scope).masks for s in sorted((a, b)))
    for wide, narrow in zip(jax.tree.leaves(low), jax.tree.leaves(high), strict=True):
        assert not np.any(narrow & ~wide)


@given(seeds)
def test_threshold_and_sparsity_of_zero_are_the_identity(seed):
    params = network(seed)
    for pruned in (lc.prune(params, threshold=0), lc.prune(params, sparsity=0.0), lc.prune(params, 0.0)):
        jax.tree.map(np.testing.assert_array_equal, pruned.params, params)
        assert all(np.all(mask) for mask in jax.tree.leaves(pruned.masks))
        assert float(pruned.report.ratio) == 1


@given(seeds, st.floats(0, 10))
def test_ratio_is_at_least_one_and_never_nan(seed, threshold):
    report = lc.prune(network(seed), threshold=threshold).report
    assert float(report.ratio) >= 1  # false for nan, too
    assert all(float(bits) > 0 for bits in report.bits.values())


def test_everything_pruned_is_an_infinite_ratio_and_an_empty_net_has_ratio_one():
    report = lc.prune(network(0), threshold=np.inf).report
    assert float(report.ratio) == np.inf
    assert int(report.surviving) == 0
    assert set(map(int, report.live.values())) == {0}
    empty = jax.tree.map(np.zeros_like, network(0))
    assert float(lc.prune(empty, threshold=1.0).report.ratio) == 1


@given(seeds, st.floats(0, 1), st.sampled_from(["layer", "global"]))
def test_sparsity_removes_the_smallest_and_as_many_as_it_says(seed, sparsity, scope):
    params = network(seed)
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
    assert {name: int(n) for name, n in report.live.items()} == {"a": 1, "b": 1}  # the second unit of a has only a bias
    assert int(report.bits["dense"]) == 12 * 32
    assert int(report.bits["bit mask"]) == 12 + 5 * 32
    # Kernel of a: 3 rows of 2 (column in 1 bit), starts up to 6 in 3 bits; its bias: a row of 3 (2 bits), starts in 2;
    # kernel of b: a row of 3.
    assert int(report.bits["CSR"]) == (2 * (32 + 1) + 4 * 3) + (1 * (32 + 2) + 2 * 2) + (2 * (32 + 2) + 2 * 2)
    assert float(report.bit_ratio["bit mask"]) == pytest.approx(384 / 172)


def test_where_leaves_the_rest_alone_but_counts_it():
    params = network(3, zeros=0)
    params = jax.tree.map(lambda leaf: np.where(leaf == 0, np.float32(0.1), leaf), params)
    pruned = lc.prune(params, threshold=np.inf, where=lambda path, leaf: path.startswith("hidden_0"))
    assert not np.any(pruned.params["hidden_0"]["kernel"])
    np.testing.assert_array_equal(pruned.params["head"]["kernel"], params["head"]["kernel"])
    assert int(pruned.report.surviving) == 15
    assert int(pruned.report.before) == 39


def test_a_threshold_for_each_layer():
    params = network(1)
    pruned = lc.prune(params, threshold={"head": np.inf, "hidden_0": 0.0})
    assert not np.any(pruned.params["head"]["kernel"])
    np.testing.assert_array_equal(pruned.params["hidden_0"]["kernel"], params["hidden_0"]["kernel"])
    with pytest.raises(ValueError, match="head, hidden_0"):
        lc.prune(params, threshold={"head": 1.0})


def test_prune_under_jit_and_vmap():
    params = network(4)
    thresholds = jnp.linspace(0, 2, 5)
    batch = jax.jit(jax.vmap(lambda t: lc.prune(params, threshold=t)))(thresholds)
    for i, threshold in enumerate(thresholds):
        one = lc.prune(params, threshold=threshold)
        assert int(one.report.surviving) == int(batch.report.surviving[i])
        np.testing.assert_array_equal(one.params["head"]["kernel"], batch.params["head"]["kernel"][i])
    shares = jax.vmap(lambda s: lc.prune(params, sparsity=s).report.surviving)(jnp.array([0.0, 0.5, 1.0]))
    assert shares.tolist() == [int(lc.prune(params, sparsity=s).report.surviving) for s in (0.0, 0.5, 1.0)]


def test_bfloat16_keeps_its_dtype_and_integers_are_refused():
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.bfloat16), network(5))
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
        lc.prune(network(0), **options)


@pytest.mark.slow
def test_fine_tuning_holds_the_mask():
    from lcjax.training import Budget, constant, with_replacement

    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(60, 5)).astype(np.float32)
    examples = lc.Examples(inputs, (inputs[:, 0] > 0).astype(np.int32))
    data = lc.Data(examples, examples, None, classes=2)
    model = lc.models.MLP((6,), 2)
    program = lc.Program(model, lc.cross_entropy, optax.adam, constant, 10, Budget(steps=20), with_replacement)
    params = jax.jit(model.init)(jax.random.key(0), inputs[:1])["params"]
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


def test_masks_set_weights_to_zero():
    params = network(7)
    masks = jax.tree.map(lambda leaf: np.abs(leaf) > 0.5, params)
    expected = jax.tree.map(lambda leaf, mask: leaf * mask, params, masks)
    jax.tree.map(np.testing.assert_array_equal, mask_params(params, masks), expected)


def test_chance_error():
    assert chance_error(np.array([2, 2, 0]), np.array([2, 0, 1, 2, 2])) == pytest.approx(0.4)


@given(seeds, st.sampled_from(["float32", "float64", "bfloat16"]), st.floats(0, 1))
def test_of_equal_weights_the_first_are_pruned(seed, dtype, sparsity):
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
