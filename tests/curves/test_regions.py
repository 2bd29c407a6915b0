"""Borders of the regions against asymptotes and slopes of the curves themselves, evaluated far out."""

import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.curves.fit.curve_fit import CurveFit, FitFlags
from lcjax.curves.forms import linear, m4, mmf, power_law, power_law_offset, shifted_power_law
from lcjax.curves.regions import find_regions

CASES = [
    (mmf, (0.02, 0.9, -0.8, 300.0)),
    (m4, (0.02, 0.9, 1.7, 40.0, -0.8)),
    (shifted_power_law, (0.02, 60.0, -0.8, 300.0)),
]


def fit_of(form, *parameters, draws=None, guess=None):
    """A fit with given parameters, made without fitting; rows of `draws` are parameters too."""

    def coordinates(values):
        offset, log_scale, shape = form._internal(*(jnp.asarray(v) for v in values))
        level = log_scale + form.log_basis(jnp.zeros(()), 0.0, *shape)
        return jnp.stack([*([offset] if form.offset else []), level, *shape])

    no = jnp.zeros((), bool)
    drawn = None if draws is None else jnp.stack([coordinates(row) for row in draws])
    zero = jnp.zeros(())
    return CurveFit(coordinates(parameters), zero, zero, zero, zero, ~no, FitFlags(*(no,) * 7), drawn, guess, form)


@pytest.mark.parametrize(("form", "parameters"), CASES, ids=lambda v: getattr(v, "__name__", ""))
def test_borders_are_where_the_asymptotes_cross(form, parameters, x64):
    rtol = 1e-6 if x64 else 2e-3
    found = find_regions(fit_of(form, *parameters))
    offset = parameters[0]

    # NumPy in double precision, with no offset so that nothing cancels.
    def excess(size):
        if form is shifted_power_law:
            return parameters[1] * (size + parameters[3]) ** parameters[2]
        if form is mmf:
            return (parameters[1] - offset) / (1 + (size / parameters[3]) ** -parameters[2])
        low, high = 0.0, parameters[1] - offset
        for _ in range(200):
            middle = 0.5 * (low + high)
            above = middle > parameters[3] * size ** parameters[4] * (high_error - offset - middle) ** parameters[2]
            low, high = (low, middle) if above else (middle, high)
        return low

    high_error = parameters[1]
    plateau = excess(1e-20)
    far = 1e14
    law = excess(far) * far ** -(parameters[4] if form is m4 else parameters[2])
    exponent = parameters[4] if form is m4 else parameters[2]
    np.testing.assert_allclose(found.start, (plateau / law) ** (1 / exponent), rtol=rtol)
    np.testing.assert_allclose(found.end, (offset / law) ** (1 / exponent), rtol=rtol)
    np.testing.assert_allclose(found.plateau, offset + plateau, rtol=rtol)
    np.testing.assert_allclose(found.irreducible, offset, rtol=1e-5)


def test_slopes_at_the_borders_of_mmf_are_half_of_the_exponent():
    offset, start, exponent, middle = 1e-6, 0.9, -0.8, 300.0
    found = find_regions(fit_of(mmf, offset, start, exponent, middle))
    for border, shift in ((float(found.start), offset), (float(found.end), 0.0)):
        at = border * np.array([0.999, 1.001])
        error = offset + (start - offset) / (1 + (at / middle) ** -exponent)
        slope = np.diff(np.log(error - shift)) / np.diff(np.log(at))
        np.testing.assert_allclose(slope, exponent / 2, rtol=1e-2)


def test_regions_of_sizes_and_forms_without_borders():
    size = jnp.asarray([10.0, 1e3, 1e9])
    assert find_regions(fit_of(*CASES[0][:1], *CASES[0][1])).region(size).tolist() == [-1, 0, 1]
    plain = find_regions(fit_of(power_law, 3.0, -0.5))
    assert (float(plain.start), float(plain.end)) == (0.0, np.inf)
    assert plain.region(size).tolist() == [0, 0, 0]
    offset = find_regions(fit_of(power_law_offset, 0.1, 3.0, -0.5))
    np.testing.assert_allclose([offset.start, offset.end], [0.0, 900.0], rtol=1e-4)


def test_intervals_hold_the_draws_and_guessing_limits_the_plateau():
    draws = [(0.02, 0.9, -0.8, m) for m in (200.0, 250.0, 300.0, 350.0, 400.0)]
    found = find_regions(fit_of(mmf, 0.02, 0.9, -0.8, 300.0, draws=draws), level=0.9)
    np.testing.assert_allclose([found.start_low, found.start_high], [200.0, 400.0], rtol=1e-4)
    assert found.end_low < found.end < found.end_high
    guessing = find_regions(fit_of(mmf, 0.02, 0.9, -0.8, 300.0, guess=jnp.asarray(0.5)))
    np.testing.assert_allclose(guessing.plateau, 0.5, rtol=1e-5)
    assert guessing.start > found.start


def test_other_forms_are_refused():
    with pytest.raises(ValueError, match="got linear"):
        find_regions(fit_of(linear, 1.0, -1e-3))
