"""Tables and figures of fitted curves, for the commands that end with a forecast."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from lcjax.text import printable

if TYPE_CHECKING:
    from rich.console import Console

    from lcjax.curves.answer.size_for_error import SizeForError
    from lcjax.curves.regions import Regions
    from lcjax.studies.fitting.fitted_curves import FittedCurves

__all__ = ["Summary", "draw_forecasts", "print_forecasts"]

Summary: TypeAlias = Mapping[str, Any]  # of one curve, as in fit.json
FIGURES = 20  # largest number of curves drawn, in the order of the file
ROWS = 40  # largest number of measured sizes printed
SHOWN = 100  # largest number of curves printed


def draw_forecasts(fitted: "FittedCurves", path: Path, unit: str) -> list[Path]:
    """Draw every curve with its forecast as PATH.png and PATH.svg, and return the files."""
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
    return [*save_figure(figure, path)]


def print_forecasts(
    console: "Console", fitted: "FittedCurves", curves: Sequence[Summary], unit: str, *, file: str,
    subject: str = "Forecasts", column: str = "curve",
) -> None:  # fmt: skip
    """Print the answer and the forecast of one curve, or a table of several.

    Args:
        console: where to print.
        fitted: the curves.
        curves: their summaries.
        unit: what a size counts.
        file: name of the file that holds everything.
        subject: subject of the title of a table of several curves.
        column: heading of their names.
    """
    if fitted.table.absent:
        console.print(f"Skipped {fitted.table.absent} rows without an error.")
    for note in fitted.table.notes:
        console.print(note, markup=False)
    if len(curves) == 1:
        _print_curve(console, fitted, curves[0], unit, file)
        return
    title = f"{subject} at 4 times the largest fitted size"
    _print_curves(console, fitted, curves, unit, title, column)
    if len(curves) > SHOWN:
        console.print(f"The first {SHOWN} of {len(curves):,} curves; {file} has all.")


def _print_curves(
    console: "Console", fitted: "FittedCurves", curves: Sequence[Summary], unit: str, title: str, column: str
) -> None:
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
    headings = [column, "sizes", f"last {metric.name}", "at 4 x", f"{100 * fitted.level:g} % interval", "most weight"]
    if fitted.target is not None:
        headings += [f"{unit} for {metric.from_error(fitted.target.error):g}", "never"]
    print_table(console, title, headings, rows)


def _short(answer: "SizeForError") -> str:
    """Return the value of an answer in a table."""
    from lcjax.cli.output import format_size

    mark = "<= " if str(answer.status) == "at_or_below_smallest" else ""
    return mark + format_size(answer.value, whole=answer.is_count)


def _print_curve(console: "Console", fitted: "FittedCurves", curve: Summary, unit: str, file: str) -> None:
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
        console.print(f"{len(shown)} of {len(used):,} sizes are shown; {file} contains all of them.")
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
    for note in curve["notes"][len(fitted.table.notes) :]:  # the others begin the output
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
