"""Bootstrap fits of a power law against linear regression of logarithms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.curves.fit.bootstrap import _draw_curves, bootstrap_fits
from lcjax.curves.fit.objective import CurveData, box
from lcjax.curves.fit.residual_losses import relative
from lcjax.curves.forms import power_law
from lcjax.kernels.compilation import jit_by_size
from lcjax.kernels.least_squares import LeastSquares

Z = np.linspace(-2.0, 2.0, 9)
DRAWS = 400
draw_curves = jit_by_size(static_argnames="draws")(_draw_curves)


def test_draws_have_the_variance_of_linear_regression():
    """With equal weights, the level and the exponent have variances `noise^2 / s` and `noise^2 / sum(z^2)`."""
    noise, exponents = 0.01, np.array([0.4, 0.5])
    z = jnp.asarray(np.tile(Z[:, None], (1, 2)))
    y = -jnp.asarray(exponents) * z
    one = jnp.ones((9, 2))
    data = CurveData(z, y, one, jnp.zeros(2), None)
    lower, upper = box(power_law, y, one > 0, jnp.full(2, 2.0))
    u, value = jnp.asarray(np.stack([np.zeros(2), np.log(exponents)])), jnp.zeros(2)
    best = LeastSquares(u, value, value, u < jnp.inf, value < 1, jnp.zeros(2, int))

    def draw(keys):
        no_least = jnp.full((len(Z), 2), -jnp.inf)
        fixed = (data, None, no_least, jnp.full(2, noise), jnp.full(2, 9.0), jnp.zeros(2), lower, upper, (None, None))
        return bootstrap_fits(keys, power_law, relative, best, *fixed, DRAWS)

    draws = np.asarray(jit_by_size()(draw)(jax.random.split(jax.random.key(0), 2)))
    assert draws.shape == (DRAWS, 2, 2)
    deviation = np.stack([draws[:, 0], -np.exp(draws[:, 1])]).std(axis=1)
    student = np.sqrt(9 / 7)  # standard deviation of Student's distribution with 9 degrees of freedom
    expected = student * noise / np.sqrt([9, np.sum(Z**2)])
    np.testing.assert_allclose(deviation, np.repeat(expected[:, None], 2, 1), rtol=5 / np.sqrt(2 * DRAWS))
    np.testing.assert_allclose(-np.exp(draws[:, 1]).mean(axis=0), -exponents, atol=5 * expected[1] / np.sqrt(DRAWS))
    assert abs(np.corrcoef(draws[:, 0, 0], draws[:, 0, 1])[0, 1]) < 5 / np.sqrt(DRAWS)  # each curve has its own stream


def test_repeats_are_resampled_whole_and_single_ones_get_noise(x64):
    unit = jnp.log(jnp.asarray(2.0))
    replicates = jnp.array([[0.1, 0.2, 0.3, jnp.nan], [0.3, 0.4, jnp.nan, jnp.nan]])
    center, degrees = jnp.zeros(4), jnp.asarray(3.0)
    least = jnp.log(jnp.array([0.01, 0.31, 0.01, 0.01]))
    curves = draw_curves(jax.random.key(1), center, jnp.full(4, 0.01), degrees, unit, replicates, least, draws=50)
    lifted = 2 * np.exp(np.asarray(curves[:, 1]))
    assert lifted.min() == pytest.approx(0.31)  # rows that resample to less
    curves = draw_curves(jax.random.key(1), center, jnp.full(4, 0.01), degrees, unit, replicates, least - 9, draws=50)
    means = 2 * np.exp(np.asarray(curves[:, :2]))  # in the units of the data
    np.testing.assert_allclose(means[:, 1] - means[:, 0], 0.1, rtol=1e-4)
    assert len(np.unique(means[:, 0].round(4))) == 3  # both repeats, or one of them twice
    assert 0.003 < np.std(curves[:, 2]) < 0.05
    single = draw_curves(jax.random.key(1), center, jnp.full(4, 0.01), degrees, unit, replicates[:1], least, draws=50)
    np.testing.assert_array_equal(single[:, 2:], curves[:, 2:])
    assert np.std(single[:, 0]) < 0.05
