"""Figures and tables of `lcjax rank`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, SupportsFloat

import numpy as np
from matplotlib.figure import Figure

from lcjax.cli.output import print_table, save_figure
from lcjax.plots import hierarchy as plots
from lcjax.plots.style import label_axes, plain_numbers, plain_text

if TYPE_CHECKING:
    from rich.console import Console

    from lcjax.studies.ranking.rank import Hierarchy
    from lcjax.studies.ranking.task import RankedTask

__all__ = ["draw_hierarchy", "print_hierarchy"]

VIOLINS = 10  # smallest number of repeats for which the distribution is drawn


def draw_hierarchy(hierarchy: "Hierarchy", tasks: "Sequence[RankedTask]", folder: Path) -> list[Path]:
    """Draw and save all figures of a ranking, and return their paths."""
    files: list[Path] = []
    rows = len(tasks)
    figure = Figure(figsize=(12.0, 3.1 * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, 3, squeeze=False)
    for row, task in enumerate(tasks):
        curve = hierarchy.curves[task.name][task.metric]
        metric = f"{task.metric}, nats" if task.metric == "loss" else task.metric
        functions = (plots.plot_task_curve, plots.plot_task_model_size, plots.plot_fixed_nets)
        for axes, plot, label in zip(panels[row], functions, (metric, "parameters", metric), strict=True):
            plot(curve, axes)
            label_axes(axes, task.unit, label)
            axes.legend(frameon=False, fontsize="x-small")
            plain_numbers(axes)
        panels[row, 0].set_title(plain_text(task.name), loc="left", fontsize="medium")
    files += save_figure(figure, folder / "curves")
    if hierarchy.ranking is not None:
        figure = Figure(figsize=(7.2, 1.2 + 0.4 * len(hierarchy.ranking.names)), layout="constrained")
        published = {task.name: task.paper_exponents(task.metric) for task in tasks}
        plots.plot_exponents(hierarchy, published, figure.subplots())
        files += save_figure(figure, folder / "exponents")
    for task in tasks:
        grid = hierarchy.scores[task.name]
        if grid.test[task.metric].shape[1] >= VIOLINS:
            figure = Figure(figsize=(11.0, 4.5), layout="constrained")
            left, right = figure.subplots(1, 2)
            plots.plot_repeats(grid, task.metric, left)
            plots.plot_spread(grid, task.metric, right)
            left.set_title(plain_text(f"{task.name}: repeats"))
            label_axes(left, task.unit, task.metric)
            label_axes(right, task.unit, "standard deviation over repeats")
            plain_numbers(left)
            plain_numbers(right)
            files += save_figure(figure, folder / f"repeats-{task.name.replace(' ', '-').replace(',', '')}")
    return files


def print_hierarchy(console: "Console", hierarchy: "Hierarchy", tasks: "Sequence[RankedTask]", scale: str) -> None:
    """Print ranks, model sizes, exponents in every metric, fits of single models, variants and correlations."""
    by_name = {task.name: task for task in tasks}
    ranking, rows, sizes = hierarchy.ranking, [], []
    for i, name in enumerate(ranking.names if ranking is not None else ()):
        assert ranking is not None
        task, curve = by_name[name], hierarchy.curves[name][by_name[name].metric]
        law = curve.model_size
        rank = f"{ranking.rank_low[i]} to {ranking.rank_high[i]}"
        exponent = _interval(ranking.exponent[i], ranking.low[i], ranking.high[i])
        rows.append([f"{name}, {task.metric}", rank, exponent, _paper_exponent(task, task.metric)])
        size = "" if law is None else f"{float(law.exponent):.2f} ± {float(law.exponent_error):.2f}"
        fitted, last = f"{int(np.sum(curve.fitted))} of {len(curve.fitted)}", float(np.asarray(curve.curve.error)[-1])
        sizes.append([name, size, _paper_exponent(task, "model size", 2), fitted, f"{curve.guess:.3g}", f"{last:.3g}"])
    title = f"Hierarchy of tasks, {scale} scale; ranks and intervals at 90 %"
    print_table(console, title, ["task", "rank", "exponent", "paper"], rows)
    columns = ["task", "exponent", "paper", "fitted", "best guess", "last score"]
    print_table(console, "Size of the best model, fitted sizes, first and last score", columns, sizes)
    rows = [
        [
            task.name,
            metric,
            "not fitted" if curve.fit is None else _interval(curve.exponent, *curve.interval()),
            _paper_exponent(task, metric),
        ]
        for task in tasks
        for metric, curve in hierarchy.curves[task.name].items()
    ]
    print_table(console, "Exponent in every metric", ["task", "metric", "exponent", "paper"], rows)
    for task in tasks:
        for metric, curve in hierarchy.curves[task.name].items():
            if curve.fit is not None and bool(curve.fit.flags.changed):
                console.print(
                    f"{task.name}, {metric}: the score is 0 at some size, where it counts as half a mistake in the "
                    "test set; the exponent depends on this choice."
                )
    rows = []
    for task in tasks:
        for net in hierarchy.curves[task.name][task.metric].fixed_laws():
            numbers = [f"{int(net['parameters']):,}", f"{net['exponent']:.3f}", f"{net['offset']:.3g}"]
            rows.append([task.name, *numbers, f"{100 * net['relative_error']:.1f} %"])
    if rows:
        columns = ["task", "parameters", "exponent", "offset", "residual"]
        print_table(console, "Models of fixed size: scale * size ** exponent + offset", columns, rows)
    if hierarchy.comparisons:
        rows = [
            [
                f"{one.first} /\n{one.second}",
                f"{one.difference:+.3f} ({one.low:+.3f} to {one.high:+.3f})",
                "yes" if one.stable else "no",
                f"{one.error_ratio:.2f} ({one.ratio_low:.2f} to {one.ratio_high:.2f})",
            ]
            for one in hierarchy.comparisons
        ]
        print_table(console, "Variants", ["pair", "difference of exponents", "same", "ratio of errors"], rows)
    if np.isfinite(hierarchy.correlation):
        console.print(
            f"Correlation of the exponents of error and model size over tasks: {hierarchy.correlation:.2f} (Pearson), "
            f"{hierarchy.rank_correlation:.2f} (Spearman)."
        )
    for task in tasks:
        if hierarchy.curves[task.name][task.metric].fit is None:
            console.print(f"{task.name}: not ranked, fewer than three sizes are 5 % better than the best guess.")
        if task.note:
            console.print(f"{task.name}: {task.note}.")


def _interval(value: SupportsFloat, low: SupportsFloat, high: SupportsFloat) -> str:
    return f"{float(value):.3f} ({float(low):.3f} to {float(high):.3f})"


def _paper_exponent(task: "RankedTask", metric: str, digits: int = 3) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in task.paper_exponents(metric))
