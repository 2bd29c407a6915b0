"""Figures of the effective dimension of several nets."""

from typing import TYPE_CHECKING

import numpy as np

from lcjax.studies.dimension import DimensionTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_dimensions"]


def plot_dimensions(table: DimensionTable, axes: "Axes") -> None:
    """Draw validation error against bottleneck width, a line a net; a ring marks its effective dimension.

    The smaller the net, the lighter its line; its error without bottleneck stands at the right.

    Args:
        table: what `lcjax.studies.dimension.measure_dimensions` gives.
        axes: where to draw; the vertical axis becomes logarithmic.
    """
    from matplotlib import colormaps
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    rank = np.argsort(np.argsort(table.parameters))
    shades = colormaps["viridis"](np.linspace(0.92, 0.05, len(table.name)))
    widest = max(int(np.max(one.width)) for one in table.sweeps)
    for i, (name, one) in enumerate(zip(table.name, table.sweeps, strict=True)):
        width, error = np.asarray(one.width), 1 - np.asarray(one.accuracy)
        shown = np.where(error > 0, error, np.nan)
        chosen = int(table.dimension[i])
        label = f"{name}: {chosen}{'' if one.estimate.established else ' ?'}"
        axes.plot(width, shown, color=shades[rank[i]], marker="o", markersize=3.5, linewidth=1.4, label=label)
        ring = {"markersize": 10, "markerfacecolor": "none", "color": shades[rank[i]]}
        axes.plot(width[width == chosen], shown[width == chosen], "o", **ring)
        if one.reference < 1:
            axes.plot(widest + 1, 1 - float(one.reference), "D", color=shades[rank[i]], markersize=4.5)
    axes.set_yscale("log")
    axes.set_xticks([*range(1, widest + 1), widest + 1], [*map(str, range(1, widest + 1)), "none"])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y", color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("bottleneck width")
    axes.set_ylabel("validation error")
    axes.legend(title="net: dimension", frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
