"""Forecasts by a mixture of two forms that compile quickly; test_backtest.py tests its weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from lcjax.curves.answer.joint_draws import search_grid
from lcjax.curves.fit.exponent_prior import ExponentPrior
from lcjax.curves.forecast.mixture import mixture_forecast
from lcjax.curves.forms import Form, last_value, power_law
from lcjax.curves.learning_curve import LearningCurve

CHEAP = (last_value, power_law)
SIZE = 100.0 * 2.0 ** np.arange(8)
EXPONENT = np.array([-0.15, -0.3, -0.5, 0.0])
AHEAD = SIZE[-1] * np.array([1.0, 2.0, 8.0, 64.0])
DOUBLE = pytest.mark.parametrize("x64", [True], indirect=True, ids=["x64"])


@pytest.fixture(scope="module")
def measured():
    """Return three noisy power laws, one with an absent size, and a flat curve."""
    rng = np.random.default_rng(0)
    error = 1.5 * SIZE ** EXPONENT[:, None] * np.exp(0.01 * rng.normal(size=(4, 8)))
    error[3] /= 10
    error[1, 2] = np.nan
    return error


@pytest.fixture(scope="module")
def ahead(measured):
    """Return their forecasts, with one curve in shuffled order."""
    with jax.enable_x64(True):
        size = np.tile(SIZE, (4, 1))
        order = np.tile(np.arange(8), (4, 1))
        order[1] = np.random.default_rng(1).permutation(8)
        curve = LearningCurve(*(jnp.asarray(np.take_along_axis(a, order, 1)) for a in (size, measured)))
        return mixture_forecast(jax.random.key(0), curve, forms=CHEAP, draws=100)


def law(x, y, at):
    """Evaluate the line through logarithms, shifted by the part of the last residual that neighbors share."""
    slope, level = np.polyfit(x, y, 1)
    residual = y - (level + slope * x)
    trust = np.clip(np.sum(residual[1:] * residual[:-1]) / np.sum(residual**2) / 0.5, 0, 1)
    return level + slope * at + trust * residual[-1]


def reference(size, error, ahead):
    """Weights, scores and forecasts of the last value and the power law, written out for one curve of eight sizes."""
    there = ~np.isnan(error)
    x, y = np.log(size[there]), np.log(error[there])
    early = size[there] <= size.max() / 4

    def law(x, y, at):
        """Return the line through logarithms, shifted by the part of the last residual that neighbors share."""
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
def test_weights_scores_and_forecast_are_those_of_the_reference(ahead, measured, x64):
    sizes = np.array([4.0, 16.0]) * SIZE[-1]
    predicted = np.asarray(ahead.predict(jnp.asarray(sizes)))
    for i, error in enumerate(measured):
        weight, scores, expected = reference(SIZE, error, sizes)
        np.testing.assert_allclose(ahead.score[i], scores, rtol=1e-5)
        np.testing.assert_allclose(ahead.weight[i], weight, rtol=1e-4)
        np.testing.assert_allclose(predicted[i], expected, rtol=1e-5)
        np.testing.assert_allclose(ahead.last_error[i], error[-1], rtol=1e-9)
        np.testing.assert_allclose(ahead.smallest_error[i], np.nanmin(error), rtol=1e-9)
    np.testing.assert_array_equal(ahead.largest, SIZE[-1])
    # The effect of 1 % noise at 16 times the data.
    np.testing.assert_allclose(predicted[1:3], 1.5 * sizes ** EXPONENT[1:3, None], rtol=0.1)


@DOUBLE
def test_the_scale_of_the_draws_has_three_parts(ahead, x64):
    """The scale combines the back-test's error, the disagreement of the forms and the noise, as in the docstring."""
    mean, scale = ahead._log_mean_and_scale(lambda fit, size: fit.predict(size), jnp.asarray(AHEAD))
    logs = np.stack([np.log(fit.predict(AHEAD)) for fit in ahead.fits])
    at_largest = np.stack([np.log(fit.predict(AHEAD[:1])) for fit in ahead.fits])
    trust = np.asarray(ahead.trust).T[..., None]
    logs = logs + trust * (np.log(ahead.last_error)[:, None] - at_largest)
    beyond = np.log(AHEAD / SIZE[-1])
    floor = np.log(ahead.smallest_error)[:, None] - 1.5 * beyond - 3.0 * (beyond <= 0)
    logs, weight = np.maximum(logs, floor), np.asarray(ahead.weight).T[..., None]
    np.testing.assert_allclose(mean, np.sum(weight * logs, axis=0), rtol=1e-9)
    disagreement = np.sum(weight * (logs - np.asarray(mean)) ** 2, axis=0)
    back_test, ratio, noise = (np.asarray(a)[:, None] for a in (ahead.back_test, ahead.back_test_ratio, ahead.noise))
    expected = (0.28 * back_test * beyond / ratio) ** 2 + 0.82**2 * disagreement + (0.32 * noise) ** 2
    np.testing.assert_allclose(scale, np.sqrt(expected), rtol=1e-9)


@DOUBLE
def test_shifts_are_quantiles_of_students_distribution(ahead, x64):
    expected = scipy.stats.t(1.4).ppf((np.arange(100) + 0.5) / 100)
    for shift in np.asarray(ahead.shift):
        np.testing.assert_allclose(np.sort(shift), expected, rtol=1e-9)
    assert np.any(ahead.shift[0] != ahead.shift[1])


@DOUBLE
def test_intervals_widen_nest_and_hold_the_forecast(ahead, x64):
    predicted = np.asarray(ahead.predict(AHEAD))[:, 1:]
    narrow, wide = (np.asarray(ahead.interval(AHEAD, level))[..., 1:] for level in (0.5, 0.9))
    assert np.all((wide[0] < narrow[0]) & (narrow[0] < predicted) & (predicted < narrow[1]) & (narrow[1] < wide[1]))
    assert np.all(np.diff(np.log(wide[1] / wide[0]), axis=-1) > 0)


@DOUBLE
def test_size_for_error_is_the_median_crossing_of_the_draws(ahead, x64):
    target = 0.5 * np.asarray(ahead.predict(AHEAD))[:, 0]
    answer = ahead.size_for_error(target)
    falls = np.arange(3)
    grid = np.asarray(search_grid(np.asarray(ahead.smallest), np.asarray(ahead.largest)))
    draws = np.asarray(ahead.predict_draws(grid))
    for i in falls:
        # Half of the draws are at or below the target at the median crossing of falling curves.
        here = [np.exp(np.interp(np.log(answer.value[i]), np.log(grid[i]), np.log(draw))) for draw in draws[i]]
        np.testing.assert_allclose(np.mean(np.array(here) <= target[i] * (1 + 1e-6)), 0.5, atol=0.02)
    assert np.all((answer.low[falls] < answer.value[falls]) & (answer.value[falls] < answer.high[falls]))
    assert np.all((answer.never >= 0) & (answer.never <= 1))
    assert answer.never[3] > answer.never[2]  # a flat curve is the least likely to reach it
    above = ahead.size_for_error(4 * target)
    assert np.all(above.value[falls] < SIZE[-1])
    assert np.all(ahead.size_for_share(target, 0.9).value[falls] > answer.value[falls])
    np.testing.assert_allclose(ahead.lasting_size_for_error(target).value[falls], answer.value[falls], rtol=0.05)
    assert np.all(np.asarray(ahead.rise_probability())[falls] < 0.5)


@DOUBLE
def test_next_size_has_the_most_information_for_its_cost(ahead, x64):
    plan = ahead.next_size(0.5 * np.asarray(ahead.predict(AHEAD))[:, 0])
    assert plan.size.shape == plan.repeats.shape == (4,)
    rate = np.where(np.isfinite(plan.candidates), np.asarray(plan.information) / plan.cost, -1.0)
    best = np.argmax(rate, axis=1)[:, None]
    np.testing.assert_array_equal(plan.size, np.take_along_axis(np.asarray(plan.candidates), best, 1)[:, 0])
    assert np.all(np.asarray(plan.information) >= 0)


@DOUBLE
def test_options_reach_the_fits_and_threads_the_callers_settings(x64):
    """Return a form whose basis records the device under which it is traced."""
    devices = []

    def log_basis(z, reference):
        devices.append(jax.config.jax_default_device)
        return 0.0 * z

    level = Form(
        "level", "A constant.", ("level",), log_basis, offset=False, last_only=True,
        log_size=lambda v, r: v, natural=lambda o, a, s, r: (jnp.exp(a),), internal=lambda a: (0.0, jnp.log(a), ()),
    )  # fmt: skip
    curve = LearningCurve(jnp.asarray(SIZE), jnp.asarray(0.5 + 0.0 * SIZE), None, None, None, jnp.asarray(100))
    with jax.default_device(jax.devices()[0]):
        ahead = mixture_forecast(
            jax.random.key(0), curve, forms=(level,), draws=4, guess=0.4, prior=ExponentPrior(-0.3)
        )
    assert devices
    assert set(devices) == {jax.devices()[0]}
    assert ahead.weight.dtype == jnp.float64
    np.testing.assert_allclose(ahead.fits[0].guess, 0.4)
    assert np.max(ahead.predict_draws(AHEAD)) <= 0.4


def test_wrong_arguments_raise():
    with pytest.raises(ValueError, match="0 forms"):
        mixture_forecast(jax.random.key(0), LearningCurve(jnp.ones(3), jnp.ones(3)), forms=())
    with pytest.raises(ValueError, match="draws=0"):
        mixture_forecast(jax.random.key(0), LearningCurve(jnp.ones(3), jnp.ones(3)), draws=0)
