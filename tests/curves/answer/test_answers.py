"""Answers of forecasts: no size below the smallest one measured, and no interval on the wrong side of a crossing."""

import dataclasses

import jax
import numpy as np
import pytest
import scipy.stats

from benchmarks.forecast.sources import lcdb_cases
from benchmarks.target_size.truth import find_truth
from lcjax.curves.answer.crossing import find_bracket
from lcjax.curves.answer.shared_pool import independent_repeats
from lcjax.curves.answer.target import answer_target
from lcjax.curves.fit.fit_curve import fit_curve
from lcjax.curves.forecast.forecast import forecast
from lcjax.curves.forecast.mixture import mixture_forecast
from lcjax.curves.forms import power_law
from lcjax.curves.learning_curve import LearningCurve
from tests.conftest import SHARED

KEY = jax.random.key(0)
QUICK = {"draws": 128, "chains": 8, "moves": 6}


def random_curves(count, sizes=7):
    """Return noisy curves: falling, flat, or with a rise in between."""
    rng = np.random.default_rng(0)
    size = np.sort(rng.choice(np.round(np.geomspace(10, 1e5, 80)), (count, sizes)), axis=1)
    exponent, level = rng.uniform(0, 0.8, (count, 1)), rng.uniform(0.02, 0.5, (count, 1))
    bump = np.where(rng.random((count, 1)) < 0.3, 0.5, 0.0) * np.exp(-(np.log(size / size[:, 3:4]) ** 2))
    error = level * (size / size[:, -1:]) ** -exponent * np.exp(bump + 0.05 * rng.normal(size=size.shape))
    return size, np.minimum(error, 0.95)


def check(ahead, size, error, target):
    """Assert what holds for every answer, and return the number of targets crossed among the measured sizes."""
    smallest = np.nanmin(size, axis=1)
    before, after = find_bracket(size, error, target)
    for answer in (ahead.size_for_error(target), ahead.lasting_size_for_error(target), ahead.size_for_share(target)):
        for field in (answer.low, answer.value, answer.high):
            assert np.all(np.asarray(field, float) >= smallest * (1 - 1e-6))
        assert np.all((answer.low <= answer.value) & (answer.value <= answer.high))
        at_or_below = np.asarray(answer.status) == "at_or_below_smallest"
        np.testing.assert_array_equal(at_or_below, np.isclose(answer.value, smallest, rtol=1e-5))
        assert np.all(np.asarray(answer.at_smallest)[at_or_below] >= 0.5 - 1e-6)
    for answer in (ahead.size_for_error(target), ahead.lasting_size_for_error(target)):
        assert np.all(np.asarray(answer.high, float) >= before * (1 - 1e-5))
        assert np.all(np.asarray(answer.low, float) <= after * (1 + 1e-5))
    return int(np.sum(np.isfinite(after) & (after > smallest)))


@pytest.mark.slow
@pytest.mark.parametrize("share", [1.6, 0.8, 0.3])
def test_answers_agree_with_the_measurements_of_random_curves(share):
    size, error = random_curves(12)
    ahead = forecast(KEY, LearningCurve(size, error), **QUICK)
    target = (share * error[:, -1]).astype(np.float32)
    seen = check(ahead, size, error, target)
    assert seen >= (3 if share > 1 else 0)


@pytest.mark.parametrize(
    "curves", [pytest.param(60, marks=pytest.mark.slow), pytest.param(2000, marks=pytest.mark.acceptance)]
)
def test_answers_agree_with_the_measurements_of_lcdb(curves):
    folder = SHARED / "data" / "lcdb11"
    if not folder.exists():
        pytest.skip(f"{folder} is absent: set LCJAX_SHARED to the folder that contains data/lcdb11")
    cases = lcdb_cases(folder, half="even", curves=curves)
    truth = find_truth(cases)
    column = np.random.default_rng(1).integers(0, truth.target.shape[1], len(cases))
    target = truth.target[np.arange(len(cases)), column].astype(np.float32)
    size = np.where(np.isnan(cases.error), np.nan, cases.size)
    assert check(forecast(KEY, cases.curves(), allow_rising=True), size, cases.error, target) > 0.05 * len(cases)


@pytest.mark.slow
def test_a_rise_in_between_is_reported_with_the_lasting_size():
    size = 100.0 * 2.0 ** np.arange(10)
    error = np.array([[0.5, 0.3, 0.2, 0.16, 0.25, 0.34, 0.22, 0.15, 0.1, 0.07], 2.0 * size**-0.4])
    answer = answer_target(forecast(KEY, LearningCurve(size, error)), 0.18)
    assert answer.rises.tolist() == [True, False]
    fields = answer.fields(0)
    assert 400 <= float(fields["size_for_error"].value) <= 800
    assert 6400 <= float(fields["lasting_size_for_error"].value) <= 12800
    assert answer.fields(1)["lasting_size_for_error"] is None
    one = answer_target(forecast(KEY, LearningCurve(size, error[0])), 0.18)
    assert float(one.fields()["size_for_error"].value) == pytest.approx(float(fields["size_for_error"].value), rel=0.1)


@pytest.mark.slow
def test_shared_test_examples_widen_the_answer_and_few_of_them_widen_it_more():
    size = 100.0 * 2.0 ** np.arange(8)
    curve = LearningCurve(size, 3.0 * size**-0.5)
    widths = []
    for count in (None, 100_000.0, 300.0):
        given = dataclasses.replace(curve, test_count=None if count is None else np.asarray(count))
        answer = forecast(KEY, given, **QUICK).size_for_error(0.02)
        widths.append(float(np.log(np.quantile([answer.high], 1.0) / answer.low)))
    assert widths[0] < 1.1 * widths[1] < widths[2]
    # A relative error of (0.0265 * 300)^-0.5 = 0.35 of the level moves the size by twice as much: 90 % within 1.16.
    assert 1.8 < widths[2] < 3.2


@pytest.mark.slow
def test_errors_of_zero_show_as_much_as_their_test_examples():
    curve = LearningCurve(100.0 * 2.0 ** np.arange(5), np.zeros((3, 5)), test_count=np.array([20, 100, 10_000]))
    with np.errstate(all="raise"):
        ahead = forecast(KEY, curve, **QUICK)
        answer, tiny = ahead.size_for_error(0.01), ahead.size_for_error(1e-9)
        ahead.next_size(1e-9)
    bayes = scipy.stats.beta.cdf(0.01, 0.5, curve.test_count + 0.5)  # Jeffreys' prior
    assert np.all(bayes - [0.25, 0.15, 0.01] <= answer.at_smallest)
    assert np.all(answer.at_smallest <= bayes)
    assert np.all(np.asarray(tiny.never) > 0.9)


def test_test_counts_of_another_shape_or_below_one_are_refused():
    curve = LearningCurve(100.0 * 2.0 ** np.arange(4), np.full((2, 4), 0.1))
    for count, message in (
        (np.full(4, 100), r"shape \(2,\), one number for each curve, got shape \(4,\)"),
        (0, "got 0"),
    ):
        given = dataclasses.replace(curve, test_count=count)
        for fit in (forecast, mixture_forecast, lambda key, curve: fit_curve(curve, power_law)):
            with pytest.raises(ValueError, match=message):
                fit(KEY, given)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (np.nan, "positive number, got nan"),
        (0.0, "got 0"),
        (np.inf, "got inf"),
        ([0.05, 0.04], "there is one curve, got"),
    ],
)
def test_targets_that_cannot_be_meant_are_refused(error, message):
    ahead = forecast(KEY, LearningCurve(100.0 * 2.0 ** np.arange(5), 0.5 * 0.8 ** np.arange(5)), **QUICK)
    for answer in ("size_for_error", "lasting_size_for_error", "size_for_share", "next_size"):
        with pytest.raises(ValueError, match=message):
            getattr(ahead, answer)(np.asarray(error))


def test_curves_beyond_the_range_of_float32_are_refused():
    size = 100.0 * 2.0 ** np.arange(5)
    for curve in (LearningCurve(size, 1e-35 * size**-0.4), LearningCurve(1e33 * size, size**-0.4)):
        with pytest.raises(ValueError, match="between 1e-30 and 1e30"):
            forecast(KEY, curve)
    with pytest.raises(ValueError, match="no sizes"):
        forecast(KEY, LearningCurve(size[:0], size[:0]))


def test_a_form_is_not_its_name():
    fit = fit_curve
    while hasattr(fit, "__wrapped__"):  # without the run-time type checks of the tests
        fit = fit.__wrapped__
    with pytest.raises(ValueError, match="got 'power_law'"):
        fit(LearningCurve(np.array([1.0, 2.0]), np.array([0.5, 0.4])), "power_law")


@pytest.mark.slow
def test_one_training_meets_the_target_at_the_assured_size_as_often_as_stated():
    rng = np.random.default_rng(0)
    size, spread, exponent = 100.0 * 2.0 ** np.arange(7), 0.08, 0.4

    def train(size, count):
        return 2.0 * size**-exponent * np.exp(spread * rng.normal(size=(count, *np.shape(size))))

    repeats = train(size, 60)
    curve = LearningCurve(size, repeats.mean(axis=0), replicates=repeats)
    ahead = forecast(KEY, curve)
    mean, assured = float(ahead.size_for_error(0.09).value), float(ahead.size_for_share(0.09, 0.8).value)
    met = np.mean(train(np.array(assured), 4000) <= 0.09)
    assert abs(met - 0.8) < 0.08  # a relative error of 1 % of the curve moves it by 0.035
    share = float(ahead.assurance(0.09, np.array([assured], np.float32))[0])
    assert abs(share - 0.8) < 0.05
    # Beyond the data the two sizes differ by the 80 % quantile of the noise.
    mean, assured = float(ahead.size_for_error(0.05).value), float(ahead.size_for_share(0.05, 0.8).value)
    np.testing.assert_allclose(np.log(assured / mean), 0.8416 * spread / exponent, rtol=0.3)


def test_repeats_from_one_pool_have_the_spread_of_independent_training_sets():
    rng = np.random.default_rng(0)
    pool, size, repeats = 400, np.array([50.0, 200.0, 400.0]), 3000
    values = np.exp(rng.normal(size=pool))
    means = np.array([[values[rng.permutation(pool)[: int(n)]].mean() for n in size] for _ in range(repeats)])
    corrected = independent_repeats(size, means, pool)
    independent = np.array([[rng.choice(values, int(n)).mean() for n in size[:2]] for _ in range(repeats)])
    np.testing.assert_allclose(np.log(corrected[:, :2]).std(axis=0), np.log(independent).std(axis=0), rtol=0.05)
    assert np.isnan(corrected[1:, 2]).all()
    with pytest.raises(ValueError, match="exceeds the pool of 300"):
        independent_repeats(size, means, 300)


@pytest.mark.slow
def test_answers_work_under_jit_and_vmap():
    size = 100.0 * 2.0 ** np.arange(6)
    error = np.stack([2 * size**-0.4, 3 * size**-0.5])

    def answer(error):
        ahead = forecast(KEY, LearningCurve(size, error), **QUICK)
        sizes = ahead.size_for_error(0.05), ahead.lasting_size_for_error(0.05), ahead.size_for_share(0.05)
        return *(one.value for one in sizes), ahead.next_size(0.05).information, ahead.rise_probability()

    mapped, together = jax.vmap(jax.jit(answer))(error), answer(error)
    for ours, batch in zip(mapped[:3], together[:3], strict=True):
        np.testing.assert_allclose(ours, batch, rtol=0.1)
    assert mapped[3].shape == together[3].shape
    np.testing.assert_allclose(mapped[4], together[4], atol=0.05)
