"""`lcjax compare`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lcjax.cli import options
from lcjax.cli.command import Job, command
from lcjax.cli.numbers import Range
from lcjax.cli.targets import BestOption, MaximizeOption, MetricOption, TargetErrorOption, TargetOption, read_target
from lcjax.text import printable

if TYPE_CHECKING:
    from rich.console import Console

    from lcjax.curves.comparison.curve_comparison import CurveComparison
    from lcjax.curves.metrics import Metric

__all__ = ["compare"]

_SHOWN = 8  # curves compared with the baseline that are printed and drawn


@command("Curves", "compare.json")
def compare(
    job: Job,
    files: Annotated[
        list[Path],
        typer.Argument(
            help="CSV files of curves (as for `lcjax fit`), or folders of `lcjax collect`; at least two curves."
        ),
    ],
    baseline: Annotated[
        str | None, options.fit("Curve with which the others are compared.", show_default="the first")
    ] = None,
    target_size: Annotated[
        float | None,
        options.result(
            "Size at which to compare the curves.",
            numbers=Range(float, 0, open_low=True),
            show_default="16 times the largest measured size",
        ),
    ] = None,
    target: TargetOption = None,
    target_error: TargetErrorOption = None,
    metric: MetricOption = None,
    best: BestOption = None,
    maximize: MaximizeOption = False,
    paired: Annotated[
        bool, options.fit("Pair repeats with the same number (same seed and training examples).", "--paired")
    ] = False,
    guess: Annotated[
        float | None,
        options.fit(
            "Error (or value of --metric) at chance, such as 0.9 for ten classes; bounds every forecast.",
            numbers=Range(float),
        ),
    ] = None,
    draws: Annotated[int, options.fit("Number of draws per curve.", numbers=Range(int, 16, 100_000))] = 512,
    unit: Annotated[str, options.fit("What a size counts, in the plural, such as tokens or hours.")] = "examples",
    level: Annotated[
        float, options.fit("Nominal coverage of the intervals, such as 0.9 for 90 %.", numbers=options.ERROR)
    ] = 0.9,
    size_column: options.SizeColumnOption = None,
    metric_column: options.MetricColumnOption = None,
    repeat_column: options.RepeatColumnOption = None,
    curve_column: options.CurveColumnOption = None,
    select: options.SelectOption = None,
    allow_rising: Annotated[bool, options.fit("Also compare curves whose error rises.", "--allow-rising")] = False,
) -> None:
    """Compare the learning curves of models, recipes or data sets, now and with more data.

    Differences with intervals at measured and larger sizes, the probability of each order, the sizes where curves
    cross, and the amounts of data at which they are equivalent; see docs/compare.md. Writes compare.json,
    report.html and a figure.
    """
    import numpy as np

    from lcjax.cli.output import write_result
    from lcjax.curves.answer.plausibility import check_target
    from lcjax.curves.comparison.compare import compare_curves
    from lcjax.curves.metrics import find_metric
    from lcjax.reports.comparison import comparison_page
    from lcjax.studies.comparison.sources import read_compared
    from lcjax.studies.comparison.summary import summarize_comparison
    from lcjax.threads import import_ahead

    goal = read_target(target, target_error)
    asked = metric or (goal.metric if goal is not None and goal.metric != "error" else None)
    asked = "error" if asked is None and best is not None and metric_column is None else asked
    wanted = None if asked is None else find_metric(asked, best, maximize=maximize)
    compared = read_compared(
        files,
        wanted,
        paired=paired,
        allow_rising=allow_rising,
        size_column=size_column,
        metric_column=metric_column,
        repeat_column=repeat_column,
        curve_column=curve_column or (),
        select=options.parse_selection(select),
    )
    measure = compared.metric
    notes = list(compared.notes)
    chance = None if guess is None else float(measure.to_error(guess))
    if chance is not None and not chance > 0:
        raise ValueError(
            f"--guess must be worse than the best possible {measure.name}, {measure.best:g}, got {guess:g}."
        )
    error = None if goal is None else goal.to_error(measure)
    if error is not None:
        errors = np.concatenate([np.asarray(curve.error, float) for curve in compared.curves.values()])
        notes += check_target(errors, error, measure, chance=chance)
    folder = job.open_folder("compare-" + "-".join(path.resolve().stem for path in files)[:80])
    import_ahead("matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg")
    comparison = compare_curves(
        job.key,
        compared.curves,
        baseline=baseline,
        paired=paired,
        chance=chance,
        draws=draws,
        level=level,
        allow_rising=True,  # refused above, unless allowed
    )
    result = summarize_comparison(
        comparison, target_size=target_size, target_error=error, metric=measure, unit=printable(unit)
    )
    drawn = _draw(comparison, folder, result["target_size"], unit, measure)
    names = comparison.names
    listed = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) <= _SHOWN else f"{len(names)} curves"
    page = comparison_page(comparison, result, title=f"Comparison of {listed}", metric=measure, unit=unit, notes=notes)
    drawn.append(job.write_report(folder, page))
    settings = {
        "files": [path.name for path in files],
        "baseline": baseline,
        "target_size": target_size,
        "target": None if goal is None else goal.expression(measure),
        "metric": measure,
        "paired": paired,
        "guess": guess,
        "draws": draws,
        "unit": unit,
        "level": level,
        "allow_rising": allow_rising,
        "seed": job.seed,
    }
    path = write_result(folder / "compare.json", settings, **result, notes=notes)
    job.finish(path, drawn, lambda console: _print(console, result, measure, printable(unit), notes))


def _draw(comparison: "CurveComparison", folder: Path, end: float, unit: str, metric: "Metric") -> list[Path]:
    from matplotlib.figure import Figure

    from lcjax.cli.output import save_figure
    from lcjax.plots.comparison import plot_compared_curves, plot_differences

    figure = Figure(figsize=(10.4, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    end = max(end, 2 * comparison.largest)
    plot_compared_curves(comparison, left, end=end, unit=unit, metric=metric)
    plot_differences(comparison, right, end=end, unit=unit, metric=metric)
    return [*save_figure(figure, folder / "compare")]


def _print(console: "Console", result: Mapping[str, Any], metric: "Metric", unit: str, notes: list[str]) -> None:
    from lcjax.cli.output import print_table
    from lcjax.reports.comparison import difference_table, target_table

    tables = [difference_table(result, entry, metric, unit) for entry in result["comparisons"][:_SHOWN]]
    for table in tables:
        print_table(console, printable(table.title), table.columns, table.rows)
    if len(result["comparisons"]) > _SHOWN:
        console.print(f"The first {_SHOWN} of {len(result['comparisons'])} comparisons; compare.json has all.")
    for sentence in result["sentences"]:
        console.print(printable(sentence), markup=False, highlight=False)
    if result["target"] is not None:
        title, columns, rows = target_table(result, metric, unit)
        print_table(
            console, printable(title), list(map(printable, columns)), [list(map(printable, row)) for row in rows]
        )
    for note in notes:
        console.print(printable(note), markup=False)
