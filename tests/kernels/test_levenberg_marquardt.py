"""Steps of batched least squares: elimination against NumPy, bounds, penalties, and blocks of problems."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.kernels import levenberg_marquardt
from lcjax.kernels.least_squares import least_squares
from lcjax.kernels.levenberg_marquardt import (
    Expansion,
    Point,
    Problem,
    add_penalty,
    at_bound,
    identity,
    iterate,
    solve_positive_definite,
)

SOLVE = jax.jit(solve_positive_definite)


@given(seed=st.integers(0, 2**32 - 1), p=st.sampled_from([1, 2, 5]))
def test_solve_matches_numpy(seed, p):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(p + 2, p))
    matrix, vector = root.T @ root + np.eye(p), rng.normal(size=p)
    solution = SOLVE(jnp.asarray(matrix), jnp.asarray(vector))
    tolerance = 100 * float(jnp.finfo(solution.dtype).eps) * np.linalg.cond(matrix)
    np.testing.assert_allclose(solution, np.linalg.solve(matrix, vector), atol=tolerance)


def test_indefinite_matrix_gives_nan():
    assert np.all(np.isnan(SOLVE(jnp.array([[1.0, 2.0], [2.0, 1.0]]), jnp.ones(2))))


def expansion(u, data):
    return Expansion(
        jnp.sum(data * u, axis=0), data * jnp.ones_like(u), jnp.ones((2, *u.shape)), 2.0 * jnp.ones_like(u)
    )


def test_a_penalty_enters_every_part_of_the_expansion():
    problem = Problem(jnp.array(3.0), *(jnp.zeros(2),) * 2, jnp.array([1.0, -1.0]), jnp.array([2.0, 4.0]))
    e = add_penalty(expansion, jnp.array([2.0, 1.0]), problem)
    np.testing.assert_allclose(e.value, 9 + 0.5 * (2 * 1 + 4 * 4))
    np.testing.assert_allclose(e.gradient, [3 + 2, 3 + 8])
    np.testing.assert_allclose(e.hessian, [[3, 1], [1, 5]])
    np.testing.assert_allclose(e.scale, [4, 6])


def test_a_bound_holds_where_the_gradient_points_out_of_the_box():
    u = jnp.array([0.0, 0.0, 1.0, 1.0, 0.5])
    gradient = jnp.array([1.0, -1.0, 1.0, -1.0, 1.0])
    point = Point(u, Expansion(jnp.zeros(()), gradient, jnp.zeros((5, 5)), jnp.zeros(5)))
    problem = Problem(None, jnp.zeros(5), jnp.ones(5), jnp.zeros(5), jnp.zeros(5))
    np.testing.assert_array_equal(at_bound(point, problem), [True, False, False, True, False])


def test_the_identity_has_axes_for_the_batch():
    assert identity(jnp.zeros((3, 7))).shape == (3, 3, 1)
    np.testing.assert_array_equal(identity(jnp.zeros(2)), np.eye(2))


ITERATE = jax.jit(iterate, static_argnums=(0, 1))


def quadratic(u, target):
    """Return a rotated bowl: half the sum of squares of `C (u - target)`."""
    c = jnp.array([[2.0, 1.0], [0.0, 1.0]])
    residual = jnp.tensordot(c, u - target, 1)
    hessian = jnp.broadcast_to((c.T @ c).reshape(2, 2, *(1,) * (u.ndim - 1)), (2, *u.shape))
    scale = jnp.broadcast_to(jnp.diag(c.T @ c).reshape(2, *(1,) * (u.ndim - 1)), u.shape)
    return Expansion(0.5 * jnp.sum(residual**2, axis=0), jnp.tensordot(c.T, residual, 1), hessian, scale)


@pytest.mark.parametrize(("upper", "expected"), [(jnp.inf, [3.0, 1.0]), (2.0, [2.0, 2.0])])
def test_a_cut_step_adapts_the_other_parameters(upper, expected):
    # With the first parameter held at 2, the second moves to 1 + (3 - 2) * 2 * 1 / (1 + 1) = 2.
    bounds = jnp.array([-jnp.inf, -jnp.inf]), jnp.array([upper, jnp.inf])
    problem = Problem(jnp.array([3.0, 1.0]), *bounds, jnp.zeros(2), jnp.zeros(2))
    state = ITERATE(quadratic, 50, jnp.zeros(2), problem)
    np.testing.assert_allclose(state.best.parameters, expected, rtol=1e-5)
    assert bool(state.done)
    assert int(state.steps) < 30


def decay(u, data):
    x, y = data
    return jnp.exp(u[0] - u[1] * x[:, None]) - y


def test_blocks_give_what_small_batches_give(monkeypatch, x64):
    monkeypatch.setattr(levenberg_marquardt, "_BLOCK", 16)
    rng = np.random.default_rng(0)
    x, n = np.linspace(0, 2, 6), 45
    y = np.exp(rng.normal(size=n) - rng.uniform(0, 3, n) * x[:, None]) + 0.01 * rng.normal(size=(6, n))
    start = jnp.zeros((2, n))

    def solve(part, size):
        box = jnp.full((2, size), 50.0)
        return least_squares(decay, start[:, :size], (jnp.asarray(x), jnp.asarray(y[:, part])), -box, box, steps=60)

    whole = solve(slice(None), n)
    assert bool(jnp.all(whole.converged))
    for first in range(0, n, 15):
        part = solve(slice(first, first + 15), 15)
        rows = np.arange(first, first + 15)[np.asarray(part.converged)]
        assert len(rows) >= 10
        # Within the square root of rounding of the minimum, values are equal up to rounding.
        tolerance = 5 * float(jnp.finfo(whole.value.dtype).eps) ** 0.5
        np.testing.assert_allclose(
            whole.parameters[:, rows], part.parameters[:, rows - first], rtol=tolerance, atol=tolerance
        )
