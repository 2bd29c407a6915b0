"""Figures of the effective dimension of several models."""

from typing import TYPE_CHECKING

import numpy as np

from lcjax.plots.style import label_axes, plain_errors
from lcjax.studies.dimension import DimensionTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_dimensions"]


def plot_dimensions(table: DimensionTable, axes: "Axes") -> None:
    """Plot validation error (log scale) against bottleneck width, one line per model, with rings at the dimensions.

    Smaller models have lighter lines. Errors without a bottleneck are at the right.
    """
    from matplotlib import colormaps

    rank = np.argsort(np.argsort(table.parameters))
    shades = colormaps["viridis"](np.linspace(0.92, 0.05, len(table.name)))
    widest = max(int(np.max(sweep.width)) for sweep in table.sweeps)
    for i, (name, sweep) in enumerate(zip(table.name, table.sweeps, strict=True)):
        width, error = np.asarray(sweep.width), 1 - np.asarray(sweep.accuracy)
        shown = np.where(error > 0, error, np.nan)
        dimension = int(table.dimension[i])
        label = f"{name}: {dimension}{'' if sweep.estimate.established else ' ?'}"
        axes.plot(width, shown, color=shades[rank[i]], marker="o", markersize=3.5, linewidth=1.4, label=label)
        ring = {"markersize": 10, "markerfacecolor": "none", "color": shades[rank[i]]}
        axes.plot(width[width == dimension], shown[width == dimension], "o", **ring)
        if sweep.reference < 1:
            axes.plot(widest + 1, 1 - float(sweep.reference), "D", color=shades[rank[i]], markersize=4.5)
    axes.set_yscale("log")
    axes.set_xticks([*range(1, widest + 1), widest + 1], [*map(str, range(1, widest + 1)), "none"])
    plain_errors(axes, percent=True)
    axes.grid(axis="y", color="0.9", linewidth=0.6)
    label_axes(axes, "bottleneck width", "validation error")
    axes.legend(title="net: dimension", frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
