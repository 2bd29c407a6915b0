"""Figures of measured curves, their fits and forecasts: one function a record, drawing on given Axes, log-log."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lcjax.curves.envelope import LowerEnvelope
from lcjax.curves.model_size import ModelSizeLaw
from lcjax.curves.ranking import Ranking
from lcjax.scaling.fit import ScalingFit
from lcjax.studies.fitting import FittedCurves

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_coverage", "plot_envelope", "plot_forecast", "plot_model_size", "plot_ranking", "plot_two_way"]


def plot_forecast(fitted: FittedCurves, axes: "Axes", *, row: int = 0, legend: bool = True) -> None:
    """Draw one curve of a file, log-log, with its forecast, the 90 % band, held-out points and the target.

    Args:
        fitted: what `lcjax.studies.fitting.fit_learning_curves` gives.
        axes: where to draw; both axes become logarithmic.
        row: which of the curves.
        legend: whether to draw one.
    """
    import jax
    import jax.numpy as jnp

    table = fitted.table
    told = jax.tree.map(lambda a: a[row : row + 1], fitted.forecast)
    size = np.asarray(table.curve.size, float)[row]
    error = np.asarray(table.curve.error, float)[row]
    used = table.fitted[row] & ~np.isnan(error)
    held = ~table.fitted[row] & ~np.isnan(error)
    end = max(fitted.ahead[row, -1], np.max(size[used | held]))
    if fitted.target is not None and np.isfinite(np.asarray(fitted.target.value)[row]):
        end = max(end, min(2 * float(np.asarray(fitted.target.value)[row]), 1e4 * size[used].max()))
    grid = np.geomspace(size[used].min(), end, 129)
    at = jnp.asarray(grid)
    predicted = np.asarray(told.predict(at))[0]
    low, high = (np.asarray(limit)[0] for limit in told.interval(at, fitted.level))
    label = f"{100 * fitted.level:g} % interval"
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.fill_between(grid, low, high, color="#0072B2", alpha=0.18, linewidth=0, label=label)
    axes.plot(grid, predicted, color="#0072B2", linewidth=1.6, label="forecast")
    if table.curve.replicates is not None:
        for one in np.asarray(table.curve.replicates, float)[row]:
            shown = used & (one > 0)
            axes.plot(size[shown], one[shown], ".", color="0.6", markersize=3)
    drawn = np.where(error > 0, error, np.nan)
    axes.plot(size[used], drawn[used], "o", color="black", markersize=4.5, label="fitted")
    if held.any():
        style: dict[str, Any] = {"markerfacecolor": "white", "color": "#D55E00", "markersize": 5}
        axes.plot(size[held], drawn[held], "o", label="held out", **style)
    if fitted.regions is not None:
        for border, text in ((fitted.regions.start, "best guess"), (fitted.regions.end, "irreducible")):
            place = float(np.asarray(border)[row])
            if size[used].min() < place < size[used].max():
                axes.axvline(place, color="0.6", linewidth=0.8, linestyle=":", label=f"border: {text}")
    # A band that grows to nothing says little: the axis keeps to the points and the forecast.
    known = np.concatenate([error[used | held], predicted])
    known = known[known > 0]
    axes.set_ylim(known.min() / 2.5, 1.5 * max(known.max(), high[0]))
    if fitted.target_error is not None and fitted.target is not None:
        axes.axhline(fitted.target_error, color="0.5", linewidth=0.8)
        reached = float(np.asarray(fitted.target.value)[row])
        if reached <= grid[-1]:
            axes.plot(reached, fitted.target_error, "v", color="#009E73", markersize=7, label="target")
    if table.names[row]:
        axes.set_title(table.names[row], fontsize="small")
    axes.set_xlabel("training examples")
    axes.set_ylabel("error")
    axes.grid(which="major", color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    _few_labels(axes)
    if legend:
        axes.legend(facecolor="white", edgecolor="none", framealpha=0.85, fontsize="small", loc="lower left")


def plot_coverage(levels: np.ndarray, coverage: Mapping[str, np.ndarray], axes: "Axes") -> None:
    """Draw which share of held-out points the intervals hold against the share that they promise.

    Args:
        levels: nominal levels, `(l,)`.
        coverage: shares by group, `(l,)` each; "all" is drawn in colour, the others in grey.
        axes: where to draw.
    """
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":", label="as promised")
    others = [name for name in coverage if name != "all"]
    for i, name in enumerate(others):
        axes.plot(levels, coverage[name], color="0.75", linewidth=0.8, label="each group" if i == 0 else None)
    if "all" in coverage:
        axes.plot(levels, coverage["all"], "o-", color="#0072B2", markersize=4.5, label="all")
    first = min(float(np.min(levels)), *(float(np.min(share)) for share in coverage.values()))
    axes.set_xlim(float(np.min(levels)) - 0.03, 1.0)
    axes.set_ylim(first - 0.03, 1.01)
    axes.set_xlabel("level of the interval")
    axes.set_ylabel("share of held-out points inside")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small", loc="upper left")


def plot_envelope(envelope: LowerEnvelope, test_error: Any, axes: "Axes") -> None:
    """Draw the lower envelope of a family, log-log, over the mean test errors of its members (Hestness, Figure 5).

    Args:
        envelope: from `lcjax.lower_envelope`.
        test_error: of each member, repeat and size, `(h, r, s)`, as given to it.
        axes: where to draw.
    """
    size = np.asarray(envelope.curve.size, float)
    rows = np.asarray(test_error, float)
    present = ~np.isnan(rows)
    members = np.where(present, rows, 0).sum(axis=1) / np.where(present.any(axis=1), present.sum(axis=1), np.nan)
    for i, member in enumerate(members):
        axes.plot(size, member, color="0.7", linewidth=0.9, label="members" if i == 0 else None)
    error, spread = np.asarray(envelope.curve.error, float), np.asarray(envelope.curve.standard_error, float)
    below = np.minimum(1.96 * spread, 0.9 * error)
    bars = np.nan_to_num([below, 1.96 * spread])
    axes.errorbar(
        size, error, yerr=bars, color="#0072B2", marker="o", markersize=4.5, capsize=2, label="lower envelope"
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    _few_labels(axes)
    _labelled(axes, "training examples", "error")


def plot_ranking(ranking: Ranking, axes: "Axes") -> None:
    """Draw the exponents of tasks with their intervals, the steepest learning curve on top (Hestness, Table 2).

    Args:
        ranking: from `lcjax.rank_by_exponent`.
        axes: where to draw.
    """
    place = np.arange(len(ranking.names))
    exponent = np.asarray(ranking.exponent, float)
    bars = [exponent - np.asarray(ranking.low), np.asarray(ranking.high) - exponent]
    axes.errorbar(exponent, place, xerr=np.maximum(bars, 0), fmt="o", color="#0072B2", capsize=2)
    axes.set_yticks(place, ranking.names)
    axes.invert_yaxis()
    for i, (low, high) in enumerate(zip(ranking.rank_low, ranking.rank_high, strict=True)):
        text = f"rank {int(low)}" if low == high else f"ranks {int(low)} to {int(high)}"
        axes.annotate(text, (1.0, i), xycoords=("axes fraction", "data"), xytext=(4, 0), textcoords="offset points",
                      va="center", fontsize="small", color="0.4")  # fmt: skip
    axes.set_xlabel(f"exponent, {100 * ranking.level:g} % interval")
    axes.grid(axis="x", color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def plot_model_size(law: ModelSizeLaw, size: Any, parameters: Any, axes: "Axes") -> None:
    """Draw the best model's size against training examples, log-log, and its law (Hestness, Figures 2 and 3, right).

    Args:
        law: from `lcjax.curves.fit_model_size`.
        size: training examples, `(s,)`.
        parameters: of the best model at each, `(s,)`.
        axes: where to draw.
    """
    size, parameters = np.asarray(size, float), np.asarray(parameters, float)
    grid = np.geomspace(size.min(), 4 * size.max(), 33)
    label = f"exponent {float(law.exponent):.2f}"
    axes.plot(grid, np.asarray(law.predict(grid.astype(np.float32))), color="#0072B2", linewidth=1.6, label=label)
    axes.plot(size, parameters, "o", color="black", markersize=4.5, label="best model")
    axes.set_xscale("log")
    axes.set_yscale("log")
    _labelled(axes, "training examples", "parameters")


def plot_two_way(fit: ScalingFit, model_size: Any, data_size: Any, error: Any, axes: "Axes") -> None:
    """Draw errors against training examples, log-log, one curve a model size, with the two-way law.

    Args:
        fit: from `lcjax.scaling.fit_scaling_law`.
        model_size: parameters of each run, `(n,)`.
        data_size: examples of each run, `(n,)`.
        error: of each run, `(n,)`.
        axes: where to draw.
    """
    import matplotlib

    model_size, data_size, error = (np.asarray(a, float) for a in (model_size, data_size, error))
    sizes = np.unique(model_size)
    colors = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(sizes)))
    grid = np.geomspace(data_size.min(), 4 * data_size.max(), 65)
    for color, parameters in zip(colors, sizes, strict=True):
        rows = model_size == parameters
        axes.plot(data_size[rows], error[rows], "o", color=color, markersize=4)
        law = np.asarray(fit.predict(np.full_like(grid, parameters), grid))
        axes.plot(grid, law, color=color, linewidth=1.3, label=f"{parameters:.3g}")
    axes.set_xscale("log")
    axes.set_yscale("log")
    _few_labels(axes)
    _labelled(axes, "training examples", "error")
    axes.legend(title="parameters", frameon=False, fontsize="small")


def _labelled(axes: "Axes", x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(which="major", color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small")


def _few_labels(axes: "Axes") -> None:
    """Plain numbers on a logarithmic error axis, in whatever unit the error has."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
