"""Figure 1 of Bisla et al. (2021)."""

from typing import TYPE_CHECKING

import numpy as np

from lcjax.plots.style import LABELS, plain_ticks
from lcjax.studies.simulation import Simulation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_simulation"]


def plot_simulation(simulation: Simulation, axes: "Axes", deviation_axes: "Axes", *, row: int) -> None:
    """Plot one dimension of Figure 1 of Bisla et al. (2021), and each law's deviation from the exact one in percent.

    `row` is the index of the dimension. Error bars are two standard deviations of the paper's protocol, as in the
    paper.
    """
    from matplotlib.ticker import LogFormatterMathtext

    replicates = np.asarray(simulation.paper.replicates)[row]
    size, error = np.asarray(simulation.paper.size)[row], np.asarray(simulation.paper.error)[row]
    spread = 2 * replicates.std(axis=0, ddof=1)
    label = "simulation, 2 standard deviations"
    axes.errorbar(
        size, error, yerr=spread, color="#0072B2", fmt="o", markersize=3.5, elinewidth=1.0, capsize=2, label=label
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
        size, precise, yerr=spread, color="#0072B2", fmt="o", markersize=3, elinewidth=1.0, capsize=2
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
        plain_ticks(panel)
        panel.xaxis.set_major_formatter(LogFormatterMathtext())
