"""Metrics against their definitions: inverse transforms, swapped intervals, and forecasts in the metric's unit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.curves.forecast.forecast import forecast
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.metrics import ERROR, METRICS, Metric, are_same, find_metric
from lcjax.curves.targets import parse_target

SIZE = 100.0 * 2.0 ** np.arange(8)
LOSS = Metric("loss", bounds=(-3.5, np.inf))
KEY = jax.random.key(0)
QUICK = {"chains": 16, "moves": 6}


@pytest.mark.parametrize("metric", [*METRICS.values(), LOSS, Metric("score", "maximize", (0.0, 100.0))])
def test_the_transform_has_an_inverse_and_swaps_intervals(metric):
    value = metric.best + (-1 if metric.rises else 1) * np.array([0.0, 0.25, 2.0])
    error = metric.to_error(value)
    expected = {"identity": [0.0, 0.25, 2.0], "log": np.log1p([0.0, 0.25, 2.0]), "square": [0.0, 0.0625, 4.0]}
    np.testing.assert_array_equal(error, expected[metric.transform])
    np.testing.assert_allclose(metric.from_error(error), value, rtol=1e-15)
    np.testing.assert_allclose(metric.from_error(jnp.asarray(error)), value, rtol=1e-6)
    assert metric.from_error(float(error[1])) == pytest.approx(value[1])
    better = metric.best + (1 if metric.rises else -1) * np.array([0.25, 2.0])
    assert np.all(metric.to_error(better) < 0)
    assert metric.error_name
    low, high = metric.interval(0.1, 0.4)
    assert low < high
    assert {round(metric.to_error(low), 12), round(metric.to_error(high), 12)} == {0.1, 0.4}


def test_names_and_numbers():
    assert [METRICS[name].error_name for name in ("error", "auc", "r2")] == ["error", "1 - auc", "1 - r2"]
    assert LOSS.error_name == "loss + 3.5"
    assert LOSS.with_best(1.5).error_name == "loss - 1.5"
    assert [METRICS[name].error_name for name in ("rmse", "perplexity")] == ["rmse squared", "log perplexity"]
    assert METRICS["accuracy"].format(float("nan")) == ERROR.format(float("nan")) == "–"
    assert METRICS["accuracy"].format(1.0) == "1"


def test_names_as_people_write_them():
    names = ("Val AUROC", "test/acc", "eval_loss", "F1-score", "roc_auc", "PPL", "test")
    found = [find_metric(name, best=0.0) if name == "test" else find_metric(name) for name in names]
    assert [metric.name for metric in found] == list(names)
    assert [metric.rises for metric in found] == [True, True, False, True, True, False, False]
    assert find_metric("accuracy", 100.0).largest_error == 100
    assert find_metric("auroc", 100.0).chance == 50
    assert find_metric("elo", 3000.0, maximize=True).to_error(2800.0) == 200
    with pytest.raises(ValueError, match="'elo' is not a known metric: give its best possible value"):
        find_metric("elo")
    for misspelled, meant in (
        ("acuracy", "accuracy"),
        ("val_perplexty", "perplexity"),
        ("auprcs", "average_precision"),
    ):
        with pytest.raises(ValueError, match=f"Did you mean {meant}\\?"):
            find_metric(misspelled)
    with pytest.raises(ValueError, match=r"docs/fit.md\)\.$"):
        find_metric("score")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"direction": "up"}, "direction of the metric 'm' must be minimize or maximize, got 'up'"),
        ({"transform": "logit"}, "must be identity or log or square"),
        ({"bounds": (1.0, 0.0)}, "two ascending numbers, the best of them finite"),
        ({"bounds": (-np.inf, 0.0)}, "two ascending numbers, the best of them finite"),
        ({"transform": "log"}, "needs a metric to minimize whose best value is positive"),
        ({"transform": "square", "direction": "maximize", "bounds": (0.0, 1.0)}, "needs a metric to minimize"),
    ],
)
def test_what_no_metric_can_be(fields, message):
    with pytest.raises(ValueError, match=message):
        Metric("m", **fields)


@pytest.fixture
def only_x64(x64):
    if not x64:
        pytest.skip("compiled once, in float64")


@pytest.mark.slow
@pytest.mark.usefixtures("only_x64")
def test_a_negative_loss_and_an_r2_are_forecast_like_their_errors():
    """Both curves are the same power law, so that one forecast in errors answers for both."""
    error = 3.0 * SIZE**-0.4
    loss, r2 = METRICS["loss"].with_best(-2.0), METRICS["r2"]
    given = np.stack([loss.to_error(error - 2.0), r2.to_error(1.0 - error)])
    np.testing.assert_allclose(given, [error, error], rtol=1e-12)
    ahead = forecast(KEY, LearningCurve(SIZE, given), chance=np.array([np.nan, r2.to_error(0.0)]), **QUICK)
    at = 4 * SIZE[-1:]
    predicted, truth = np.asarray(ahead.predict(at)), 3.0 * at**-0.4
    np.testing.assert_allclose(loss.from_error(predicted[0]) + 2.0, truth, rtol=0.05)
    np.testing.assert_allclose(1.0 - r2.from_error(predicted[1]), truth, rtol=0.05)
    # No draw is worse than predicting the mean.
    assert np.min(r2.from_error(np.asarray(ahead.predict_draws(SIZE / 100, measured=True))[1])) >= -1e-6


@pytest.mark.parametrize(
    ("name", "other", "same"),
    [
        ("roc_auc", "auc", True),
        ("roc_auc_score", "Val AUROC", True),
        ("acc", "accuracy", True),
        ("validation/acc", "val_accuracy", True),
        ("test_acc", "val_acc", False),
        ("accuracy", "top5_accuracy", False),
        ("val", "test", False),
        ("elo", "Elo", True),
    ],
)
def test_spellings_of_a_metric_are_the_same(name, other, same):
    assert are_same(name, other) == are_same(other, name) == same


def test_a_target_may_spell_its_metric_otherwise():
    assert parse_target("roc_auc>=0.97").to_error(METRICS["auc"]) == pytest.approx(0.03)
