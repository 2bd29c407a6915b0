import numpy as np
from matplotlib.figure import Figure

from lcjax.planning.data_types import DataTypes, plan_types
from lcjax.planning.selection import Criterion
from lcjax.plots.planning import plot_plan


def test_a_plan_is_drawn_with_its_rounds():
    required = 100.0 + np.random.default_rng(0).gamma(2.0, 50.0, (2, 500))
    two = np.ones(2)
    types = DataTypes(
        ("cat", "$dog$"), 0.1 * two, 100.0 * two, np.array([False, True]), required, two, 0.0, np.inf * two
    )
    plan = plan_types(types, 3, Criterion(risk=0.2), False)
    figure = Figure()
    axes = figure.subplots()
    plot_plan(plan, axes, unit="hours")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["cat", r"\$dog\$", "rounds"]
    assert [text.get_text() for text in axes.texts] == ["1", "2", "3"]
    (rounds,) = [line for line in axes.get_lines() if line.get_marker() == "o" and len(line.get_xdata()) == 3]
    np.testing.assert_allclose(rounds.get_xdata(), plan.size[0])
    np.testing.assert_allclose(rounds.get_ydata(), plan.reached, atol=0.02)
    figure.canvas.draw()
