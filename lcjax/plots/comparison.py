"""Figures of compared learning curves: the curves with their forecasts, and their differences."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from lcjax.curves.comparison.curve_comparison import CurveComparison
from lcjax.curves.comparison.joint_curves import AHEAD
from lcjax.curves.metrics import ERROR, Metric
from lcjax.plots.style import label_axes, log_axes, plain_errors, plain_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PALETTE", "plot_compared_curves", "plot_differences"]

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999", "#000000")
"""Colors of compared curves, in their order; later curves begin again."""

_POINTS = 96
_POSSIBLE = 0.3  # crossings of smaller probability are not marked


def plot_compared_curves(
    comparison: CurveComparison,
    axes: "Axes",
    *,
    end: float | None = None,
    unit: str = "examples",
    metric: Metric = ERROR,
) -> None:
    """Plot the measured curves and their forecasts with intervals, on logarithmic axes.

    Args:
        comparison: the comparison.
        axes: axes to draw on.
        end: largest size; by default 16 times the largest measured one.
        unit: what a size counts, in the plural.
        metric: metric of the curves; one with a transform is drawn in its own values.
    """
    grid = _grid(comparison, end)
    errors = comparison.draws(grid)
    tail = 0.5 - comparison.level / 2
    low, middle, high = metric.to_axis(np.quantile(errors, [tail, 0.5, 1 - tail], axis=1))
    log_axes(axes)
    error = np.asarray(comparison.curves.error, float)
    measured = metric.to_axis(np.where(error > 0, error, np.nan))
    replicates = comparison.curves.replicates
    for i, name in enumerate(comparison.names):
        color = PALETTE[i % len(PALETTE)]
        axes.fill_between(grid, low[i], high[i], color=color, alpha=0.18, linewidth=0)
        axes.plot(grid, middle[i], color=color, linewidth=1.4)
        there = measured[i] > 0
        if replicates is not None:
            rows = np.asarray(replicates, float)[i]
            shown = rows > 0
            axes.plot(np.broadcast_to(comparison.curves.size, shown.shape)[shown], metric.to_axis(rows[shown]), ".",
                      color=color, markersize=3, alpha=0.5)  # fmt: skip
        axes.plot(comparison.curves.size[there], measured[i][there], "o", color=color, markersize=4.5,
                  label=plain_text(name))  # fmt: skip
    inner = np.concatenate([measured[measured > 0], middle[:, -1]])
    axes.set_ylim(inner.min() / 1.6, 1.4 * inner.max())
    axes.axvline(comparison.now, color="0.6", linewidth=0.8, linestyle=":")
    label_axes(axes, f"training {unit}", metric.axis_name, grid=True)
    plain_errors(axes)
    axes.legend(facecolor="white", edgecolor="none", framealpha=0.85, fontsize="small", loc="lower left")


def plot_differences(
    comparison: CurveComparison,
    axes: "Axes",
    *,
    end: float | None = None,
    unit: str = "examples",
    metric: Metric = ERROR,
) -> None:
    """Plot each curve's difference from the baseline with intervals, measured and forecast, and mark crossings.

    Args:
        comparison: the comparison.
        axes: axes to draw on.
        end: largest size; by default 16 times the largest measured one.
        unit: what a size counts, in the plural.
        metric: metric of the curves; differences of one with a transform are those of its values.
    """
    grid = _grid(comparison, end)
    difference, measured = comparison.difference(grid), comparison.measured
    axes.set_xscale("log")
    axes.axhline(0.0, color="black", linewidth=0.8)
    axes.axvline(comparison.now, color="0.6", linewidth=0.8, linestyle=":")
    for i, name in enumerate(comparison.names):
        if i == comparison.baseline:
            continue
        color = PALETTE[i % len(PALETTE)]
        parts = np.stack([difference.value[i], difference.low[i], difference.high[i]])
        middle, low, high = _differences(comparison, grid, parts, metric)
        axes.fill_between(grid, low, high, color=color, alpha=0.18, linewidth=0)
        axes.plot(grid, middle, color=color, linewidth=1.4, label=plain_text(name))
        there = ~np.isnan(measured.value[i]) & (measured.size >= comparison.start * (1 - 1e-5))
        parts = np.stack([measured.value[i], measured.low[i], measured.high[i]])[:, there]
        value, low, high = _differences(comparison, measured.size[there], parts, metric)
        bars = np.stack([value - low, high - value])
        axes.errorbar(measured.size[there], value, yerr=np.where(np.isnan(bars), 0.0, bars), fmt="o", color=color,
                      markersize=4, linewidth=1.0)  # fmt: skip
        found = comparison.crossings(i, comparison.baseline, end=float(grid[-1]))
        for k in np.flatnonzero(found.probability >= _POSSIBLE):
            axes.plot([found.low[k], found.high[k]], [0, 0], color=color, linewidth=3, solid_capstyle="butt", alpha=0.8)
            axes.plot(found.size[k], 0, "D", color=color, markersize=6, markeredgecolor="white")
    name = comparison.names[comparison.baseline]
    label_axes(axes, f"training {unit}", f"{metric.axis_name} minus that of {name}", grid=True)
    axes.legend(facecolor="white", edgecolor="none", framealpha=0.85, fontsize="small", loc="best")


def _differences(
    comparison: CurveComparison, size: Float[np.ndarray, " s"], parts: Float[np.ndarray, "p s"], metric: Metric
) -> Float[np.ndarray, "p s"]:
    """Return differences of errors from the baseline as differences of the values of a metric with a transform."""
    if metric.transform == "identity" or not size.size:
        return parts
    base = np.median(comparison.draws(size)[comparison.baseline], axis=0)
    difference: Float[np.ndarray, "p s"] = metric.from_error(base + parts) - metric.from_error(base)
    return difference


def _grid(comparison: CurveComparison, end: float | None) -> Float[np.ndarray, " g"]:
    return np.geomspace(comparison.start, AHEAD * comparison.largest if end is None else end, _POINTS)
