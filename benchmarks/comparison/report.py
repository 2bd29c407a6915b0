"""Tables and figure of `benchmarks.comparison`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from lcjax.cli.output import save_figure
from lcjax.plots.style import label_axes

__all__ = ["draw_figure", "format_tables"]

_COLORS = {"joint": "#0072B2", "independent": "#009E73", "order now": "#D55E00", "gap now": "#CC79A7"}
_PANELS = ("joint", "independent", "gap now")


def format_tables(result: Mapping[str, Any]) -> str:
    """Format the scores as Markdown."""
    order, crossing = result["order"], result["crossing"]
    names = list(order["log score"]["all"])
    rows = [["log score of the order", *names, *(f"joint - {name}" for name in names if name != "joint")]]
    for group, scores in order["log score"].items():
        apart = order["joint - other"][group]
        rows.append([group, *(f"{scores[name]['value']:.4f}" for name in names), *map(_signed, apart.values())])
    bins = [["probability of a reversal", "frequency, joint", "pairs and targets"]]
    for one in order["reliability"]["joint"]:
        bins.append([f"{one['probability']:.3f}", _plain(one), f"{one['cases']:,}"])
    shown = [["crossings", ""]]
    for name, value in crossing.items():
        if isinstance(value, Mapping) and "value" in value:
            shown.append([name, f"{_plain(value)}, {value['cases']:,} of {value['clusters']} data sets"])
        elif isinstance(value, int | float):
            shown.append([name, f"{value:.3g}" if isinstance(value, float) else f"{value:,}"])
    shown.append(["log score, joint - independent", _signed(crossing["log score"]["joint - independent"])])
    chance = [["probability of a crossing", "frequency, joint", "pairs"]]
    for one in crossing["reliability"]["joint"]:
        chance.append([f"{one['probability']:.3f}", _plain(one), f"{one['cases']:,}"])
    return "\n\n".join(map(_table, (rows, bins, shown, chance))) + "\n"


def draw_figure(result: Mapping[str, Any], path: Path) -> None:
    """Draw the reliability of the probabilities of a reversed order and of a crossing, with clustered intervals."""
    figure = Figure(figsize=(3.3 * (len(_PANELS) + 1), 3.5), layout="constrained")
    panels = figure.subplots(1, len(_PANELS) + 1, sharex=True, sharey=True)
    bins = {name: result["order"]["reliability"][name] for name in _PANELS}
    bins["crossing, joint"] = result["crossing"]["reliability"]["joint"]
    titles = {"joint": "order, joint draws", "independent": "order, independent draws", "gap now": "order, gap now"}
    for axes, (name, rows) in zip(panels, bins.items(), strict=True):
        axes.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
        x, y = [row["probability"] for row in rows], [row["value"] for row in rows]
        bars = [[row["value"] - row["low"] for row in rows], [row["high"] - row["value"] for row in rows]]
        color = _COLORS.get(name, "#0072B2")
        axes.errorbar(x, y, yerr=bars, marker="o", markersize=4, linewidth=1.2, color=color)
        axes.set_title(titles.get(name, "crossing beyond the data"), fontsize="medium")
        event = "crossing" if name not in titles else "reversal"
        label_axes(axes, f"probability of a {event}", "frequency")
    save_figure(figure, path)


def _plain(estimate: Mapping[str, float]) -> str:
    return f"{estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"


def _signed(estimate: Mapping[str, float]) -> str:
    return f"{estimate['value']:+.4f} ({estimate['low']:+.4f} to {estimate['high']:+.4f})"


def _table(rows: list[list[str]]) -> str:
    head, *body = rows
    lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *body]]
    return "\n".join(lines)
