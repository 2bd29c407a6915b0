"""The figure of a prediction shows the numbers of its record."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import lcjax as lc
from lcjax.curves.answer.target import TargetAnswer
from lcjax.curves.forecast.diagnosis import diagnose_draws
from lcjax.plots.prediction import plot_prediction
from lcjax.studies.prediction.answer.answer import Answer
from lcjax.studies.prediction.record import Method, Prediction

SIZE, GRID = np.array([100.0, 200.0, 400.0]), np.geomspace(100.0, 4000.0, 20)


def curve(size, scale=2.0, **fields):
    return lc.LearningCurve(size, scale * size**-0.5, 0.1 * scale * size**-0.5, **fields)


@pytest.fixture
def prediction():
    limits = np.stack([0.8 * curve(GRID).error, 1.2 * curve(GRID).error])
    size = lc.SizeForError(*np.array([1600.0, 1200.0, 2100.0]), 0.9, np.array(0.0))
    draws = np.full((2, 4), 0.1)
    target = TargetAnswer(0.05, size, size, np.array(0.0), size, None)
    method = Method(curve(GRID, 2.1), limits, None, {}, np.asarray(True))
    answer = Answer(curve(GRID), limits, limits, target, diagnose_draws(400.0, draws), {}, None, "test", "")
    density = lc.Gaussian(np.zeros((1, 2)), np.eye(2)[None])
    fitted = np.array([True, True, False])
    return Prediction(
        answer, curve(SIZE, 2.2), curve(SIZE, 2.3), fitted, np.asarray(2), None, density, density,
        {"power_law": method}, {"power_law": method}, {}, {}, {}, None,
    )  # fmt: skip


def test_the_answer_the_methods_and_the_points_are_shown(prediction):
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    plot_prediction(prediction, axes, target_error=0.05)
    figure.canvas.draw()
    handles, labels = axes.get_legend_handles_labels()
    lines = dict(zip(labels, handles, strict=True))
    answer, method = lines["answer, 90 % band"], lines["power law, no theory"]
    np.testing.assert_allclose(answer.get_ydata(), prediction.answer.curve.error)
    np.testing.assert_allclose(method.get_ydata(), prediction.refitted["power_law"].curve.error)
    assert answer.get_linewidth() > 2 * method.get_linewidth()
    assert {"validation error", "test error"} <= set(labels)
    open_points = [line for line in axes.lines if line.get_markerfacecolor() == "white" and line.get_marker() in "so"]
    np.testing.assert_allclose([line.get_ydata() for line in open_points], [[2.3 / 20], [2.2 / 20]])
    assert "1,600" in [text.get_text() for text in axes.texts]
    ends = [
        line.get_xdata() for line in axes.lines if np.allclose(line.get_ydata(), 0.05) and len(line.get_xdata()) == 2
    ]
    assert any(np.allclose(x, [1200, 2100]) for x in ends)


def test_a_size_beyond_the_curve_and_no_target(prediction):
    axes = Figure().subplots()
    plot_prediction(prediction, axes)
    assert "1,600" not in [text.get_text() for text in axes.texts]
