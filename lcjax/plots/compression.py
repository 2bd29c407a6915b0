"""Figures of compressed models: trade-off, weight histograms, Figures 1 to 3 of Sharma et al. (2019)."""

from typing import TYPE_CHECKING, Any

import numpy as np

from lcjax.plots.style import label_axes, plain_text
from lcjax.studies.compression.compress import Compression

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_bits", "plot_margin", "plot_picture", "plot_trade_off", "plot_weights"]

# Colours by the other terms of a loss; lines are solid, or dashed (LCA) or dotted (LCL) with a data-dependent term.
COLORS = {
    frozenset(): "#000000",
    frozenset({"W"}): "#D55E00",
    frozenset({"W1"}): "#0072B2",
    frozenset({"D"}): "#E69F00",
    frozenset({"W", "D"}): "#CC79A7",
    frozenset({"W", "BN"}): "#009E73",
    frozenset({"W", "BN", "D"}): "#56B4E9",
}
WIDE = 30  # ratio of largest to smallest value from which an axis is logarithmic
LINES: dict[str, Any] = {"": "solid", "LCA": (0, (4, 1.5)), "LCL": (0, (1, 1.2))}


def plot_trade_off(compression: Compression, axes: "Axes") -> None:
    """Plot test accuracy against the compression ratio, one line per loss, averaged over seeds at each threshold.

    A mark is the largest compression within 1 % of the best validation accuracy, each seed at its own threshold, so it
    may lie off the mean line. The dotted line is the accuracy of predicting the largest class.
    """
    for loss in compression.losses:
        ratio = np.asarray(loss.pruning.ratio)
        axes.plot(np.exp(np.log(ratio).mean(axis=0)), np.asarray(loss.pruning_test).mean(axis=0), **_style(loss.name))
        middle = float(np.exp(np.log(np.asarray(loss.ratio)).mean()))
        style = {**_style(loss.name), "label": None, "linestyle": "none"}
        axes.plot(middle, float(np.mean(loss.pruned_accuracy)), marker="o", markersize=5.5, **style)
    axes.plot([], [], "o", color="0.3", markersize=5.5, label="selected, mean of seeds")
    axes.axhline(1 - compression.chance_error, color="0.6", linestyle=":", linewidth=1.0, label="largest class")
    axes.set_xscale("log")
    label_axes(axes, "compression ratio (parameters)", "test accuracy")


def plot_bits(compression: Compression, axes: "Axes", *, pruned: bool = False) -> None:
    """Plot test accuracy against total bits, one line per loss, averaged over seeds; of pruned models for Figure 1.

    The dotted line, drawn if it is close, is the accuracy of predicting the largest class.
    """
    worst = 1.0
    for loss in compression.losses:
        curve = loss.pruned_quantization if pruned else loss.quantization
        accuracy = np.asarray(curve.measured["accuracy"]).mean(axis=0)
        worst = min(worst, float(accuracy.min()))
        axes.plot(curve.bits, accuracy, marker=".", **_style(loss.name))
    if 1 - compression.chance_error > worst - 0.1:  # a line far below the curves would flatten them
        axes.axhline(1 - compression.chance_error, color="0.6", linestyle=":", linewidth=1.0, label="largest class")
    _fewer_bits_right(axes)
    label_axes(axes, "total bits", "test accuracy" + (", pruned" if pruned else ""))


def plot_margin(compression: Compression, margin_axes: "Axes", loss_axes: "Axes") -> None:
    """Plot margin and loss against total bits (Figure 3, lower rows), averaged over seeds."""
    for loss in compression.losses:
        curve = loss.quantization
        margin_axes.plot(curve.bits, np.asarray(curve.margin).mean(axis=0), marker=".", **_style(loss.name))
        loss_axes.plot(curve.bits, np.asarray(curve.measured["loss"]).mean(axis=0), marker=".", **_style(loss.name))
    for axes, label in ((margin_axes, "margin 2 / |w|$^2$"), (loss_axes, "test loss")):
        low, high = axes.dataLim.intervaly
        if high > WIDE * low:
            axes.set_yscale("log")
        _fewer_bits_right(axes)
        label_axes(axes, "total bits", label)


def plot_weights(compression: Compression, axes: "Axes", *, layer: str) -> None:
    """Plot histograms of the log magnitudes of a layer's weights, one line per loss."""
    magnitudes = [np.log10(np.abs(layers[layer]) + 1e-8) for layers in compression.weights.values()]
    edges = np.linspace(-8, max(float(values.max()) for values in magnitudes), 61)
    for name, values in zip(compression.weights, magnitudes, strict=True):
        counts, _ = np.histogram(values, edges)
        axes.stairs(counts, edges, **{key: value for key, value in _style(name).items() if key != "markersize"})
    axes.set_yscale("symlog", linthresh=1)
    label_axes(axes, "log10 |w|", f"weights of {layer}")


def plot_picture(compression: Compression, axes: "Axes", *, loss: str, which: int) -> None:
    """Plot one t-SNE embedding; `which` is 0 for the trained model, 1 for the pruned and 2 for the quantized one."""
    points, classes = np.asarray(compression.embedding[loss])[which], np.asarray(compression.picture_classes)
    for number in np.unique(classes):
        x, y = points[classes == number].T
        axes.scatter(x, y, color=f"C{int(number) % 10}", s=7, linewidths=0, label=f"class {int(number)}")
    kind = ("unpruned", "pruned", "quantized")[which]
    title = f"{loss} {kind}, silhouette {float(compression.silhouette[loss][which]):.2f}"
    axes.set_title(plain_text(title), fontsize="small")
    axes.set_xticks([])
    axes.set_yticks([])


def _style(name: str) -> dict[str, Any]:
    parts = name.replace("W2", "W").split("+")[1:]
    term = next((part for part in parts if part in LINES), "")
    color = COLORS.get(frozenset(parts) - {term}, "0.5")
    return {"color": color, "linestyle": LINES[term], "linewidth": 1.4, "label": name, "alpha": 0.9}


def _fewer_bits_right(axes: "Axes") -> None:
    axes.set_xticks(range(2, 17, 2))
    axes.invert_xaxis()
