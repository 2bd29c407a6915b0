"""The penalty of a prior, which acts on the coordinate of the exponent."""

import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.curves.fit.exponent_prior import NOISE, ExponentPrior, penalty
from lcjax.curves.forms import exponential, power_law, power_law_offset, vapor_pressure

PRIOR = (jnp.array([-0.25, -0.5]), jnp.array([0.3, 0.1]))


@pytest.mark.parametrize(("form", "place"), [(power_law, 1), (power_law_offset, 2), (vapor_pressure, 2)])
def test_the_penalty_is_on_the_exponent(form, place):
    center, precision = penalty(form, PRIOR, jnp.zeros((len(form.parameters), 2)))
    others = np.arange(len(form.parameters)) != place
    np.testing.assert_allclose(center[place], np.log([0.25, 0.5]), rtol=1e-5)
    np.testing.assert_allclose(precision[place], (NOISE / np.array([0.3, 0.1])) ** 2, rtol=1e-5)
    assert not np.any(center[others])
    assert not np.any(precision[others])


def test_no_penalty_without_prior_or_exponent():
    assert penalty(power_law, None, jnp.zeros((2, 2))) == (None, None)
    assert penalty(exponential, PRIOR, jnp.zeros((3, 2))) == (None, None)


def test_the_default_width_of_a_prior():
    assert ExponentPrior(-0.25).log_standard_deviation == 0.3
