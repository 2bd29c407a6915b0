"""Figures of randomization tests (Zhang et al. 2017)."""

from typing import TYPE_CHECKING

import numpy as np

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
    """Draw training loss against steps for each condition, as Figure 1a of Zhang et al. (2017).

    Args:
        tests: what `lcjax.studies.randomization.randomize.randomization_tests` gives.
        axes: where to draw.
        net: which net.
    """
    for condition, color in CONDITION_COLORS.items():
        dashes = (0, (3, 2)) if condition in ("shuffled pixels", "gaussian pixels") else "solid"  # seen through
        for row in tests.rows(net=net):
            if tests.condition[row] != condition or not tests.plain[row]:
                continue
            label = condition if condition not in axes.get_legend_handles_labels()[1] else None
            axes.plot(
                tests.recorded_step[row],
                tests.train_loss[row],
                color=color,
                linestyle=dashes,
                linewidth=1.6,
                label=label,
            )
    first = tests.rows(net=net)[0]
    axes.set_title(f"{net}, {tests.size[first]:,} examples", fontsize="medium")
    axes.set_xlabel("steps")
    axes.set_ylabel("training loss, nats")
    axes.set_ylim(0, None)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small")


def plot_slowdown(tests: RandomizationTests, axes: "Axes") -> None:
    """Draw steps to fit, relative to true labels, against label corruption, as Figure 1b of Zhang et al. (2017).

    Args:
        tests: what `lcjax.studies.randomization.randomize.randomization_tests` gives.
        axes: where to draw.
    """
    _against_corruption(tests, tests.slowdown, axes)
    axes.set_ylabel("steps to fit, over true labels")


def plot_corrupted_error(tests: RandomizationTests, axes: "Axes") -> None:
    """Draw test error against label corruption, as Figure 1c of Zhang et al. (2017).

    Args:
        tests: what `lcjax.studies.randomization.randomize.randomization_tests` gives.
        axes: where to draw.
    """
    _against_corruption(tests, 100 * np.asarray(tests.test_error), axes)
    axes.set_ylabel("test error, %")
    axes.set_ylim(0, 100)


def plot_slowdown_of_nets(tests: RandomizationTests, axes: "Axes") -> None:
    """Draw steps to fit random labels, relative to true labels, against the nets' numbers of parameters.

    Args:
        tests: what `lcjax.studies.randomization.randomize.randomization_tests` gives.
        axes: where to draw.
    """
    random = tests.plain & (np.asarray(tests.condition) == "random labels")
    colors = list(CONDITION_COLORS.values())
    for i, net in enumerate(dict.fromkeys(tests.net)):
        own = random & (np.asarray(tests.net) == net)
        slowdown = tests.slowdown[own]
        label = net if np.isfinite(slowdown).any() else f"{net}: not fitted"
        axes.plot(tests.parameters[own], slowdown, color=colors[i % len(colors)], marker=MARKERS[i % len(MARKERS)],
                  markersize=6, linewidth=0, label=label)  # fmt: skip
    axes.set_xscale("log")
    axes.margins(0.15)
    axes.set_ylim(0, None)
    axes.set_xlabel("parameters")
    axes.set_ylabel("steps to fit random labels, over true")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small", loc="lower left")


def _against_corruption(tests: RandomizationTests, values: np.ndarray, axes: "Axes") -> None:
    labels = np.isin(np.asarray(tests.condition), ["true labels", "corrupted labels", "random labels"])
    plain = labels & tests.plain
    colors = list(CONDITION_COLORS.values())
    for i, net in enumerate(dict.fromkeys(tests.net)):
        own = plain & (np.asarray(tests.net) == net)
        level = np.unique(tests.corruption[own])
        mean = [np.mean(values[own & (tests.corruption == p)]) for p in level]
        color, marker = colors[i % len(colors)], MARKERS[i % len(MARKERS)]
        axes.plot(level, mean, color=color, marker=marker, markersize=4.5, label=net)
    axes.set_xlabel("share of training labels replaced")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small")


def plot_regularizers(tests: RandomizationTests, axes: "Axes", *, net: str) -> None:
    """Draw held-out accuracy against steps with regularizers on and off, as Figure 2 of Zhang et al. (2017).

    Shaded: up to the best so far, what early stopping could give.

    Args:
        tests: what `lcjax.studies.randomization.randomize.randomization_tests` gives.
        axes: where to draw.
        net: which net.
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
    axes.set_title(net, fontsize="medium")
    axes.set_xlabel("steps")
    axes.set_ylabel("held-out accuracy, %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small", loc="lower right")


def plot_width(tests: RandomizationTests, axes: "Axes") -> None:
    """Draw training and test error against parameters over examples.

    Args:
        tests: what `lcjax.studies.randomization.randomize.randomization_tests` gives for nets of growing width.
        axes: where to draw.
    """
    ratio = np.unique(tests.ratio)
    for values, color, marker, label in (
        (tests.final_train_error, "#0072B2", "o", "training error"),
        (tests.test_error, "#D55E00", "s", "test error"),
    ):
        mean = [100 * np.mean(values[tests.ratio == r]) for r in ratio]
        axes.plot(ratio, mean, color=color, marker=marker, markersize=4.5, label=label)
    axes.axvline(1, color="0.7", linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    axes.set_xlabel("parameters over examples")
    axes.set_ylabel("error, %")
    axes.set_ylim(0, None)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small")
