"""Figures of the effective dimension of several models."""

from typing import TYPE_CHECKING

import numpy as np

from lcjax.plots.style import label_axes, plain_errors, plain_text
from lcjax.studies.dimension import DimensionTable
from lcjax.studies.prediction.shard_dimensions import ShardDimensions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_accuracy_by_width", "plot_dimensions"]


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
        label = plain_text(f"{name}: {dimension}{'' if sweep.estimate.established else ' ?'}")
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


def plot_accuracy_by_width(table: ShardDimensions, axes: "Axes") -> None:
    """Plot validation accuracy against bottleneck width, one line per shard size, as Bisla et al. (2021), Figure 2.

    Darker lines are larger shards; error bars are standard errors over seeds. A dashed line is the accuracy of the same
    networks without a bottleneck. A ring marks the smallest width that is not inferior to it, or of best accuracy if
    none is shown to be; a square marks the width at which the accuracy saturates.
    """
    from matplotlib import colormaps

    shades = colormaps["viridis"](np.linspace(0.88, 0.05, len(table.size)))
    widest = max(int(np.max(sweep.width)) for sweep in table.sweeps)
    spread = np.linspace(-0.12, 0.12, len(table.size)) if len(table.size) > 1 else np.zeros(1)
    for i, sweep in enumerate(table.sweeps):
        width, replicates = np.asarray(sweep.width), 100 * np.asarray(sweep.replicates)
        accuracy, color = 100 * np.asarray(sweep.accuracy), shades[i]
        error = replicates.std(axis=0, ddof=1) / np.sqrt(len(replicates)) if len(replicates) > 1 else None
        place = width + spread[i]  # apart, so that error bars do not hide each other
        axes.axhline(100 * float(sweep.reference), color=color, linestyle=(0, (4, 3)), linewidth=0.9, zorder=1)
        axes.errorbar(
            place, accuracy, error, color=color, marker="o", markersize=3.5, linewidth=1.5, elinewidth=1, capsize=2,
            label=f"{table.size[i]:,} examples", zorder=2 + i / 10,
        )  # fmt: skip
        for dimension, shape, size in ((table.dimension[i], "o", 9.5), (table.saturation[i], "s", 13.5)):
            at = width == dimension
            axes.plot(
                place[at], accuracy[at], shape, markersize=size, markerfacecolor="none", color=color,
                markeredgewidth=1.4, zorder=4,
            )  # fmt: skip
    for shape, size, line, text in (
        ("o", 8, "none", "not inferior"), ("s", 10, "none", "saturated"), ("none", 0, (0, (4, 3)), "no bottleneck"),
    ):  # fmt: skip
        axes.plot(
            [], [], marker=shape, markersize=size, linestyle=line, linewidth=0.9, color="0.3", markerfacecolor="none",
            label=text,
        )  # fmt: skip
    axes.set_xticks(range(1, widest + 1))
    axes.grid(axis="y", color="0.9", linewidth=0.6)
    label_axes(axes, "bottleneck width", "validation accuracy, %")
    entries = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    names = [f"{size:,} examples" for size in reversed(table.size)] + ["no bottleneck", "not inferior", "saturated"]
    axes.legend(
        [entries[name] for name in names], names, frameon=False, fontsize="small", loc="upper left",
        bbox_to_anchor=(1, 1), labelspacing=0.7,
    )  # fmt: skip
