"""Limits of the regions against asymptotes and slopes of the curves, evaluated far outside."""

import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.curves.forms import linear, m4, mmf, power_law, power_law_offset, shifted_power_law
from lcjax.curves.regions import find_regions
from tests.problems import fit_with_parameters

CASES = [
    (mmf, (0.02, 0.9, -0.8, 300.0)),
    (m4, (0.02, 0.9, 1.7, 40.0, -0.8)),
    (shifted_power_law, (0.02, 60.0, -0.8, 300.0)),
]


@pytest.mark.parametrize(("form", "parameters"), CASES, ids=lambda v: getattr(v, "__name__", ""))
def test_limits_are_where_the_asymptotes_cross(form, parameters, x64):
    rtol = 1e-6 if x64 else 2e-3
    regions = find_regions(fit_with_parameters(form, *parameters))
    offset = parameters[0]

    # NumPy in double precision, without the offset so that nothing cancels.
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
    np.testing.assert_allclose(regions.start, (plateau / law) ** (1 / exponent), rtol=rtol)
    np.testing.assert_allclose(regions.end, (offset / law) ** (1 / exponent), rtol=rtol)
    np.testing.assert_allclose(regions.plateau, offset + plateau, rtol=rtol)
    np.testing.assert_allclose(regions.irreducible, offset, rtol=1e-5)


def test_slopes_at_the_limits_of_mmf_are_half_of_the_exponent():
    offset, start, exponent, middle = 1e-6, 0.9, -0.8, 300.0
    regions = find_regions(fit_with_parameters(mmf, offset, start, exponent, middle))
    for limit, shift in ((float(regions.start), offset), (float(regions.end), 0.0)):
        at = limit * np.array([0.999, 1.001])
        error = offset + (start - offset) / (1 + (at / middle) ** -exponent)
        slope = np.diff(np.log(error - shift)) / np.diff(np.log(at))
        np.testing.assert_allclose(slope, exponent / 2, rtol=1e-2)


def test_regions_of_sizes_and_forms_without_limits():
    size = jnp.asarray([10.0, 1e3, 1e9])
    assert find_regions(fit_with_parameters(*CASES[0][:1], *CASES[0][1])).region(size).tolist() == [-1, 0, 1]
    plain = find_regions(fit_with_parameters(power_law, 3.0, -0.5))
    assert (float(plain.start), float(plain.end)) == (0.0, np.inf)
    assert plain.region(size).tolist() == [0, 0, 0]
    offset = find_regions(fit_with_parameters(power_law_offset, 0.1, 3.0, -0.5))
    np.testing.assert_allclose([offset.start, offset.end], [0.0, 900.0], rtol=1e-4)


def test_intervals_hold_the_draws_and_guessing_limits_the_plateau():
    draws = [(0.02, 0.9, -0.8, m) for m in (200.0, 250.0, 300.0, 350.0, 400.0)]
    regions = find_regions(fit_with_parameters(mmf, 0.02, 0.9, -0.8, 300.0, draws=draws), level=0.9)
    np.testing.assert_allclose([regions.start_low, regions.start_high], [200.0, 400.0], rtol=1e-4)
    assert regions.end_low < regions.end < regions.end_high
    guessing = find_regions(fit_with_parameters(mmf, 0.02, 0.9, -0.8, 300.0, guess=jnp.asarray(0.5)))
    np.testing.assert_allclose(guessing.plateau, 0.5, rtol=1e-5)
    assert guessing.start > regions.start


def test_other_forms_are_refused():
    with pytest.raises(ValueError, match="got linear"):
        find_regions(fit_with_parameters(linear, 1.0, -1e-3))
