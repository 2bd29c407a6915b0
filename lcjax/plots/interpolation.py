"""Figures of interpolants (Zhang et al., 2017, section 5)."""

from typing import TYPE_CHECKING

import numpy as np

from lcjax.plots.style import label_axes
from lcjax.studies.descent import Solutions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_descent"]


def plot_descent(solutions: Solutions, axes: "Axes") -> None:
    """Plot the convergence of descent from zero to the minimum-norm solution, within the span of the rows."""
    paths = (
        (solutions.full, "gradient descent", "#0072B2"),
        (solutions.stochastic, f"SGD, batch size {solutions.batch}", "#D55E00"),
    )
    for path, label, color in paths:
        axes.plot(path.step, path.distance, color=color, label=f"{label}: distance")
        outside = np.maximum(np.asarray(path.outside), np.finfo(np.float32).tiny)
        axes.plot(path.step, outside, color=color, linestyle=(0, (2, 2)), label=f"{label}: outside the span")
    axes.set_yscale("log")
    axes.set_title(f"{solutions.equations} images of {solutions.unknowns} pixels", fontsize="medium")
    label_axes(axes, "steps", "relative to the minimum norm", legend="best")
