"""The expansion of the sum of squares against automatic derivatives; bounds and starting points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.curves.fit.objective import CurveData, box, expansion, log_prediction, residuals, starts, unpack
from lcjax.curves.fit.residual_losses import huber, relative
from lcjax.curves.forms import last_value, mmf, power_law, power_law_offset
from lcjax.kernels.compilation import jit_by_size

quick_starts = jit_by_size(static_argnames=("form", "keep"))(starts)
RNG = np.random.default_rng(0)
Z = np.linspace(-1.5, 1.5, 7)
Y = -0.4 * Z + 0.1 * RNG.normal(size=7)
WEIGHT = RNG.uniform(0.5, 2.0, 7)


def data(log_guess=None):
    columns = [jnp.asarray(a)[:, None] for a in (Z, Y, WEIGHT)]
    return CurveData(*columns, jnp.asarray([4.0]), None if log_guess is None else jnp.asarray([log_guess]))


@pytest.mark.parametrize(
    ("form", "loss", "log_guess", "u"),
    [(power_law, huber, None, [0.1, -0.7]), (mmf, relative, 0.3, [0.2, -0.4, -0.2, 0.3])],
)
def test_expansion_has_the_derivatives_of_the_sum_of_squares(form, loss, log_guess, u, x64):
    problem, u = data(log_guess), jnp.asarray(u)

    def everything(u):
        def value(v):
            return 0.5 * jnp.sum(residuals(form, loss, v[:, None], problem) ** 2)

        slopes = jax.jacfwd(lambda v: residuals(form, loss, v[:, None], problem)[:, 0])(u)
        return expansion(form, loss)(u[:, None], problem), value(u), jax.grad(value)(u), jax.hessian(value)(u), slopes

    expanded, value, gradient, hessian, slopes = jit_by_size()(everything)(u)
    tolerance = {"rtol": 1e-8, "atol": 1e-8} if x64 else {"rtol": 1e-2, "atol": 1e-3}
    np.testing.assert_allclose(expanded.value[0], value, **tolerance)
    np.testing.assert_allclose(expanded.gradient[:, 0], gradient, **tolerance)
    np.testing.assert_allclose(expanded.hessian[..., 0], hessian, **tolerance)
    np.testing.assert_allclose(expanded.scale[:, 0], np.sum(np.asarray(slopes) ** 2, axis=0), **tolerance)


def test_the_same_form_and_loss_have_the_same_expansion():
    assert expansion(power_law, relative) is expansion(power_law, relative)
    assert expansion(power_law, relative) is not expansion(power_law, huber)


def test_coordinates_hold_the_level_at_the_reference():
    u = jnp.array([[0.1], [0.2], [np.log(0.5)]])
    offset, log_scale, shape = unpack(power_law_offset, u, 4.0)
    assert (float(offset[0]), len(shape)) == (pytest.approx(0.1), 1)
    np.testing.assert_allclose(log_scale, 0.2, rtol=1e-6)  # the basis of a power law is 1 at z = 0
    prediction = log_prediction(power_law_offset, u, data())
    np.testing.assert_allclose(np.exp(prediction[:, 0]), 0.1 + np.exp(0.2 - 0.5 * Z), rtol=1e-5)
    capped = log_prediction(power_law_offset, u, data(log_guess=0.2))
    np.testing.assert_allclose(capped, np.minimum(prediction, 0.2), rtol=1e-6)
    offset, log_scale, shape = unpack(last_value, u[:1], 4.0)
    assert (float(offset[0]), float(log_scale[0]), shape) == (0, pytest.approx(0.1), ())


def test_the_offset_lies_between_zero_and_the_smallest_error():
    y = jnp.array([[0.5], [-0.3], [-2.0]])
    present = jnp.array([[True], [True], [False]])
    low, high = box(power_law_offset, y, present, jnp.ones(1))
    np.testing.assert_allclose([low[0, 0], high[0, 0]], [0.0, np.exp(-0.3)], rtol=1e-6)
    np.testing.assert_allclose([low[1, 0], high[1, 0]], [-40.0, 40.0])
    np.testing.assert_allclose(np.exp([low[2, 0], high[2, 0]]), [1e-4, 20.0], rtol=1e-5)
    low, high = box(mmf, y, present, jnp.ones(1))
    np.testing.assert_allclose([low[3, 0], high[3, 0]], [-11.0, 11.0], rtol=1e-6)
    assert box(power_law, y, present, jnp.ones(1))[0].shape == (2, 1)


@pytest.mark.parametrize(("form", "u"), [(mmf, [0.2, -0.4, np.log(0.7), 0.375]), (power_law, [0.1, np.log(0.5)])])
def test_a_curve_on_a_point_of_the_grid_starts_there(form, u):
    """The weights do not matter for an exact curve; offset and scale are solved in closed form."""
    half = jnp.asarray([1.5])
    if form is mmf:
        u[3] = -1.5 + 0.5 * 3.0
    u = jnp.asarray(u)[:, None]
    exact = CurveData(*[jnp.asarray(a)[:, None] for a in (Z, Z, WEIGHT)], jnp.asarray([4.0]), None)
    y = log_prediction(form, u, exact)
    exact = CurveData(exact.z, y, exact.weight, exact.reference, None)
    lower, upper = box(form, y, y < jnp.inf, half)
    points = quick_starts(form, exact, lower, upper, half, 2)
    assert points.shape == (u.shape[0], 2, 1)
    nearest = np.min(np.max(np.abs(np.asarray(points) - u[:, None]), axis=0))
    assert nearest < 1e-3


def test_a_form_without_shape_has_one_start():
    problem = data()
    lower, upper = box(last_value, problem.log_error, problem.weight > 0, jnp.asarray([1.5]))
    points = quick_starts(last_value, problem, lower, upper, jnp.asarray([1.5]), 2)
    np.testing.assert_allclose(points, np.reshape(np.average(Y, weights=WEIGHT), (1, 1, 1)), rtol=1e-5)
