"""The search on a line against NumPy, bit for bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.kernels.neighbors import nearest_neighbors, sorted_line_search
from tests.kernels.neighbors import problems


@pytest.mark.parametrize("k", [pytest.param(1, marks=pytest.mark.slow), 3, pytest.param(4, marks=pytest.mark.slow)])
def test_hard_cases_match_numpy_bit_for_bit(k, x64):
    problems.check_hard_cases(sorted_line_search, k, problems.dtype_of(x64), d=1)


@given(palette=st.lists(st.floats(-2000, 2000, width=16), min_size=1, max_size=8), seed=st.integers(0, 2**31))
def test_ties_match_numpy(palette, seed, x64):
    problems.check_palette(sorted_line_search, palette, seed, 3, problems.dtype_of(x64), d=1)


@given(exponent=st.integers(-3, 60), seed=st.integers(0, 2**31))
def test_distances_that_round_to_one_number_match_numpy(exponent, seed, x64):
    # Far from the queries, distances of neighboring points round to the same number, and lower indices win.
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 40, (problems.N, 1)) + 0.0
    queries = 2.0**exponent + rng.integers(0, 3, (problems.M, 1))
    dtype = problems.dtype_of(x64)
    problems.check(sorted_line_search, queries.astype(dtype), points.astype(dtype), 3)


def test_denormal_differences_count_as_zero(x64):
    problems.check_denormals(sorted_line_search, problems.dtype_of(x64), d=1)


def test_exclude_self_leaves_out_the_own_row_only(x64):
    problems.check_exclude_self(sorted_line_search, problems.dtype_of(x64), d=1)


def test_more_dimensions_are_refused():
    with pytest.raises(ValueError, match=r"needs d = 1, got points of shape \(5, 2\)"):
        nearest_neighbors(np.zeros((2, 2)), np.zeros((5, 2)), search=sorted_line_search)


@pytest.mark.slow
def test_lowers_for_every_platform():
    problems.check_lowering(sorted_line_search, 1)
