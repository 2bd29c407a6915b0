"""Batched least squares against SciPy, and its derivative against differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from lcjax.kernels.least_squares import Expansion, least_squares

X = np.linspace(-2.0, 2.0, 25)
FREE = np.full(3, np.inf)


def decay(u, data):
    x, y = data
    return u[0] + jnp.exp(u[1] - u[2] * x) - y


def decay_numpy(u, y):
    return u[0] + np.exp(u[1] - u[2] * X) - y


def noisy(seed):
    return 0.5 + np.exp(0.3 - 0.8 * X) + 0.2 * np.random.default_rng(seed).normal(size=X.size)


@pytest.mark.parametrize("newton", [False, True])
@pytest.mark.parametrize("upper", [FREE, np.array([0.2, np.inf, np.inf])])
def test_minimum_matches_scipy(newton, upper, x64):
    y = noisy(1)
    start = np.array([0.1, 0.0, 0.3])
    expected = scipy.optimize.least_squares(
        decay_numpy, start, args=(y,), bounds=(-FREE, upper), xtol=1e-15, gtol=1e-15
    )
    data, bounds = (jnp.asarray(X), jnp.asarray(y)), (jnp.asarray(-FREE), jnp.asarray(upper))
    minimum = least_squares(decay, jnp.asarray(start), data, *bounds, steps=100, newton=newton)
    assert minimum.parameters.dtype == (jnp.float64 if x64 else jnp.float32)
    assert bool(minimum.converged)
    np.testing.assert_allclose(minimum.value, expected.cost, rtol=1e-12 if x64 else 1e-5)
    np.testing.assert_allclose(minimum.parameters, expected.x, atol=2e-6 if x64 else 2e-3)
    assert bool(minimum.free[0]) == (upper[0] == np.inf)


def newton_minimum(y, held=None):
    """Return the minimum by Newton's method in NumPy's extended precision, with the first parameter fixed if given."""
    u, x, y = np.array([0.5, 0.3, 0.8], np.longdouble), X.astype(np.longdouble), y.astype(np.longdouble)
    free = np.arange(3) >= (held is not None)
    if held is not None:
        u[0] = held
    for _ in range(30):
        e = np.exp(u[1] - u[2] * x)
        r, jacobian = u[0] + e - y, np.stack([np.ones_like(x), e, -x * e], axis=1)
        curvature = np.zeros((3, 3), np.longdouble)
        curvature[1:, 1:] = [[np.sum(r * e), -np.sum(r * x * e)], [-np.sum(r * x * e), np.sum(r * x * x * e)]]
        hessian, gradient = (jacobian.T @ jacobian + curvature)[free][:, free], (jacobian.T @ r)[free]
        # Newton's method corrects the error of this solution in double precision.
        u[free] -= np.linalg.solve(hessian.astype(float), gradient.astype(float))
    return u


def minimum_of(y, upper):
    data = jnp.asarray(X, y.dtype), y
    return least_squares(decay, jnp.zeros(3), data, -jnp.asarray(FREE), upper, steps=100, newton=True).parameters


PUSH = jax.jit(lambda y, upper, change: jax.jvp(lambda y: minimum_of(y, upper), (y,), (change,))[1])
PULL = jax.jit(jax.jacrev(minimum_of))


@pytest.mark.parametrize("bound", [None, 0.2])
def test_derivative_is_that_of_the_minimum(bound, x64):
    y = noisy(2)
    upper = jnp.asarray(FREE).at[0].set(jnp.inf if bound is None else bound)
    direction = np.random.default_rng(0).normal(size=X.size)

    # Richardson's differences of an independent minimum: those of the solver itself would divide its rounding by h.
    h = 1e-4
    wide, narrow = (
        (newton_minimum(y + s * direction, bound) - newton_minimum(y - s * direction, bound)) / (2 * s)
        for s in (2 * h, h)
    )
    expected = ((4 * narrow - wide) / 3).astype(float)
    tolerance = 1e-9 if x64 else 1e-4
    y, change = jnp.asarray(y), jnp.asarray(direction)
    np.testing.assert_allclose(PUSH(y, upper, change), expected, rtol=tolerance)
    np.testing.assert_allclose(PULL(y, upper) @ change, expected, rtol=tolerance)


@pytest.mark.parametrize("p", [3, pytest.param(6, marks=pytest.mark.slow)])
def test_hessian_is_the_second_derivative(p, x64):
    y, box = jnp.asarray(noisy(3)), jnp.full(p, 50.0)

    def value(u):
        return 0.5 * jnp.sum(sum_of_decays(tuple(u), (jnp.asarray(X), y)) ** 2) + 0.5 * jnp.sum(0.1 * u**2)

    minimum = least_squares(
        sum_of_decays, jnp.linspace(0.1, 0.5, p), (jnp.asarray(X), y), -box, box, jnp.zeros(p), jnp.full(p, 0.1),
        steps=100, newton=True,
    )  # fmt: skip
    assert bool(minimum.converged)
    derivatives = jax.jit(lambda u: (value(u), jax.grad(value)(u), jax.hessian(value)(u)))
    lowest, slope, hessian = derivatives(minimum.parameters)
    np.testing.assert_allclose(minimum.value, lowest, rtol=1e-12 if x64 else 1e-5)
    np.testing.assert_allclose(slope, np.zeros(p), atol=1e-6 if x64 else 1e-2)
    np.testing.assert_allclose(minimum.hessian, hessian, rtol=1e-9 if x64 else 1e-3, atol=1e-9 if x64 else 1e-2)


def sum_of_decays(u, data):
    x, y = data
    return u[0] + sum(jnp.exp(u[i] - 0.3 * i * u[0] * x) for i in range(1, len(u))) - y


def test_a_problem_does_not_depend_on_its_neighbors():
    y = jnp.asarray(np.stack([noisy(s) for s in range(4)]))
    box = jnp.asarray(FREE)

    def solve(y):
        return least_squares(decay, jnp.zeros(3), (jnp.asarray(X), y), -box, box, steps=40).parameters

    together = jax.vmap(solve)(y)
    alone = jnp.stack([solve(row) for row in y])
    # Within the square root of rounding of the minimum, values are equal up to rounding.
    np.testing.assert_allclose(together, alone, rtol=5 * float(jnp.finfo(y.dtype).eps) ** 0.5)


def test_penalty_is_ridge_regression(x64):
    rng = np.random.default_rng(3)
    design, y, center, precision = rng.normal(size=(9, 3)), rng.normal(size=9), rng.normal(size=3), rng.uniform(1, 3, 3)
    expected = np.linalg.solve(design.T @ design + np.diag(precision), design.T @ y + precision * center)

    minimum = least_squares(
        linear, jnp.zeros(3), (jnp.asarray(design), jnp.asarray(y)), jnp.asarray(-FREE), jnp.asarray(FREE),
        jnp.asarray(center), jnp.asarray(precision), steps=30,
    )  # fmt: skip
    np.testing.assert_allclose(minimum.parameters, expected, rtol=1e-10 if x64 else 1e-4)


def linear(u, data):
    design, y = data
    return design @ jnp.stack(u) - y


def test_wrong_arguments_raise():
    with pytest.raises(ValueError, match=r"steps=-1"):
        least_squares(decay, jnp.zeros(3), (jnp.asarray(X),) * 2, jnp.zeros(3), jnp.zeros(3), steps=-1)
    with pytest.raises(ValueError, match=r"got \(3, 1, 1\)"):
        least_squares(decay, jnp.zeros((3, 1, 1)), (jnp.asarray(X),) * 2, *(jnp.zeros((3, 1, 1)),) * 2, steps=1)
    with pytest.raises(ValueError, match="got None for both"):
        least_squares(None, jnp.zeros(3), None, jnp.zeros(3), jnp.zeros(3), steps=1)


def square(u, data):
    difference = u - data
    return Expansion(0.5 * jnp.sum(difference**2, axis=0), difference, jnp.eye(2), jnp.ones(2))


def test_an_expansion_takes_the_place_of_residuals():
    box = jnp.full(2, 10.0)
    minimum = least_squares(None, jnp.zeros(2), jnp.array([3.0, -4.0]), -box, box, steps=30, expand=square)
    np.testing.assert_allclose(minimum.parameters, [3, -4], rtol=1e-5)
    assert bool(minimum.converged)


def test_no_step_returns_the_start():
    y, box = jnp.asarray(noisy(1)), jnp.asarray(FREE)
    start = least_squares(decay, jnp.zeros(3), (jnp.asarray(X), y), -box, box, steps=0)
    assert int(start.steps) == 0
    assert not start.converged
    np.testing.assert_array_equal(start.parameters, 0)
    np.testing.assert_allclose(start.value, 0.5 * np.sum((1 - noisy(1)) ** 2), rtol=1e-5)
