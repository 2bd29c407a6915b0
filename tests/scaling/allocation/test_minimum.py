"""Minimum of a law at a budget: closed form, differences, transformations, ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from lcjax.scaling.allocation.minimum import optimal_params
from lcjax.scaling.law import Law, Parameter
from lcjax.scaling.laws import chinchilla, data_constrained, kaplan
from tests.scaling.allocation.tables import VALUES, optimum, true_exponent

ROW = np.array([VALUES[name] for name in chinchilla.names])
REPEATED = np.array([1.8, 500.0, -0.35, 2000.0, -0.37, 15.0, 5.0])


def minimize(row, log_compute, law=chinchilla, low=7.0, high=37.0, **fixed):
    log_compute = jnp.asarray(log_compute)
    values = jnp.asarray(row).reshape(-1, *(1,) * log_compute.ndim) + jnp.zeros_like(log_compute)
    ends = [jnp.full_like(log_compute, end) for end in (low, high)]
    return optimal_params(law, values, log_compute, *ends, log_flops=jnp.log(6.0), fixed=fixed)


def test_the_minimum_is_that_of_the_closed_form(x64):
    compute = np.array([1e17, 1e21, 1e25])
    least = minimize(ROW, np.log(compute))
    np.testing.assert_allclose(np.exp(least.log_params), optimum(VALUES, compute), rtol=1e-8 if x64 else 1e-3)
    np.testing.assert_allclose(least.exponent, true_exponent(VALUES), rtol=1e-8 if x64 else 1e-3)
    assert least.inside.all()


@pytest.mark.parametrize("budget", [3e18, 3e20])
def test_the_exponent_is_the_derivative_of_the_minimum(x64, budget):
    """Repeated tokens make the exponent of the params rise with compute."""
    if not x64:
        pytest.skip("differences of float32 are rounding")
    step = 1e-3
    around = minimize(REPEATED, np.log(budget) + step * np.array([-1, 0, 1]), data_constrained, unique_tokens=1e9)
    difference = (around.log_params[2] - around.log_params[0]) / (2 * step)
    np.testing.assert_allclose(around.exponent[1], difference, rtol=1e-4)
    assert around.inside.all()


def test_a_flat_loss_has_no_minimum(x64):
    """Where tokens and params are both worth nothing more, any division is as good."""
    least = minimize(REPEATED, np.log(3e22), data_constrained, unique_tokens=1e9)
    assert not least.inside
    assert np.isnan(least.exponent)


def test_a_minimum_at_a_kink(x64):
    def function(p, x):
        return jnp.maximum(p["model"] * x["params"] ** -0.3, p["data"] * x["tokens"] ** -0.5)

    law = Law("kink", function, (Parameter("model", linear=True), Parameter("data", linear=True)), ("params", "tokens"))
    least = minimize(np.array([300.0, 20000.0]), np.log(1e20), law)
    expected = np.log(300 / 20000) / 0.8 + np.log(1e20 / 6) * 0.5 / 0.8
    np.testing.assert_allclose(least.log_params, expected, rtol=1e-9 if x64 else 1e-5)
    np.testing.assert_allclose(least.exponent, 0.5 / 0.8, rtol=1e-6 if x64 else 1e-2)


def test_the_minimum_is_that_of_a_bounded_search(x64):
    row = np.array([8.8e13, -0.076, 5.4e13, -0.095])
    least = minimize(row, np.log(1e21), kaplan)
    values = dict(zip(kaplan.names, map(float, row), strict=True))
    place = scipy.optimize.minimize_scalar(
        lambda u: float(kaplan(values, params=np.exp(u), tokens=1e21 / 6 / np.exp(u))),
        bounds=(10, 35), method="bounded", options={"xatol": 1e-6},
    )  # fmt: skip
    np.testing.assert_allclose(least.log_params, place.x, atol=1e-4 if x64 else 0.02)
    np.testing.assert_allclose(least.loss, place.fun, rtol=1e-10 if x64 else 1e-5)


def test_a_minimum_at_an_end_is_not_inside():
    least = minimize(ROW, np.log(1e21), high=np.log(1e8))
    assert not least.inside
    np.testing.assert_allclose(np.exp(least.log_params), 1e8, rtol=1e-2)
    assert np.isnan(least.exponent)


def test_transformations_of_the_minimum(x64):
    c = jnp.log(jnp.array([1e19, 1e21]))
    mapped = jax.vmap(lambda one: minimize(ROW, one).log_params)(c)
    np.testing.assert_allclose(mapped, jax.jit(minimize)(ROW, c).log_params, rtol=1e-6)
    gradient, direction = jax.grad(lambda row, one: minimize(row, one).log_params, (0, 1))(jnp.asarray(ROW), c[0])
    a, b = -ROW[2], -ROW[4]
    # log N = (log(a A) - log(b B) + b log(C / 6)) / (a + b)
    own = np.array([0, 1, 3])
    expected = np.array([0, 1 / ROW[1], -1 / ROW[3]]) / (a + b)
    np.testing.assert_allclose(gradient[own], expected, rtol=1e-6 if x64 else 1e-2, atol=1e-9)
    np.testing.assert_allclose(direction, true_exponent(VALUES), rtol=1e-6 if x64 else 1e-2)
