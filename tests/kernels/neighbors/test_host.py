"""Small problems on the host: the bits of the compiled search, with ties, absent rows and excluded points."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcjax.kernels.neighbors import nearest_neighbors
from lcjax.kernels.neighbors.host import host_neighbors


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), k=st.sampled_from([1, 3]), exclude_self=st.booleans(), ties=st.booleans())
def test_the_same_bits_as_the_compiled_search(seed, k, exclude_self, ties):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(40, 5)).astype(np.float32)
    points = np.round(points) if ties else points
    points[rng.integers(0, 40, 3)] = [[np.nan] * 5, [np.inf] * 5, [0.0] * 5]
    queries = points if exclude_self else np.roll(points, 1, axis=1)
    expected = nearest_neighbors(queries, points, k, exclude_self=exclude_self)
    actual = host_neighbors(queries, points, k, exclude_self=exclude_self)
    assert actual.distance.dtype == np.float32
    np.testing.assert_array_equal(actual.index, expected.index)
    np.testing.assert_array_equal(actual.distance, expected.distance)


def test_more_neighbors_than_finite_points_are_absent():
    points = np.array([[0.0], [np.nan], [2.0]], np.float32)
    expected, actual = (search(points, points, 2, exclude_self=True) for search in (nearest_neighbors, host_neighbors))
    np.testing.assert_array_equal(actual.index, expected.index)
    np.testing.assert_array_equal(actual.distance, expected.distance)
    np.testing.assert_array_equal(actual.index[0], [2, -1])


@pytest.mark.parametrize("blocks", [1, 4])
def test_blocks_and_large_problems_give_the_same(monkeypatch, blocks):
    points = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    expected = host_neighbors(points, points, 3, exclude_self=True)
    monkeypatch.setattr("lcjax.kernels.neighbors.host.BLOCK", 1600 // blocks)
    monkeypatch.setattr("lcjax.kernels.neighbors.host.WORK", 2**28 if blocks > 1 else 0)
    actual = host_neighbors(points, points, 3, exclude_self=True)
    assert actual.method == ("host_neighbors" if blocks > 1 else "brute_force_search")
    np.testing.assert_array_equal(actual.index, expected.index)
    np.testing.assert_array_equal(actual.distance, expected.distance)


def test_the_same_errors():
    with pytest.raises(ValueError, match="k must satisfy 1 <= k <= 3, got k=4"):
        host_neighbors(np.zeros((2, 1)), np.zeros((3, 1)), 4)
