"""Orders, splits and shard sizes: bounds and refused arguments."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.data.subsets import (
    HoldOut,
    contiguous_blocks,
    held_out_count,
    random_order,
    rotated_order,
    shard_sizes,
    stratified_order,
    stratified_split,
)


def assert_every_prefix_is_stratified(order, labels):
    _, member, count = np.unique(labels, return_inverse=True, return_counts=True)
    n = labels.size
    prefix_counts = np.cumsum(np.eye(count.size, dtype=np.int64)[member[order]], axis=0)
    deviation_times_n = prefix_counts * n - np.arange(1, n + 1)[:, None] * count  # integers: exact
    assert np.abs(deviation_times_n).max() < n


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.sampled_from([2, 31, 96]),
    classes=st.integers(1, 40),
    skew=st.sampled_from([0.1, 1, 100]),
)
def test_every_prefix_has_each_class_within_one_of_its_share(seed, n, classes, skew):
    rng = np.random.default_rng(seed)
    labels = rng.choice(np.arange(classes) * 7 - 3, n, p=rng.dirichlet(np.full(classes, skew)))
    order = stratified_order(jax.random.key(seed), labels)
    assert sorted(order.tolist()) == list(range(labels.size))
    assert order.dtype == np.int32
    assert_every_prefix_is_stratified(order, labels)


def test_many_skewed_classes_where_proportional_sorting_fails():
    rng = np.random.default_rng(3)
    labels = rng.choice(700, 5000, p=rng.dirichlet(np.full(700, 0.5)))
    assert_every_prefix_is_stratified(stratified_order(jax.random.key(0), labels), labels)

    _, member, count = np.unique(labels, return_inverse=True, return_counts=True)
    by_class = np.argsort(member, kind="stable")
    rank = np.empty(labels.size)
    rank[by_class] = np.concatenate([np.arange(c) for c in count])
    proportional = np.argsort((rank + 0.5) / count[member], kind="stable")
    with pytest.raises(AssertionError):
        assert_every_prefix_is_stratified(proportional, labels)


def test_order_depends_on_the_key_within_and_across_classes():
    labels = np.repeat([0, 1, 2], 20)
    orders = [stratified_order(jax.random.key(seed), labels) for seed in range(100)]
    np.testing.assert_array_equal(orders[0], stratified_order(jax.random.key(0), labels))
    first = np.array([order[0] for order in orders])
    # Equal classes: each of the 60 examples leads with probability 1/60, each class with 1/3.
    assert np.unique(first).size > 35
    assert np.all(np.abs(np.bincount(labels[first], minlength=3) - 100 / 3) < 5 * np.sqrt(100 * 2 / 9))


def test_order_is_the_same_in_both_precisions():
    labels = np.arange(50) % 7
    with jax.enable_x64(False):
        single = stratified_order(jax.random.key(1), labels)
    with jax.enable_x64(True):
        double = stratified_order(jax.random.key(1), labels)
    np.testing.assert_array_equal(single, double)


def test_hold_out_has_the_defaults_of_load_data_and_refuses_closed_ends():
    hold_out = HoldOut()
    assert (hold_out.seed, hold_out.validation_fraction, hold_out.test_fraction) == (0, 1 / 6, 0.2)
    for field in ("validation_fraction", "test_fraction"):
        for value in (0.0, 1.0):
            with pytest.raises(ValueError, match=rf"{field} must lie between 0 and 1, got {value}"):
                HoldOut(**{field: value})


def test_one_class_has_a_random_order():
    np.testing.assert_array_equal(
        stratified_order(jax.random.key(2), np.full(20, 7)), random_order(jax.random.key(2), 20)
    )


def test_rotations_start_anywhere():
    orders = [rotated_order(jax.random.key(seed), 6) for seed in range(60)]
    assert {int(order[0]) for order in orders} == set(range(6))
    for order in orders:
        assert order.dtype == np.int32
        np.testing.assert_array_equal(order, (order[0] + np.arange(6)) % 6)


def test_random_order_is_uniform():
    places = np.stack([random_order(jax.random.key(seed), 5) for seed in range(400)])
    counts = np.stack([np.bincount(places[:, place], minlength=5) for place in range(5)])
    assert np.all(np.abs(counts - 80) < 5 * np.sqrt(400 * 0.2 * 0.8))


@given(seed=st.integers(0, 1000), fraction=st.floats(0.05, 0.95), classes=st.integers(1, 9))
def test_split_is_a_partition_with_shares_kept(seed, fraction, classes):
    labels = np.random.default_rng(seed).integers(0, classes, 120)
    rest, held_out = stratified_split(jax.random.key(seed), labels, fraction)
    assert sorted([*rest.tolist(), *held_out.tolist()]) == list(range(120))
    assert held_out.size == round(120 * fraction)
    share = held_out.size / 120 * np.bincount(labels, minlength=classes)
    assert np.all(np.abs(np.bincount(labels[held_out], minlength=classes) - share) < 1)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan"), 0.001])
def test_split_refuses_an_empty_part(fraction):
    with pytest.raises(ValueError, match=r"hold out must lie|leaves one part empty"):
        stratified_split(jax.random.key(0), np.arange(10) % 2, fraction)


def test_held_out_counts():
    assert [held_out_count(10, fraction) for fraction in (0.06, 0.26, 0.94)] == [1, 3, 9]
    for fraction in (0.04, 0.96):
        with pytest.raises(ValueError, match=f"Holding out {fraction} of 10 examples leaves one part empty"):
            held_out_count(10, fraction)


@given(seed=st.integers(0, 1000), periods=st.integers(1, 5), gap=st.integers(0, 9))
def test_blocks_are_apart_and_keep_their_shares(seed, periods, gap):
    n, fractions = 1000, (0.6, 0.25, 0.15)
    parts = contiguous_blocks(jax.random.key(seed), n, fractions, periods=periods, gap=gap)
    owner = np.full(n, -1)
    for number, part in enumerate(parts):
        assert np.all(np.diff(part) > 0)
        owner[part] = number
    used = np.flatnonzero(owner >= 0)
    changes = np.flatnonzero(np.diff(owner[used]) != 0)
    assert np.all(np.diff(used)[changes] == gap + 1)
    assert n - used.size == gap * (3 * periods - 1)
    shares = np.array([part.size for part in parts]) / used.size
    np.testing.assert_allclose(shares, fractions, atol=2 * periods / used.size)


def test_blocks_refuse_what_cannot_be():
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="sum to one"):
        contiguous_blocks(key, 100, (0.5, 0.4), periods=1, gap=0)
    with pytest.raises(ValueError, match="too few"):
        contiguous_blocks(key, 20, (0.8, 0.1, 0.1), periods=4, gap=3)
    for periods, gap in ((0, 0), (1, -1)):
        with pytest.raises(ValueError, match=rf"at least one period.*periods={periods}, gap={gap}"):
            contiguous_blocks(key, 20, (0.5, 0.5), periods=periods, gap=gap)
    with pytest.raises(ValueError, match="positive"):
        contiguous_blocks(key, 100, (1.0, 0.0), periods=1, gap=0)
    with pytest.raises(ValueError, match="positive"):
        contiguous_blocks(key, 100, (), periods=1, gap=0)
    (whole,) = contiguous_blocks(key, 5, (1.0,), periods=1, gap=3)
    assert whole.tolist() == [0, 1, 2, 3, 4]


def test_shard_sizes_of_the_paper():
    fractions = (0.03125, 0.0625, 0.125, 0.25, 0.5, 0.75, 1.0)
    expected = [1875, 3750, 7500, 15_000, 30_000, 45_000, 60_000]
    assert shard_sizes(60_000, fractions[::-1], classes=10).tolist() == expected
    assert shard_sizes(100, (0.1,), classes=10).tolist() == [10]
    assert shard_sizes(1, (1.0,)).tolist() == [1]
    shares = getattr(shard_sizes, "__wrapped__", shard_sizes)(100, np.array([0.5, 0.1]))  # past the run-time type check
    assert shares.tolist() == [10, 50]


@pytest.mark.parametrize(
    ("n", "fractions", "classes", "message"),
    [
        (100, (0.5, 1.5), 2, r"\(0, 1\], got \[1.5\]"),
        (100, (0.0,), 2, r"\(0, 1\], got \[0.0\]"),
        (100, (-0.1,), 2, r"got \[-0.1\]"),
        (100, (float("nan"),), 2, "nan"),
        (100, (), 2, "none"),
        (100, (0.05, 1.0), 10, "is 5 examples, but there are 10 classes"),
        (100, (0.001, 1.0), 0, "is 0 examples, but it must not be empty"),
        (100, (0.501, 0.502), 2, "same size"),
    ],
)
def test_shard_sizes_refuse(n, fractions, classes, message):
    with pytest.raises(ValueError, match=message):
        shard_sizes(n, fractions, classes=classes)
