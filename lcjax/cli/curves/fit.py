"""`lcjax fit`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from lcjax.cli import options
from lcjax.cli.command import Job, command
from lcjax.cli.numbers import Range
from lcjax.text import printable

if TYPE_CHECKING:
    from rich.console import Console

    from lcjax.curves.answer.size_for_error import SizeForError
    from lcjax.curves.metrics import Metric
    from lcjax.curves.regions import Regions
    from lcjax.studies.fitting import FittedCurves
    from lcjax.studies.held_out import HeldOutScores

__all__ = ["fit"]

Summary: TypeAlias = Mapping[str, Any]  # of one curve, as in fit.json
FIGURES = 20  # largest number of curves drawn, in the order of the file
ROWS = 40  # largest number of measured sizes printed
SHOWN = 100  # largest number of curves printed


@command("Curves", "fit.json")
def fit(
    job: Job,
    file: Annotated[Path, typer.Argument(help="CSV with columns size, error (and repeat, curve, test_count).")],
    target: Annotated[
        float | None,
        options.result(
            "Error (or value of --metric) for which to estimate the number of examples.",
            "--target-error",
            "--target",
            numbers=Range(float),
        ),
    ] = None,
    metric: Annotated[
        str, options.fit("Metric of the curves and name of its column: error, loss, accuracy, auc, f1 or r2.")
    ] = "error",
    best: Annotated[
        float | None,
        options.fit(
            "Best possible value of the metric, such as 100 for accuracies in percent.",
            numbers=Range(float),
            show_default="1, or 0 for error and loss",
        ),
    ] = None,
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
    allow_rising: Annotated[bool, options.fit("Also fit curves whose error rises.", "--allow-rising")] = False,
) -> None:
    """Fit learning curves from a CSV file, forecast them, and estimate how many examples reach an error.

    The forecast is a Bayesian average over families of curves, with intervals; see docs/fit.md. A file in the layout of
    the public benchmark (Domain, Task, Model, Seen Examples, Loss, Training) is also scored on its held-out rows.
    Writes fit.json and figures.
    """
    from lcjax.cli.output import write_result
    from lcjax.curves import forms as known
    from lcjax.curves.metrics import METRICS
    from lcjax.curves.readers.csv import read_curves
    from lcjax.studies.fitting import fit_learning_curves, summary
    from lcjax.studies.held_out import score_held_out
    from lcjax.threads import import_ahead

    if metric not in METRICS:
        raise ValueError(f"--metric {metric!r} is not a metric; the metrics are {', '.join(METRICS)}.")
    measure = METRICS[metric] if best is None else METRICS[metric].with_best(best)
    names = {value.__name__: value for value in vars(known).values() if isinstance(value, known.Form)}
    for name in form or ():
        if name not in names:
            raise ValueError(f"--form {name!r} is not a form; the forms are {', '.join(sorted(names))}.")
    forms = tuple(names[name] for name in form) if form else None
    limits = {"guess": _to_error("--guess", guess, measure), "target_error": _to_error("--target", target, measure)}
    table = read_curves(file, measure)
    folder = job.open_folder(f"fit-{file.stem}")
    import_ahead("matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg")
    settings = options.Settings(dimension=dimension, fine_tuning=fine_tuning, draws=draws, level=level)
    errors = options.Settings(limits)
    rising = allow_rising or not table.fitted.all()
    fitted = fit_learning_curves(job.key, table, forms=forms, **settings, **errors, allow_rising=rising)
    scores = None if table.fitted.all() else score_held_out(fitted)
    curves = summary(fitted)
    values = {"metric": metric, "best": measure.best, "guess": guess, "target": target, "unit": unit}
    flags = {"allow_rising": allow_rising, "seed": job.seed}
    settings = {"file": file.name, "forms": form, **values, **settings, **flags}
    files = _draw(fitted, scores, folder, unit)  # before the result: an interrupted command leaves no JSON without them
    result = write_result(folder / "fit.json", settings, absent_rows=table.absent, curves=curves, scores=scores)
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

    count = min(len(fitted.table.names), FIGURES)
    columns = min(count, 4)
    rows = -(-count // columns)
    size = (7.2, 5.0) if count == 1 else (3.4 * columns + 0.4, 2.9 * rows + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for i, axes in enumerate(panels):
        if i < count:
            plots.plot_forecast(fitted, axes, row=i, legend=count == 1, unit=unit)
        else:
            axes.set_axis_off()
    if count > 1:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    files = [*save_figure(figure, folder / "fit")]
    if scores is not None:
        figure = Figure(figsize=(5.4, 4.6), layout="constrained")
        plots.plot_coverage(scores.levels, scores.coverage, figure.subplots())
        files += save_figure(figure, folder / "coverage")
    return files


def _print(
    console: "Console", fitted: "FittedCurves", curves: Sequence[Summary], scores: "HeldOutScores | None", unit: str
) -> None:
    if fitted.table.absent:
        console.print(f"Skipped {fitted.table.absent} rows without an error.")
    if len(curves) == 1:
        _print_curve(console, fitted, curves[0], unit)
    else:
        for note in fitted.table.notes:
            console.print(note, markup=False)
        _print_curves(console, fitted, curves, unit)
    if scores is not None:
        _print_scores(console, scores)


def _print_curves(console: "Console", fitted: "FittedCurves", curves: Sequence[Summary], unit: str) -> None:
    import numpy as np

    from lcjax.cli.output import print_table

    rows, metric = [], fitted.table.metric
    for curve in curves[:SHOWN]:
        error = np.asarray(curve[metric.name])[np.asarray(curve["fitted"])]
        ahead, parts = curve["forecast"], curve.get("families") or curve["forms"]
        best = max(parts, key=lambda name: parts[name]["weight"])
        row = [
            printable(curve["curve"] or "curve"),
            f"{len(error)}",
            metric.format(error[-1]),
            metric.format(ahead[metric.name][1]),
            f"{metric.format(ahead['low'][1])} to {metric.format(ahead['high'][1])}",
            best,
        ]
        if fitted.target is not None:
            row += [_short(curve["size_for_error"]), f"{100 * float(curve['size_for_error'].never):.0f} %"]
        rows.append(row)
    headings = ["curve", "sizes", f"last {metric.name}", "at 4 x", f"{100 * fitted.level:g} % interval", "most weight"]
    if fitted.target is not None:
        headings += [f"{unit} for {metric.from_error(fitted.target.error):g}", "never"]
    print_table(console, "Forecasts at 4 times the largest fitted size", headings, rows)
    if len(curves) > SHOWN:
        console.print(f"The first {SHOWN} of {len(curves):,} curves; fit.json has all.")


def _short(answer: "SizeForError") -> str:
    """Return the value of an answer in a table."""
    from lcjax.cli.output import format_size

    mark = "<= " if str(answer.status) == "at_or_below_smallest" else ""
    return mark + format_size(answer.value)


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


def _print_curve(console: "Console", fitted: "FittedCurves", curve: Summary, unit: str) -> None:
    import numpy as np

    from lcjax.cli.answers import print_answer
    from lcjax.cli.output import format_size, print_table

    percent = f"{100 * fitted.level:g} % interval"
    ahead, metric = curve["forecast"], fitted.table.metric
    name = metric.name
    heading = name[0].upper() + name[1:]
    used = [row for row in zip(curve["size"], curve[name], curve["fitted"], strict=True) if row[2]]
    shown = used[:: -(-len(used) // ROWS)]
    rows = [[format_size(size), metric.format(value), ""] for size, value, _ in shown]
    rows += [
        [format_size(size), metric.format(value), f"{metric.format(low)} to {metric.format(high)}"]
        for size, value, low, high in zip(ahead["size"], ahead[name], ahead["low"], ahead["high"], strict=True)
    ]
    print_table(console, f"{heading}, measured and then forecast", [unit, name, percent], rows)
    if len(shown) < len(used):
        console.print(f"{len(shown)} of {len(used):,} sizes are shown; fit.json contains all of them.")
    if curve["shape"]:
        console.print(curve["shape"])
    if curve["diagnosis"] is not None:
        console.print(curve["diagnosis"]["sentence"])
    if "forms" in curve:
        _print_forms(console, curve["forms"], percent)
    if fitted.regions is not None:
        console.print(_describe_regions(fitted.regions, unit, np.asarray(curve["size"])[np.asarray(curve["fitted"])]))
    if fitted.target is not None:
        counts = fitted.table.curve.test_count
        count = None if counts is None else float(np.asarray(counts)[0])
        print_answer(console, curve, f"{heading} {curve[f'target_{name}']:g}", unit, test_count=count)
    for note in curve["notes"]:
        console.print(note, markup=False)


def _print_forms(console: "Console", forms: Mapping[str, Any], percent: str) -> None:
    from lcjax.cli.output import print_table

    rows = []
    for name, form in sorted(forms.items(), key=lambda item: -item[1]["weight"]):
        for i, (parameter, limits) in enumerate(form["parameters"].items()):
            head = [name, f"{form['weight']:.2f}", f"{form['back_test']:.3f}"] if i == 0 else ["", "", ""]
            interval = f"{limits['low']:.4g} to {limits['high']:.4g}"
            rows.append([*head, parameter, f"{limits['value']:.4g}", interval])
    print_table(console, "Forms by weight", ["form", "weight", "back-test", "parameter", "value", percent], rows)


def _describe_regions(regions: "Regions", unit: str, size: Sequence[float]) -> str:
    from lcjax.cli.output import format_size

    def interval(name: str) -> str:
        value, low, high = (format_size(getattr(regions, name + end)[0]) for end in ("", "_low", "_high"))
        return f"{value} ({low} to {high})"

    parts = []
    if float(regions.start[0]) > min(size):
        parts.append(f"best guess below {interval('start')} {unit}")
    if float(regions.end[0]) < max(size):
        parts.append(f"irreducible error above {interval('end')}")
    if not parts:
        return "All sizes lie in the power-law region (between the plateau of guessing and the irreducible error)."
    return f"Regions: {'; '.join(parts)}; power law between."
