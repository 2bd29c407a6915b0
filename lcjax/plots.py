"""Figures: one function a record, drawing on given Axes; colours that colour-blind readers tell apart."""

from typing import TYPE_CHECKING, Any

import numpy as np

from lcjax.studies.measure_dimension import BottleneckSweep
from lcjax.studies.predict import Prediction
from lcjax.studies.randomize import RandomizationTests
from lcjax.studies.simulate import Simulation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "LABELS",
    "plot_bottleneck",
    "plot_corrupted_error",
    "plot_prediction",
    "plot_regularizers",
    "plot_simulation",
    "plot_slowdown",
    "plot_training_error",
    "plot_training_loss",
    "plot_width",
]

LABELS = {
    "hypercube": "paper's law (hypercube)",
    "poisson": "law of independent samples",
    "power_law": "power law, no theory",
    "binomial": "exact law (binomial)",
}
COLORS = {"hypercube": "#D55E00", "poisson": "#0072B2", "power_law": "#009E73", "binomial": "#000000"}
DASHES = {"hypercube": (0, (5, 1.5)), "poisson": "solid", "power_law": (0, (1, 1.2)), "binomial": "solid"}


def plot_prediction(prediction: Prediction, axes: "Axes", *, target_error: float | None = None) -> None:
    """Draw measured errors with error bars, every predicted curve with its 90 % band, and the fitted range.

    Filled points were fitted to (validation errors), open points are test errors, most of them held out.

    Args:
        prediction: what `lcjax.predict_learning_curve` gives.
        axes: where to draw; both axes become logarithmic.
        target_error: drawn as a horizontal line, with a mark where each curve reaches it.
    """
    validation, measured = prediction.validation, prediction.measured
    fitted = np.asarray(prediction.fitted)
    size = np.asarray(validation.size, float)
    held_out = size[~fitted]
    axes.set_xscale("log")
    axes.set_yscale("log")
    if held_out.size:
        edge = float(np.sqrt(size[fitted].max() * held_out.min()))
        axes.axvspan(size.min() / 1.25, edge, color="0.93", zorder=0, label="range of the fit")
    for layer, (name, curve) in enumerate(reversed(prediction.predicted.items())):
        low, high = np.asarray(prediction.interval[name])
        axes.fill_between(curve.size, low, high, color=COLORS[name], alpha=0.13, linewidth=0)
        style: dict[str, Any] = {"color": COLORS[name], "linestyle": DASHES[name], "label": LABELS[name]}
        axes.plot(curve.size, curve.error, linewidth=1.6, zorder=2 + layer / 10, **style)
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
            "target", (1.0, target_error), xycoords=("axes fraction", "data"), textcoords="offset points",
            xytext=(-4, 3), ha="right", color="0.4", fontsize="small",
        )  # fmt: skip
        for name, answer in prediction.size_for_target.items():
            if np.isfinite(answer.value) and answer.value <= axes.get_xlim()[1]:
                axes.plot(float(answer.value), target_error, marker="v", color=COLORS[name], markersize=7)
    axes.set_xlim(size.min() / 1.25, None)
    axes.set_xlabel("training examples")
    axes.set_ylabel("error")
    axes.legend(facecolor="white", edgecolor="none", framealpha=0.85, fontsize="small", loc="lower left")
    _plain_ticks(axes)


def plot_bottleneck(sweep: BottleneckSweep, axes: "Axes", *, dimension: int) -> None:
    """Draw validation accuracy against bottleneck width, as Figure 2 of Bisla et al. (2021), and the 1-NN accuracy.

    Args:
        sweep: the bottleneck sweep.
        axes: where to draw.
        dimension: the effective dimension, marked.
    """
    axes.axhline(float(sweep.reference), color="0.4", linewidth=1.0, label="net without bottleneck")
    axes.errorbar(
        sweep.width,
        sweep.accuracy,
        yerr=1.96 * np.asarray(sweep.difference_error),
        color="#0072B2",
        marker="o",
        markersize=4.5,
        capsize=2,
        label="net with bottleneck (95 % of the difference)",
    )
    axes.plot(
        sweep.width, sweep.neighbor_accuracy, color="#D55E00", marker="^", linestyle="--", label="1-nearest neighbour"
    )
    axes.axvline(dimension, color="0.7", linewidth=6, alpha=0.5, zorder=0, label=f"effective dimension {dimension}")
    axes.set_xticks(np.asarray(sweep.width))
    axes.set_xlabel("bottleneck width")
    axes.set_ylabel("validation accuracy")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small", loc="lower right")


def plot_training_error(prediction: Prediction, axes: "Axes") -> None:
    """Draw training error against size, as Figures 6 to 10 of Bisla et al. (2021): the model assumes that it is zero.

    Args:
        prediction: what `lcjax.predict_learning_curve` gives.
        axes: where to draw.
    """
    curve = prediction.validation
    train_error = np.asarray(curve.train_error, float)
    axes.plot(curve.size, 100 * train_error, color="black", marker="o", markersize=4.5)
    axes.set_xscale("log")
    axes.set_ylim(-0.005, max(0.1, 110 * float(train_error.max())))
    axes.set_xlabel("training examples")
    axes.set_ylabel("training error, %")
    _plain_ticks(axes)


def plot_simulation(simulation: Simulation, axes: "Axes", deviation_axes: "Axes", *, row: int) -> None:
    """Draw one dimension of Figure 1 of Bisla et al. (2021), and below it how far each law is from the exact one.

    Error bars are two standard deviations of the paper's protocol, as in the paper.

    Args:
        simulation: what `lcjax.studies.simulate.simulate_learning_curve` gives.
        axes: for the curves.
        deviation_axes: for the relative deviations from the exact law, in percent.
        row: which of the simulated dimensions.
    """
    from matplotlib.ticker import LogFormatterMathtext

    replicates = np.asarray(simulation.paper.replicates)[row]
    size = np.asarray(simulation.paper.size)[row]
    axes.errorbar(
        size,
        np.asarray(simulation.paper.error)[row],
        yerr=2 * replicates.std(axis=0, ddof=1),
        color="#0072B2",
        marker="o",
        markersize=3.5,
        linewidth=0,
        elinewidth=1.0,
        capsize=2,
        label="simulation, 2 standard deviations",
    )
    for name, color, dash in (
        ("binomial", "black", "solid"),
        ("poisson", "#009E73", "dashed"),
        ("hypercube", "#D55E00", "dashdot"),
    ):
        axes.plot(size, simulation.law[name][row], color=color, linestyle=dash, linewidth=1.3, label=LABELS[name])
        if name != "binomial":
            deviation = 100 * simulation.deviation[name][row]
            deviation_axes.plot(size, deviation, color=color, linestyle=dash, linewidth=1.3)
    exact = simulation.law["binomial"][row]
    precise = 100 * simulation.deviation["simulation"][row]
    spread = 300 * np.asarray(simulation.precise.standard_error)[row] / exact
    deviation_axes.errorbar(
        size, precise, yerr=spread, color="#0072B2", marker="o", markersize=3, linewidth=0, elinewidth=1.0, capsize=2
    )
    deviation_axes.axhline(0, color="black", linewidth=0.8)
    largest = simulation.largest_deviation
    deviation_axes.set_title(
        f"largest: paper's {100 * largest['hypercube'][row]:.1f} %, local {100 * largest['poisson'][row]:.1f} %",
        fontsize="small",
    )
    axes.set_title(f"d = {simulation.dimension[row]}", fontsize="medium")
    for panel in (axes, deviation_axes):
        panel.set_xscale("log")
    axes.set_yscale("log")
    deviation_axes.set_xlabel("training examples")
    for panel in (axes, deviation_axes):
        _plain_ticks(panel)
        panel.xaxis.set_major_formatter(LogFormatterMathtext())


def _points(axes: "Axes", curve: Any, shown: np.ndarray, **style: Any) -> None:
    if not shown.any():
        return
    error = np.asarray(curve.error)[shown]
    spread = 1.96 * np.asarray(curve.standard_error)[shown]
    below = np.minimum(spread, 0.9 * error)  # a bar that reached zero would have no place on a logarithmic axis
    axes.errorbar(
        np.asarray(curve.size)[shown], np.where(error > 0, error, np.nan), yerr=[below, spread], capsize=2, linewidth=0,
        elinewidth=1.0, zorder=3, **style,
    )  # fmt: skip


def _plain_ticks(axes: "Axes") -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.grid(which="major", color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value < 1e7 else f"{value:.0e}"))
    if axes.get_yscale() == "log":
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
        axes.yaxis.set_minor_formatter(NullFormatter())


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
        tests: what `lcjax.studies.randomize.randomization_tests` gives.
        axes: where to draw.
        net: which net.
    """
    for condition, color in CONDITION_COLORS.items():
        dashes = (0, (3, 2)) if condition in ("shuffled pixels", "gaussian pixels") else "solid"  # seen through
        for row in tests.rows(net=net):
            if tests.condition[row] != condition or tests.crop[row] or tests.decay[row]:
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
        tests: what `lcjax.studies.randomize.randomization_tests` gives.
        axes: where to draw.
    """
    _against_corruption(tests, tests.slowdown, axes)
    axes.set_ylabel("steps to fit, over true labels")


def plot_corrupted_error(tests: RandomizationTests, axes: "Axes") -> None:
    """Draw test error against label corruption, as Figure 1c of Zhang et al. (2017).

    Args:
        tests: what `lcjax.studies.randomize.randomization_tests` gives.
        axes: where to draw.
    """
    _against_corruption(tests, 100 * np.asarray(tests.test_error), axes)
    axes.set_ylabel("test error, %")
    axes.set_ylim(0, 100)


def _against_corruption(tests: RandomizationTests, values: np.ndarray, axes: "Axes") -> None:
    labels = np.isin(np.asarray(tests.condition), ["true labels", "corrupted labels", "random labels"])
    plain = labels & ~np.asarray(tests.crop) & ~np.asarray(tests.decay)
    colors = list(CONDITION_COLORS.values())
    for i, net in enumerate(dict.fromkeys(tests.net)):
        own = plain & (np.asarray(tests.net) == net)
        level = np.unique(tests.corruption[own])
        mean = [np.mean(values[own & (tests.corruption == p)]) for p in level]
        axes.plot(level, mean, color=colors[i], marker=MARKERS[i], markersize=4.5, label=net)
    axes.set_xlabel("share of training labels replaced")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small")


def plot_regularizers(tests: RandomizationTests, axes: "Axes", *, net: str) -> None:
    """Draw held-out accuracy against steps with regularizers on and off, as Figure 2 of Zhang et al. (2017).

    Shaded: up to the best so far, what early stopping could give.

    Args:
        tests: what `lcjax.studies.randomize.randomization_tests` gives.
        axes: where to draw.
        net: which net.
    """
    colors = list(CONDITION_COLORS.values())
    for i, (crop, decay) in enumerate(((True, True), (True, False), (False, True), (False, False))):
        rows = tests.rows(net=net, crop=crop, decay=decay, condition="true labels")
        if not len(rows):
            continue
        words = ["crop and flip"] * crop + ["weight decay"] * decay
        step = tests.recorded_step[rows[0]]
        accuracy = 100 * (1 - np.mean(tests.held_out_error[rows], axis=0))
        axes.fill_between(step, accuracy, np.maximum.accumulate(accuracy), color=colors[i], alpha=0.2, linewidth=0)
        axes.plot(step, accuracy, color=colors[i], linewidth=1.3, label=", ".join(words) or "no regularizer")
    axes.set_title(net, fontsize="medium")
    axes.set_xlabel("steps")
    axes.set_ylabel("held-out accuracy, %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small", loc="lower right")


def plot_width(tests: RandomizationTests, axes: "Axes") -> None:
    """Draw training and test error against parameters over examples.

    Args:
        tests: what `lcjax.studies.randomize.randomization_tests` gives for nets of growing width.
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
