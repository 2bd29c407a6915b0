"""Forecasts: what must hold of a mixture of two forms that compile quickly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.curves.forecast.forecast import forecast
from lcjax.curves.forms import last_value, power_law
from lcjax.curves.learning_curve import LearningCurve

CHEAP = (last_value, power_law)
SIZE = 100.0 * 2.0 ** np.arange(8)
EXPONENT = np.array([-0.15, -0.3, -0.5, 0.0])
DOUBLE = pytest.mark.parametrize("x64", [True], indirect=True, ids=["x64"])


@pytest.fixture(scope="module")
def measured():
    """Three noisy power laws, one with an absent size, and a flat curve."""
    rng = np.random.default_rng(0)
    error = 1.5 * SIZE ** EXPONENT[:, None] * np.exp(0.01 * rng.normal(size=(4, 8)))
    error[3] /= 10
    error[1, 2] = np.nan
    return error


@pytest.fixture(scope="module")
def told(measured):
    """Their forecasts, one curve given in shuffled order."""
    rng = np.random.default_rng(1)
    error = measured
    with jax.enable_x64(True):
        size = jnp.broadcast_to(jnp.asarray(SIZE), (4, 8))
        order = np.stack([rng.permutation(8) if i == 1 else np.arange(8) for i in range(4)])
        curve = LearningCurve(jnp.take_along_axis(size, order, 1), jnp.take_along_axis(jnp.asarray(error), order, 1))
        return forecast(jax.random.key(0), curve, forms=CHEAP, draws=100)


def reference(size, error, ahead):
    """Weights, scores and forecasts of the last value and the power law, written out for one curve of eight sizes."""
    there = ~np.isnan(error)
    x, y = np.log(size[there]), np.log(error[there])
    early = size[there] <= size.max() / 4

    def law(x, y, at):
        """Line through the logarithms, moved by the part of the last residual that neighbours share."""
        slope, level = np.polyfit(x, y, 1)
        residual = y - (level + slope * x)
        trust = np.clip(np.sum(residual[1:] * residual[:-1]) / np.sum(residual**2) / 0.5, 0, 1)
        return level + slope * at + trust * residual[-1]

    rest = y[~early]
    scores = np.array(
        [
            np.sqrt(np.mean((rest - y[early][-1]) ** 2)),
            np.sqrt(np.mean((rest - law(x[early], y[early], x[~early])) ** 2)),
        ]
    )
    smooth = np.convolve(y, np.ones(3) / 3, mode="valid")
    rise = np.max(smooth - np.minimum.accumulate(smooth))
    wanders = rise > 0.5 * max(y[:3].mean() - y[-3:].mean(), 0.02)
    weight = (0.01 + scores) ** -2.0
    weight[1] *= (0.1 if scores[1] > scores[0] else 1.0) * (0.3 if wanders else 1.0)
    weight /= weight.sum()
    at = np.log(ahead)
    floor = np.log(np.nanmin(error)) - 1.5 * (at - x.max())
    forecast = weight[0] * y[-1] + weight[1] * np.maximum(law(x, y, at), floor)
    return weight, scores, np.exp(forecast)


@DOUBLE
def test_weights_scores_and_forecast_are_those_of_the_back_test(told, measured, x64):
    ahead = np.array([4.0, 16.0]) * SIZE[-1]
    predicted = np.asarray(told.predict(jnp.asarray(ahead)))
    for i, error in enumerate(measured):
        weight, scores, forecast = reference(SIZE, error, ahead)
        np.testing.assert_allclose(told.score[i], scores, rtol=1e-5)
        np.testing.assert_allclose(told.weight[i], weight, rtol=1e-4)
        np.testing.assert_allclose(predicted[i], forecast, rtol=1e-5)
    np.testing.assert_array_equal(told.largest, SIZE[-1])
    # What the noise of 1 % leaves of the truth at 16 times the data.
    truth = 1.5 * ahead ** EXPONENT[1:3, None]
    np.testing.assert_allclose(predicted[1:3], truth, rtol=0.1)


@DOUBLE
def test_intervals_widen_nest_and_hold_the_forecast(told, x64):
    ahead = jnp.asarray([2.0, 8.0, 64.0]) * SIZE[-1]
    predicted = np.asarray(told.predict(ahead))
    narrow, wide = (np.asarray(told.interval(ahead, level)) for level in (0.5, 0.9))
    assert np.all((wide[0] < narrow[0]) & (narrow[0] < predicted) & (predicted < narrow[1]) & (narrow[1] < wide[1]))
    assert np.all(np.diff(np.log(wide[1] / wide[0]), axis=-1) > 0)


@DOUBLE
def test_size_for_error_inverts_the_forecast(told, x64):
    target = 0.5 * told.predict(jnp.asarray([SIZE[-1]]))[:, 0]
    reached = told.size_for_error(target)
    falls = np.arange(3)
    at = told.predict(jnp.asarray(reached.value)[:, None])[:, 0]
    # The curve is followed on 257 points over nine decades, linearly in logarithms.
    np.testing.assert_allclose(at[falls], target[falls], rtol=1e-3)
    assert np.all((reached.low[falls] < reached.value[falls]) & (reached.value[falls] < reached.high[falls]))
    assert np.all((reached.never >= 0) & (reached.never <= 1))
    assert reached.never[3] > reached.never[2]  # a flat curve is the likeliest never to arrive
    above = told.size_for_error(2 * told.predict(jnp.asarray([SIZE[-1]]))[:, 0])
    assert np.all(above.value[falls] < SIZE[-1])


@DOUBLE
def test_next_size_is_the_best_candidate(told, x64):
    target = 0.5 * told.predict(jnp.asarray([SIZE[-1]]))[:, 0]
    plan = told.next_size(target)
    best = np.take_along_axis(np.asarray(plan.candidates), np.argmax(plan.gain, axis=-1)[:, None], 1)[:, 0]
    np.testing.assert_array_equal(plan.size, best)
    assert np.all(np.asarray(plan.gain) >= 0)


def test_wrong_arguments_raise():
    with pytest.raises(ValueError, match="0 forms"):
        forecast(jax.random.key(0), LearningCurve(jnp.ones(3), jnp.ones(3)), forms=())
    with pytest.raises(ValueError, match="draws=0"):
        forecast(jax.random.key(0), LearningCurve(jnp.ones(3), jnp.ones(3)), draws=0)
