"""Known variances beside the unknown one of the trainings, in forecasts and in fits of forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lcjax as lc
from lcjax.curves import forms
from lcjax.curves.forecast.condensed import condense
from lcjax.curves.forecast.noise import NOISE, models_of, prior_of_variance, quadratic_forms
from lcjax.curves.standard_errors import error_bars, known_variance

KEY = jax.random.key(0)
SIZE = 100 * 2.0 ** np.arange(7)
FAR = SIZE[-1] * np.array([1.0, 2.0, 4.0])


def errors(seed=1, noise=0.03):
    return 0.02 + 2 * SIZE**-0.4 * np.exp(noise * np.random.default_rng(seed).normal(size=7))


def quantiles(curve):
    return np.log(np.asarray(lc.forecast(KEY, curve).quantile(FAR, [0.05, 0.5, 0.95])))


def test_the_covariance_is_that_of_both_parts():
    known = jnp.asarray([0.0, 0.01, 0.0, 0.2, 0.0, 0.0, 0.03])
    curve = condense(jnp.asarray(SIZE), jnp.asarray(errors()), None, None, known, points=7)
    models = models_of(NOISE, curve)
    form, _ = quadratic_forms(models, curve)
    _, squares = prior_of_variance(models, jnp.float32)
    count = len(squares) // len(NOISE.ratio)
    v, t = np.asarray(curve.log_error, float), np.asarray(curve.time, float)
    for c in (3, 5 * count + 6, 11 * count + 9):
        j, square = c // count, float(models.scale[c]) ** 2
        white = np.exp(-2 * NOISE.power[j] * np.clip(v, -1.5, 2) + NOISE.discount[j] * abs(t))
        a = abs(t[:, None] - t) / NOISE.length[j]
        kernel = (1 + np.sqrt(3) * a) * np.exp(-np.sqrt(3) * a) if NOISE.smooth[j] else np.exp(-a)
        inverse = np.linalg.inv(square * (np.diag(white) + NOISE.ratio[j] * kernel) + np.diag(np.asarray(known, float)))
        total = inverse.sum(0)
        expected = inverse - np.outer(total, total) / total.sum()
        np.testing.assert_allclose(form[c] / square, expected, rtol=2e-2, atol=2e-3 * abs(expected).max())


def test_the_narrow_priors_add_up_to_the_wide_ones():
    """The prior of log s with known variances is that without, to a tenth in total variation."""
    curve = condense(jnp.asarray(SIZE), jnp.asarray(errors()), None, None, jnp.zeros(7), points=7)
    models = models_of(NOISE, curve)
    first = slice(0, len(models.scale) // len(NOISE.ratio))
    log_s = np.linspace(np.log(1e-5), np.log(5.0), 4000)

    def density(shape, scale):
        x = shape * scale**2 / np.exp(2 * log_s)
        return 2 * x**shape * np.exp(-x)

    wide = np.mean([density(1, s) for s in np.asarray(NOISE.scale, float)], axis=0)
    weight = np.exp(np.asarray(models.log_weight, float)[first]) * len(NOISE.ratio)
    np.testing.assert_allclose(weight.sum(), 1, rtol=1e-6)
    scales = np.asarray(models.scale, float)[first]
    narrow = sum(w * density(2, s) for w, s in zip(weight, scales, strict=True))
    apart = 0.5 * np.trapezoid(abs(narrow - wide), log_s) / np.trapezoid(wide, log_s)
    assert apart < 0.1


def test_points_of_large_known_variance_hardly_enter_an_average():
    size = np.geomspace(100, 10000, 64)
    error = 2 * size**-0.4
    wrong, known = error.copy(), np.zeros(64)
    wrong[10::8] *= 3
    known[10::8] = 25.0
    good = condense(jnp.asarray(size), jnp.asarray(error), points=16)
    mixed = condense(jnp.asarray(size), jnp.asarray(wrong), None, None, jnp.asarray(known), points=16)
    np.testing.assert_allclose(mixed.log_error, good.log_error, atol=0.05)
    assert np.all(np.asarray(mixed.known) < 0.01)


def test_error_bars_are_those_of_the_test_set_or_of_the_trainings_without_repeats():
    error = np.array([0.3, 0.2])
    repeats = np.stack([error, error])
    stated, sampling = np.array([0.03, 0.01]), np.array([0.06, np.nan])
    assert known_variance(lc.LearningCurve(SIZE[:2], error)) is None
    assert error_bars(lc.LearningCurve(SIZE[:2], error, stated, repeats)) is None
    np.testing.assert_allclose(known_variance(lc.LearningCurve(SIZE[:2], error, stated)), [0.01, 0.0025])
    both = lc.LearningCurve(SIZE[:2], error, stated, repeats, sampling_error=sampling)
    np.testing.assert_allclose(known_variance(both), [0.04, 0.0])
    shared = lc.LearningCurve(SIZE[:2], error, stated, test_count=np.array(700.0))
    np.testing.assert_allclose(known_variance(shared), [0.01 - 0.7 / 210, 0.0], atol=1e-12)


def test_a_fit_ignores_a_point_with_a_huge_error_and_keeps_equal_ones_equal():
    error = 2 * SIZE**-0.4
    wrong, stated = error.copy(), 0.01 * error
    wrong[5] *= 2
    stated[5] = 30 * wrong[5]

    def exponent(error, *stated):
        return float(lc.fit_curve(lc.LearningCurve(SIZE, error, *stated), forms.power_law).parameters["exponent"])

    assert abs(exponent(wrong, stated) + 0.4) < 1e-3 < abs(exponent(wrong) + 0.4)
    noisy = errors()
    np.testing.assert_allclose(exponent(noisy, 0.1 * noisy), exponent(noisy), rtol=1e-5)
    tiny = np.where(np.arange(7) < 2, 1e-9, 0.03) * noisy
    assert 0.5 < exponent(noisy, tiny) / exponent(noisy) < 2  # two points are not certain, and others count


@pytest.mark.slow
def test_equal_errors_below_the_noise_of_trainings_hardly_change_a_forecast():
    error = errors()
    plain = quantiles(lc.LearningCurve(SIZE, error))
    for relative in (1e-6, 0.01):
        stated = quantiles(lc.LearningCurve(SIZE, error, relative * error))
        np.testing.assert_allclose(stated[:, 1], plain[:, 1], atol=0.03)
        ratio = (stated[:, 2] - stated[:, 0]) / (plain[:, 2] - plain[:, 0])
        assert np.all((ratio > 0.75) & (ratio < 1 / 0.75)), ratio  # other keys change it by 7 %


@pytest.mark.slow
def test_a_point_with_a_huge_error_is_ignored():
    """Without the last point, other sizes lie beyond the data, where intervals are wider: medians are compared."""
    for place, levels in ((3, slice(None)), (6, slice(1, 2))):
        error, rest = errors(), np.arange(7) != place
        without = quantiles(lc.LearningCurve(SIZE[rest], error[rest]))
        stated = 1e-3 * error
        error[place] *= 1.6
        stated[place] = 10 * error[place]
        ignored = quantiles(lc.LearningCurve(SIZE, error, stated))
        np.testing.assert_allclose(ignored[:, levels], without[:, levels], atol=0.15)
        assert np.abs(quantiles(lc.LearningCurve(SIZE, error)) - without).max() > 0.3


@pytest.mark.slow
def test_tiny_errors_never_give_certainty():
    error = errors(noise=0.1)
    low, _, high = quantiles(lc.LearningCurve(SIZE, error, 1e-9 * error)).T
    plain_low, _, plain_high = quantiles(lc.LearningCurve(SIZE, error)).T
    assert np.all(high - low > 0.8 * (plain_high - plain_low))


@pytest.mark.acceptance
def test_unequal_errors_make_forecasts_narrower_and_no_less_honest():
    """Intervals of 90 % contain the true curve beyond the data as often as they say, in half the width."""
    rng = np.random.default_rng(3)
    count = 40
    offset, exponent, scale = (rng.uniform(*limits, (count, 1)) for limits in ((0, 0.05), (0.2, 0.7), (0.5, 2)))
    stated = 0.005 + rng.choice([0.0, 0.05, 0.3], p=[0.5, 0.3, 0.2], size=(count, 7))
    noise = 0.02 * rng.normal(size=(count, 7)) + stated * rng.normal(size=(count, 7))
    error = (offset + scale * SIZE**-exponent) * np.exp(noise)
    truth = offset + scale * FAR[1:] ** -exponent
    sizes, width, squares = np.tile(SIZE, (count, 1)), {}, {}
    for name, own in (("without", None), ("with", stated * error)):
        ahead = lc.forecast(KEY, lc.LearningCurve(sizes, error, own))
        low, high = ahead.interval(FAR[1:], 0.9, measured=False)
        inside = np.mean((low <= truth) & (truth <= high))
        assert inside > 0.9 - 3 * np.sqrt(0.9 * 0.1 / count), name
        width[name] = np.median(np.log(high / low))
        squares[name] = np.mean(np.log(np.asarray(ahead.predict(FAR[1:])) / truth) ** 2)
    assert width["with"] < 0.7 * width["without"]
    assert squares["with"] < 0.5 * squares["without"]
