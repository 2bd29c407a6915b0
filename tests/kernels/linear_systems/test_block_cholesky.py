"""The block factor of a kernel matrix against SciPy's, and its progress."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from lcjax.kernels.linear_systems.block_cholesky import factorize, solve
from lcjax.typing import Progress

POINTS, VALUES = np.random.default_rng(0).normal(size=(23, 4)), np.random.default_rng(1).normal(size=(23, 3))


@jax.tree_util.Partial
def kernel(x, y):
    return jnp.exp(-0.5 * jnp.sum((x[:, None] - y) ** 2, axis=-1))


@pytest.mark.parametrize(
    "block", [9, pytest.param(23, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.slow)]
)
def test_factor_and_solution_match_scipy(block, x64):
    reports = []
    factor = factorize(kernel, jnp.asarray(POINTS), ridge=0.1, block=block, on_progress=reports.append)
    rows = -(-23 // block)
    assert reports == [Progress("factorize", i + 1, rows) for i in range(rows)]
    assert [len(row) for row in factor] == list(range(1, rows + 1))  # only the lower triangle
    matrix = np.exp(-0.5 * scipy.spatial.distance.cdist(POINTS, POINTS) ** 2) + 0.1 * np.eye(23)
    whole = np.zeros((rows * block, rows * block))
    for i, row in enumerate(factor):
        for j, piece in enumerate(row):
            whole[i * block : (i + 1) * block, j * block : (j + 1) * block] = piece
    tolerance = {"rtol": 1e-9, "atol": 1e-9} if x64 else {"rtol": 2e-3, "atol": 2e-3}
    np.testing.assert_allclose(whole[:23, :23], scipy.linalg.cholesky(matrix, lower=True), **tolerance)
    np.testing.assert_array_equal(whole[23:], np.eye(rows * block)[23:])  # padded with an identity
    np.testing.assert_allclose(solve(factor, jnp.asarray(VALUES)), np.linalg.solve(matrix, VALUES), **tolerance)


def test_a_singular_matrix_gives_nan():
    factor = factorize(kernel, jnp.ones((3, 2)), block=3)
    assert bool(jnp.isnan(solve(factor, jnp.ones((3, 1)))).any())
