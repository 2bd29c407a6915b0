"""Subsets by size and repeat: those of a sweep, whole groups, and orders of time."""

import jax
import numpy as np
import pytest

from lcjax.data.subsets import stratified_order
from lcjax.studies.collection.subsets import Subsets
from lcjax.training.execution.step import ORDER, stream

LABELS = np.array(["cat", "dog", "owl"])[np.arange(90) % 3]
GROUPS = np.repeat(np.arange(12), [3, 9, 1, 5, 4, 2, 7, 6, 3, 8, 2, 10])  # 60 examples


def test_the_orders_are_those_of_a_sweep():
    subsets = Subsets(7, 90, LABELS)
    numbers = np.unique(LABELS, return_inverse=True)[1]
    expected = stratified_order(stream(jax.random.key(7), 2, ORDER), numbers)
    np.testing.assert_array_equal(subsets.indices((30, 2)), expected[:30])


def test_groups_enter_whole_and_are_nested():
    subsets = Subsets(0, len(GROUPS), groups=GROUPS.astype(str))
    assert (subsets.largest, subsets.unit) == (12, "groups")
    for repeat in range(3):
        before = np.zeros(0, int)
        for size in (1, 2, 5, 12):
            indices = subsets.indices((size, repeat))
            np.testing.assert_array_equal(indices[: len(before)], before)
            inside = np.unique(GROUPS[indices])
            assert len(inside) == size
            np.testing.assert_array_equal(np.sort(indices), np.flatnonzero(np.isin(GROUPS, inside)))
            before = indices
    assert set(subsets.indices((3, 0))) != set(subsets.indices((3, 1)))


def test_groups_are_stratified_by_their_most_common_label():
    groups = np.repeat(np.arange(40), 5)
    labels = np.where(groups < 10, "ill", "well")
    labels[::5] = "well"  # four of five examples of a group decide
    subsets = Subsets(0, 200, labels, groups)
    for size in (4, 8, 20):
        indices = subsets.indices((size, 0))
        assert abs(np.unique(groups[indices][groups[indices] < 10]).size - size / 4) < 1


def test_orders_of_time_are_by_number():
    recent, first = Subsets(0, 100, order="recent"), Subsets(0, 100, order="first")
    for repeat in (0, 1):
        np.testing.assert_array_equal(recent.indices((3, repeat)), [97, 98, 99])
        np.testing.assert_array_equal(first.indices((3, repeat)), [0, 1, 2])
    assert recent.identity() != first.identity()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": np.zeros(5)}, r"labels must have shape \(100,\).*got \(5,\)"),
        ({"groups": np.zeros(5)}, "groups must be one number or string per example"),
        ({"order": "latest"}, "order must be one of random, recent, first, got 'latest'"),
        ({"order": "recent", "labels": np.zeros(100)}, "leave out the labels"),
        ({"order": "first", "groups": np.zeros(100)}, "leave out the groups"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Subsets(0, 100, **options)
