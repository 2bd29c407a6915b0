"""Figures of a ranking of tasks: learning curves, model sizes, curves of fixed models, repeats."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from lcjax.plots.style import label_axes, log_axes, plain_text
from lcjax.studies.ranking.rank import Hierarchy
from lcjax.studies.ranking.task_curve import TaskCurve, TaskScores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "plot_exponents",
    "plot_fixed_nets",
    "plot_repeats",
    "plot_spread",
    "plot_task_curve",
    "plot_task_model_size",
]

POINT, LINE = "#0072B2", "#D55E00"


def plot_task_curve(curve: TaskCurve, axes: "Axes") -> None:
    """Plot the lower envelope, its power law and the best guess (Hestness et al., 2019, Figure 3, left)."""
    size, error = np.asarray(curve.curve.size), np.asarray(curve.curve.error)
    error = np.where(error > 0, error, np.nan)
    _log(axes, size)
    spread = None if curve.curve.standard_error is None else np.nan_to_num(np.asarray(curve.curve.standard_error))
    for points, face, label in ((curve.fitted, POINT, "fitted"), (~curve.fitted, "white", "not fitted")):
        if points.any():
            bars = None if spread is None else spread[points]
            axes.errorbar(size[points], error[points], bars, fmt="o", color=POINT, markerfacecolor=face, markersize=4.5,
                          linewidth=1, label=f"best model, {label}")  # fmt: skip
    if curve.guess is not None and np.isfinite(curve.guess):
        axes.axhline(curve.guess, color="0.6", linestyle=(0, (1, 1.5)), linewidth=1, label="best guess")
    if curve.fit is not None:
        grid = np.geomspace(size[curve.fitted][0], size[-1], 65)
        low, high = curve.interval()
        label = f"exponent {curve.exponent:.3f} ({low:.3f} to {high:.3f})"
        axes.plot(grid, np.asarray(curve.fit.predict(jnp.asarray(grid))), color=LINE, linewidth=1.4, label=label)


def plot_task_model_size(curve: TaskCurve, axes: "Axes") -> None:
    """Plot the parameters of the best model against size, and their law (Figure 3, right)."""
    size = np.asarray(curve.curve.size)
    _log(axes, size)
    fitted = curve.fitted
    axes.set_ylim(curve.fixed_parameters.min() / 1.5, curve.fixed_parameters.max() * 1.5)  # of all models
    axes.plot(size[fitted], curve.best_parameters[fitted], "o", color=POINT, markersize=4.5, label="best model")
    if curve.model_size is not None and np.isfinite(float(curve.model_size.exponent)):
        grid = np.geomspace(size[fitted][0], size[-1], 65)
        label = f"exponent {float(curve.model_size.exponent):.2f}"
        axes.plot(grid, np.asarray(curve.model_size.predict(jnp.asarray(grid))), color=LINE, linewidth=1.4, label=label)


def plot_fixed_nets(curve: TaskCurve, axes: "Axes") -> None:
    """Plot the curve of each model with its fit with an offset, and the envelope (Figures 5 and 7)."""
    size = np.asarray(curve.curve.size)
    _log(axes, size)
    colors = _shades(len(curve.fixed_parameters))
    grid = np.geomspace(size[curve.fitted][0] if curve.fitted.any() else size[0], size[-1], 65)
    fits = None if curve.fixed is None else np.asarray(curve.fixed.predict(jnp.asarray(grid)))
    for row, parameters in enumerate(curve.fixed_parameters):
        off = curve.fixed_relative_error[row]
        label = f"{parameters:,} parameters" + (f", residual {100 * off:.1f} %" if np.isfinite(off) else "")
        axes.plot(size, np.asarray(curve.fixed_curve.error)[row], "o", color=colors[row], markersize=3.5, label=label)
        if fits is not None:
            axes.plot(grid, fits[row], color=colors[row], linewidth=1)
    axes.plot(size, np.asarray(curve.curve.error), color="black", linewidth=1, linestyle=(0, (4, 2)), label="envelope")


def plot_repeats(grid: TaskScores, metric: str, axes: "Axes") -> None:
    """Plot violins of the test scores of repeats at each size, one colour per model at its best rate (Figure 4)."""
    from matplotlib.patches import Patch

    nets, handles = np.unique(grid.parameters).tolist(), []
    log_axes(axes)
    apart = 1.22  # factor between the violins of two models at one size
    for number, (color, net) in enumerate(zip(_shades(len(nets)), nets, strict=True)):
        repeats = _repeats(grid, metric, net)
        for place, size in enumerate(grid.units):
            scores = repeats[:, place]
            scores = scores[np.isfinite(scores) & (scores > 0)]
            if len(scores) < 2 or np.ptp(scores) == 0:
                continue
            at = size * apart ** (number - (len(nets) - 1) / 2)
            parts = axes.violinplot(scores, [at], widths=0.17 * at, showmedians=True)
            for part in parts["bodies"]:  # type: ignore[attr-defined]
                part.set_facecolor(color)
                part.set_alpha(0.5)
            for name in ("cbars", "cmins", "cmaxes", "cmedians"):
                parts[name].set_color(color)
                parts[name].set_linewidth(0.8)
        handles.append(Patch(color=color, alpha=0.5, label=f"{net:,} parameters"))
    axes.legend(handles=handles, frameon=False, fontsize="small")
    label_axes(axes, grid=True)


def plot_spread(grid: TaskScores, metric: str, axes: "Axes") -> None:
    """Plot the standard deviation over repeats against size, one colour per model at its best rate.

    The dashed line is the standard error of a mean over as many independent test units, at the largest model's mean
    error. Repeats share one test set, so they may lie below it.
    """
    nets = np.unique(grid.parameters).tolist()
    for color, net in zip(_shades(len(nets)), nets, strict=True):
        spread = np.nanstd(_repeats(grid, metric, net), axis=0, ddof=1)
        axes.loglog(grid.units, spread, "o-", color=color, markersize=4, label=f"{net:,} parameters")
    if metric != "loss":
        error = np.nanmean(_repeats(grid, metric, nets[-1]), axis=0)
        spread = np.sqrt(error * (1 - error) / grid.test_count)
        axes.loglog(grid.units, spread, "--", color="0.5", label="sampling of the test set")
    label_axes(axes, grid=True, legend="best")


def _repeats(grid: TaskScores, metric: str, net: int) -> Float[np.ndarray, "r s"]:
    """Return test scores of a model, `(r, s)`, at the rate with the best validation score over all sizes."""
    rows = np.flatnonzero(grid.parameters == net)
    best = rows[np.nanargmin(np.nanmean(grid.validation[metric][rows], axis=(1, 2)))]
    return np.asarray(grid.test[metric][best])


def plot_exponents(hierarchy: Hierarchy, published: Mapping[str, Sequence[float]], axes: "Axes") -> None:
    """Plot exponents with their intervals, steepest below, and all values that the paper prints."""
    ranking = hierarchy.ranking
    if ranking is None:
        return
    place = np.arange(len(ranking.names))
    exponent, low, high = (np.asarray(value) for value in (ranking.exponent, ranking.low, ranking.high))
    bars, label = np.abs(np.stack([exponent - low, high - exponent])), f"measured, {100 * ranking.level:g} % interval"
    axes.errorbar(exponent, place, xerr=bars, fmt="o", color=POINT, markersize=5, label=label)
    printed = [(value, i) for i, name in enumerate(ranking.names) for value in published.get(name, ())]
    if printed:
        axes.plot(*zip(*printed, strict=True), "x", color=LINE, markersize=7, label="Hestness et al. (2019)")
    axes.set_yticks(place, [plain_text(name) for name in ranking.names])
    axes.grid(axis="x", color="0.9", linewidth=0.6)
    label_axes(axes, "exponent of the learning curve", legend="best")


def _shades(count: int) -> Float[np.ndarray, "n 4"]:
    from matplotlib import colormaps

    return np.asarray(colormaps["viridis"](np.linspace(0.1, 0.85, count)))


def _log(axes: "Axes", size: Num[np.ndarray, " s"]) -> None:
    log_axes(axes)
    label_axes(axes, grid=True)
    axes.set_xlim(size[0] / 1.5, size[-1] * 1.5)
