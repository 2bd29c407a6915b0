"""`lcjax compare`."""

import math
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
    cross, and the amounts of data at which they are equivalent; see docs/compare.md. Writes compare.json and a figure.
    """
    import numpy as np

    from lcjax.cli.output import write_result
    from lcjax.curves.answer.plausibility import check_target
    from lcjax.curves.comparison.compare import compare_curves
    from lcjax.curves.metrics import find_metric
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
    from lcjax.cli.output import format_number, format_size, print_table

    percent = f"{100 * result['level']:g} %"
    for entry in result["comparisons"][:_SHOWN]:
        rows, equal = [], entry["data_equivalent"]
        for i, size in enumerate(entry["size"]):
            rows.append([
                format_size(size) if size <= result["now"] * (1 + 1e-6) else f"{format_size(size)} *",
                format_number(entry["difference"][i], "+.3g"),
                f"{format_number(entry['low'][i], '+.3g')} to {format_number(entry['high'][i], '+.3g')}",
                f"{entry['probability_better'][i]:.2f}",
                f"{entry['probability_of_reversal'][i]:.2f}",
                ("<= " if equal["at_smallest"][i] else "") + format_number(equal["value"][i]),
            ])  # fmt: skip
        columns = [unit, metric.name, percent, "better", "reversed", "times the data"]
        title = f"{printable(entry['curve'])} minus {printable(result['baseline'])} (* forecast)"
        print_table(console, title, columns, rows)
    if len(result["comparisons"]) > _SHOWN:
        console.print(f"The first {_SHOWN} of {len(result['comparisons'])} comparisons; compare.json has all.")
    for sentence in result["sentences"]:
        console.print(printable(sentence), markup=False, highlight=False)
    if result["target"] is not None:
        _print_target(console, result, metric, unit)
    for note in notes:
        console.print(printable(note), markup=False)


def _print_target(console: "Console", result: Mapping[str, Any], metric: "Metric", unit: str) -> None:
    from lcjax.cli.output import format_number, format_size, print_table
    from lcjax.formats import are_counts

    whole = are_counts(size for curve in result["curves"] for size in curve["size"])

    def limits_of(answer: Mapping[str, Any]) -> str:
        low, high = answer["low"], answer["high"]
        if low is None or low != low:
            return "never"
        lower = format_size(low, whole=whole)
        return f"{lower} or more" if high is None else f"{lower} to {format_size(high, whole=whole)}"

    def saving(answer: Mapping[str, float]) -> str:
        value, low, high = (answer[key] for key in ("value", "low", "high"))
        if not math.isfinite(value):
            return "–"
        lower, upper = (format_number(x, ",.0f") if math.isfinite(x) else "" for x in (low, high))
        limits = f"{lower} to {upper}" if lower and upper else f"{lower} or more" if lower else f"{upper} or less"
        return f"{format_number(value, ',.0f')} ({limits if lower or upper else 'no limits'})"

    rows = []
    for name, entry in result["target"]["curves"].items():
        size = entry["size"]
        value = "never" if size["value"] is None else format_size(size["value"], whole=whole)
        own = ["", ""] if name == result["baseline"] else [
            f"{entry['probability_of_fewer']:.2f}", saving(entry["saved"])
        ]  # fmt: skip
        rows.append([printable(name), value, limits_of(size), f"{100 * size['never']:.0f} %", *own])
    base = printable(result["baseline"])
    columns = ["curve", unit, f"{100 * result['level']:g} %", "never", f"P(fewer than {base})", f"fewer than {base}"]
    print_table(console, f"{unit} for {metric.name} {result['target'][metric.name]:g}".capitalize(), columns, rows)
