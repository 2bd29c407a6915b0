"""Figures of comparisons, which show the numbers of their records."""

import jax
import numpy as np
import pytest
from matplotlib.figure import Figure

from lcjax.curves.comparison.compare import compare_curves
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.metrics import METRICS
from lcjax.plots.comparison import plot_compared_curves, plot_differences

SIZE = (100.0 * 2.0 ** np.arange(5)).astype(np.float32)


@pytest.mark.slow
def test_curves_differences_and_crossings_are_drawn():
    repeats = np.array([0.97, 1.0, 1.03], np.float32)[:, None]
    errors = {"a $1$": SIZE**-0.3, "_b": np.float32(300**0.4) * SIZE**-0.7}
    curves = {name: LearningCurve(SIZE, error, replicates=error * repeats) for name, error in errors.items()}
    comparison = compare_curves(jax.random.key(0), curves, paired=True)
    figure = Figure(layout="constrained")
    left, right = figure.subplots(1, 2)
    plot_compared_curves(comparison, left, metric=METRICS["accuracy"], unit="tokens")
    plot_differences(comparison, right, end=3200.0)
    figure.canvas.draw()
    handles, labels = left.get_legend_handles_labels()
    assert labels == [r"a \$1\$", " _b"]
    np.testing.assert_allclose(np.asarray(handles[1].get_xydata())[:, 1], errors["_b"], rtol=1e-5)
    assert (left.get_xlabel(), left.get_ylabel()) == ("training tokens", "1 - accuracy")
    assert right.get_ylabel() == r"error minus that of a \$1\$"
    marks = [line.get_xydata()[0] for line in right.get_lines() if line.get_marker() == "D"]
    crossing = np.exp(np.log(300**0.4) / 0.4)
    assert len(marks) == 1
    assert marks[0][0] == pytest.approx(crossing, rel=0.15)


@pytest.mark.slow
def test_a_metric_with_a_transform_is_drawn_in_its_values():
    rmse, values = METRICS["rmse"], {"a": 4e4 * SIZE**-0.1, "b": 5e4 * SIZE**-0.1}
    curves = {name: LearningCurve(SIZE, rmse.to_error(value)) for name, value in values.items()}
    comparison = compare_curves(jax.random.key(0), curves)
    figure = Figure(layout="constrained")
    left, right = figure.subplots(1, 2)
    plot_compared_curves(comparison, left, metric=rmse)
    plot_differences(comparison, right, metric=rmse)
    figure.canvas.draw()
    assert (left.get_ylabel(), right.get_ylabel()) == ("rmse", "rmse minus that of a")
    points = left.get_legend_handles_labels()[0][0]
    np.testing.assert_allclose(np.asarray(points.get_xydata())[:, 1], values["a"], rtol=1e-5)
    difference = next(line for line in right.get_lines() if line.get_label() == "b")
    grid, drawn = np.asarray(difference.get_xydata()).T
    np.testing.assert_allclose(drawn[0], 1e4 * grid[0] ** -0.1, rtol=0.1)
