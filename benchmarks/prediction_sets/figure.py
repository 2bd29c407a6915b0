"""Figure of the study: one panel for each set, and one for the log scores of all methods."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from PIL import Image

from benchmarks.prediction_sets.comparison import Sets
from lcjax.files import atomic_path
from lcjax.plots.prediction import plot_prediction
from lcjax.plots.style import COLORS, LABELS, label_axes, law_style, log_axes, plain_ticks
from lcjax.studies import Prediction

__all__ = ["draw_prediction", "draw_study", "save_png"]

COLUMNS = 3
BAR = 1.645  # standard errors, for 90 %
MARKERS = {"validation": ("s", 1 / 1.02), "test": ("o", 1.02)}  # shifted sideways, so that bars do not overlap


def draw_study(sets: Sets, methods: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw measured errors, fits below half of the data and held-out intervals of every set, and the log scores.

    Args:
        sets: summaries by name.
        methods: means over sets from `benchmarks.prediction_sets.comparison.compare_methods`.
        path: path of the figure without a suffix.
    """
    rows = -(-len(sets) // COLUMNS)
    figure = Figure(figsize=(13, 3.4 * rows + 4.0), layout="constrained")
    grid = figure.add_gridspec(2, 1, height_ratios=(3.4 * rows, 4.0))
    upper, lower = (figure.add_subfigure(grid[i]) for i in range(2))
    panels = upper.subplots(rows, COLUMNS, squeeze=False)
    for axes in panels.flat[len(sets) :]:
        axes.axis("off")
    for axes, one in zip(panels.flat, sets.values(), strict=False):
        _draw_set(axes, one)
    for axes in panels[:, 0]:
        axes.set_ylabel("error")
    upper.supxlabel("training examples", fontsize="medium")
    scores, legend = lower.subplots(1, 2, width_ratios=(2, 1))
    _draw_scores(scores, sets, methods)
    _draw_legend(legend, methods)
    save_png(figure, path)


def _draw_set(axes: Axes, one: Mapping[str, Any]) -> None:
    log_axes(axes)
    size, fitted = np.array(one["size"], float), np.array(one["fitted"])
    low, high = np.array(one["methods"]["answer"]["interval"])
    axes.fill_between(size[~fitted], low, high, color=COLORS["answer"], alpha=0.18, linewidth=0, zorder=1)
    for name, method in one["methods"].items():
        if "curve" in method:
            axes.plot(method["curve"]["size"], method["curve"]["error"], linewidth=1.3, **_style(name))
    shown = []
    for split, (marker, offset) in MARKERS.items():
        error, spread = (np.array(one[split][field], float) for field in ("error", "standard_error"))
        shown += [*error[error > 0]]
        bars = np.stack([np.minimum(BAR * spread, 0.9 * error), BAR * spread])
        for rows, face in ((fitted & (error > 0), COLORS[split]), (~fitted & (error > 0), "white")):
            axes.errorbar(
                size[rows] * offset, error[rows], yerr=bars[:, rows], fmt=marker, color=COLORS[split],
                markerfacecolor=face, markersize=5.5, capsize=2, elinewidth=1.0, zorder=4,
            )  # fmt: skip
    axes.set_xlim(size.min() / 1.2, size.max() * 1.2)
    axes.set_ylim(min(*shown, *low) / 1.25, max(shown) * 1.5)
    axes.set_title(f"{one['title']}, {one['network']}", fontsize="large")
    plain_ticks(axes)
    axes.tick_params(labelsize="medium")


def _draw_scores(axes: Axes, sets: Sets, methods: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw the log score on every set as a point, and the mean with its interval, with the best method on top."""
    order = sorted(methods, key=lambda name: methods[name]["log_score"]["value"])
    for place, name in enumerate(order):
        color = COLORS.get(name, "0.4")
        scores = [one["methods"][name]["log_score"] for one in sets.values()]
        mean = methods[name]["log_score"]
        axes.plot(scores, np.full(len(scores), place), "o", color=color, alpha=0.35, markersize=5, markeredgewidth=0)
        axes.errorbar(
            mean["value"], place, xerr=[[mean["value"] - mean["low"]], [mean["high"] - mean["value"]]], fmt="D",
            color=color, markersize=7, capsize=3, elinewidth=2,
        )  # fmt: skip
    axes.set_yticks(range(len(order)), [_label(name) for name in order])
    axes.set_xscale("symlog", linthresh=2)
    shown = [one["methods"][name]["log_score"] for one in sets.values() for name in order]
    low, high = min(shown) - 0.2, max(shown) + 0.2
    axes.set_xlim(low, high)
    ticks = [tick for tick in (-100, -50, -20, -10, -5, -2, -1, 0, 1, 2) if low <= tick <= high]
    axes.set_xticks(ticks, map(str, ticks))
    axes.minorticks_off()
    axes.set_title("Log score at held-out sizes: sets, and mean with its 95 % interval", fontsize="large")
    label_axes(axes, "log score (larger is better)", grid=True)


def _draw_legend(axes: Axes, methods: Mapping[str, Any]) -> None:
    handles: list[Line2D | Patch] = []
    for split, (marker, _) in MARKERS.items():
        for text, face in (("fitted by the methods", COLORS[split]), ("held out", "white")):
            label = f"{split} error, {text}" if split == "validation" else f"{split} error, size {text}"
            handles.append(
                Line2D([], [], marker=marker, linestyle="", color=COLORS[split], markerfacecolor=face, label=label)
            )
    handles += [Line2D([], [], linewidth=1.8, **_style(name)) for name in methods if name != "answer"]
    handles.append(Patch(color=COLORS["answer"], alpha=0.18, label="answer, 90 % interval of a measured error"))
    axes.axis("off")
    axes.legend(handles=handles, frameon=False, fontsize="large", loc="center")


def _style(name: str) -> dict[str, Any]:
    # The paper's law and the law of independent samples coincide in most panels; dashes on top show both.
    return {**law_style(name), "zorder": 2.5 if name == "hypercube" else 2.0}


def _label(name: str) -> str:
    return LABELS.get(name, name.replace("_", " "))


def draw_prediction(prediction: Prediction, path: Path, title: str) -> None:
    """Draw the figure of `lcjax predict`.

    Args:
        prediction: the prediction.
        path: of the figure, a PNG.
        title: title before the effective dimension.
    """
    figure = Figure(figsize=(6.4, 4.7), layout="constrained")
    axes = figure.subplots()
    target = prediction.answer.target
    plot_prediction(prediction, axes, target_error=None if target is None else target.error)
    axes.set_title(f"{title}: effective dimension {int(prediction.dimension)}", fontsize="medium")
    save_png(figure, path)


def save_png(figure: Figure, path: Path) -> None:
    """Save a figure as PNG with 256 colors, which takes a quarter of the space."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=150)
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(buffer) as image, atomic_path(path) as temporary:
        small = image.convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        small.save(temporary, format="PNG", optimize=True)
