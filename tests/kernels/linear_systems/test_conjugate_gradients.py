"""Conjugate gradients on a kernel matrix against a dense solution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.kernels.linear_systems.conjugate_gradients import conjugate_gradients
from tests.problems import run_with_devices

POINTS, VALUES = np.random.default_rng(0).normal(size=(33, 4)), np.random.default_rng(1).normal(size=(33, 3))


@jax.tree_util.Partial
def kernel(x, y):
    return jnp.exp(-0.02 * jnp.sum((x[:, None] - y) ** 2, axis=-1))


def dense(ridge):
    return np.asarray(kernel(POINTS, POINTS)) + ridge * np.eye(33)


def test_solutions_match_a_dense_solver_and_a_preconditioner_saves_iterations(x64):
    tolerance, ridge = (1e-10, 1e-3) if x64 else (1e-4, 0.1)
    options = {"ridge": ridge, "rows": 8, "tolerance": tolerance}
    plain, helped = (
        conjugate_gradients(kernel, *map(jnp.asarray, (POINTS, VALUES)), rank=r, **options) for r in (0, 12)
    )
    expected = np.linalg.solve(dense(ridge), VALUES)
    for solution in (plain, helped):
        assert bool(solution.converged)
        np.testing.assert_allclose(solution.coefficients, expected, rtol=1e-6 if x64 else 1e-2, atol=1e-2 * ridge)
        residual = VALUES - dense(ridge) @ np.asarray(solution.coefficients, float)
        np.testing.assert_allclose(solution.residual, np.abs(residual).max(), rtol=0.1, atol=0 if x64 else 1e-4)
        assert solution.residual < 10 * tolerance
    assert 0 < int(helped.iterations) < int(plain.iterations) / 2


def test_iterations_are_limited():
    solution = conjugate_gradients(
        kernel, *map(jnp.asarray, (POINTS, VALUES)), ridge=1e-3, rows=8, tolerance=1e-9, most=2
    )
    assert int(solution.iterations) == 2
    assert not solution.converged


@pytest.mark.slow
def test_rows_over_devices_give_the_same(x64):
    if x64:
        pytest.skip("the process it starts sets its own precision")
    run_with_devices(
        4,
        """
        import jax, jax.numpy as jnp, numpy as np
        from lcjax.kernels.linear_systems.conjugate_gradients import conjugate_gradients
        kernel = jax.tree_util.Partial(lambda x, y: jnp.exp(-0.1 * jnp.sum((x[:, None] - y) ** 2, axis=-1)))
        points = jnp.asarray(np.random.default_rng(0).normal(size=(33, 4)))
        one, many = (
            conjugate_gradients(kernel, points, points, ridge=0.1, rows=4, mesh=jax.make_mesh((n,), ("rows",)))
            for n in (1, 4)
        )
        np.testing.assert_allclose(one.coefficients, many.coefficients, atol=1e-3)
        """,
    )
