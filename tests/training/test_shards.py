"""Nested and independent shards: the examples of a run, alone or among others, and its identity."""

import dataclasses

import jax
import numpy as np
import pytest

import lcjax as lc
from lcjax.data.subsets import random_order, rotated_order, stratified_order
from lcjax.records import canonical_hash
from lcjax.training import Execution, consecutive
from lcjax.training.execution.permutations import orders_of
from lcjax.training.execution.step import ORDER
from lcjax.training.storage.identity import identity

ALL = np.ones(6, bool)
ARRAYS = ("status", "steps", "train_loss", "train_error", "validation_loss", "validation_error", "test_loss", "wrong")


def order_key(key, seed, size):
    """Return the key of the order of which an independent shard is a prefix."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(key, seed), ORDER), size)


def assert_same(actual, expected, rows):
    """Compare bit for bit, including weights."""
    for i, row in enumerate(rows):
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(actual, name)[i], getattr(expected, name)[row], err_msg=name)
        np.testing.assert_array_equal(actual.shard(i), expected.shard(row))
        for a, e in zip(jax.tree.leaves(actual.params[i]), jax.tree.leaves(expected.params[row]), strict=True):
            np.testing.assert_array_equal(a, e)


@pytest.fixture(scope="module")
def independent(table):
    return dataclasses.replace(table, shards=lc.data.independent_shards)


@pytest.fixture(scope="module")
def expected(data, independent):
    return lc.sweep(jax.random.key(3), data, independent, keep=ALL, execution=Execution("vmap", 2))


def test_every_size_of_a_seed_has_a_balanced_order_of_its_own(data, independent, expected, key):
    labels = data.train.targets
    assert expected.orders.shape == (6, 240)
    np.testing.assert_array_equal(expected.order, np.arange(6))
    for row in range(6):
        seed, size = (int(independent.columns[name][row]) for name in ("seed", "size"))
        shard = expected.shard(row)
        np.testing.assert_array_equal(shard, stratified_order(order_key(key, seed, size), labels)[:size])
        assert np.ptp(np.bincount(labels[shard], minlength=3)) <= 1
    for small, large in ((0, 1), (1, 2), (0, 2), (3, 4)):
        assert not np.array_equal(expected.shard(small), expected.shard(large)[: len(expected.shard(small))])
    # Independent draws of 20 and 60 from 240 share 5 (hypergeometric, deviation 1.9); nested shards share all 20.
    assert len(set(expected.shard(0)) & set(expected.shard(1))) <= 14


def test_the_shard_is_what_is_trained_on(data, table, expected, key):
    """The recorded loss equals that of the stored network on `result.shard` in NumPy, for both kinds of shards."""
    nested = lc.sweep(key, data, table, keep=ALL, execution=Execution("vmap", 2))
    np.testing.assert_array_equal(nested.order, [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(nested.shard(0), nested.shard(2)[:20])
    for result in (nested, expected):
        for row in range(6):
            shard = result.shard(row)
            layers = result.params[row]["params"]
            inputs = (data.train.inputs[shard] - 128.0) / 64
            hidden = np.maximum(inputs @ layers["hidden_0"]["kernel"] + layers["hidden_0"]["bias"], 0)
            outputs = hidden @ layers["head"]["kernel"] + layers["head"]["bias"]
            chosen = outputs[np.arange(len(shard)), data.train.targets[shard]]
            loss = np.mean(np.log(np.exp(outputs).sum(axis=1)) - chosen)
            np.testing.assert_allclose(result.train_loss[row, -1], loss, rtol=1e-4)


@pytest.mark.parametrize("rows", [[4], [3, 1]])
def test_a_run_alone_is_the_run_among_others(data, independent, expected, key, rows):
    alone = lc.sweep(key, data, independent.rows(rows), keep=ALL[: len(rows)], execution=Execution("vmap", 2))
    assert_same(alone, expected, rows)


def test_an_interrupted_sweep_resumes_and_no_other_uses_its_folder(data, table, independent, expected, key, tmp_path):
    def stop(progress):
        if progress.ended >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lc.sweep(
            key, data, independent, keep=ALL, execution=Execution("vmap", 2), folder=tmp_path / "own", on_progress=stop
        )
    with pytest.raises(ValueError, match="another sweep: it differs in runs"):
        lc.sweep(key, data, table, keep=ALL, folder=tmp_path / "own")
    events = []
    result = lc.sweep(key, data, independent, keep=ALL, folder=tmp_path / "own", on_progress=events.append)
    assert events[0].restored == 2
    assert_same(result, expected, range(6))
    lc.sweep(key, data, table.rows([0]), folder=tmp_path / "nested")
    with pytest.raises(ValueError, match="another sweep: it differs in runs"):
        lc.sweep(key, data, independent.rows([0]), folder=tmp_path / "nested")


def test_the_hash_of_a_table_is_what_it_always_was(data, table, independent, key):
    """The expected hash dates from when functions got permanent names."""
    columns = {"size": np.array([4, 12]), "seed": np.array([0, 7]), "learning_rate": np.array([0.1, 0.05])}
    runs = lc.Runs(table.programs, np.zeros(2, int), columns)

    def known(runs):
        return canonical_hash(identity(key, data, runs, [None] * 2, [None] * 2, ALL[:2])["runs"])

    program = dataclasses.replace(table.programs[0], batch=4)
    runs = dataclasses.replace(runs, programs=(program,))
    assert known(runs) == "4299cfae93ec06020613ce8030589ce9decaee15874240606980a76ca2a8c531"
    assert known(dataclasses.replace(runs, shards=lc.data.independent_shards)) != known(runs)


def test_orders_of_other_tasks_keep_their_meaning(data, independent, key):
    """Orders are uniform for regression and consecutive windows for continuous programs, one for each size."""
    regression = dataclasses.replace(data, classes=0, tolerance=0.1)
    orders, row = orders_of(key, regression, independent)
    np.testing.assert_array_equal(orders[row[4]], random_order(order_key(key, 7, 60), 240))
    reading = dataclasses.replace(independent.programs[0], sampling=consecutive)
    orders, row = orders_of(key, regression, dataclasses.replace(independent, programs=(reading,)))
    np.testing.assert_array_equal(orders[row[4]], rotated_order(order_key(key, 7, 60), 240))
    assert np.all(np.diff(orders) % 240 == 1)
    assert len({int(order[0]) for order in orders}) > 2  # every size begins at a different window


def test_runs_of_one_seed_and_size_share_their_shard(data, independent, key):
    twice = independent.rows([3, 0, 3, 0])
    orders, row = orders_of(key, data, twice)
    assert orders.shape == (2, 240)
    np.testing.assert_array_equal(row, [1, 0, 1, 0])


def other_arguments(key, n, sizes):
    return key


def no_key(key, size):
    return size


@pytest.mark.parametrize(
    ("shards", "message"),
    [
        ("disjoint", "shards is 'disjoint', which is not a function: pass lcjax.data.nested_shards or"),
        (None, "shards is None, which is not a function"),
        (other_arguments, "other_arguments.*does not take a key and a size"),
        (no_key, "no_key.*does not return a key for a key and a size but 1"),
    ],
)
def test_bad_shards_are_refused(data, table, key, shards, message):
    bad = dataclasses.replace(table)
    object.__setattr__(bad, "shards", shards)  # past the run-time type check
    with pytest.raises(ValueError, match=message):
        lc.sweep(key, data, bad)
