"""Figures of a prediction."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool

from lcjax.curves.learning_curve import LearningCurve
from lcjax.plots.style import COLORS, label_axes, law_style, log_axes, plain_ticks
from lcjax.studies.prediction.bottlenecks import BottleneckSweep
from lcjax.studies.prediction.record import Prediction

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_bottleneck", "plot_prediction", "plot_training_error"]


def plot_prediction(prediction: Prediction, axes: "Axes", *, target_error: float | None = None) -> None:
    """Plot the answer with its 90 % band, every method as a thin line, and the measured errors of both splits, log-log.

    The answer and the methods are fitted to all sizes. Open points are the errors that were held out in the check, for
    which the methods were fitted to the filled ones only; bars are 90 % intervals. A horizontal line shows the target
    error, if any, with the answer and its interval marked on it.
    """
    validation, measured, answer = prediction.validation, prediction.measured, prediction.answer
    fitted = np.asarray(prediction.fitted)
    size = np.asarray(validation.size, float)
    log_axes(axes)
    grid, (low, high) = np.asarray(answer.curve.size), np.asarray(answer.interval)
    axes.fill_between(grid, low, high, color=COLORS["answer"], alpha=0.2, linewidth=0, zorder=1)
    for name, method in prediction.shown_methods.items():
        (line,) = axes.plot(method.curve.size, method.curve.error, linewidth=1.0, zorder=2)
        line.set(**law_style(name))
    axes.plot(grid, answer.curve.error, color=COLORS["answer"], linewidth=3.0, zorder=3, label="answer, 90 % band")
    splits = {"validation": (validation, "s", 1 / 1.012), "test": (measured, "o", 1.012)}
    for split, (curve, marker, offset) in splits.items():
        if curve is not None:
            _points(axes, curve, fitted, offset, label=f"{split} error", fmt=marker, color=COLORS[split])
            _points(axes, curve, ~fitted, offset, fmt=marker, color=COLORS[split], markerfacecolor="white")
    shown = [*np.asarray(answer.curve.error), *np.asarray(validation.error)]
    bottom = min((value for value in shown if value > 0), default=1e-3)
    if target_error is not None:
        axes.axhline(target_error, color="0.35", linewidth=1.0, linestyle=(0, (4, 2)), zorder=2.5)
        axes.annotate(
            f"target {100 * target_error:.3g} %", (0.0, target_error), xycoords=("axes fraction", "data"),
            textcoords="offset points", xytext=(4, 3), ha="left", color="0.25",
        )  # fmt: skip
        _mark_answer(prediction, axes, target_error)
        bottom = min(bottom, target_error)
    axes.set_xlim(size.min() / 1.25, grid[-1] * 1.05)
    axes.set_ylim(0.6 * bottom, 3.0 * max(bottom, np.max(np.asarray(validation.error)), float(high.max())))
    axes.set_xlabel("training examples")
    axes.set_ylabel("error")
    axes.legend(
        facecolor="white", edgecolor="none", framealpha=0.85, fontsize="small", loc="upper right", ncols=2,
        title="fitted to all sizes; open: held out in the check", title_fontsize="small",
    )  # fmt: skip
    plain_ticks(axes)


def _mark_answer(prediction: Prediction, axes: "Axes", target_error: float) -> None:
    """Mark the size for the target with its interval, as far as they lie in the range of the curve."""
    answer, last = prediction.answer.size_for_error, float(np.asarray(prediction.answer.curve.size)[-1])
    if answer is None or not float(answer.low) < last:
        return
    ends = float(answer.low), min(float(answer.high), last)
    axes.plot(
        ends, [target_error] * 2, color=COLORS["answer"], linewidth=5, alpha=0.55, solid_capstyle="butt", zorder=4
    )
    if float(answer.value) <= last:
        axes.plot(
            float(answer.value), target_error, marker="D", color=COLORS["answer"], markersize=8, zorder=5,
            markeredgecolor="white",
        )  # fmt: skip
        axes.annotate(
            f"{float(f'{float(answer.value):.2g}'):,.0f}", (float(answer.value), target_error),
            textcoords="offset points", xytext=(0, -8), ha="center", va="top", color=COLORS["answer"], weight="bold",
        )  # fmt: skip


def plot_bottleneck(
    sweep: BottleneckSweep, axes: "Axes", *, dimension: int, margin: float | None = None, level: float = 0.05
) -> None:
    """Plot validation accuracy against bottleneck width, as in Figure 2 of Bisla et al. (2021), and the 1-NN accuracy.

    The effective dimension is marked. A width qualifies if its bar ends above the dotted line, which lies the `margin`
    of the non-inferiority rule below the model without a bottleneck. At the rule's one-sided `level`, the bars are
    intervals of level `1 - 2 level` of the difference.
    """
    from scipy.special import ndtri

    axes.axhline(float(sweep.reference), color="0.4", linewidth=1.0, label="no bottleneck")
    if margin is not None:
        label = f"no bottleneck, minus the margin {margin:.2g}"
        axes.axhline(float(sweep.reference) - margin, color="0.4", linewidth=1.0, linestyle=":", label=label)
    bars = -ndtri(level) * np.asarray(sweep.difference_error)
    label = f"bottleneck ({1 - 2 * level:.0%} of the difference)"
    axes.errorbar(
        sweep.width, sweep.accuracy, yerr=bars, color="#0072B2", marker="o", markersize=4.5, capsize=2, label=label
    )
    axes.plot(
        sweep.width, sweep.neighbor_accuracy, color="#D55E00", marker="^", linestyle="--", label="1-nearest neighbor"
    )
    axes.axvline(dimension, color="0.7", linewidth=6, alpha=0.5, zorder=0, label=f"effective dimension {dimension}")
    axes.set_xticks(np.asarray(sweep.width))
    label_axes(axes, "bottleneck width", "validation accuracy")
    axes.legend(facecolor="white", edgecolor="none", framealpha=0.85, fontsize="small", loc="lower right")


def plot_training_error(prediction: Prediction, axes: "Axes") -> None:
    """Plot training error, which the theory assumes to be zero, against size (Bisla et al., 2021, Figures 6 to 10)."""
    curve = prediction.validation
    train_error = np.asarray(curve.train_error, float)
    axes.plot(curve.size, 100 * train_error, color="black", marker="o", markersize=4.5)
    axes.set_xscale("log")
    axes.set_ylim(-0.005, max(0.1, 110 * float(train_error.max())))
    axes.set_xlabel("training examples")
    axes.set_ylabel("training error, %")
    plain_ticks(axes)


def _points(axes: "Axes", curve: LearningCurve, shown: Bool[np.ndarray, " s"], offset: float, **style: Any) -> None:
    """Plot points with bars of 90 %, shifted sideways by a factor so that the points of two splits do not overlap."""
    if not shown.any():
        return
    error, spread = np.asarray(curve.error)[shown], 1.645 * np.asarray(curve.standard_error)[shown]
    below = np.minimum(spread, 0.9 * error)  # a logarithmic axis has no zero
    axes.errorbar(
        np.asarray(curve.size)[shown] * offset, np.where(error > 0, error, np.nan), yerr=[below, spread], capsize=2,
        linewidth=0, elinewidth=1.0, markersize=5.5, zorder=4, **style,
    )  # fmt: skip
