"""Figures of `lcjax compress`: the trade-off, weight histograms, Figures 1 to 3 of Sharma et al."""

from typing import TYPE_CHECKING, Any

import numpy as np

from lcjax.compression.quantization_curve import QuantizeCurve
from lcjax.studies.compression.compress import Compression

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_bits", "plot_margin", "plot_picture", "plot_trade_off", "plot_weights"]

# Without the data-dependent term drawn through, with it dashed (LCA) or dotted (LCL); a colour for what else there is.
COLORS = {
    frozenset(): "#000000",
    frozenset({"W"}): "#D55E00",
    frozenset({"W1"}): "#0072B2",
    frozenset({"D"}): "#E69F00",
    frozenset({"W", "D"}): "#CC79A7",
    frozenset({"W", "BN"}): "#009E73",
    frozenset({"W", "BN", "D"}): "#56B4E9",
}
WIDE = 30  # values this much apart are drawn by the logarithm
LINES: dict[str, Any] = {"": "solid", "LCA": (0, (4, 1.5)), "LCL": (0, (1, 1.2))}


def plot_trade_off(found: Compression, axes: "Axes") -> None:
    """Draw test accuracy against the compression ratio, one line a loss, mean over seeds at each threshold's step.

    The mark is the largest compression within 1 % of the best validation accuracy, each seed at its own step, so that
    it need not lie on the mean line; the dotted line is the net that always says the largest class.
    """
    for loss in found.losses:
        ratio = np.asarray(loss.pruning.ratio)
        axes.plot(np.exp(np.log(ratio).mean(axis=0)), np.asarray(loss.pruning_test).mean(axis=0), **_style(loss.name))
        middle = float(np.exp(np.log(np.asarray(loss.ratio)).mean()))
        style = {**_style(loss.name), "label": None, "linestyle": "none"}
        axes.plot(middle, float(np.mean(loss.pruned_accuracy)), marker="o", markersize=5.5, **style)
    axes.plot([], [], "o", color="0.3", markersize=5.5, label="chosen, mean of seeds")
    axes.axhline((1 - found.chance_error), color="0.6", linestyle=":", linewidth=1.0, label="largest class")
    axes.set_xscale("log")
    _labelled(axes, "compression ratio (parameters)", "test accuracy")


def plot_bits(found: Compression, axes: "Axes", *, pruned: bool = False) -> None:
    """Draw test accuracy against total bits, one line a loss, mean over seeds; of the pruned nets for Figure 1.

    The dotted line, where it is near, is the net that always says the largest class.
    """
    worst = 1.0
    for loss in found.losses:
        curve = _curve(loss, pruned=pruned)
        accuracy = np.asarray(curve.measured["accuracy"]).mean(axis=0)
        worst = min(worst, float(accuracy.min()))
        axes.plot(curve.bits, accuracy, marker=".", **_style(loss.name))
    if (1 - found.chance_error) > worst - 0.1:  # far below all curves it would press them together
        axes.axhline((1 - found.chance_error), color="0.6", linestyle=":", linewidth=1.0, label="largest class")
    _fewer_bits_right(axes)
    _labelled(axes, "total bits", "test accuracy" + (", pruned" if pruned else ""))


def plot_margin(found: Compression, margin_axes: "Axes", loss_axes: "Axes") -> None:
    """Draw margin and loss against total bits, as the lower rows of Figure 3, mean over seeds."""
    for loss in found.losses:
        curve = _curve(loss, pruned=False)
        margin_axes.plot(curve.bits, np.asarray(curve.margin).mean(axis=0), marker=".", **_style(loss.name))
        loss_axes.plot(curve.bits, np.asarray(curve.measured["loss"]).mean(axis=0), marker=".", **_style(loss.name))
    for axes, label in ((margin_axes, "margin 2 / |w|$^2$"), (loss_axes, "test loss")):
        low, high = axes.dataLim.intervaly
        if high > WIDE * low:
            axes.set_yscale("log")
        _fewer_bits_right(axes)
        _labelled(axes, "total bits", label)


def plot_weights(found: Compression, axes: "Axes", *, layer: str) -> None:
    """Draw the magnitudes of a layer's weights as a histogram, by the logarithm, one line a loss."""
    floor = 1e-8
    every = [np.log10(np.abs(layers[layer]) + floor) for layers in found.weights.values()]
    edges = np.linspace(-8, max(float(values.max()) for values in every), 61)
    for name, values in zip(found.weights, every, strict=True):
        counts, _ = np.histogram(values, edges)
        axes.stairs(counts, edges, **{key: value for key, value in _style(name).items() if key != "markersize"})
    axes.set_yscale("symlog", linthresh=1)
    _labelled(axes, "log10 |w|", f"weights of {layer}")


def plot_picture(found: Compression, axes: "Axes", *, loss: str, which: int) -> None:
    """Draw one t-SNE picture: `which` is 0 for the net as trained, 1 pruned, 2 quantized."""
    points, classes = np.asarray(found.embedding[loss])[which], np.asarray(found.picture_classes)
    for number in np.unique(classes):
        color = f"C{int(number) % 10}"
        x, y = points[classes == number].T
        axes.scatter(x, y, color=color, s=7, linewidths=0, label=f"class {int(number)}")
    kind = ("unpruned", "pruned", "quantized")[which]
    axes.set_title(f"{loss} {kind}, silhouette {float(found.silhouette[loss][which]):.2f}", fontsize="small")
    axes.set_xticks([])
    axes.set_yticks([])


def _curve(loss: Any, *, pruned: bool) -> QuantizeCurve:
    return loss.pruned_quantization if pruned else loss.quantization


def _style(name: str) -> dict[str, Any]:
    parts = name.replace("W2", "W").split("+")[1:]
    term = next((part for part in parts if part in LINES), "")
    color = COLORS.get(frozenset(parts) - {term}, "0.5")
    return {"color": color, "linestyle": LINES[term], "linewidth": 1.4, "label": name, "alpha": 0.9}


def _fewer_bits_right(axes: "Axes") -> None:
    axes.set_xticks(range(2, 17, 2))
    axes.invert_xaxis()


def _labelled(axes: "Axes", x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
