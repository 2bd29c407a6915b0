"""Figures of curves, which show the numbers of their records."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

from lcjax.curves.envelope import lower_envelope
from lcjax.curves.forms import power_law
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.metrics import METRICS
from lcjax.curves.model_size import fit_model_size
from lcjax.curves.ranking import Ranking
from lcjax.curves.readers.csv import CurveTable
from lcjax.plots.curves import plot_coverage, plot_envelope, plot_forecast, plot_model_size, plot_ranking, plot_two_way
from lcjax.scaling.fit import ScalingFit
from lcjax.scaling.laws import chinchilla
from lcjax.scaling.residuals import Huber
from lcjax.studies.fitting.fitted_curves import fit_learning_curves


@pytest.fixture
def axes():
    figure = Figure(layout="constrained")
    drawn = figure.subplots()
    yield drawn
    figure.canvas.draw()  # every record can be drawn


def lines(axes):
    """Return the points of every labelled line by label, including error bars."""
    handles, labels = axes.get_legend_handles_labels()
    found = {}
    for handle, label in zip(handles, labels, strict=True):
        line = handle[0] if isinstance(handle, tuple) else handle
        found[label] = np.asarray(line.get_xydata())
    return found


def test_envelope_is_drawn_over_its_members(axes):
    size = np.array([100.0, 200.0, 400.0])
    validation = np.array([[[0.5, 0.4, 0.35]] * 2, [[0.6, 0.3, np.nan]] * 2])
    test = validation + np.array([0.0, 0.02])[None, :, None]
    envelope = lower_envelope(jnp.asarray(size), jnp.asarray(validation), jnp.asarray(test))
    plot_envelope(envelope, test, axes)
    shown = lines(axes)
    np.testing.assert_allclose(shown["lower envelope"], np.stack([size, [0.51, 0.31, 0.36]], axis=1), rtol=1e-6)
    np.testing.assert_allclose(shown["members"], np.stack([size, [0.51, 0.41, 0.36]], axis=1), rtol=1e-6)
    assert axes.get_xscale() == axes.get_yscale() == "log"


def test_ranking_shows_exponents_intervals_and_ranks(axes):
    exponent, low, high = np.array([-0.5, -0.3, -0.1]), np.array([-0.6, -0.33, -0.11]), np.array([-0.4, -0.25, -0.1])
    ranking = Ranking(("a", "b", "c"), exponent, low, high, np.array([1, 1, 3]), np.array([1, 2, 3]), 0.9)
    plot_ranking(ranking, axes)
    (container,) = axes.containers
    points, _, (bars,) = container
    np.testing.assert_allclose(points.get_xydata(), np.stack([exponent, np.arange(3)], axis=1))
    ends = np.array(bars.get_segments())[:, :, 0]
    np.testing.assert_allclose(ends, np.stack([low, high], axis=1))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    assert [text.get_text() for text in axes.texts] == ["rank 1", "ranks 1 to 2", "rank 3"]
    assert axes.yaxis_inverted()


def test_model_size_law_goes_through_its_points(axes):
    size = np.array([1e4, 1e5, 1e6])
    law = fit_model_size(jnp.asarray(size), jnp.asarray(3 * size**0.7))
    plot_model_size(law, size, 3 * size**0.7, axes)
    shown = lines(axes)
    np.testing.assert_allclose(shown["best model"], np.stack([size, 3 * size**0.7], axis=1))
    drawn = shown["exponent 0.70"]
    np.testing.assert_allclose(drawn[:, 1], 3 * drawn[:, 0] ** 0.7, rtol=1e-3)
    assert drawn[-1, 0] > size[-1]


def test_two_way_law_is_drawn_for_each_model_size(axes):
    n, d = (a.ravel() for a in np.meshgrid([1e4, 1e6], [1e3, 1e4, 1e5]))
    error = 0.5 + 20 * n**-0.4 + 30 * d**-0.3
    values, zero = jnp.asarray([0.5, 20.0, -0.4, 30.0, -0.3]), jnp.zeros(())
    runs = {"params": n, "tokens": d, "loss": error}
    plot_two_way(ScalingFit(chinchilla, Huber(), "log", runs, values, zero, zero, jnp.asarray(True)), axes)
    shown = lines(axes)
    assert set(shown) == {"1e+04", "1e+06"}
    for label, model in (("1e+04", 1e4), ("1e+06", 1e6)):
        x, y = shown[label].T
        np.testing.assert_allclose(y, 0.5 + 20 * model**-0.4 + 30 * x**-0.3, rtol=1e-5)
    points = np.concatenate([line.get_xydata() for line in axes.lines if line.get_marker() == "o"])
    np.testing.assert_allclose(np.sort(points[:, 1]), np.sort(error))


def test_coverage_is_drawn_against_the_nominal_level(axes):
    levels = np.array([0.5, 0.9])
    plot_coverage(levels, {"all": np.array([0.55, 0.88]), "x": np.array([0.2, 0.8])}, axes)
    shown = lines(axes)
    np.testing.assert_allclose(shown["all"], [[0.5, 0.55], [0.9, 0.88]])
    np.testing.assert_allclose(shown["each group"], [[0.5, 0.2], [0.9, 0.8]])
    np.testing.assert_allclose(shown["nominal"], [[0, 0], [1, 1]])
    assert axes.get_ylim()[0] < 0.2


@pytest.mark.slow
@pytest.mark.parametrize(("name", "target"), [("perplexity", 12.0), ("rmse", 12.0), ("accuracy", None)])
def test_a_forecast_is_drawn_in_values_of_a_metric_with_a_transform(axes, name, target):
    metric, size = METRICS[name], 100.0 * 2.0 ** np.arange(6)
    value = 60.0 * size**-0.2 if target else 1.0 - size**-0.2
    error = metric.to_error(value)
    table = CurveTable(LearningCurve(size[None], error[None]), np.ones((1, 6), bool), 0, ("",), ("",), metric=metric)
    goal = target and float(metric.to_error(target))
    plot_forecast(fit_learning_curves(jax.random.key(0), table, target_error=goal, forms=(power_law,)), axes)
    shown = {str(line.get_label()): np.asarray(line.get_xydata()) for line in axes.get_lines()}
    drawn = value if target else error
    np.testing.assert_allclose(shown["fitted"], np.stack([size, drawn], axis=1), rtol=1e-5)
    np.testing.assert_allclose(shown["forecast"][0, 1], drawn[0], rtol=0.1)
    assert axes.get_ylabel() == (name if target else "1 - accuracy")
    if target:
        assert shown["answer"][0, 1] == pytest.approx(target, rel=1e-5)
    low, high = axes.get_ylim()
    assert drawn.min() / 30 < low < drawn.min()
    assert drawn.max() < high < 10 * drawn.max()
