"""Figures of interpolants (Zhang et al. 2017, section 5)."""

from typing import TYPE_CHECKING

import numpy as np

from lcjax.studies.descent import Solutions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_descent"]


def plot_descent(solutions: Solutions, axes: "Axes") -> None:
    """Draw how descent from zero comes to the minimum-norm solution, and that it never leaves the span of the rows.

    Args:
        solutions: what `lcjax.studies.descent.descend_on_pixels` gives.
        axes: where to draw.
    """
    forms = (
        (solutions.full, "gradient descent", "#0072B2"),
        (solutions.stochastic, f"SGD, {solutions.batch} rows a step", "#D55E00"),
    )
    for path, label, color in forms:
        axes.plot(path.step, path.distance, color=color, label=f"{label}: distance")
        outside = np.maximum(np.asarray(path.outside), np.finfo(np.float32).tiny)
        axes.plot(path.step, outside, color=color, linestyle=(0, (2, 2)), label=f"{label}: outside of the span")
    axes.set_yscale("log")
    axes.set_xlabel("steps")
    axes.set_ylabel("relative to the minimum norm")
    axes.set_title(f"{solutions.equations} images of {solutions.unknowns} pixels", fontsize="medium")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small")
