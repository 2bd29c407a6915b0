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
    """Plot measured errors with error bars, every predicted curve with its 90 % band, and the fitted range, log-log.

    Filled points are the validation errors of the fit, open points test errors, most of them at held-out sizes. A
    horizontal line shows the target error, if any, with a mark where each curve reaches it.
    """
    validation, measured = prediction.validation, prediction.measured
    fitted = np.asarray(prediction.fitted)
    size = np.asarray(validation.size, float)
    held_out = size[~fitted]
    log_axes(axes)
    if held_out.size:
        edge = float(np.sqrt(size[fitted].max() * held_out.min()))
        axes.axvspan(size.min() / 1.25, edge, color="0.93", zorder=0, label="range of the fit")
    for layer, (name, method) in enumerate(reversed(prediction.methods.items())):
        curve, (low, high) = method.curve, np.asarray(method.interval)
        axes.fill_between(curve.size, low, high, color=COLORS.get(name, "0.4"), alpha=0.13, linewidth=0)
        (line,) = axes.plot(curve.size, curve.error, linewidth=1.6, zorder=2 + layer / 10)
        line.set(**law_style(name))
    basis = measured if prediction.paper_protocol and measured is not None else validation
    label = "test error, fitted to" if prediction.paper_protocol else "validation error, fitted to"
    _points(axes, basis, fitted, label=label, fmt="s", color="0.25", markersize=4.5)
    if measured is not None:
        shown = ~fitted if prediction.paper_protocol else np.ones_like(fitted)
        text = "test error, held out" if prediction.paper_protocol else "test error"
        _points(axes, measured, shown, label=text, fmt="o", color="black", markerfacecolor="white", markersize=5.5)
    if target_error is not None:
        axes.axhline(target_error, color="0.5", linewidth=0.8)
        axes.annotate(
            "target", (0.0, target_error), xycoords=("axes fraction", "data"), textcoords="offset points",
            xytext=(4, 3), ha="left", color="0.4", fontsize="small",
        )  # fmt: skip
        for name, method in prediction.methods.items():
            answer, color = method.size_for_error, COLORS.get(name, "0.4")
            if answer is not None and np.isfinite(answer.value) and answer.value <= axes.get_xlim()[1]:
                axes.plot(float(answer.value), target_error, marker="v", color=color, markersize=7, zorder=4)
    axes.set_xlim(size.min() / 1.25, None)
    axes.set_xlabel("training examples")
    axes.set_ylabel("error (bars 95 %, bands 90 %)")
    axes.legend(facecolor="white", edgecolor="none", framealpha=0.85, fontsize="small", loc="lower left")
    plain_ticks(axes)


def plot_bottleneck(
    sweep: BottleneckSweep, axes: "Axes", *, dimension: int, margin: float | None = None, level: float = 0.05
) -> None:
    """Plot validation accuracy against bottleneck width, as in Figure 2 of Bisla et al. (2021), and the 1-NN accuracy.

    The effective dimension is marked. A width qualifies if its bar ends above the dotted line, which lies the `margin`
    of the non-inferiority rule below the model without a bottleneck. At the rule's one-sided `level`, the bars are
    intervals of level `1 - 2 level` of the difference.
    """
    from scipy.stats import norm

    axes.axhline(float(sweep.reference), color="0.4", linewidth=1.0, label="no bottleneck")
    if margin is not None:
        label = f"no bottleneck, minus the margin {margin:.2g}"
        axes.axhline(float(sweep.reference) - margin, color="0.4", linewidth=1.0, linestyle=":", label=label)
    bars = norm.isf(level) * np.asarray(sweep.difference_error)
    label = f"bottleneck ({1 - 2 * level:.0%} of the difference)"
    axes.errorbar(
        sweep.width, sweep.accuracy, yerr=bars, color="#0072B2", marker="o", markersize=4.5, capsize=2, label=label
    )
    axes.plot(
        sweep.width, sweep.neighbor_accuracy, color="#D55E00", marker="^", linestyle="--", label="1-nearest neighbour"
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


def _points(axes: "Axes", curve: LearningCurve, shown: Bool[np.ndarray, " s"], **style: Any) -> None:
    if not shown.any():
        return
    error, spread = np.asarray(curve.error)[shown], 1.96 * np.asarray(curve.standard_error)[shown]
    below = np.minimum(spread, 0.9 * error)  # a logarithmic axis has no zero
    axes.errorbar(
        np.asarray(curve.size)[shown], np.where(error > 0, error, np.nan), yerr=[below, spread], capsize=2, linewidth=0,
        elinewidth=1.0, zorder=3, **style,
    )  # fmt: skip
