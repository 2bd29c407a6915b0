"""Tables and figure of `benchmarks.planning`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.planning.frontier import cost_at_rate
from lcjax.cli.output import save_figure
from lcjax.plots.style import label_axes

__all__ = ["draw_figure", "format_tables"]

_COLORS = {
    "forecast": "#0072B2",
    "LOC": "#D55E00",
    "LOC, tuned": "#E69F00",
    "power law": "#009E73",
    "power law, factor": "#56B4E9",
    "oracle": "black",
}


_RATES = np.linspace(0.0, 0.4, 161)


def format_tables(result: Mapping[str, Any]) -> str:
    """Format the costs, and the ratios of ours to the others', as Markdown."""
    names = [name for name in _COLORS if name != "forecast"]
    costs = [["rounds", "missed", "forecast", *names]]
    ratios = [["rounds", "missed", *(f"forecast / {name}" for name in names if name != "oracle")]]
    for horizon, by_rate in result["costs"].items():
        for rate, row in by_rate.items():
            costs.append([horizon, rate, _number(row["forecast"]["cost"]), *(_number(row[n]["other"]) for n in names)])
            cells = (f"{row[n]['ratio']:.2f} ({row[n]['low']:.2f} to {row[n]['high']:.2f})" for n in names[:-1])
            ratios.append([horizon, rate, *cells])
    counts = "; ".join(f"{name}: {value:,.5g}" for name, value in result["problems"].items())
    return f"{counts}\n\n{_table(costs)}\n\n{_table(ratios)}\n"


def draw_figure(result: Mapping[str, Any], path: Path) -> None:
    """Draw the least cost at each failure rate, one panel for each number of rounds."""
    horizons = list(result["frontiers"])
    figure = Figure(figsize=(3.3 * len(horizons), 3.8), layout="constrained")
    panels = figure.subplots(1, len(horizons), sharey=True)
    for axes, horizon in zip(panels, horizons, strict=True):
        for name, line in result["frontiers"][horizon].items():
            rate, cost = np.array(line["failure rate"]), np.array(line["cost"])
            y = [cost_at_rate(rate, cost, float(at)) for at in _RATES]
            axes.plot(100 * _RATES, y, ":" if name == "oracle" else "-", color=_COLORS[name], linewidth=1.4, label=name)
        axes.set_xlim(0, 40)
        axes.set_ylim(0, None)
        axes.set_title(f"{horizon} round{'s' if horizon != '1' else ''}", fontsize="medium")
        label_axes(axes, "targets missed, %", "examples collected / examples at hand" if axes is panels[0] else "")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
    save_figure(figure, path)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _table(rows: list[list[str]]) -> str:
    head, *body = rows
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *body])
