"""Divisions of differences, smoothing and windows, against searches by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.curves.comparison.crossing import divide, find_windows, smoothing_matrix, window_grid


def best_division(difference):
    """Return the number of sizes before the best division, the largest one of ties."""
    gains = [difference[:k].sum() - difference[k:].sum() for k in range(len(difference) + 1)]
    return max(k for k, gain in enumerate(gains) if gain >= max(gains) - 1e-12)


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 12))
def test_divisions_are_the_best_of_all(seed, count):
    difference = np.random.default_rng(seed).normal(size=count)
    x = np.arange(float(count))
    kept, place = best_division(difference), float(divide(x, difference))
    if kept == count:
        assert place == np.inf
    elif kept == 0:
        assert place == x[0]
    else:
        assert kept - 1 <= place <= kept


def test_a_single_crossing_is_where_the_line_crosses(x64):
    x = np.linspace(0.0, 4.0, 33)
    dtype = np.float64 if x64 else np.float32
    lines = (np.array([[0.7], [2.33], [3.99]]) - x).astype(dtype)
    tolerance = 1e-12 if x64 else 1e-5
    np.testing.assert_allclose(divide(x.astype(dtype), lines), [0.7, 2.33, 3.99], rtol=tolerance)


def test_a_brief_change_of_sign_is_no_crossing():
    assert divide(np.arange(5.0), np.array([1.0, 0.8, -0.1, 0.5, 0.9])) == np.inf
    assert 2 < divide(np.arange(6.0), np.array([1.0, 0.8, 0.5, -0.6, 0.1, -0.9])) < 3


def test_smoothing_keeps_lines_and_averages_noise():
    x = np.log(2.0) * np.arange(16) / 8
    matrix = smoothing_matrix(x)
    np.testing.assert_allclose(matrix @ (0.3 - 0.7 * x), 0.3 - 0.7 * x, rtol=1e-9)
    assert np.sum(matrix[8] ** 2) < 0.2
    np.testing.assert_allclose(smoothing_matrix(np.array([0.0, 10.0])), np.eye(2))


def test_grids_begin_and_end_with_the_window():
    grid, inside = window_grid(50.0, 3200.0)
    assert np.isclose(grid[inside][0], 50.0)
    assert np.isclose(grid[-1], 3200.0)
    assert np.allclose(np.diff(np.log2(grid)), 1 / 8)
    assert inside.sum() == 49


@pytest.mark.parametrize(
    ("probability", "windows"),
    [
        ([0.99, 0.97, 0.99], []),
        ([0.999, 0.998, 0.7], [(1, 2, True)]),
        ([0.001, 0.4, 0.6, 0.997, 0.999], [(0, 3, False)]),
        ([0.9, 0.4, 0.45, 0.85, 0.6], [(3, 4, True)]),
        ([0.5, 0.51, 0.3, 0.7], []),
    ],
)
def test_windows_lie_between_known_orders(probability, windows):
    assert find_windows(np.array(probability)) == windows
