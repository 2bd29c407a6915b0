"""Tables and figure of `benchmarks.runs_in_flight`."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.forecast.comparison import Estimate
from lcjax.plots.style import label_axes, plain_errors

__all__ = ["Example", "draw_figure", "format_tables"]

_COLORS = {
    "ours": "#0072B2",
    "ours, run alone": "#56B4E9",
    "power law": "#009E73",
    "last value": "#D55E00",
    "logistic": "#D55E00",
}
_WIDTH = 0.16  # of a bar


@dataclasses.dataclass(frozen=True)
class Example:
    """A run with the forecast of its last record.

    Attributes:
        value: complete curve, `(s,)`.
        count: number of records up to the cut.
        draws: equally likely last records, `(k,)`.
    """

    value: Float[np.ndarray, " s"]
    count: int
    draws: Float[np.ndarray, " k"]


def format_tables(result: Mapping[str, Any]) -> str:
    """Format scores, reliability and stopping rules as Markdown."""
    scores, groups = result["scores"], [group for group in result["scores"]["ours"] if group != "all"]
    heading = ["method", "log error", "ours - method", "CRPS", "ours - method", "coverage of 50 / 80 / 90 %", "Brier"]
    rows = [[*heading, "ours - method"]]
    for name, by_group in scores.items():
        mean, apart = by_group["all"], result["ours - method"][name].get("all", {})
        covered = [f"{100 * value:.0f}" for metric, value in mean.items() if metric.startswith("coverage")]
        pairs = {metric: [_number(mean.get(metric)), _difference(apart.get(metric))] for metric in _PAIRED}
        rows.append([name, *pairs["log_error"], *pairs["crps"], " / ".join(covered), *pairs["brier"]])
    detail = [["method", *groups]]
    for name, by_group in scores.items():
        cells = [(_number(by_group[group].get("log_error")), _number(by_group[group]["brier"])) for group in groups]
        detail.append([name, *("; ".join(part or "-" for part in cell) for cell in cells)])
    shuffled = result["random orders"]
    brier = [["", *shuffled["brier"]], ["Brier score", *map(_number, shuffled["brier"].values())]]
    rules = [["rule, asked at 1/8, 1/4 and 1/2 of the steps", "curve", "steps saved", "regret", "best run stopped"]]
    for rule in shuffled["rules"]:
        shares = f"{100 * rule['saved']:.0f} %", _number(rule["regret"]), f"{100 * rule['missed']:.0f} %"
        rules.append([rule["rule"], rule["curve"], *shares])
    parts = [
        _table(rows),
        "Log error; Brier score:",
        _table(detail),
        "Reliability of the probability of ending below the best finished run, ours:",
        _table(_bins(result["reliability"]["ours"], intervals=True)),
        f"Mean of {shuffled['orders']} random orders of each sweep, and reliability of ours:",
        _table(brier),
        _table(_bins(shuffled["reliability"]["ours"], intervals=False)),
        "Stopping rules in these orders; the regret is the mean over sweeps of log(best / best without stopping):",
        _table(rules),
    ]
    return "\n\n".join(parts) + "\n"


_PAIRED = ("log_error", "crps", "brier")


def _bins(bins: Sequence[Mapping[str, Any]], *, intervals: bool) -> list[list[str]]:
    """Return the rows of a reliability table; without intervals for random orders, which share their runs."""
    rows = [["probability", "forecasts", "mean probability", "frequency", *(["95 % interval"] if intervals else [])]]
    for b in bins:
        interval = [f"{b['low']:.3f} to {b['high']:.3f}"] if intervals else []
        cells = [str(b["count"]), _number(b["probability"]), _number(b["frequency"])]
        rows.append([f"{b['from']:g} to {b['to']:g}", *cells, *interval])
    return rows


def _table(rows: Sequence[Sequence[str]]) -> str:
    line = "|".join(["", "---", *["---:"] * (len(rows[0]) - 1), ""])
    first, *rest = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join([first, line, *rest])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _difference(estimate: Estimate | None) -> str:
    return "" if estimate is None else f"{estimate.value:+.3f} ({estimate.low:+.3f} to {estimate.high:+.3f})"


def draw_figure(result: Mapping[str, Any], examples: Sequence[Example], path: Path) -> None:
    """Draw examples of forecasts, log errors by cut, and the reliability of the probabilities."""
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _draw_examples(left, examples)
    scores = result["scores"]
    cuts = [group for group in scores["ours"] if group.startswith("cut")]
    shown = [name for name in _COLORS if "log_error" in scores[name]["all"]]
    for i, name in enumerate(shown):
        place = np.arange(len(cuts)) + (i - len(shown) / 2 + 0.5) * _WIDTH
        middle.bar(place, [scores[name][cut]["log_error"] for cut in cuts], _WIDTH, color=_COLORS[name], label=name)
    middle.set_xticks(range(len(cuts)), [cut.removeprefix("cut at ") for cut in cuts])
    label_axes(middle, "share of the steps recorded", "mean log error of the last record")
    middle.legend(frameon=False, fontsize="small", loc="upper right")
    right.plot([0, 1], [0, 1], ":", color="0.3", linewidth=1)
    for name in ("logistic", "ours"):
        bins = result["reliability"][name]
        x, y, low, high = (np.array([b[q] for b in bins]) for q in ("probability", "frequency", "low", "high"))
        label = f"{name}, Brier {scores[name]['all']['brier']:.3f}"
        spread = [y - low, high - y]
        right.errorbar(x, y, yerr=spread, fmt="o-", markersize=4, linewidth=1.2, color=_COLORS[name], label=label)
    label_axes(right, "probability of ending below the best finished run", "frequency")
    right.legend(frameon=False, fontsize="small", loc="lower left", bbox_to_anchor=(0, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def _draw_examples(axes: Axes, examples: Sequence[Example]) -> None:
    """Draw runs up to the cut (thick) and beyond it (thin), with the 80 % interval of the last record at the right."""
    for i, example in enumerate(examples):
        share, color = np.arange(1, len(example.value) + 1) / len(example.value), f"C{i}"
        axes.plot(share, example.value, color=color, linewidth=0.8, alpha=0.6)
        axes.plot(share[: example.count], example.value[: example.count], color=color, linewidth=1.8)
        low, median, high = np.quantile(example.draws, (0.1, 0.5, 0.9))
        place, spread = 1.04 + 0.03 * i, [[median - low], [high - median]]
        axes.errorbar(place, median, yerr=spread, fmt="o", color=color, markersize=4)
        axes.axvline(share[example.count - 1], color="0.8", linewidth=0.8, zorder=0)
    axes.set_yscale("log")
    plain_errors(axes)
    axes.set_xticks((0, 0.25, 0.5, 0.75, 1))
    label_axes(axes, "share of the steps", "validation loss, and its forecast at the end")
