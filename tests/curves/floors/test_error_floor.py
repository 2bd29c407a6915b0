"""Floors by label noise: bounds against simulated labels, and intervals that contain the truth."""

import jax
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from lcjax.curves.floors.error_floor import (
    ErrorFloor,
    as_floor,
    bayes_error_bounds,
    exact_floor,
    floor_from_disagreement,
    floor_from_repeats,
)


@pytest.mark.parametrize("classes", [2, 10])
def test_uniformly_flipped_labels_attain_the_lower_bound(classes):
    """A label is wrong with probability q and then any other class: the smallest error is q."""
    wrong = np.array([0.0, 0.05, 0.3])
    disagreement = 1 - (1 - wrong) ** 2 - wrong**2 / (classes - 1)
    low, high = bayes_error_bounds(disagreement, classes=classes)
    np.testing.assert_allclose(low, wrong, atol=1e-12)
    np.testing.assert_allclose(high, disagreement)


@given(seed=st.integers(0, 2**32 - 1), classes=st.integers(2, 12))
def test_the_bounds_contain_the_smallest_error(seed, classes):
    rng = np.random.default_rng(seed)
    probability = rng.dirichlet(np.full(classes, rng.uniform(0.05, 2)), size=20)
    low, high = bayes_error_bounds(float(np.mean(1 - np.sum(probability**2, axis=1))), classes=classes)
    smallest = np.mean(1 - probability.max(axis=1))
    assert low - 1e-12 <= smallest <= high + 1e-12


def test_the_bounds_can_be_differentiated():
    slope = jax.grad(lambda d: bayes_error_bounds(d, classes=2)[0])(0.18)
    assert float(slope) == pytest.approx(0.5 / np.sqrt(1 - 2 * 0.18))


def test_intervals_of_repeated_labels_contain_the_share_of_flipped_ones():
    """At a level of 90 %, the lower limit is above the truth in 5 % of the cases; the upper one is loose."""
    rng, above = np.random.default_rng(0), 0
    for _ in range(200):
        floor = floor_from_repeats((rng.random((300, 3)) < 0.1).astype(int), classes=2)
        above += floor.low > 0.1
        assert floor.high > 0.1
    assert 2 <= above <= 22


def test_inputs_with_fewer_than_two_labels_are_ignored():
    labels = np.array([[0, 1, -1], [1, 1, 1], [0, -1, -1], [2, 2, 0]])
    disagreement = np.mean([1, 0, 2 / 3])
    floor = floor_from_repeats(labels, classes=3)
    expected = floor_from_disagreement(disagreement, np.std([1, 0, 2 / 3], ddof=1) / np.sqrt(3), classes=3, count=3)
    np.testing.assert_allclose([floor.low, floor.high], [expected.low, expected.high])
    with pytest.raises(ValueError, match="got 1 of 2"):
        floor_from_repeats(labels[[0, 2]], classes=3)


def test_a_disagreement_of_zero_has_the_upper_limit_of_wilson():
    floor = floor_from_repeats(np.zeros((1000, 2), int), classes=2)
    wilson = scipy.stats.binomtest(0, 1000).proportion_ci(0.9, method="wilson")
    assert floor.low == 0
    assert floor.high == pytest.approx(wilson.high, rel=0.01)


def test_values_become_floors():
    floor = ErrorFloor(0.1, 0.2)
    assert as_floor(floor) is floor
    assert (as_floor(0.1).low, exact_floor(0.1).high, as_floor(None)) == (0.1, 0.1, None)
    with pytest.raises(ValueError, match="at least 2 classes, got 1"):
        bayes_error_bounds(0.1, classes=1)
    with pytest.raises(ValueError, match=r"got 1\.5"):
        floor_from_disagreement(0.1, 0.0, classes=2, level=1.5)
