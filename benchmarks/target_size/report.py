"""Tables and figure of `benchmarks.target_size`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from lcjax.cli.output import save_figure
from lcjax.plots.style import label_axes

__all__ = ["draw_figure", "format_tables"]

_COLORS = {"forecast": "#0072B2", "power law": "#009E73", "last value": "#D55E00"}


def format_tables(result: Mapping[str, Any]) -> str:
    """Format the scores as Markdown."""
    rows = [["method", "log score", "forecast - method", "interval score", "forecast - method", "coverage of 90 %"]]
    for name, scores in result["scores"].items():
        apart = result["forecast - method"].get(name, {})
        cells = [(_number(scores[m]["value"]), _interval(apart.get(m))) for m in ("log_score", "interval_score")]
        rows.append([name, *cells[0], *cells[1], _percent(scores["inside"])])
    parts = [_table(rows)]
    for heading in ("by factor", "by cut", "by family"):
        groups = list(dict.fromkeys(g for by in result[heading].values() for g in by))
        first = {"by factor": "answer, times the data", "by cut": "measured to, times the data"}.get(
            heading, "learners"
        )
        rows = [[first, *(f"{name}, coverage of 90 % (answers)" for name in result[heading])]]
        for group in groups:
            found = [by.get(group) for by in result[heading].values()]
            rows.append([group, *("-" if c is None else f"{_percent(c['inside'])} ({c['count']:,})" for c in found)])
        parts.append(_table(rows))
    brier = [["Brier score of P(N > n)", *(f"n = {m} times the data" for m in result["reliability"]["forecast"])]]
    for name, by in result["reliability"].items():
        brier.append([name, *(f"{c['brier']['value']:.4f} ({c['brier']['low']:.4f} to {c['brier']['high']:.4f})"
                              for c in by.values())])  # fmt: skip
    counts = [["method", *next(iter(result["violations"].values()))]]
    counts += [[name, *map(str, by.values())] for name, by in result["violations"].items()]
    return "\n\n".join([*parts, _table(brier), _table(counts)]) + "\n"


def draw_figure(result: Mapping[str, Any], path: Path) -> None:
    """Draw the reliability of the probability that the size exceeds a multiple of the data, one panel a multiple."""
    multiples = list(result["reliability"]["forecast"])
    figure = Figure(figsize=(3.2 * len(multiples), 3.3), layout="constrained")
    for axes, multiple in zip(figure.subplots(1, len(multiples)), multiples, strict=True):
        axes.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
        for name, by in result["reliability"].items():
            bins = by[multiple]["bins"]
            x, y = [b["probability"] for b in bins], [b["value"] for b in bins]
            bars = [[b["value"] - b["low"] for b in bins], [b["high"] - b["value"] for b in bins]]
            axes.errorbar(x, y, yerr=bars, marker="o", markersize=4, linewidth=1.2, color=_COLORS[name], label=name)
        axes.set_title(f"size above {multiple} times the data", fontsize="medium")
        label_axes(axes, "probability", "frequency")
    figure.axes[0].legend(frameon=False, fontsize="small", loc="upper left")
    save_figure(figure, path)


def _number(value: float) -> str:
    return f"{value:.3f}"


def _interval(estimate: Mapping[str, float] | None) -> str:
    if estimate is None:
        return ""
    return f"{estimate['value']:+.3f} ({estimate['low']:+.3f} to {estimate['high']:+.3f})"


def _percent(estimate: Mapping[str, float]) -> str:
    return f"{100 * estimate['value']:.1f} ({100 * estimate['low']:.1f} to {100 * estimate['high']:.1f})"


def _table(rows: list[list[str]]) -> str:
    head, *body = rows
    lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *body]]
    return "\n".join(lines)
