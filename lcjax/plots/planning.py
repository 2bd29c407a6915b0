"""Figures of plans of data collection."""

from typing import TYPE_CHECKING

import numpy as np

from lcjax.planning.collection_plan import REQUIRED_LEVELS, CollectionPlan
from lcjax.plots.style import label_axes, plain_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["end_of_axis", "plot_plan"]

_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5195", "#999999")


def end_of_axis(plan: CollectionPlan) -> float:
    """Return the largest size to draw: beyond the plan and most of the sizes that may be required.

    Args:
        plan: a plan for targets.

    Examples:
        >>> from lcjax.planning.data_types import DataTypes, plan_types
        >>> from lcjax.planning.selection import Criterion
        >>> known, one = np.array([[200.0, 220.0, 400.0, np.inf]]), np.ones(1)
        >>> types = DataTypes(("",), 0.1 * one, 100.0 * one, np.zeros(1, bool), known, one, 0.0, np.inf * one)
        >>> end_of_axis(plan_types(types, 2, Criterion(risk=0.25), False))
        600.0
    """
    assert plan.required_quantiles is not None
    finite = plan.required_quantiles[np.isfinite(plan.required_quantiles)]
    most = np.quantile(finite, 0.9) if finite.size else 4 * np.max(plan.start)
    planned = np.max(plan.size, initial=float(np.max(plan.start)))
    return float(1.5 * max(min(most, 1e3 * np.max(plan.start)), planned))


def plot_plan(plan: CollectionPlan, axes: "Axes", *, unit: str = "examples") -> None:
    """Plot the distribution of the size that each type requires, with the rounds of the plan on it.

    A curve is the probability that the measured error meets the target at a size. For a budget without a target, bars
    show the examples at hand and those to collect.

    Args:
        plan: the plan.
        axes: where to draw.
        unit: what a size counts, in the plural.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if plan.required_quantiles is None:
        _plot_division(plan, axes, unit)
        return
    end = end_of_axis(plan)
    axes.set_xscale("log")
    for i, name in enumerate(plan.names):
        color = _COLORS[i % len(_COLORS)]
        quantiles = plan.required_quantiles[i]
        inside = quantiles <= end
        x = np.concatenate([[plan.start[i]], quantiles[inside], [end]])
        y = np.concatenate([[0.0], REQUIRED_LEVELS[inside], [max(REQUIRED_LEVELS[inside], default=0.0)]])
        y = np.where(np.all(quantiles <= plan.start[i]), 1.0, y)  # met already
        label = plain_text(name) if name else "probability that the target is met"
        axes.plot(x, y, drawstyle="steps-post", color=color, linewidth=1.6, label=label)
        sizes = np.unique(plan.size[i][plan.size[i] > plan.start[i]])
        height = np.interp(np.log(sizes), np.log(x), y)
        axes.vlines(sizes, 0, height, color=color, linewidth=0.9, linestyle=":")
        axes.plot(sizes, height, "o", color=color, markersize=5)
        for number, (size, at) in enumerate(zip(sizes, height, strict=True), 1):
            axes.annotate(f"{number}", (size, at), (-4, 5), textcoords="offset points", ha="right", fontsize="small")
    axes.plot([], [], "o", color="black", markersize=5, label="rounds")
    axes.set_xlim(min(plan.start) / 1.05, end)
    axes.set_ylim(0, 1.05)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if end < 200 * min(plan.start) else (1,), numticks=20))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,.4g}" if size < 1 else f"{size:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    label_axes(axes, f"{unit} of each type" if len(plan.names) > 1 else unit, "probability")
    _add_legend(axes)


def _plot_division(plan: CollectionPlan, axes: "Axes", unit: str) -> None:
    place = np.arange(len(plan.names))
    axes.barh(place, plan.start, color="#94BEDB", label="at hand")
    axes.barh(place, plan.size[:, -1] - plan.start, left=plan.start, color="#0072B2", label="to collect")
    axes.set_yticks(place, [plain_text(name) for name in plan.names])
    axes.invert_yaxis()
    label_axes(axes, unit, "")
    _add_legend(axes)


def _add_legend(axes: "Axes") -> None:
    """Add a legend above the axes, where it covers nothing."""
    axes.legend(frameon=False, fontsize="small", loc="lower left", bbox_to_anchor=(0, 1), ncols=4)
