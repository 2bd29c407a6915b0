"""Tables and figure of `benchmarks.assurance`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from benchmarks.assurance.truth import Truth
from lcjax.files import atomic_path
from lcjax.plots.style import label_axes

__all__ = ["draw_figure", "format_tables"]

_RATIOS = np.geomspace(0.3, 3.0, 65)
_KNOWN = 0.9  # smallest share of lines for which their mean is drawn
_GROUPS = {"inside": ("#0072B2", slice(0, 3)), "beyond": ("#D55E00", slice(3, 4))}


def format_tables(result: Mapping[str, Any]) -> str:
    """Format the numbers of `assurance.json` as Markdown."""
    environment = result["environment"]
    versions = environment["versions"]
    head = f"{environment['device']}, Python {versions['python']}, jax {versions['jax']}"
    parts = ["# Assured sizes and numbers of test examples", head, *_assurance(result), *_test_sets(result["sets"])]
    return "\n\n".join(parts) + "\n"


def draw_figure(
    panels: Mapping[str, tuple[Truth, Float[np.ndarray, "p t"], Float[np.ndarray, "p t"]]], path: Path
) -> None:
    """Draw the share of trainings that meet the target against the size relative to the answer.

    Thin lines are plans and targets, thick lines their means.

    Args:
        panels: truth, assured sizes and targets by data set.
        path: path of the PNG file.
    """
    figure = Figure(figsize=(3.6 * len(panels), 3.9), layout="constrained")
    for axes, (name, (truth, size, target)) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        for group, (color, columns) in _GROUPS.items():
            lines = []
            for n, e in zip(size[:, columns].ravel(), target[:, columns].ravel(), strict=True):
                if not np.isfinite(n):
                    continue
                at = n * _RATIOS
                share = np.where(truth.is_outside(at), np.nan, truth.share(at, np.asarray(e)))
                axes.plot(_RATIOS, 100 * share, color=color, linewidth=0.6, alpha=0.3)
                lines.append(share)
            if lines:
                table = np.array(lines)
                known = np.isfinite(table).sum(axis=0)
                mean = np.where(known >= _KNOWN * len(table), np.nansum(table, axis=0) / np.maximum(known, 1), np.nan)
                axes.plot(_RATIOS, 100 * mean, color=color, linewidth=2.5, label=f"target {group}")
        axes.axhline(80, color="black", linewidth=1, linestyle=":")
        axes.axvline(1, color="black", linewidth=1, linestyle=":")
        axes.set_xscale("log")
        axes.set_xlim(_RATIOS[0], _RATIOS[-1])
        axes.set_ylim(0, 100)
        ticks = (0.5, 1, 2)
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([f"{tick:g}" for tick in ticks])
        axes.set_yticks([0, 20, 40, 60, 80, 100])
        axes.tick_params(labelsize="large")
        axes.set_title(name, fontsize="x-large")
        label_axes(axes, "size / assured size")
        axes.xaxis.label.set_size("large")
    figure.axes[0].set_ylabel("trainings that meet the target (%)", fontsize="large")
    figure.axes[0].legend(frameon=False, fontsize="large", loc="lower right", handlelength=1.0)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130, format="png")


def _assurance(result: Mapping[str, Any]) -> list[str]:
    """Format shares, their decomposition, the coverage of the interval, and the trainings."""
    rows = [["data set", "answer", *(f"{group}, % that meet the target" for group in _GROUPS), "over plans",
             "of the truth", "without smoothing", "no size / outside / answers"]]  # fmt: skip
    for name, methods in result["shares"].items():
        for method, groups in methods.items():
            inside, beyond = (groups[group] for group in _GROUPS)
            counts = [sum(g[key] for g in (inside, beyond)) for key in ("infinite", "outside", "answers")]
            rows.append([
                name, method, _interval(inside), _interval(beyond),
                " / ".join(_percent(g["spread"]) for g in (inside, beyond)),
                " / ".join(_percent(g["truth_error"]) for g in (inside, beyond)),
                " / ".join(_percent(g["rough"]) for g in (inside, beyond)),
                " / ".join(map(str, counts)),
            ])  # fmt: skip
    reasons = [["data set", "targets", "deviate: needed", "mean", "spread", "share at the mean deviate, %",
                "noise, forecast / true", "curve, forecast / true (spread of log)",
                "90 % interval covers, %"]]  # fmt: skip
    for name, one in result["sets"].items():
        for group in _GROUPS:
            found, coverage = one["diagnosis"].get(group), one["interval"]["coverage of 90 %"][group]
            if found is not None:
                reasons.append([
                    name, group, f"{one['diagnosis']['needed']:.2f}", *(f"{v:.2f}" for v in found["deviate"]),
                    _percent(found["share at mean deviate"]), f"{found['noise']:.2f}",
                    f"{found['curve']:.3f} ({found['curve, spread of log']:.3f})",
                    f"{_percent(coverage['value'])} ({coverage['answers']})",
                ])  # fmt: skip
    runs = [["data set", "size", "error", "spread of log error: plans", "fresh", "smoothed", "training error"]]
    for name, one in result["sets"].items():
        plans, truth = one["plans"], one["truth"]
        measured = dict(zip(plans["size"], plans["spread of log error"], strict=True))
        error = np.array(truth["error"], float).mean(axis=0)
        for i, size in enumerate(truth["size"]):
            spreads = (measured.get(size), truth["spread of log error"][i], truth["smoothed"][i])
            cells = ["" if s is None else f"{s:.3f}" for s in spreads]
            runs.append([name, f"{size:,}", f"{error[i]:.4f}", *cells, f"{truth['train_error'][i]:.4f}"])
    overlap = ", ".join(
        f"{name} {one['truth']['size'][-1]:,} of {one['reservoir']:,}" for name, one in result["sets"].items()
    )
    return [
        "## Share of fresh trainings that meet the target at the answered size",
        "The share for `assured` should be 80 %. In parentheses: 95 % interval from a bootstrap over plans and fresh "
        "trainings. Over plans: standard deviation of a plan's mean share (inside / beyond). Of the truth: standard "
        "error from the fresh trainings alone. Without smoothing: errors interpolated between neighboring sizes. "
        "Answers outside the sizes of the fresh trainings count with the share at the nearest size.",
        _table(rows),
        "## Why the share differs from 80 %",
        "The deviate is the distance of the target from the true mean log error at the answer, in true standard "
        "deviations. Noise: distance that the forecast allows for one training, relative to the true one. Curve: "
        "forecast of the error at the answer, relative to the true geometric mean error.",
        _table(reasons),
        "## Trainings",
        f"All training sets are subsets of a reservoir common to plans and truth. Largest sizes: {overlap}.",
        _table(runs),
    ]


def _test_sets(sets: Mapping[str, Any]) -> list[str]:
    rows = [["data set", "margin", "passes if better by the margin, % (at least 80)", "lowest exact",
             "passes if at the target, % (at most 5)", "highest exact", "test examples",
             "networks (with replacement: better, equal)"]]  # fmt: skip
    for name, one in sets.items():
        for p in one["test sets"]:
            rows.append([
                name, f"{p['margin']:g}", f"{_percent(p['better'])} ± {100 * p['better_error']:.2f}",
                _percent(p["least"]), f"{_percent(p['equal'])} ± {100 * p['equal_error']:.2f}", _percent(p["most"]),
                " to ".join(f"{n:,}" for n in p["examples"]),
                f"{p['networks']} ({p['replaced'][0]}, {p['replaced'][1]})",
            ])  # fmt: skip
    return [
        "## Number of test examples",
        "Random test sets of `minimum_test_examples` examples and the exact one-sided binomial test at level 5 %. "
        "Test sets are drawn from the evaluation set without replacement where it is at least five times larger.",
        _table(rows),
    ]


def _interval(estimate: Mapping[str, float]) -> str:
    if estimate["value"] is None:
        return ""
    return f"{_percent(estimate['value'])} ({_percent(estimate['low'])} to {_percent(estimate['high'])})"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _table(rows: list[list[str]]) -> str:
    head, *body = rows
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *body])
