"""The answer: its mixture, and its size for the target with the interval."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lcjax as lc
from lcjax.curves.forecast.diagnosis import diagnose_draws
from lcjax.reports.prediction import answer_line
from lcjax.studies.prediction.answer.answer import Answer, size_from_draws, to_answer
from lcjax.studies.prediction.answer.draws import AveragedDraws, Mixture, mix, widen
from lcjax.studies.prediction.answer.spread import TrainingSpread
from lcjax.studies.prediction.methods.points import Fit, Points
from lcjax.studies.prediction.scoring.discrepancy import EXACT, Discrepancy

GRID = np.geomspace(10.0, 1e5, 81)
SIZE = GRID[:20:5]


def power_laws(exponent):
    return np.log(2.0) - np.asarray(exponent)[:, None] * np.log(GRID)


def points():
    logs, level = power_laws([0.5])[0][:20:5], np.zeros(4)
    draws = np.tile(logs, (4, 1))
    share, seed = np.ones((4, 1)), np.zeros(4, int)
    return Points(SIZE, logs, np.full(4, 0.1), draws, level, draws, draws, np.exp(logs)[None], share, seed)


def test_methods_enter_the_mixture_by_their_weights():
    fits = {
        name: Fit(power_laws([exponent])[0], power_laws(np.full(30, exponent)), {}, True)
        for name, exponent in (("power_law", 0.4), ("forecast", 0.6))
    }
    weights = {"power_law": 0.25, "forecast": 0.75}
    logs, level = mix(fits, weights, dict.fromkeys(fits, EXACT), points(), GRID, count=100)
    exponents = -(logs[:, -1] - logs[:, 16]) / np.log(GRID[-1] / GRID[16])
    np.testing.assert_allclose(np.sort(exponents), [0.4] * 25 + [0.6] * 75)
    inside = -(logs[:, 15] - logs[:, 0]) / np.log(GRID[15] / GRID[0])
    np.testing.assert_allclose(inside, 0.6)  # the measured curve, smoothed by the forecast, decides there
    assert level.shape == (100,)


def averaged(exponent, *, spread=0.0, size=SIZE, error=None):
    """Return power laws as averaged draws; the spread of trainings is the same at all sizes."""
    logs = power_laws(exponent)
    error = np.exp(logs.mean(axis=0)[: 4 * 5 : 5]) if error is None else error
    of_trainings = TrainingSpread(np.full(3, spread), np.zeros(3), 100.0)
    mixture = Mixture(logs, np.zeros(len(logs)))
    measured = lc.LearningCurve(size, error)
    return AveragedDraws(measured, GRID, mixture, of_trainings, bound=0.9, examples=100_000)


def test_one_training_needs_more_examples_than_the_mean_by_the_spread():
    draws = averaged(np.linspace(0.49, 0.51, 41), spread=0.1)
    mean, assured = draws.size_for_error(0.05), draws.size_for_share(0.05, 0.8)
    # exp(0.1 z_0.8) = 1.088 times the error at every size, thus 1.088^2 times the examples at exponent 1/2
    assert float(assured.value) / float(mean.value) == pytest.approx(np.exp(0.2 * 0.8416), rel=0.02)
    four = draws.size_for_share(0.05, 0.8, repeats=4)
    assert float(four.value) / float(mean.value) == pytest.approx(np.exp(0.1 * 0.8416), rel=0.02)
    assert float(draws.size_for_share(0.05, 0.5).value) == pytest.approx(float(mean.value))


def test_an_interval_touches_the_measured_crossing():
    measured = np.array([0.9, 0.2, 0.3, 0.1])  # first at or below 0.25 at the second size
    answer = averaged(np.linspace(0.05, 0.051, 20), error=measured).size_for_error(0.25)
    assert float(answer.low) <= SIZE[-1]
    assert float(answer.high) >= SIZE[0]


def test_errors_near_zero_do_not_overflow():
    """A network without mistakes: the noise of a measurement is many times its error."""
    draws = averaged(np.linspace(0.5, 3.0, 40))
    zero = points()._replace(log_error=np.full(4, -12.0), relative=np.ones(4))
    options = {"target_error": None, "noise_floor": None, "split": "test", "reason": ""}
    answer = to_answer(draws, len(GRID), {}, zero, **options)
    low, high = answer.predictive
    assert np.all((low >= 0) & (low <= high) & (high <= 1))


def test_rises_and_information_of_averaged_draws():
    draws = averaged(np.linspace(0.3, 0.6, 400), spread=0.02)
    assert float(draws.rise_probability()) == 0
    plan = draws.next_size(0.01, candidates=np.array([SIZE[0], SIZE[-1], 10 * SIZE[-1]]), repeats=(1,))
    information = np.asarray(plan.information)
    assert information[0] < information[1] < information[2]  # the draws spread with the size
    assert float(plan.size) in plan.candidates


def test_the_size_is_the_median_crossing_and_draws_at_infinity_count():
    draws = power_laws(np.concatenate([np.linspace(0.4, 0.6, 95), np.full(5, 0.01)]))
    size = size_from_draws(None, draws, GRID, 0.1, SIZE)
    assert float(size.value) == pytest.approx(20 ** (1 / 0.495), rel=0.03)
    assert float(size.never) == 0.05
    assert size.high == np.inf  # 5 % of the draws never cross
    better = size_from_draws(None, power_laws(np.append(np.linspace(0.4, 0.6, 98), [0.01, 0.01])), GRID, 0.1, SIZE)
    assert np.isfinite(better.high)
    worse = size_from_draws(None, np.concatenate([draws, draws[-12:-5] * 0]), GRID, 0.1, SIZE)
    assert worse.high == np.inf
    assert float(worse.never) > 0.1


@given(seed=st.integers(0, 2**32 - 1))
def test_the_interval_is_the_central_one_that_holds_90_percent(seed):
    exponent = np.maximum(np.random.default_rng(seed).gamma(20.0, 0.025, 200), 0.3)
    size = size_from_draws(None, power_laws(exponent), GRID, 0.1, SIZE)
    crossing = np.maximum(20 ** (1 / exponent), SIZE[0])
    low, high = (np.quantile(crossing, level, method=side) for level, side in ((0.05, "lower"), (0.95, "higher")))
    np.testing.assert_allclose([size.low, size.high], [low, high], rtol=1e-3)


def test_widened_draws_are_those_at_the_fitted_sizes():
    draws, ratio = power_laws([0.5] * 50), np.log(GRID / GRID[15])
    wide = widen(draws, ratio, Discrepancy(0.2, 5.0))
    np.testing.assert_array_equal(wide[:, :16], draws[:, :16])
    assert np.all(np.diff(wide.std(axis=0)[15:]) > 0)


@pytest.mark.parametrize("examples", [1, 10, 220, 10_000])
def test_without_a_mistake_the_answer_is_the_rule_of_three(examples):
    """At the limit, networks without a mistake have a probability of 5 %; the limit is near 3 / examples."""
    size, limits = np.array([10.0, 100.0]), np.array([[0.1, 0.1], [0.2, 0.2]])
    diagnosis = diagnose_draws(1e3, np.array([[0.01, 0.008, 0.005, 0.001]]))
    curve = lc.LearningCurve(size, np.array([0.15, 0.15]))
    found = Answer(curve, limits, limits, None, diagnosis, {}, None, "test", "a fit").without_mistakes(examples)
    np.testing.assert_allclose((1 - found.error_limit) ** examples, 0.05, rtol=1e-9)
    if examples > 100:
        np.testing.assert_allclose(found.error_limit, 3 / examples, rtol=0.02)
    np.testing.assert_array_equal(found.interval, [[0, 0], [found.error_limit] * 2])
    np.testing.assert_allclose(found.curve.error, 0.5 / examples)
    assert f"No network makes a mistake on {examples:,} examples" in found.reason
    assert answer_line(found).startswith("Error: at most ")
    assert found.json_fields()["error_limit"] == found.error_limit
    assert "log_draws" not in found.json_fields()
