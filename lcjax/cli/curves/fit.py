"""`lcjax fit`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcjax.cli import options
from lcjax.cli.command import Job, command
from lcjax.cli.curves.forecasts import Summary, draw_forecasts, print_forecasts
from lcjax.cli.curves.parts import describe_parts, note_rising, without_whole
from lcjax.cli.numbers import OptionError, Range
from lcjax.cli.targets import (
    BestOption,
    MaximizeOption,
    MetricOption,
    TargetErrorOption,
    TargetOption,
    read_target,
    without_metric_note,
)
from lcjax.text import printable

if TYPE_CHECKING:
    from rich.console import Console

    from lcjax.curves.metrics import Metric
    from lcjax.studies.fitting.fitted_curves import FittedCurves
    from lcjax.studies.fitting.held_out import HeldOutScores

__all__ = ["fit"]


@command("Curves", "fit.json")
def fit(
    job: Job,
    file: Annotated[
        Path,
        typer.Argument(help="CSV or Parquet file with sizes and errors, - for standard input, or a folder of mlruns."),
    ],
    target: TargetOption = None,
    target_error: TargetErrorOption = None,
    metric: MetricOption = None,
    best: BestOption = None,
    maximize: MaximizeOption = False,
    dimension: Annotated[
        float | None,
        options.fit(
            "Effective dimension d, from `lcjax predict`: expects an exponent near -1/d; for 3 to 6 sizes.",
            numbers=Range(float, 0, open_low=True),
        ),
    ] = None,
    fine_tuning: Annotated[
        bool, options.fit("Add the scaling law of fine-tuned pre-trained networks.", "--fine-tuning")
    ] = False,
    guess: Annotated[
        float | None,
        options.fit(
            "Error (or value of --metric) at chance, such as 0.9 for ten classes; bounds every forecast.",
            numbers=Range(float),
        ),
    ] = None,
    form: Annotated[
        list[str] | None,
        options.fit(
            "Functional form, such as mmf, of a mixture weighted by back-tests; repeatable.",
            show_default="Bayesian average over families",
        ),
    ] = None,
    draws: Annotated[int, options.fit("Number of draws per curve.", numbers=Range(int, 1, 100_000))] = 512,
    unit: Annotated[str, options.fit("What a size counts, in the plural, such as tokens or hours.")] = "examples",
    level: Annotated[
        float, options.fit("Nominal coverage of the intervals, such as 0.9 for 90 %.", numbers=options.ERROR)
    ] = 0.9,
    size_column: options.SizeColumnOption = None,
    metric_column: options.MetricColumnOption = None,
    repeat_column: options.RepeatColumnOption = None,
    curve_column: options.CurveColumnOption = None,
    select: options.SelectOption = None,
    allow_rising: Annotated[bool, options.fit("Also fit curves whose error rises.", "--allow-rising")] = False,
    pool: Annotated[
        bool, options.fit("Let the forecasts of related curves, such as those of classes, inform each other.", "--pool")
    ] = False,
    track: options.TrackOption = None,
) -> None:
    """Fit learning curves from a CSV file, forecast them, and estimate how many examples reach an error.

    The forecast is a Bayesian average over families of curves, with intervals; see docs/fit.md. A file in the layout of
    the public benchmark (Domain, Task, Model, Seen Examples, Loss, Training) is also scored on its held-out rows.
    Writes fit.json, report.html and figures.
    """
    from lcjax.cli.output import write_result
    from lcjax.curves import forms as known
    from lcjax.curves.metrics import find_metric
    from lcjax.curves.readers.csv import read_curves
    from lcjax.reports.attachments import attach_table
    from lcjax.reports.forecasts import forecast_page
    from lcjax.studies.fitting.fitted_curves import fit_learning_curves
    from lcjax.studies.fitting.held_out import score_held_out
    from lcjax.studies.fitting.summary import summary
    from lcjax.threads import import_ahead
    from lcjax.tracking.scalars import TrackedResult
    from lcjax.tracking.trackers import find_tracker

    goal = read_target(target, target_error)
    asked = metric or (goal.metric if goal is not None and goal.metric != "error" else None)
    asked = "error" if asked is None and best is not None and metric_column is None else asked
    wanted = None if asked is None else find_metric(asked, best, maximize=maximize)
    names = {value.__name__: value for value in vars(known).values() if isinstance(value, known.Form)}
    for name in form or ():
        if name not in names:
            raise OptionError(f"--form {name!r} is not a form; the forms are {', '.join(sorted(names))}.")
    forms = tuple(names[name] for name in form) if form else None
    table = read_curves(
        str(file),
        wanted,
        size_column=size_column,
        metric_column=metric_column,
        repeat_column=repeat_column,
        curve_column=curve_column or (),
        select=options.parse_selection(select),
    )
    table = without_metric_note(table, goal)
    table, some_rise = note_rising(without_whole(table)) if pool else (table, False)
    measure = table.metric
    limits = {
        "guess": _to_error("--guess", guess, measure),
        "target_error": None if goal is None else goal.to_error(measure),
    }
    trackers = [find_tracker(address) for address in track or ()]
    label = Path("stdin") if str(file) == "-" else file.resolve()
    folder = job.open_folder(f"fit-{label.stem}")
    import_ahead("matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg")
    settings = options.Settings(dimension=dimension, fine_tuning=fine_tuning, draws=draws, level=level)
    errors = options.Settings(limits)
    rising = allow_rising or some_rise or not table.fitted.all()
    with job.show_progress() as report:
        fitted = fit_learning_curves(
            job.key, table, forms=forms, **settings, **errors, allow_rising=rising, pooled=pool, on_progress=report
        )
    scores = None if table.fitted.all() else score_held_out(fitted)
    curves = summary(fitted)
    values = {
        "metric": measure,
        "guess": guess,
        "target": None if goal is None else goal.expression(measure),
        "unit": unit,
    }
    flags = {"allow_rising": allow_rising, "pool": pool, "seed": job.seed}
    settings = {"file": label.name, "forms": form, **values, **settings, **flags}
    files = _draw(fitted, scores, folder, unit)  # before the result: an interrupted command leaves no JSON without them
    attached = attach_table(table, "curves.csv")
    page = forecast_page(fitted, curves, unit, title=f"Forecast of {label.name}", attachment=attached)
    files.append(job.write_report(folder, page))
    result = write_result(folder / "fit.json", settings, absent_rows=table.absent, curves=curves, scores=scores)
    for tracker in trackers:
        tracker(TrackedResult(f"fit-{label.stem}", settings, table, fitted, [result, *files]))
    job.finish(result, files, lambda console: _print(console, fitted, curves, scores, printable(unit)))


def _to_error(option: str, value: float | None, metric: "Metric") -> float | None:
    """Return the error that corresponds to an option's value of the metric; None if the option is not set."""
    if value is None or metric.to_error(value) > 0:
        return None if value is None else float(metric.to_error(value))
    side = "below" if metric.rises else "above"
    raise ValueError(f"{option} must be {side} the best possible {metric.name}, {metric.best:g}, got {value:g}.")


def _draw(fitted: "FittedCurves", scores: "HeldOutScores | None", folder: Path, unit: str) -> list[Path]:
    from matplotlib.figure import Figure

    from lcjax.cli.output import save_figure
    from lcjax.plots import curves as plots

    files = draw_forecasts(fitted, folder / "fit", unit)
    if scores is not None:
        figure = Figure(figsize=(5.4, 4.6), layout="constrained")
        plots.plot_coverage(scores.levels, scores.coverage, figure.subplots())
        files += save_figure(figure, folder / "coverage")
    return files


def _print(
    console: "Console", fitted: "FittedCurves", curves: Sequence[Summary], scores: "HeldOutScores | None", unit: str
) -> None:
    console.print(_describe(fitted, unit), markup=False)
    print_forecasts(console, fitted, curves, unit, file="fit.json")
    if fitted.pooled:
        console.print(describe_parts(fitted), markup=False)
    if scores is not None:
        _print_scores(console, scores)


def _describe(fitted: "FittedCurves", unit: str) -> str:
    """Return a line that says what was read."""
    import numpy as np

    from lcjax.cli.output import format_size

    table, count = fitted.table, len(fitted.table.names)
    size = np.asarray(table.curve.size, float)
    sizes = np.sum(~np.isnan(size), axis=1)
    most = f"{sizes.min()} to {sizes.max()}" if sizes.min() < sizes.max() else f"{sizes.max()}"
    limits = f"{format_size(np.nanmin(size))} to {format_size(np.nanmax(size))} {unit}"
    repeats = "" if table.curve.replicates is None else f", up to {table.curve.replicates.shape[-2]} repeats of each"
    curves = f"{count} curves" if count > 1 else "a curve"
    return f"Read {curves} of the metric {table.metric.name}: {most} sizes, {limits}{repeats}."


def _print_scores(console: "Console", scores: "HeldOutScores") -> None:
    from lcjax.cli.output import print_table

    rows = [
        [
            printable(group),
            f"{scores.curves[group]}",
            f"{scores.mean[group]:.4f}",
            f"{scores.geometric_mean[group]:.4f}",
            f"{scores.last_value[group]:.4f}",
            *(f"{100 * share:.0f}" for share in scores.coverage[group]),
        ]
        for group in scores.mean
    ]
    columns = ["", "curves", "mean", "geometric", "last value", *(f"{100 * level:g} %" for level in scores.levels)]
    title = "Held-out sizes: sqrt(mean((log prediction - log error)^2)), and coverage of the intervals in %"
    print_table(console, title, columns, rows)
