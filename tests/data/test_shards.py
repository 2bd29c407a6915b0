"""Orders of shards: one for all sizes, or one for each."""

import jax
import numpy as np
import pytest

from lcjax.data.shards import independent_orders, independent_shards, nested_shards
from lcjax.data.subsets import random_order, rotated_order, stratified_order


def test_nested_shards_have_one_key_and_independent_ones_a_key_for_each_size():
    key = jax.random.key(3)
    assert nested_shards(key, 5) == nested_shards(key, 9) == key
    assert independent_shards(key, 5) == jax.random.fold_in(key, 5) != independent_shards(key, 9)


def test_independent_shards_are_drawn_each_for_itself():
    key = jax.random.key(0)
    orders = independent_orders(key, 400, [100, 200, 400])
    assert np.all(np.sort(orders, axis=1) == np.arange(400))
    # Two draws of 100 and 200 of 400 share 50 +- 5 on average (hypergeometric); nested ones would share 100.
    shared = len(set(orders[0, :100]) & set(orders[1, :200]))
    assert abs(shared - 50) < 5 * 5
    alone = independent_orders(key, 400, [200])
    np.testing.assert_array_equal(alone[0], orders[1])
    np.testing.assert_array_equal(alone[0], random_order(jax.random.fold_in(key, 200), 400))
    assert not np.array_equal(independent_orders(jax.random.key(1), 400, [200])[0], alone[0])


def test_independent_shards_by_another_order():
    labels = np.arange(60) % 3
    orders = independent_orders(jax.random.key(0), labels, [9, 30], order=stratified_order)
    for row, size in zip(orders, (9, 30), strict=True):
        assert np.bincount(labels[row[:size]]).tolist() == [size // 3] * 3
    for row in independent_orders(jax.random.key(0), 60, [1, 60], order=rotated_order):
        assert np.all(np.diff(row) % 60 == 1)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([0], r"\[1, 9\], got \[0\]"),
        ([10], "10"),
        ([], "none"),
        ([3, 3], r"differ, got \[3, 3\]"),
        (np.array([2.0, 2.5]), r"whole numbers in \[1, 9\], got \[.*2\.5"),
    ],
    ids=["zero", "large", "none", "twice", "fraction"],
)
def test_bad_shard_sizes(sizes, message):
    draw = getattr(independent_orders, "__wrapped__", independent_orders)  # past the run-time type check
    with pytest.raises(ValueError, match=message):
        draw(jax.random.key(0), 9, sizes)
