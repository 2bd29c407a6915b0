"""Forecasts of runs in flight: the turn, known curves, finished runs as a reference computes them, and special runs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from lcjax.curves.forecast import runs
from lcjax.curves.forecast.runs import forecast_runs, turn

KEY = jax.random.key(0)
STEP = np.arange(1.0, 25.0)
TOTAL = 24.0


@pytest.fixture(autouse=True)
def only_x64(x64):
    """Kernels and posterior have float32 tests of their own."""
    if not x64:
        pytest.skip("float32 compiles the same program again")


def curves():
    """Return complete runs: a fall, a fall that turns upwards, and a flat one."""
    noise = np.exp(0.01 * np.random.default_rng(0).normal(size=(3, 24)))
    falls, turns = 0.4 + 1.5 / STEP, 0.5 + 1.2 / STEP + 0.1 * STEP**0.8
    return np.stack([falls, turns, np.full(24, 0.9)]) * noise


def cut(value, count=12):
    return np.where(np.arange(24) < count, value, np.nan)


@pytest.fixture(scope="module")
def ahead():
    with jax.enable_x64(True):
        return forecast_runs(KEY, STEP, cut(curves()), TOTAL, best=np.array([0.55, 1.0, 0.8]))


def test_a_turn_has_its_slopes():
    u = jnp.array([np.log(0.6), np.log(0.3), np.log(0.01), 0.0, np.log(1.0), np.log(3.0)])
    time = jnp.array([-3.0, -2.5, -0.7, -0.5, 1.0, 1.5])  # the minimum is at -1.2, the second break at -0.2
    log_error = np.asarray(turn(u, time, jnp.array(3.0)).log_error(time))
    slopes = np.diff(log_error)[::2] / np.diff(np.asarray(time))[::2]
    np.testing.assert_allclose(slopes, [-0.6, 0.3, 0.3 * (1 - 0.75)], atol=1e-6)


def test_forecasts_are_near_the_end(ahead):
    final = curves()[:, -1]
    np.testing.assert_allclose(np.log(ahead.value), np.log(final), atol=0.12)
    assert np.all((ahead.low < ahead.value) & (ahead.value < ahead.high))
    assert np.all(np.diff(ahead.draws, axis=-1) >= 0)
    assert ahead.value[1] > 1.2 * curves()[1, 11]  # it goes on rising


def test_probability_and_interval_are_of_the_draws(ahead):
    assert ahead.beats[0] > 0.9
    assert ahead.beats[1] < 0.1
    np.testing.assert_allclose(ahead.probability_below(ahead.value), 0.5, atol=0.01)
    inside = ahead.probability_below(ahead.high) - ahead.probability_below(ahead.low)
    np.testing.assert_allclose(inside, 0.9, atol=0.01)
    np.testing.assert_array_equal(ahead.beats, np.mean(ahead.draws < ahead.best[:, None], axis=-1))


def test_finished_runs_weigh_the_draws(ahead):
    """Reference: weights by SciPy's Student density, and the weighted share of the draws below a value."""
    finished = np.stack([curves()[0] * 1.1, curves()[0] * 0.95, np.full(24, np.nan)])
    informed = ahead.with_finished(finished)
    density, h = scipy.stats.t(4).pdf, 0.08
    end, before = np.log(finished[:2, -1]), np.log(finished[:2, 11])
    for run in range(3):
        y, x = np.log(ahead.alone[run]), np.log(curves()[run, 11])
        weight = np.ones(len(y))
        for at, centers in ((y, end), (y - x, end - before)):
            near = sum(density((at - center) / h) / h for center in centers)
            weight *= density(at - np.min(centers)) + near  # of two numbers, the lower median
        weight[y < end.min()] /= 2
        for share in (0.2, 0.5, 0.8):
            expected = ahead.alone[run][np.searchsorted(np.cumsum(weight) / weight.sum(), share)]
            actual = informed.draws[run][int(share * len(y))]
            np.testing.assert_allclose(actual, expected, rtol=0.01)
    np.testing.assert_allclose(informed.best, np.exp(end.min()))
    np.testing.assert_array_equal(informed.beats, informed.probability_below(np.exp(end.min())))


@pytest.mark.slow
def test_finished_runs_may_be_given_at_once(ahead):
    finished = curves()[:1]
    at_once = forecast_runs(KEY, STEP, cut(curves()), TOTAL, finished=finished, best=0.5)
    np.testing.assert_array_equal(at_once.draws, ahead.with_finished(finished).draws)
    np.testing.assert_array_equal(at_once.best, 0.5)
    first = forecast_runs(KEY, STEP, cut(curves()[0]), TOTAL)
    np.testing.assert_allclose(first.draws, ahead.alone[0], rtol=1e-6)  # the same run without a batch
    assert np.isnan(first.beats)


def test_no_finished_run_leaves_the_draws(ahead):
    informed = ahead.with_finished(np.full((2, 24), np.nan))
    np.testing.assert_allclose(informed.draws, ahead.alone)
    assert np.isnan(informed.beats).all()


@pytest.mark.slow
def test_special_runs():
    value = curves()
    value[0] = cut(value[0], 0)
    value[1, 5:] = np.inf
    ahead = forecast_runs(KEY, STEP, value, TOTAL, finished=curves()[:1])
    assert np.isnan([ahead.value[0], ahead.beats[0]]).all()  # no record
    np.testing.assert_array_equal([ahead.value[1], ahead.beats[1]], [np.inf, 0.0])  # diverged
    np.testing.assert_allclose([ahead.low[2], ahead.high[2]], curves()[2, -1])  # finished: its value is known
    assert ahead.beats[2] == 0.0
    diverged = ahead.with_finished(np.full((1, 24), np.inf))
    assert np.isposinf(diverged.best).all()


def test_the_lowest_record_counts_with_early_stopping():
    value = curves()[1:2]
    ahead = forecast_runs(KEY, STEP, cut(value), TOTAL, lowest=True, finished=value * 1.05)
    lowest = np.nanmin(cut(value))
    assert np.all(ahead.draws <= lowest * (1 + 1e-9))
    np.testing.assert_allclose(ahead.best, 1.05 * value.min())
    assert ahead.beats[0] == 1.0


def test_wrong_arguments_are_refused(ahead):
    with pytest.raises(ValueError, match="level"):
        forecast_runs(KEY, STEP, cut(curves()), TOTAL, level=1.0)
    with pytest.raises(ValueError, match="24 records each"):
        forecast_runs(KEY, STEP, cut(curves()), TOTAL, finished=curves()[:, :12])
    with pytest.raises(ValueError, match="at least the records of the runs in flight"):
        ahead.with_finished(curves()[:, :6])
    with pytest.raises(ValueError, match=r"shape|broadcast"):
        forecast_runs(KEY, STEP[:5], cut(curves()), TOTAL)


def test_families_are_named_once():
    names = [family.name for family in runs.RUN_FAMILIES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": cut(curves()) - 2.0}, r"at least 0, got -.* of run \(0, ?\)"),
        ({"finished": -np.ones((2, 24))}, r"got -1 at record 0 of finished run \(0,\)"),
        ({"finished": np.ones(24)}, r"shape \(n, 24\)"),
        ({"step": STEP[::-1]}, "positive and ascending"),
        ({"step": STEP - 1}, "positive and ascending"),
        ({"total_steps": 8.0}, r"at step 12, beyond total_steps, 8"),
    ],
)
def test_records_that_cannot_be_meant_are_refused(change, message):
    arguments = {"step": STEP, "value": cut(curves()), "total_steps": TOTAL, **change}
    with pytest.raises(ValueError, match=message):
        forecast_runs(KEY, **arguments)
