"""Functional forms: their formulas, inverses, coordinates, bounds and grids."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.curves import forms
from tests.problems import CURVE_SIZES as SIZE
from tests.problems import FORM_PARAMETERS as PARAMETERS

FORMULA = {
    forms.last_value: lambda n, a: a + 0 * n,
    forms.linear: lambda n, a, b: a + b * n,
    forms.logarithm: lambda n, a, b: a + b * np.log(n),
    forms.power_law: lambda n, a, b: a * n**b,
    forms.power_law_offset: lambda n, o, a, b: o + a * n**b,
    forms.shifted_power_law: lambda n, o, a, b, s: o + a * (n + s) ** b,
    forms.m3: lambda n, a, b, g: a * (1 / n + g) ** -b,
    forms.mmf: lambda n, o, s, b, m: o + (s - o) / (1 + (n / m) ** -b),
    forms.weibull: lambda n, o, a, w, k: o + a * np.exp(-((n / w) ** k)),
    forms.janoschek: lambda n, o, a, r, k: o + a * np.exp(-r * n**k),
    forms.exponential: lambda n, o, a, w: o + a * np.exp(-n / w),
    forms.inverse_logarithm: lambda n, o, a: o + a / np.log(n),
    forms.vapor_pressure: lambda n, i, r, b: np.exp(i + r / n + b * np.log(n)),
    forms.broken_power_law: lambda n, o, a, b, c, d, f: o + a * n**b * (1 + (n / d) ** (1 / f)) ** (c * f),
    forms.twice_broken_power_law: lambda n, o, a, b, c, d, f, c2, d2, f2: (
        o + a * n**b * (1 + (n / d) ** (1 / f)) ** (c * f) * (1 + (n / d2) ** (1 / f2)) ** (c2 * f2)
    ),
}
RISING = (forms.last_value, forms.twice_broken_power_law)
EVERY = pytest.mark.parametrize("form", PARAMETERS, ids=lambda f: f.__name__)


@pytest.mark.parametrize("form", FORMULA, ids=lambda f: f.__name__)
def test_forms_are_their_formulas(form, x64):
    expected = FORMULA[form](SIZE, *PARAMETERS[form])
    np.testing.assert_allclose(form(jnp.asarray(SIZE), *PARAMETERS[form]), expected, rtol=1e-12 if x64 else 2e-5)


def test_m4_solves_its_equation(x64):
    offset, start, power, scale, exponent = PARAMETERS[forms.m4]
    error = np.asarray(forms.m4(jnp.asarray(SIZE), *PARAMETERS[forms.m4]), float)
    left = (error - offset) / (start - error) ** power
    np.testing.assert_allclose(left, scale * SIZE**exponent, rtol=1e-10 if x64 else 1e-3)


@pytest.mark.parametrize("x64", [True], indirect=True, ids=["x64"])
@pytest.mark.parametrize("form", [f for f in PARAMETERS if f not in RISING], ids=lambda f: f.__name__)
def test_inverse_returns_the_size(form, x64):
    size = SIZE[SIZE < 2000]  # the exponential forms then reach their offset within rounding
    error = form(jnp.asarray(size), *PARAMETERS[form])
    np.testing.assert_allclose(form.inverse(error, *PARAMETERS[form]), size, rtol=1e-8)


@pytest.mark.parametrize("form", [forms.power_law_offset, forms.mmf, forms.vapor_pressure], ids=lambda f: f.__name__)
def test_inverse_is_infinite_where_the_form_never_arrives(form):
    error = 1e-30 if form is forms.vapor_pressure else 0.5 * PARAMETERS[form][0]
    assert np.isinf(form.inverse(jnp.asarray(error), *PARAMETERS[form]))


def test_inverse_is_zero_where_the_form_starts_below():
    decreasing = (-0.3, -6.0, -1e-4)  # exp(i + r / n) increases to exp(i)
    assert forms.vapor_pressure.inverse(jnp.asarray(2.0), *decreasing) == 0


@pytest.mark.parametrize("x64", [True], indirect=True, ids=["x64"])
@EVERY
def test_natural_parameters_invert_internal_coordinates(form, x64):
    """At another reference, the coordinates describe the same curve in shifted sizes."""
    offset, log_scale, shape = form._internal(*(jnp.asarray(p) for p in PARAMETERS[form]))
    np.testing.assert_allclose(form.natural(offset, log_scale, shape, 0.0), PARAMETERS[form], rtol=1e-12)
    z = jnp.log(SIZE) - 5.0
    if form is forms.inverse_logarithm:
        shifted = form.log_error(z, offset, log_scale, shape, 5.0)
        np.testing.assert_allclose(jnp.exp(shifted), FORMULA[form](SIZE, *PARAMETERS[form]), rtol=1e-12)
        return
    natural = form.natural(offset, log_scale, shape, 5.0)
    error = form.log_error(z, offset, log_scale, shape, 5.0)
    np.testing.assert_allclose(form(jnp.asarray(SIZE), *natural), jnp.exp(error), rtol=1e-9)


@EVERY
def test_grids_lie_in_bounds_and_give_decreasing_curves(form):
    half = jnp.log(1000.0) / 2
    bounds = [[float(limit) for limit in pair] for pair in form.bounds(-half, half)]
    z = jnp.linspace(-half, half, 20)
    grid = form.seeds(-half, half)
    assert len({len(shape) for shape in grid}) == 1
    for shape in grid[:: max(1, len(grid) // 5)]:
        assert len(shape) == len(bounds)
        assert all(low <= float(value) <= high for value, (low, high) in zip(shape, bounds, strict=True))
        basis = form.log_basis(z, 0.0, *(jnp.asarray(value) for value in shape))
        assert np.all(np.isfinite(basis) | (basis < 0))
        if form not in (*RISING, forms.vapor_pressure):
            assert np.all(np.diff(basis) <= 1e-5)


def test_exponents_are_coordinates_at_their_place():
    for form, parameters in PARAMETERS.items():
        if "exponent" in form.parameters:
            _, _, shape = form._internal(*(jnp.asarray(p) for p in parameters))
            exponent = parameters[form.parameters.index("exponent")]
            np.testing.assert_allclose(shape[form.exponent_place], np.log(-exponent), rtol=1e-5)


def test_derivatives_of_the_special_functions():
    t, a = jnp.array([-3.0, -0.1, 0.2, 4.0]), jnp.log(1.7)
    solution = forms._solve_m4(t, jnp.broadcast_to(a, t.shape))
    slope = 1 / (1.7 * jax.nn.sigmoid(solution) + jax.nn.sigmoid(-solution))
    np.testing.assert_allclose(jax.vmap(jax.grad(lambda x: forms._solve_m4(x, a)))(t), slope, rtol=1e-5)
    by_power = jax.vmap(jax.grad(lambda a, x: forms._solve_m4(x, a)), (None, 0))(a, t)
    np.testing.assert_allclose(by_power, -1.7 * jax.nn.softplus(solution) * slope, rtol=1e-5)
    np.testing.assert_allclose(forms._softplus(t), jax.nn.softplus(t), rtol=1e-5)
    np.testing.assert_allclose(jax.vmap(jax.grad(forms._softplus))(t), jax.nn.sigmoid(t), rtol=1e-5)


def test_a_wrong_number_of_parameters_raises():
    with pytest.raises(ValueError, match="3 parameters offset, scale, exponent, got 1"):
        forms.power_law_offset(jnp.ones(3), 0.1)


def test_a_form_is_known_by_its_name():
    assert repr(forms.mmf) == "lcjax.curves.forms.mmf"
    assert forms.mmf.__name__ == "mmf"
