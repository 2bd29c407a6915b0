"""`lcjax fit`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lcjax.cli.options import DeviceName, app, keep_compiled, one_line_errors, use_device, writable

__all__ = ["fit"]


@app.command()
@one_line_errors()
def fit(
    file: Annotated[Path, typer.Argument(help="CSV with columns size, error (and repeat, curve, test_count).")],
    target_error: Annotated[
        float | None, typer.Option(help="How many examples reach this error?", rich_help_panel="Question")
    ] = None,
    dimension: Annotated[
        float | None,
        typer.Option(
            help="Effective dimension d: expect the exponent -1/d, for curves of 3 to 6 sizes.",
            rich_help_panel="Question",
        ),
    ] = None,
    guess: Annotated[
        float | None,
        typer.Option(help="Error of guessing, which no forecast exceeds.", rich_help_panel="Question"),
    ] = None,
    form: Annotated[
        list[str] | None,
        typer.Option(help="Forms to mix; may be repeated. The default set if not given.", rich_help_panel="Fit"),
    ] = None,
    draws: Annotated[int, typer.Option(min=1, help="Bootstrap draws of every curve.", rich_help_panel="Fit")] = 200,
    level: Annotated[float, typer.Option(help="Level of the intervals.", rich_help_panel="Fit")] = 0.9,
    allow_rising: Annotated[
        bool, typer.Option("--allow-rising", help="Fit curves that rise, too.", rich_help_panel="Fit")
    ] = False,
    output: Annotated[Path | None, typer.Option(help="Folder for all results.", rich_help_panel="Result")] = None,
    device: Annotated[DeviceName | None, typer.Option(help="Where to run.", rich_help_panel="Result")] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Seed of the bootstrap.", rich_help_panel="Result")
    ] = 0,
    print_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON, no table.", rich_help_panel="Result")
    ] = False,
) -> None:
    """Fit learning curves from a CSV file, forecast them, and say how many examples reach an error.

    A mixture of forms weighted by a back-test inside the data, with intervals; see docs/fit.md. A file in the layout of
    the public benchmark (Domain, Task, Model, Seen Examples, Loss, Training) is scored on its held-out rows as well.
    Writes fit.json and figures.
    """
    from lcjax.curves.readers.csv import read_curves

    table = read_curves(file)
    folder = writable(output or Path("lcjax-results") / f"fit-{file.stem}")
    use_device(device)
    keep_compiled()
    import jax

    from lcjax.curves import forms as known
    from lcjax.files import write_json
    from lcjax.provenance import environment
    from lcjax.studies.fitting import fit_learning_curves, summary
    from lcjax.studies.held_out import score_held_out

    names = {one.__name__: one for one in vars(known).values() if isinstance(one, known.Form)}
    for name in form or ():
        if name not in names:
            raise ValueError(f"--form {name!r} is not known; the forms are {', '.join(sorted(names))}.")
    chosen = tuple(names[name] for name in form) if form else known.FORMS
    fitted = fit_learning_curves(
        jax.random.key(seed),
        table,
        forms=chosen,
        dimension=dimension,
        guess=guess,
        target_error=target_error,
        draws=draws,
        level=level,
        allow_rising=allow_rising or not table.fitted.all(),
    )
    scores = None if table.fitted.all() else score_held_out(fitted)
    curves = summary(fitted)
    result = {
        "configuration": {
            "file": file.name,
            "forms": [one.__name__ for one in chosen],
            "dimension": dimension,
            "guess": guess,
            "target_error": target_error,
            "draws": draws,
            "level": level,
            "seed": seed,
        },
        "environment": environment(),
        "absent_rows": table.absent,
        "curves": curves,
        "scores": scores,
    }
    write_json(folder / "fit.json", result)
    files = _draw_fit(fitted, scores, folder)
    if print_json:
        print((folder / "fit.json").read_text(), end="")
        return
    _print_fit(fitted, curves, scores)
    print(f"Results: {folder / 'fit.json'}, {', '.join(str(file) for file in files)}")


def _draw_fit(fitted: Any, scores: Any, folder: Path) -> list[Path]:
    from matplotlib.figure import Figure

    from lcjax.cli.output import save_figure
    from lcjax.plots import curves as plots

    shown = min(len(fitted.table.names), 20)
    columns = min(shown, 4)
    rows = -(-shown // columns)
    size = (7.2, 5.0) if shown == 1 else (3.4 * columns + 0.4, 2.9 * rows + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for i, axes in enumerate(panels):
        if i < shown:
            plots.plot_forecast(fitted, axes, row=i, legend=shown == 1)
        else:
            axes.set_axis_off()
    if shown > 1:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    written = [*save_figure(figure, folder / "fit")]
    if scores is not None:
        figure = Figure(figsize=(5.4, 4.6), layout="constrained")
        plots.plot_coverage(scores.levels, scores.coverage, figure.subplots())
        written += save_figure(figure, folder / "coverage")
    return written


def _print_fit(fitted: Any, curves: list[dict[str, Any]], scores: Any) -> None:
    import numpy as np
    import rich.console

    from lcjax.cli.output import format_error, format_size, print_table

    console = rich.console.Console()
    percent = f"{100 * fitted.level:g} % interval"
    if fitted.table.absent:
        console.print(f"{fitted.table.absent} rows without an error are left out.")
    if len(curves) == 1:
        _print_one_fit(console, fitted, curves[0])
    else:
        rows = []
        for curve in curves:
            seen = np.asarray(curve["error"])[np.asarray(curve["fitted"])]
            ahead, best = curve["forecast"], max(curve["forms"], key=lambda name: curve["forms"][name]["weight"])
            row = [
                curve["curve"] or "curve",
                f"{len(seen)}",
                format_error(seen[-1]),
                format_error(ahead["error"][1]),
                f"{format_error(ahead['low'][1])} to {format_error(ahead['high'][1])}",
                best,
            ]
            if fitted.target is not None:
                target = curve["target"]
                row += [format_size(target.value), f"{100 * target.never:.0f} %"]
            rows.append(row)
        headings = ["curve", "sizes", "last error", "at 4 x", percent, "most weight"]
        if fitted.target is not None:
            headings += [f"size for {fitted.target_error:g}", "never"]
        print_table(console, "Forecasts at 4 times the largest size fitted", headings, rows)
    if scores is not None:
        rows = [
            [
                group,
                f"{scores.curves[group]}",
                f"{scores.mean[group]:.4f}",
                f"{scores.geometric_mean[group]:.4f}",
                f"{scores.last_value[group]:.4f}",
                *(f"{100 * share:.0f}" for share in scores.coverage[group]),
            ]
            for group in scores.mean
        ]
        columns = ["", "curves", "mean", "geometric", "last value", *(f"{100 * level:g} %" for level in scores.levels)]
        title = "Held-out sizes: sqrt(mean((log prediction - log error)^2)), and % of them in the intervals"
        print_table(console, title, columns, rows)


def _print_one_fit(console: Any, fitted: Any, curve: dict[str, Any]) -> None:
    import numpy as np

    from lcjax.cli.output import format_error, format_size, print_table

    percent = f"{100 * fitted.level:g} % interval"
    ahead = curve["forecast"]
    rows = [
        [f"{size:,.0f}", format_error(error), ""]
        for size, error, used in zip(curve["size"], curve["error"], curve["fitted"], strict=True)
        if used
    ]
    rows += [
        [f"{size:,.0f}", format_error(error), f"{format_error(low)} to {format_error(high)}"]
        for size, error, low, high in zip(ahead["size"], ahead["error"], ahead["low"], ahead["high"], strict=True)
    ]
    print_table(console, "Error, measured and then forecast", ["examples", "error", percent], rows)
    rows = []
    for name, form in sorted(curve["forms"].items(), key=lambda item: -item[1]["weight"]):
        for i, (parameter, limits) in enumerate(form["parameters"].items()):
            rows.append(
                [
                    *((name, f"{form['weight']:.2f}", f"{form['back_test']:.3f}") if i == 0 else ("", "", "")),
                    parameter,
                    f"{limits['value']:.4g}",
                    f"{limits['low']:.4g} to {limits['high']:.4g}",
                ]
            )
    print_table(console, "Forms, heaviest first", ["form", "weight", "back-test", "parameter", "value", percent], rows)
    if curve["regions"] is not None:
        console.print(_told_regions(curve["regions"], np.asarray(curve["size"])[np.asarray(curve["fitted"])]))
    if curve["target"] is not None:
        target = curve["target"]
        console.print(
            f"Error {fitted.target_error:g}: {format_size(target.value)} examples, {percent} "
            f"{format_size(target.low)} to {format_size(target.high)}; "
            f"never reached with probability {target.never:.2f}."
        )
        console.print(
            f"Measure next: {format_size(curve['next_size'].size)} examples, which narrows that interval most for "
            "its cost."
        )
    for note in curve["notes"]:
        console.print(note)


def _told_regions(regions: Any, size: Any) -> str:
    from lcjax.cli.output import format_size

    def told(value: float, low: float, high: float) -> str:
        return f"{format_size(value)} ({format_size(low)} to {format_size(high)})"

    start, end = float(regions.start), float(regions.end)
    first, last = float(size.min()), float(size.max())
    parts = []
    if start > first:
        limits = (start, float(regions.start_low), float(regions.start_high))
        parts.append(f"best guess below {told(*limits)} examples")
    if end < last:
        limits = (end, float(regions.end_low), float(regions.end_high))
        parts.append(f"irreducible error above {told(*limits)}")
    if not parts:
        return "All sizes lie in the power-law region (between the plateau of guessing and the irreducible error)."
    return f"Regions: {'; '.join(parts)}; power law between."
