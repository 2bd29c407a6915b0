"""Metrics against their definitions: inverse transforms, swapped intervals, and forecasts in the metric's unit."""

import jax
import numpy as np
import pytest

from lcjax.curves.forecast.forecast import forecast
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.metrics import ERROR, METRICS, Metric

SIZE = 100.0 * 2.0 ** np.arange(8)
KEY = jax.random.key(0)
QUICK = {"chains": 16, "moves": 6}


@pytest.mark.parametrize("metric", [*METRICS.values(), Metric("loss", -3.5), Metric("score", 100.0, True)])
def test_the_transform_has_an_inverse_and_swaps_intervals(metric):
    value = metric.best + (-1 if metric.rises else 1) * np.array([0.0, 0.25, 2.0])
    error = metric.to_error(value)
    np.testing.assert_array_equal(error, [0.0, 0.25, 2.0])
    np.testing.assert_array_equal(metric.from_error(error), value)
    low, high = metric.interval(0.1, 0.4)
    assert low < high
    assert {round(metric.to_error(low), 12), round(metric.to_error(high), 12)} == {0.1, 0.4}


def test_names_and_numbers():
    assert [METRICS[name].error_name for name in ("error", "auc", "r2")] == ["error", "1 - auc", "1 - r2"]
    assert Metric("loss", -3.5).error_name == "loss + 3.5"
    assert Metric("loss", 1.5).error_name == "loss - 1.5"
    assert METRICS["accuracy"].format(float("nan")) == ERROR.format(float("nan")) == "–"
    assert METRICS["accuracy"].format(1.0) == "1"


@pytest.fixture
def only_x64(x64):
    if not x64:
        pytest.skip("compiled once, in float64")


@pytest.mark.slow
@pytest.mark.usefixtures("only_x64")
def test_a_negative_loss_and_an_r2_are_forecast_like_their_errors():
    """Both curves are the same power law, so that one forecast in errors answers for both."""
    error = 3.0 * SIZE**-0.4
    loss, r2 = Metric("loss", -2.0), METRICS["r2"]
    given = np.stack([loss.to_error(error - 2.0), r2.to_error(1.0 - error)])
    np.testing.assert_allclose(given, [error, error], rtol=1e-12)
    ahead = forecast(KEY, LearningCurve(SIZE, given), chance=np.array([np.nan, r2.to_error(0.0)]), **QUICK)
    at = 4 * SIZE[-1:]
    predicted, truth = np.asarray(ahead.predict(at)), 3.0 * at**-0.4
    np.testing.assert_allclose(loss.from_error(predicted[0]) + 2.0, truth, rtol=0.05)
    np.testing.assert_allclose(1.0 - r2.from_error(predicted[1]), truth, rtol=0.05)
    # No draw is worse than predicting the mean.
    assert np.min(r2.from_error(np.asarray(ahead.predict_draws(SIZE / 100, measured=True))[1])) >= -1e-6
