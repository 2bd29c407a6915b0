"""A table and a figure of a comparison of forecasters."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.forecast.comparison import Estimate
from benchmarks.forecast.scoring import LEVELS
from lcjax.cli.output import save_figure
from lcjax.plots.style import label_axes

__all__ = ["draw_comparison", "round_numbers", "table"]

_BLUE, _ORANGE = "#0072B2", "#D55E00"


def table(result: Mapping[str, Any]) -> str:
    """Format the scores of all methods as a Markdown table; differences are ours minus the method, with intervals."""
    levels = " / ".join(f"{100 * level:.0f}" for level in LEVELS)
    heading = [
        "method", "log error", "ours - method", "geometric mean", "ours / method", "CRPS", "log density",
        "ours - method", f"coverage of {levels} %", "interval score, 90 %", "s per curve",
    ]  # fmt: skip
    rows = [heading, ["---", *["---:"] * (len(heading) - 1)]]
    for name, by_group in result["methods"].items():
        mean, difference = by_group["all"], result["paired"].get(name, {}).get("all")
        covered = " / ".join(f"{100 * mean[f'coverage_{100 * level:.0f}']:.0f}" for level in LEVELS)
        rows.append(
            [
                name + (f" ({by_group['failed']} without forecast)" if by_group["failed"] else ""),
                f"{mean['log_error']:.4f}",
                _format(difference and difference["log_error"], "+.3f"),
                f"{mean['log_error_geometric']:.4f}",
                _format(difference and difference["log_error_ratio"], ".3f"),
                f"{mean['crps']:.4f}",
                f"{mean['log_density']:.3f}",
                _format(difference and difference["log_density"], "+.2f"),
                covered,
                f"{mean['interval_score']:.3f}",
                f"{by_group['seconds_per_curve']:.3g}",
            ]
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def round_numbers(value: Any) -> Any:
    """Round the floats in nested dicts to four significant digits, and make estimates lists `[value, low, high]`."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Estimate):
        return [round_numbers(number) for number in (value.value, value.low, value.high)]
    return {name: round_numbers(part) for name, part in value.items()} if isinstance(value, Mapping) else value


def draw_comparison(result: Mapping[str, Any], path: Path) -> None:
    """Draw the paired differences with their intervals, and the coverage of the first method, as PNG and SVG."""
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    names = list(result["paired"])
    ours = next(iter(result["methods"]))
    for axes, metric, sign, unit in ((left, "log_error", -1, ""), (middle, "log_density", 1, ", nats")):
        _draw_differences(axes, names, [result["paired"][name]["all"][metric] for name in names], sign)
        axes.set_xlabel(f"{metric.replace('_', ' ')}, {ours} - method{unit}", fontsize="large")
    middle.set_yticklabels([])
    middle.tick_params(axis="y", length=0)
    _draw_coverage(right, result["coverage"])
    right.set_title(f"coverage of {ours}", fontsize="large")
    for axes in (left, middle, right):
        axes.tick_params(labelsize="large")
    save_figure(figure, path)


def _draw_differences(axes: Axes, names: Sequence[str], estimates: Sequence[Estimate], sign: int) -> None:
    """Draw one row per method: blue where ours is better, orange where it is worse, grey where the interval holds 0.

    A value of more than three times the median is written at the edge, and intervals are cut there, so that they do not
    compress the axis.

    Args:
        axes: the axes.
        names: names of the methods.
        estimates: differences, ours minus the method.
        sign: sign of a difference in favour of ours.
    """
    end = 3 * float(np.median([abs(e.value) for e in estimates]))
    reach = 1.1 * min(end, max(max(abs(e.low), abs(e.high)) for e in estimates))
    axes.axvline(0, color="0.4", linewidth=1.2)
    for row, estimate in enumerate(estimates):
        decided = estimate.low > 0 or estimate.high < 0
        color = "0.5" if not decided else _BLUE if sign * estimate.value > 0 else _ORANGE
        if abs(estimate.value) > end:
            right = estimate.value > 0
            text = f"{estimate.value:.2g} →" if right else f"← {estimate.value:.2g}"
            axes.annotate(text, (float(right), row), xycoords=("axes fraction", "data"), color=color, fontsize="large",
                          ha="right" if right else "left", va="center")  # fmt: skip
            continue
        axes.plot([estimate.low, estimate.high], [row, row], color=color, linewidth=2.6, solid_capstyle="butt")
        axes.plot(estimate.value, row, "o", color=color, markersize=8)
    low = min(0.0, *(max(e.low, -reach) for e in estimates))
    high = max(0.0, *(min(e.high, reach) for e in estimates))
    margin = 0.08 * (high - low)
    axes.set_xlim(low - margin, high + margin)
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names], fontsize="large")
    axes.set_ylim(len(names) - 0.5, -0.5)
    label_axes(axes)
    axes.grid(axis="x", color="0.9", linewidth=0.8)


def _draw_coverage(axes: Axes, covered: Mapping[str, Any]) -> None:
    """Draw coverage against nominal levels: families in grey, all cases in colour with intervals."""
    nominal = 100 * np.array(LEVELS)

    def percent(estimates: Mapping[str, Estimate], field: str = "value") -> np.ndarray:
        return np.array([100 * getattr(estimate, field) for estimate in estimates.values()])

    axes.plot([46, 94], [46, 94], ":", color="0.2", linewidth=1.4, label="nominal")
    for kind, style in (("family", "-"), ("factor", "--")):
        for i, estimates in enumerate(covered[kind].values()):
            label = None if i else f"each {kind}"
            axes.plot(nominal, percent(estimates), style, color="0.7", linewidth=1.3, label=label)
    value = percent(covered["all"])
    spread = np.abs([value - percent(covered["all"], "low"), percent(covered["all"], "high") - value])
    axes.errorbar(nominal, value, yerr=spread, fmt="o-", color=_BLUE, markersize=8, linewidth=2, capsize=4, label="all")
    axes.set_xticks(nominal, [f"{level:.0f}" for level in nominal])
    axes.set_xlabel("level of the interval, %", fontsize="large")
    axes.set_ylabel("measurements inside, %", fontsize="large")
    label_axes(axes, grid=True)
    axes.set_xlim(nominal.min() - 4, nominal.max() + 4)
    axes.legend(frameon=False, fontsize="large", loc="lower right")


def _format(estimate: Estimate | None, spec: str) -> str:
    """Format a value with its interval; nothing for the first method."""
    if estimate is None:
        return ""
    return f"{estimate.value:{spec}} ({estimate.low:{spec}} to {estimate.high:{spec}})"
