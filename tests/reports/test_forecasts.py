"""Figures of several curves: those that are drawn, and the title that says so."""

import jax
import numpy as np
import pytest

from lcjax.curves.forms import last_value
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.readers.csv import CurveTable
from lcjax.reports.forecasts import overlay_chart
from lcjax.studies.fitting.fitted_curves import fit_learning_curves

SIZE = 100.0 * 2.0 ** np.arange(3)


@pytest.mark.parametrize(
    ("count", "worst", "title", "last"),
    [(10, 4, "By class: the first 8 of 10", 7), (10, 9, "By class: the first 7 of 10, and the worst", 9)],
)
def test_the_worst_of_many_curves_is_drawn(count, worst, title, last):
    scale = np.where(np.arange(count) == worst, 5.0, 2.0)
    curve = LearningCurve(np.tile(SIZE, (count, 1)), scale[:, None] * SIZE**-0.4)
    names = tuple(f"class {i}" for i in range(count))
    table = CurveTable(curve, np.ones(curve.size.shape, bool), 0, names, ("",) * count)
    fitted = fit_learning_curves(jax.random.key(0), table, forms=(last_value,), draws=4)
    chart = overlay_chart(fitted, "examples", title="By class")
    assert chart.title == title
    drawn = list(dict.fromkeys(one.name for one in chart.series))
    assert len(drawn) == min(count, 8)
    assert f"class {worst}" in drawn
    assert drawn[-1] == f"class {last}"
    assert len({one.role for one in chart.series}) == len(drawn)
