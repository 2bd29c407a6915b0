"""Figures of measured curves, their fits and forecasts, on logarithmic axes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import jax
import numpy as np
from jaxtyping import Float, Num

from lcjax.curves.answer.target import TargetAnswer
from lcjax.curves.envelope import LowerEnvelope
from lcjax.curves.forecast.forecast import Forecast
from lcjax.curves.forecast.mixture import MixtureForecast
from lcjax.curves.metrics import ERROR, Metric
from lcjax.curves.model_size import ModelSizeLaw
from lcjax.curves.ranking import Ranking
from lcjax.plots.style import label_axes, log_axes, plain_errors, plain_text
from lcjax.scaling.fit import ScalingFit
from lcjax.studies.fitting.fitted_curves import FittedCurves
from lcjax.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FAN = (0.8, 0.5)  # intervals inside the outer one
FAN_SHADES = ("#DCE9F3", "#B9D4E8", "#94BEDB")  # from the outer interval inwards
FAMILY_WEIGHT = 0.05  # families of less weight are not drawn
DRAWN_POINTS = 2000  # more points of a curve are drawn as pixels in vector files

__all__ = ["plot_coverage", "plot_envelope", "plot_forecast", "plot_model_size", "plot_ranking", "plot_two_way"]

_AHEAD = 16.0  # largest size of the forecast of an envelope, as a multiple of the largest measured one


def plot_forecast(
    fitted: FittedCurves, axes: "Axes", *, row: int = 0, legend: bool = True, unit: str = "examples"
) -> None:
    """Plot the curve at index `row` with its forecast, interval, held-out points and target, on logarithmic axes.

    `unit` is what a size counts, in the plural.
    """
    table, metric = fitted.table, fitted.table.metric
    forecast = jax.tree.map(lambda a: a[row : row + 1], fitted.forecast)
    size = np.asarray(table.curve.size, float)[row]
    error = np.asarray(table.curve.error, float)[row]
    used = table.fitted[row] & ~np.isnan(error)
    held_out = ~table.fitted[row] & ~np.isnan(error)
    reached = np.inf if fitted.target is None else float(np.asarray(fitted.target.size_for_error.value)[row])
    end = max(fitted.ahead[row, -1], np.max(size[used | held_out]))
    if np.isfinite(reached):
        end = max(end, min(2 * reached, 1e4 * size[used].max()))
    grid = np.geomspace(size[used].min(), end, 128)  # one more would be padded to four times as many
    predicted = metric.to_axis(np.asarray(forecast.predict(grid))[0])
    log_axes(axes)
    _, high = _fan(forecast, grid, fitted.level, metric, axes)
    if isinstance(forecast, Forecast):
        weight = np.asarray(forecast.weight)[0]
        for i, median in enumerate(metric.to_axis(np.asarray(forecast.family_curves(grid))[0])):
            if weight[i] >= FAMILY_WEIGHT:
                label = "families" if not axes.get_lines() else None
                axes.plot(grid, median, color="#0072B2", alpha=0.6, linewidth=0.6, label=label)
    axes.plot(grid, predicted, color="#0072B2", linewidth=1.6, label="forecast")
    many = bool(size.size > DRAWN_POINTS)
    if table.curve.replicates is not None:
        replicates = np.asarray(table.curve.replicates, float)[row]
        shown = used & (replicates > 0)
        x, y = np.broadcast_to(size, shown.shape)[shown], metric.to_axis(replicates[shown])
        crowded = bool(shown.sum() > DRAWN_POINTS)
        axes.plot(x, y, ".", color="0.6", markersize=3, rasterized=crowded)
    positive = metric.to_axis(np.where(error > 0, error, np.nan))
    axes.plot(size[used], positive[used], "o", color="black", markersize=4.5, label="fitted", rasterized=many)
    if held_out.any():
        axes.plot(size[held_out], positive[held_out], "o", label="held out", markerfacecolor="white", color="#D55E00",
                  markersize=5)  # fmt: skip
    if fitted.regions is not None:
        for border, text in ((fitted.regions.start, "best guess"), (fitted.regions.end, "irreducible")):
            place = float(np.asarray(border)[row])
            if size[used].min() < place < size[used].max():
                axes.axvline(place, color="0.6", linewidth=0.8, linestyle=":", label=f"border: {text}")
    # An interval that falls to zero would fill the axis, so the limits follow the points and the forecast.
    inner = np.concatenate([positive[used | held_out], predicted])
    inner = inner[inner > 0]
    bottom = inner.min() / 2.5
    axes.set_ylim(max(bottom, metric.best) if metric.transform == "log" else bottom, 1.5 * max(inner.max(), high[0]))
    if fitted.target is not None:
        axes.axhline(metric.to_axis(fitted.target.error), color="0.5", linewidth=0.8)
        if reached <= grid[-1]:
            _mark_answer(fitted.target, row, axes, end=grid[-1], place=metric.to_axis(fitted.target.error))
    if table.names[row]:
        axes.set_title(plain_text(table.names[row]), fontsize="small")
    label_axes(axes, f"training {unit}", metric.axis_name, grid=True)
    plain_errors(axes)
    if legend:
        axes.legend(facecolor="white", edgecolor="none", framealpha=0.85, fontsize="small", loc="lower left")


def _mark_answer(target: TargetAnswer, row: int, axes: "Axes", *, end: float, place: float) -> None:
    """Mark the size for the target and its interval on the line of the target."""
    size = target.size_for_error
    value, low, high = (float(np.asarray(field)[row]) for field in (size.value, size.low, size.high))
    axes.plot([low, min(high, end)], [place] * 2, color="#009E73", linewidth=2.5, solid_capstyle="butt")
    axes.plot(value, place, "v", color="#009E73", markersize=7, label="answer")


def _fan(
    forecast: Forecast | MixtureForecast, grid: Float[np.ndarray, " g"], level: float, metric: Metric, axes: "Axes"
) -> tuple[Float[np.ndarray, " g"], Float[np.ndarray, " g"]]:
    """Shade the intervals of probability 0.5 and 0.8 inside that of `level`, and return the limits of the latter."""
    outer = None
    shades = iter(FAN_SHADES)
    for inner in (level, *(share for share in FAN if share < level)):
        low, high = (metric.to_axis(np.asarray(limit)[0]) for limit in forecast.interval(grid, inner))
        label = f"{100 * inner:g} % interval"
        axes.fill_between(grid, low, high, color=next(shades), linewidth=0, label=label)
        outer = outer or (low, high)
    assert outer is not None
    return outer


def plot_coverage(
    levels: Float[np.ndarray, " l"], coverage: Mapping[str, Float[np.ndarray, " l"]], axes: "Axes"
) -> None:
    """Plot the fraction of held-out points inside the intervals against nominal levels, by group ("all" in color)."""
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":", label="nominal")
    others = [name for name in coverage if name != "all"]
    for i, name in enumerate(others):
        axes.plot(levels, coverage[name], color="0.75", linewidth=0.8, label="each group" if i == 0 else None)
    if "all" in coverage:
        axes.plot(levels, coverage["all"], "o-", color="#0072B2", markersize=4.5, label="all")
    lowest = min(float(np.min(levels)), *(float(np.min(share)) for share in coverage.values()))
    axes.set_xlim(float(np.min(levels)) - 0.03, 1.0)
    axes.set_ylim(lowest - 0.03, 1.01)
    label_axes(axes, "level of the interval", "fraction of held-out points inside", legend="upper left")


def plot_envelope(
    envelope: LowerEnvelope,
    test_error: Float[Array, "h r s"],
    axes: "Axes",
    *,
    forecast: Forecast | None = None,
    level: float = 0.9,
    metric: Metric = ERROR,
) -> None:
    """Plot the lower envelope of a family over the mean test errors of its members (Hestness et al., 2019, Figure 5).

    Args:
        envelope: the lower envelope.
        test_error: the argument of `lcjax.lower_envelope`: one error for each member, repeat and size.
        axes: where to plot.
        forecast: forecast of the envelope, drawn up to 16 times the largest size, or None.
        level: probability of its interval.
        metric: metric of the errors, whose values are drawn.
    """
    size = np.asarray(envelope.curve.size, float)
    rows = np.asarray(test_error, float)
    present = ~np.isnan(rows)
    members = np.where(present, rows, 0).sum(axis=1) / np.where(present.any(axis=1), present.sum(axis=1), np.nan)
    if forecast is not None:
        grid = np.geomspace(1.0, _AHEAD, 33) * float(forecast.largest)
        low, high = (metric.to_axis(np.asarray(limit, float)) for limit in forecast.interval(grid, level))
        label = f"{100 * level:g} % interval"
        axes.fill_between(grid, low, high, color="#0072B2", alpha=0.15, linewidth=0, label=label)
        ahead = metric.to_axis(np.asarray(forecast.predict(grid), float))
        axes.plot(grid, ahead, color="#0072B2", linestyle="--", label="forecast")
    for i, member in enumerate(members):
        axes.plot(size, metric.to_axis(member), color="0.7", linewidth=0.9, label="members" if i == 0 else None)
    error, spread = np.asarray(envelope.curve.error, float), np.asarray(envelope.curve.standard_error, float)
    place = metric.to_axis(error)
    ends = metric.to_axis(error - np.minimum(1.96 * spread, 0.9 * error)), metric.to_axis(error + 1.96 * spread)
    bars = np.nan_to_num([place - ends[0], ends[1] - place])
    axes.errorbar(
        size, place, yerr=bars, color="#0072B2", marker="o", markersize=4.5, capsize=2, label="lower envelope"
    )
    log_axes(axes)
    plain_errors(axes)
    label = f"{metric.title}, {metric.unit}" if metric.unit else metric.axis_name
    label_axes(axes, "training examples", label, grid=True, legend="best")


def plot_ranking(ranking: Ranking, axes: "Axes") -> None:
    """Plot the exponents of tasks with intervals, the steepest curve on top (Hestness et al., 2019, Table 2)."""
    place = np.arange(len(ranking.names))
    exponent = np.asarray(ranking.exponent, float)
    bars = [exponent - np.asarray(ranking.low), np.asarray(ranking.high) - exponent]
    axes.errorbar(exponent, place, xerr=np.maximum(bars, 0), fmt="o", color="#0072B2", capsize=2)
    axes.set_yticks(place, [plain_text(name) for name in ranking.names])
    axes.invert_yaxis()
    for i, (low, high) in enumerate(zip(ranking.rank_low, ranking.rank_high, strict=True)):
        text = f"rank {int(low)}" if low == high else f"ranks {int(low)} to {int(high)}"
        axes.annotate(text, (1.0, i), xycoords=("axes fraction", "data"), xytext=(4, 0), textcoords="offset points",
                      va="center", fontsize="small", color="0.4")  # fmt: skip
    axes.grid(axis="x", color="0.9", linewidth=0.6)
    label_axes(axes, f"exponent, {100 * ranking.level:g} % interval")


def plot_model_size(law: ModelSizeLaw, size: Num[Array, " s"], parameters: Num[Array, " s"], axes: "Axes") -> None:
    """Plot the best model's parameters against examples, and their law (Hestness et al., 2019, Figures 2 and 3)."""
    size, parameters = np.asarray(size, float), np.asarray(parameters, float)
    grid = np.geomspace(size.min(), 4 * size.max(), 33)
    label = f"exponent {float(law.exponent):.2f}"
    axes.plot(grid, np.asarray(law.predict(grid.astype(np.float32))), color="#0072B2", linewidth=1.6, label=label)
    axes.plot(size, parameters, "o", color="black", markersize=4.5, label="best model")
    log_axes(axes)
    label_axes(axes, "training examples", "parameters", grid=True, legend="best")


def plot_two_way(fit: ScalingFit, axes: "Axes") -> None:
    """Plot the loss of each fitted run against its training examples, with the law, one curve per model size."""
    import matplotlib

    model_size, data_size, error = (np.asarray(fit.runs[name], float) for name in ("params", "tokens", "loss"))
    sizes = np.unique(model_size)
    colors = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(sizes)))
    grid = np.geomspace(data_size.min(), 4 * data_size.max(), 65)
    for color, parameters in zip(colors, sizes, strict=True):
        rows = model_size == parameters
        axes.plot(data_size[rows], error[rows], "o", color=color, markersize=4)
        law = np.asarray(fit.predict(params=np.full_like(grid, parameters), tokens=grid))
        axes.plot(grid, law, color=color, linewidth=1.3, label=f"{parameters:.3g}")
    log_axes(axes)
    plain_errors(axes)
    label_axes(axes, "training examples", "loss", grid=True)
    axes.legend(title="parameters", frameon=False, fontsize="small")
