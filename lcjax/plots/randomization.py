"""Figures of randomization tests (Zhang et al., 2017)."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from lcjax.plots.style import label_axes, plain_text
from lcjax.studies.randomization.randomize import RandomizationTests

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "CONDITION_COLORS",
    "MARKERS",
    "plot_corrupted_error",
    "plot_regularizers",
    "plot_slowdown",
    "plot_slowdown_of_nets",
    "plot_training_loss",
    "plot_width",
]


CONDITION_COLORS = {
    "true labels": "#0072B2",
    "random labels": "#D55E00",
    "shuffled pixels": "#009E73",
    "random pixels": "#CC79A7",
    "gaussian pixels": "#000000",
}

MARKERS = ("o", "s", "^", "D", "v", "P")


def plot_training_loss(tests: RandomizationTests, axes: "Axes", *, net: str) -> None:
    """Plot training loss against steps for each condition, as in Figure 1a of Zhang et al. (2017)."""
    for condition, color in CONDITION_COLORS.items():
        dashes = (0, (3, 2)) if condition in ("shuffled pixels", "gaussian pixels") else "solid"  # show the lines below
        for row in tests.rows(net=net):
            if tests.condition[row] != condition or not tests.plain[row]:
                continue
            label = condition if condition not in axes.get_legend_handles_labels()[1] else None
            step, loss = tests.recorded_step[row], tests.train_loss[row]
            axes.plot(step, loss, color=color, linestyle=dashes, linewidth=1.6, label=label)
    first = tests.rows(net=net)[0]
    axes.set_title(plain_text(f"{net}, {tests.size[first]:,} examples"), fontsize="medium")
    axes.set_ylim(0, None)
    label_axes(axes, "steps", "training loss, nats", legend="best")


def plot_slowdown(tests: RandomizationTests, axes: "Axes") -> None:
    """Plot steps to fit, relative to true labels, against label corruption, as in Figure 1b of Zhang et al. (2017)."""
    _against_corruption(tests, tests.slowdown, axes)
    axes.set_ylabel("steps to fit, over true labels")


def plot_corrupted_error(tests: RandomizationTests, axes: "Axes") -> None:
    """Plot test error against label corruption, as in Figure 1c of Zhang et al. (2017)."""
    _against_corruption(tests, 100 * np.asarray(tests.test_error), axes)
    axes.set_ylabel("test error, %")
    axes.set_ylim(0, 100)


def plot_slowdown_of_nets(tests: RandomizationTests, axes: "Axes") -> None:
    """Plot steps to fit random labels, relative to true labels, against the number of parameters."""
    random = tests.plain & (np.asarray(tests.condition) == "random labels")
    colors = list(CONDITION_COLORS.values())
    for i, net in enumerate(dict.fromkeys(tests.net)):
        runs = random & (np.asarray(tests.net) == net)
        slowdown = tests.slowdown[runs]
        label = plain_text(net if np.isfinite(slowdown).any() else f"{net}: not fitted")
        axes.plot(tests.parameters[runs], slowdown, color=colors[i % len(colors)], marker=MARKERS[i % len(MARKERS)],
                  markersize=6, linewidth=0, label=label)  # fmt: skip
    axes.set_xscale("log")
    axes.margins(0.15)
    axes.set_ylim(0, None)
    label_axes(axes, "parameters", "steps to fit random labels, over true", legend="lower left")


def _against_corruption(tests: RandomizationTests, values: Float[np.ndarray, " w"], axes: "Axes") -> None:
    labels = np.isin(np.asarray(tests.condition), ["true labels", "corrupted labels", "random labels"])
    plain = labels & tests.plain
    colors = list(CONDITION_COLORS.values())
    for i, net in enumerate(dict.fromkeys(tests.net)):
        runs = plain & (np.asarray(tests.net) == net)
        level = np.unique(tests.corruption[runs])
        mean = [np.mean(values[runs & (tests.corruption == p)]) for p in level]
        color, marker = colors[i % len(colors)], MARKERS[i % len(MARKERS)]
        axes.plot(level, mean, color=color, marker=marker, markersize=4.5, label=plain_text(net))
    label_axes(axes, "fraction of training labels replaced", legend="best")


def plot_regularizers(tests: RandomizationTests, axes: "Axes", *, net: str) -> None:
    """Plot held-out accuracy against steps with regularizers on and off, as in Figure 2 of Zhang et al. (2017).

    The shaded area extends to the best accuracy so far: the possible gain of early stopping.
    """
    colors = list(CONDITION_COLORS.values())
    rows_of: dict[str, list[int]] = {}
    for row in tests.rows(net=net, condition="true labels").tolist():
        rows_of.setdefault(tests.regularizers(row), []).append(row)
    for i, (words, rows) in enumerate(rows_of.items()):
        step = tests.recorded_step[rows[0]]
        accuracy = 100 * (1 - np.mean(tests.held_out_error[rows], axis=0))
        best = np.maximum.accumulate(accuracy)
        axes.fill_between(step, accuracy, best, color=colors[i % len(colors)], alpha=0.2, linewidth=0)
        axes.plot(step, accuracy, color=colors[i % len(colors)], linewidth=1.3, label=words or "no regularizer")
    axes.set_title(plain_text(net), fontsize="medium")
    label_axes(axes, "steps", "held-out accuracy, %", legend="lower right")


def plot_width(tests: RandomizationTests, axes: "Axes") -> None:
    """Plot training and test error of models of growing width against parameters over examples."""
    ratio = np.unique(tests.ratio)
    for values, color, marker, label in (
        (tests.final_train_error, "#0072B2", "o", "training error"),
        (tests.test_error, "#D55E00", "s", "test error"),
    ):
        mean = [100 * np.mean(values[tests.ratio == r]) for r in ratio]
        axes.plot(ratio, mean, color=color, marker=marker, markersize=4.5, label=label)
    axes.axvline(1, color="0.7", linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    axes.set_ylim(0, None)
    label_axes(axes, "parameters over examples", "error, %", legend="best")
