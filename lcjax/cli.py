"""The command line: reads options, shows progress, hands over to `lcjax.studies`, prints and draws what comes back.

Nothing heavy is imported before a command runs, so that `lcjax --help` answers at once.
"""

import contextlib
import dataclasses
import functools
import math
import os
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["app", "main"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="How a model's test error falls with training data, why, and how many examples reach the error you need.",
)


class ModelName(StrEnum):
    """Models that `--model` knows."""

    mlp = "mlp"
    lenet = "lenet"
    driving = "driving"


class LawName(StrEnum):
    """Laws of the nearest-neighbour distance that `--law` knows."""

    hypercube = "hypercube"
    poisson = "poisson"


class DeviceName(StrEnum):
    """Platforms that `--device` knows."""

    cpu = "cpu"
    gpu = "gpu"
    tpu = "tpu"


@app.callback()
def _program() -> None:
    """How a model's test error falls with training data, why, and how many examples reach the error you need."""


def main() -> None:
    """Run the command line."""
    app()


@contextlib.contextmanager
def _one_line_errors(*, interrupted: str = "Interrupted.") -> Iterator[None]:
    """One line and a non-zero exit code for whatever is the user's to mend, and for Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        raise SystemExit(130) from None
    except (ValueError, OSError) as error:
        if os.environ.get("LCJAX_DEBUG"):
            raise
        print(f"lcjax: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(1) from None


@contextlib.contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str, int | float, int | float], None]]:
    """Progress bars, one a stage, with time left; on standard error."""
    import rich.console
    import rich.progress as rp

    columns = (
        rp.TextColumn("{task.description}"),
        rp.BarColumn(),
        rp.TaskProgressColumn(),
        rp.TimeElapsedColumn(),
        rp.TimeRemainingColumn(),
    )
    console = rich.console.Console(stderr=True, quiet=quiet)
    with rp.Progress(*columns, console=console) as progress:
        tasks: dict[str, rp.TaskID] = {}

        def report(stage: str, done: int | float, total: int | float) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total)
            progress.update(tasks[stage], completed=done, total=total)

        yield report


def _fractions(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--fractions takes numbers separated by commas, got {text!r}.") from None


def _integers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{option} takes whole numbers separated by commas, got {text!r}.") from None


def _use_device(device: DeviceName | None) -> None:
    if device is None:
        return
    import jax

    # A list such as "cuda,rocm" would demand every one of them; by default JAX takes the GPU that is there.
    jax.config.update("jax_platforms", None if device is DeviceName.gpu else device.value)
    try:
        jax.devices(device.value)
    except RuntimeError as error:
        raise ValueError(f"--device {device.value}: this machine has none that JAX can use ({error}).") from None


def _keep_compiled() -> None:
    """Keep compiled programs for the next command, unless the user keeps them elsewhere already.

    `$LCJAX_CACHE` names another folder, or none where it is empty.
    """
    import jax

    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = os.environ.get("LCJAX_CACHE", str(home / "lcjax"))
    if not folder or jax.config.jax_compilation_cache_dir:
        return
    try:
        _writable(Path(folder))
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def _writable(folder: Path) -> Path:
    """Refuse a folder that cannot be written before any work is done."""
    import tempfile

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"Cannot write to {folder}: {error.strerror}; choose another folder with --output.") from None
    return folder


@app.command()
@_one_line_errors(interrupted="Interrupted. What had finished is kept; the same command goes on from there.")
def predict(
    data: Annotated[
        str, typer.Option(help="digits, idx:DIR, npz:FILE, tfds:NAME or driving:DIR.", rich_help_panel="Task")
    ] = "digits",
    model: Annotated[
        ModelName | None, typer.Option(help="The net; chosen by the data if not given.", rich_help_panel="Task")
    ] = None,
    fractions: Annotated[
        str, typer.Option(help="Shares of the training set to train on.", rich_help_panel="Task")
    ] = "0.03125,0.0625,0.125,0.25,0.5,0.75,1",
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of every shard.", rich_help_panel="Task")] = 5,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Least optimizer steps of a training.", rich_help_panel="Task")
    ] = None,
    epochs: Annotated[
        float | None, typer.Option(min=0, help="Passes over the shard, if that is more.", rich_help_panel="Task")
    ] = None,
    dimension: Annotated[
        int | None,
        typer.Option(
            min=1, help="Effective dimension; measured by bottlenecks if not given.", rich_help_panel="Theory"
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Loss of accuracy that a bottleneck may cause.", rich_help_panel="Theory"),
    ] = None,
    law: Annotated[
        list[LawName] | None,
        typer.Option(help="Laws of the distance; may be repeated. All if not given.", rich_help_panel="Theory"),
    ] = None,
    paper_protocol: Annotated[
        bool,
        typer.Option(
            help="Fit to test errors and test features, as the paper does, instead of validation ones.",
            rich_help_panel="Theory",
        ),
    ] = False,
    target_error: Annotated[
        float | None, typer.Option(help="Error in (0, 1): how many examples reach it?", rich_help_panel="Result")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Folder for all results.", rich_help_panel="Result")] = None,
    device: Annotated[DeviceName | None, typer.Option(help="Where to run.", rich_help_panel="Result")] = None,
    seed: Annotated[
        int,
        typer.Option(min=0, max=2**32 - 1, help="Seed of the splits and of every stream.", rich_help_panel="Result"),
    ] = 0,
    print_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON, no table.", rich_help_panel="Result")
    ] = False,
) -> None:
    """Predict the learning curve of a net from small trainings, and check the prediction on held-out sizes.

    Trains on nested balanced shards, measures the effective dimension of the features by bottlenecks, fits the radius
    of the nearest-neighbour error model (Bisla et al. 2021) below half of the data, and predicts the error at every
    size and beyond the data. Writes prediction.json before any test label is read, then result.json and the figures.
    """
    import jax

    import lcjax.theory.neighbor_laws as laws
    from lcjax.data.sources import load_data
    from lcjax.studies import recipes
    from lcjax.studies.predict import predict_learning_curve

    if target_error is not None and not 0 < target_error < 1:
        raise ValueError(f"--target-error must lie in (0, 1), got {target_error}.")
    shares = _fractions(fractions)
    _use_device(device)
    task = load_data(data, seed=seed)
    images = task.train.inputs.ndim == 4
    name = model or (ModelName.driving if images and not task.classes else ModelName.mlp)
    recipe = getattr(recipes, f"{name.value}_recipe")(task).with_budget(steps=steps, epochs=epochs)
    scheme, _, place = data.partition(":")
    source = "-".join(part for part in (scheme, Path(place).stem) if part)
    folder = _writable(output or Path("lcjax-results") / f"predict-{source}-{name.value}")
    options: dict[str, Any] = {} if margin is None else {"margin": margin}
    with _progress(quiet=print_json) as report:
        prediction = predict_learning_curve(
            jax.random.key(seed),
            task,
            recipe,
            fractions=shares,
            seeds=seeds,
            dimension=dimension,
            laws=[getattr(laws, chosen.value) for chosen in law or LawName],
            target_error=target_error,
            paper_protocol=paper_protocol,
            folder=folder,
            on_progress=report,
            **options,
        )
        files = _draw_prediction(prediction, folder, f"{data.rpartition('/')[2]}, {name.value}", target_error)
    if print_json:
        print((folder / "result.json").read_text(), end="")
    else:
        _print_prediction(prediction, task.guessing_error(), target_error)
        print(f"Results: {folder / 'result.json'}, {', '.join(str(file) for file in files)}")
    if target_error is not None and all(answer.value == math.inf for answer in prediction.size_for_target.values()):
        raise ValueError(
            f"The target error {target_error:g} is not reached by any predicted curve below 1e15 examples; "
            f"the curves themselves are in {folder}."
        )


@app.command()
@_one_line_errors()
def simulate(
    dimensions: Annotated[str, typer.Option(help="Dimensions, separated by commas.")] = "1,2,3,4,8",
    sizes: Annotated[str, typer.Option(help="Training-set sizes.")] = "100,316,1000,3162,10000,31623,100000",
    radius: Annotated[float, typer.Option(help="Radius in standard deviations.")] = 1.0,
    test_size: Annotated[int, typer.Option(min=1, help="Test points a repeat.")] = 1000,
    repeats: Annotated[int, typer.Option(min=2, help="Repeats of the paper's protocol.")] = 20,
    precise_repeats: Annotated[int, typer.Option(min=2, help="Repeats of the comparison in numbers.")] = 30,
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("lcjax-results/simulate"),
    device: Annotated[DeviceName | None, typer.Option(help="Where to run.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of every stream.")] = 0,
    print_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, no table.")] = False,
) -> None:
    """Simulate the nearest-neighbour error model and redraw Figure 1 of Bisla et al. (2021) with three laws.

    Standard normal features; the exact (binomial) law, the local law of independent samples and the paper's.
    """
    _use_device(device)
    folder = _writable(output)
    import jax
    from matplotlib.figure import Figure

    from lcjax import plots
    from lcjax.files import write_json
    from lcjax.output import save_figure
    from lcjax.provenance import environment
    from lcjax.studies.simulate import simulate_learning_curve

    configuration = {
        "dimensions": _integers("--dimensions", dimensions),
        "sizes": _integers("--sizes", sizes),
        "radius": radius,
        "test_size": test_size,
        "repeats": repeats,
        "precise_repeats": precise_repeats,
    }
    with _progress(quiet=print_json) as report:
        simulation = simulate_learning_curve(jax.random.key(seed), **configuration, on_progress=report)  # type: ignore[arg-type]
    result = {
        "configuration": {**configuration, "seed": seed},
        "environment": environment(),
        "simulation": simulation,
    }
    write_json(folder / "simulation.json", result)
    columns = len(simulation.dimension)
    figure = Figure(figsize=(3.0 * columns + 0.8, 5.6), layout="constrained")
    panels = figure.subplots(2, columns, squeeze=False, height_ratios=(3, 2), sharex="col", sharey="row")
    for row in range(columns):
        plots.plot_simulation(simulation, panels[0, row], panels[1, row], row=row)
    panels[0, 0].set_ylabel("error")
    panels[1, 0].set_ylabel("off the exact law, %")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    files = save_figure(figure, folder / "figure1")
    if print_json:
        print((folder / "simulation.json").read_text(), end="")
        return
    _print_simulation(simulation)
    print(f"Results: {folder / 'simulation.json'}, {', '.join(str(file) for file in files)}")


@app.command()
@_one_line_errors()
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
    from lcjax.data.curves_csv import read_curves

    table = read_curves(file)
    folder = _writable(output or Path("lcjax-results") / f"fit-{file.stem}")
    _use_device(device)
    _keep_compiled()
    import jax

    from lcjax.curves import forms as known
    from lcjax.files import write_json
    from lcjax.provenance import environment
    from lcjax.studies.fit import fit_learning_curves, score_held_out, summary

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

    from lcjax import plots_curves as plots
    from lcjax.output import save_figure

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

    from lcjax.output import format_error, format_size, print_table

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
                row += [format_size(target["value"]), f"{100 * target['never']:.0f} %"]
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

    from lcjax.output import format_error, format_size, print_table

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
            f"Error {fitted.target_error:g}: {format_size(target['value'])} examples, {percent} "
            f"{format_size(target['low'])} to {format_size(target['high'])}; "
            f"never reached with probability {target['never']:.2f}."
        )
        console.print(
            f"Measure next: {format_size(curve['next_size']['size'])} examples, which narrows that interval most for "
            "its cost."
        )
    for note in curve["notes"]:
        console.print(note)


def _told_regions(regions: dict[str, Any], size: Any) -> str:
    from lcjax.output import format_size

    def told(value: float, low: float, high: float) -> str:
        return f"{format_size(value)} ({format_size(low)} to {format_size(high)})"

    start, end = float(regions["start"]), float(regions["end"])
    first, last = float(size.min()), float(size.max())
    parts = []
    if start > first:
        limits = (start, float(regions["start_low"]), float(regions["start_high"]))
        parts.append(f"best guess below {told(*limits)} examples")
    if end < last:
        limits = (end, float(regions["end_low"]), float(regions["end_high"]))
        parts.append(f"irreducible error above {told(*limits)}")
    if not parts:
        return "All sizes lie in the power-law region (between the plateau of guessing and the irreducible error)."
    return f"Regions: {'; '.join(parts)}; power law between."


def _print_simulation(simulation: Any) -> None:
    import numpy as np
    import rich.console

    from lcjax.output import print_table

    rows = [
        [
            str(d),
            *(f"{100 * simulation.largest_deviation[name][i]:.1f}" for name in ("hypercube", "poisson", "simulation")),
            *(f"{100 * simulation.mean_deviation[name][i]:.1f}" for name in ("hypercube", "poisson", "simulation")),
            f"{np.abs(simulation.zscore[i]).max():.2f}",
        ]
        for i, d in enumerate(simulation.dimension)
    ]
    names = ["paper", "local", "sim"]
    columns = ["d", *(f"max {name}" for name in names), *(f"mean {name}" for name in names), "max |z|"]
    print_table(rich.console.Console(), "Deviation from the exact law in %, over sizes", columns, rows)


def _draw_prediction(prediction: Any, folder: Path, title: str, target_error: float | None) -> list[Path]:
    from matplotlib.figure import Figure

    from lcjax import plots
    from lcjax.output import save_figure

    figure = Figure(figsize=(7.2, 5.0), layout="constrained")
    axes = figure.subplots()
    plots.plot_prediction(prediction, axes, target_error=target_error)
    axes.set_title(f"{title}: effective dimension {int(prediction.dimension)}", fontsize="medium")
    written = [*save_figure(figure, folder / "learning_curve")]
    if prediction.bottleneck is not None:
        figure = Figure(figsize=(10.0, 3.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        plots.plot_bottleneck(prediction.bottleneck, left, dimension=int(prediction.dimension))
        plots.plot_training_error(prediction, right)
        written += save_figure(figure, folder / "assumptions")
    return written


def _print_prediction(prediction: Any, guessing_error: float, target_error: float | None) -> None:
    import numpy as np
    import rich.console

    from lcjax.output import format_percent, format_size, print_table

    console = rich.console.Console()
    methods = list(prediction.predicted)
    validation, measured, fitted = prediction.validation, prediction.measured, np.asarray(prediction.fitted)
    grid = np.asarray(prediction.predicted[methods[0]].size)
    rows = []
    for size in [*np.asarray(validation.size), grid[-1]]:
        i, at = int(np.searchsorted(validation.size, size)), int(np.searchsorted(grid, size))
        known = i < len(fitted)
        rows.append(
            [
                f"{size:,.0f}",
                format_percent(validation.train_error[i]) if known else "",
                format_percent(validation.error[i], validation.standard_error[i]) if known else "",
                format_percent(measured.error[i], measured.standard_error[i]) if known else "",
                *(format_percent(prediction.predicted[method].error[at]) for method in methods),
                "fit" if known and fitted[i] else "",
            ]
        )
    names = [method.replace("_", " ") for method in methods]
    columns = ["examples", "train", "validation", "test", *names, ""]
    print_table(console, "Error in %, measured and predicted from the sizes marked fit", columns, rows)

    sizes = [f"{size:,}" for size in np.asarray(validation.size)[~fitted]]
    excess = [np.expm1(np.asarray(prediction.held_out_log_error[method])) for method in methods]
    rows = [
        [name, *(f"{value:+.0%}" if np.isfinite(value) else "–" for value in values)]
        for name, values in zip(names, excess, strict=True)
    ]
    print_table(console, "Predicted minus measured test error, relative, where nothing was fitted", ["", *sizes], rows)

    if prediction.bottleneck is not None:
        sweep = prediction.bottleneck
        curves = [(sweep.accuracy, sweep.reference), (sweep.neighbor_accuracy, sweep.neighbor_reference)]
        rows = [
            [name, *(format_percent(1 - a) for a in by_width), format_percent(1 - float(without))]
            for name, (by_width, without) in zip(["net", "1-NN"], curves, strict=True)
        ]
        columns = ["width", *(str(width) for width in sweep.width), "none"]
        print_table(console, "Validation error in % with a bottleneck", columns, rows)
        intrinsic = ", ".join(
            f"{name.replace('_', ' ')} {np.mean(estimate.value):.1f}" for name, estimate in sweep.intrinsic.items()
        )
        console.print(f"Intrinsic dimension of the same features: {intrinsic}")
        if not bool(sweep.estimate.established):
            console.print(
                "No width is shown to lose less than the margin: the dimension is the smallest width of best accuracy. "
                "More validation examples or a larger --margin decide."
            )
    radius = "; ".join(
        f"{law} {np.mean(value):.4g} ({np.min(value):.4g} to {np.max(value):.4g} over seeds)"
        for law, value in prediction.radius.items()
    )
    small = np.asarray(validation.size)[fitted & (np.asarray(validation.error) > 0.5 * guessing_error)]
    if small.size:
        console.print(
            f"At {', '.join(f'{size:,}' for size in small)} examples the error is above half of what guessing gives "
            f"({format_percent(guessing_error)} %): the region of small data, where neither theory nor power law holds."
        )
    for law, converged in prediction.converged.items():
        if not bool(converged):
            console.print(f"The fit of the radius by the law {law} did not converge for every seed and bootstrap draw.")
    worst = float(np.max(validation.train_error))
    if not worst <= 0.01:
        console.print(
            f"The training error reaches {format_percent(worst)} %, which the theory assumes to be zero: "
            "train longer (--steps, --epochs) or read its curves with care."
        )
    exponent = float(prediction.exponent)
    console.print(f"Effective dimension {int(prediction.dimension)}, radius: {radius}")
    console.print(f"Exponent of the power law {exponent:.2f}, which the theory gives at dimension {-1 / exponent:.1f}")
    if target_error is not None:
        rows = [
            [name, format_size(float(a.value)), f"{format_size(float(a.low))} to {format_size(float(a.high))}"]
            for name, a in zip(names, prediction.size_for_target.values(), strict=True)
        ]
        print_table(console, f"Examples for an error of {target_error:.3g}", ["", "examples", "90 % interval"], rows)


class ExperimentName(StrEnum):
    """Experiments that `lcjax randomize --experiment` knows."""

    conditions = "conditions"
    regularizers = "regularizers"
    widths = "widths"
    complexity = "complexity"
    parameters = "parameters"


@app.command()
@_one_line_errors(interrupted="Interrupted. What had finished is kept; the same command goes on from there.")
def randomize(
    data: Annotated[str, typer.Option(help="Images: digits, idx:DIR, npz:FILE, tfds:NAME.")] = "digits",
    experiment: Annotated[
        ExperimentName,
        typer.Option(
            help="Figure 1 (conditions), Table 1 (regularizers), test error against width, complexity measures, or the "
            "slides' table of parameters."
        ),
    ] = ExperimentName.conditions,
    net: Annotated[
        list[str] | None,
        typer.Option(help="NAME or NAME:EXAMPLES; may be repeated. mlp-1x512 if not given; a wrong name lists all."),
    ] = None,
    size: Annotated[int | None, typer.Option(min=2, help="Examples of nets without a number; all by default.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of every training at most.")] = 1200,
    batch: Annotated[int, typer.Option(min=1, help="Examples a step.")] = 128,
    decay_steps: Annotated[int, typer.Option(min=1, help="Steps after which the rate falls by 0.95.")] = 391,
    records: Annotated[int, typer.Option(min=1, help="How often a training is looked at.")] = 60,
    stop: Annotated[
        bool | None, typer.Option(help="End a training that fits; by default in all but regularizers.")
    ] = None,
    levels: Annotated[int, typer.Option(min=2, help="Levels of corruption from 0 to 1.")] = 11,
    ratios: Annotated[str, typer.Option(help="Parameters over examples, for widths.")] = "0.2,0.5,1,2,5,10",
    seeds: Annotated[int, typer.Option(min=1, help="Repeats.")] = 1,
    output: Annotated[Path | None, typer.Option(help="Folder for all results.")] = None,
    device: Annotated[DeviceName | None, typer.Option(help="Where to run.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the splits and of every stream.")] = 0,
    print_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, no table.")] = False,
) -> None:
    """Run the randomization tests of Zhang et al. (2017) on your images; see docs/randomize.md.

    Trains on true, corrupted and random labels, on shuffled, random and Gaussian pixels, or with regularizers switched
    one by one, or nets of growing width. Prints the protocol, writes randomize.json and the figures.
    """
    if experiment is ExperimentName.parameters:
        _print_parameters()
        return
    _use_device(device)
    folder = _writable(output or Path("lcjax-results") / f"randomize-{experiment.value}")
    import jax

    from lcjax.data.sources import load_data
    from lcjax.files import write_json
    from lcjax.provenance import environment
    from lcjax.studies import randomize as study
    from lcjax.studies.zhang_protocol import NETS, Protocol

    task = load_data(data, seed=seed)
    n = len(task.train.targets)
    nets = []
    for text in net or ["mlp-1x512"]:
        name, _, number = text.partition(":")
        if name not in NETS or (number and not number.isdecimal()):
            raise ValueError(f"--net {text!r} is not NAME or NAME:EXAMPLES; the names are {', '.join(NETS)}.")
        nets.append((NETS[name], int(number or size or n)))
    repeats = range(seeds)
    if experiment is ExperimentName.widths:
        shape = task.train.inputs.shape[1:]
        wanted = tuple(_number("--ratios", part) for part in ratios.split(","))
        inputs = math.prod((*(min(side, 28) for side in shape[:2]), *shape[2:]))
        cases = study.width_cases(inputs, task.classes, size or n, ratios=wanted, seeds=repeats)
    elif experiment is ExperimentName.regularizers:
        cases = study.regularizer_cases(nets, seeds=repeats)
    else:
        cases = study.condition_cases(nets, levels=levels, seeds=repeats)
    stops = experiment is not ExperimentName.regularizers if stop is None else stop
    protocol = Protocol(steps, batch, decay_steps, records=min(records, steps), stop_when_fit=stops)
    if not print_json:
        print(protocol)
    configuration = {"data": data, "experiment": experiment.value, "protocol": protocol, "seed": seed, "seeds": seeds}
    if experiment is ExperimentName.complexity:
        from lcjax.studies.measure_complexity import measure_complexity

        reports = {}
        for one, examples in nets:
            with _progress(quiet=print_json) as report:
                reports[one.name] = measure_complexity(
                    jax.random.key(seed), task, one, protocol, size=examples, seeds=repeats, on_progress=report
                )
        measured = {"configuration": configuration, "environment": environment(), "measures": reports}
        write_json(folder / "complexity.json", measured)
        if print_json:
            print((folder / "complexity.json").read_text(), end="")
            return
        for name, found in reports.items():
            true, random = (f"{100 * error:.1f}" for error in found.test_error.mean(axis=1))
            print(f"\n{name}, test error {true} % on true labels, {random} % on random labels\n{found.report}")
        print(f"Results: {folder / 'complexity.json'}")
        return
    with _progress(quiet=print_json) as report:
        tests = study.randomization_tests(
            jax.random.key(seed), task, cases, protocol, folder=folder, on_progress=report
        )
    result = {"configuration": configuration, "environment": environment(), "tests": tests}
    write_json(folder / "randomize.json", result)
    files = _draw_randomization(tests, experiment, folder)
    if print_json:
        print((folder / "randomize.json").read_text(), end="")
        return
    _print_randomization(tests, data)
    print(f"Results: {folder / 'randomize.json'}, {', '.join(str(file) for file in files)}")


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{option} takes numbers separated by commas, got {text!r}.") from None


def _print_parameters() -> None:
    import rich.console

    from lcjax.output import print_table
    from lcjax.studies.zhang_protocol import parameter_table

    rows = [[name, f"{p:,}", f"{n:,}", f"{ratio:.0f}"] for name, p, n, ratio in parameter_table()]
    columns = ["net", "parameters", "training examples", "p / n"]
    print_table(rich.console.Console(), "Parameters over training examples, CIFAR-10 and ImageNet", columns, rows)


def _draw_randomization(tests: Any, experiment: ExperimentName, folder: Path) -> list[Path]:
    from matplotlib.figure import Figure

    from lcjax import plots
    from lcjax.output import save_figure

    nets = list(dict.fromkeys(tests.net))
    if experiment is ExperimentName.widths:
        figure = Figure(figsize=(5.6, 4.2), layout="constrained")
        plots.plot_width(tests, figure.subplots())
        return [*save_figure(figure, folder / "width")]
    if experiment is ExperimentName.regularizers:
        figure = Figure(figsize=(4.6 * len(nets), 4.0), layout="constrained")
        for axes, name in zip(figure.subplots(1, len(nets), squeeze=False)[0], nets, strict=True):
            plots.plot_regularizers(tests, axes, net=name)
        return [*save_figure(figure, folder / "figure2")]
    figure = Figure(figsize=(3.9 * max(len(nets), 2), 7.2), layout="constrained")
    parts: Any = figure.subfigures(2, 1)
    for axes, name in zip(parts[0].subplots(1, len(nets), squeeze=False, sharey=True)[0], nets, strict=True):
        plots.plot_training_loss(tests, axes, net=name)
    left, right = parts[1].subplots(1, 2)
    plots.plot_slowdown(tests, left)
    plots.plot_corrupted_error(tests, right)
    return [*save_figure(figure, folder / "figure1")]


def _print_randomization(tests: Any, data: str) -> None:
    import numpy as np
    import rich.console

    from lcjax.output import format_percent, print_table
    from lcjax.studies.zhang_protocol import TABLE1

    def count(value: float) -> str:
        return "–" if np.isnan(value) else f"{value:,.0f}"

    console = rich.console.Console()
    compared = tests.crop.any() or tests.decay.any()
    columns = ["condition", "train", "test", "best so far", "to fit"]
    columns += ["paper train", "paper test"] if compared else ["to loss", "slower"]
    for name, ratio in dict.fromkeys(zip(tests.net, tests.ratio.tolist(), strict=True)):
        own = tests.rows(net=name, ratio=ratio)
        rows = []
        for i in own:
            if tests.seed[i] != tests.seed[own[0]]:
                continue
            crop, decay = bool(tests.crop[i]), bool(tests.decay[i])
            kind = {"condition": tests.condition[i], "corruption": tests.corruption[i], "crop": crop, "decay": decay}
            same = tests.rows(net=name, ratio=ratio, **kind)
            words = [tests.condition[i]] + ["crop"] * crop + ["decay"] * decay
            if tests.condition[i] == "corrupted labels":
                words[0] = f"labels corrupted {tests.corruption[i]:.1f}"
            row = [", ".join(words)]
            row += [format_percent(np.mean(values[same])) for values in (tests.final_train_error, tests.test_error)]
            row += [format_percent(np.mean(tests.best_held_out_error[same]))]
            row += [count(np.mean(tests.steps_to_fit[same]))]
            if not compared:
                row += [count(np.mean(tests.steps_to_loss[same])), f"{np.mean(tests.slowdown[same]):.2f}"]
            else:
                is_random = tests.condition[i] == "random labels"
                paper = [
                    r for r in TABLE1 if (r.net, r.crop, r.decay, r.random_labels) == (name, crop, decay, is_random)
                ]
                row += [f"{100 - paper[0].train:.2f}", f"{100 - paper[0].test:.2f}"] if paper else ["–", "–"]
            rows.append(row)
        first = own[0]
        title = f"{name}: {tests.parameters[first]:,} parameters, {tests.size[first]:,} examples, p / n = {ratio:.3g}"
        print_table(console, title, columns, rows)
    console.print(f"Errors in %, on {data}; the paper's are CIFAR-10's. Best so far: on validation examples.")
    for name in dict.fromkeys(tests.net):
        for rule, values in (("no error", tests.steps_to_fit), ("0.1 nats", tests.steps_to_loss)):
            order = {
                condition: float(np.mean(values[tests.rows(net=name, condition=condition, crop=False, decay=False)]))
                for condition in dict.fromkeys(tests.condition)
                if condition != "corrupted labels"
            }
            if len(order) > 2 and not np.isnan(list(order.values())).any():
                told = ", ".join(
                    f"{condition} {order[condition]:.0f}" for condition in sorted(order, key=order.__getitem__)
                )
                console.print(f"Order of fitting to {rule}, {name}: {told}")
    if len(set(tests.condition)) > 2:
        console.print("The paper's order: true labels, shuffled pixels, Gaussian and random pixels, random labels.")
    if tests.crop.any() or tests.decay.any():
        for text in tests.gains():
            console.print(text)
    console.print(f"{len(tests.net)} trainings in {float(tests.seconds):.0f} s, {', '.join(tests.form)}")


@app.command()
@_one_line_errors(interrupted="Interrupted. What had finished is kept; the same command goes on from there.")
def measure(
    data: Annotated[str, typer.Option(help="digits, idx:DIR, npz:FILE, tfds:NAME or driving:DIR.")] = "digits",
    model: Annotated[
        list[ModelName] | None, typer.Option(help="Nets; may be repeated. Chosen by the data if not given.")
    ] = None,
    widths: Annotated[str | None, typer.Option(help="Units of both hidden layers of mlp: model sizes.")] = None,
    learning_rates: Annotated[
        str | None, typer.Option(help="Learning rates to choose from; the recipe's, a third and three times it.")
    ] = None,
    fractions: Annotated[
        str, typer.Option(help="Shares of the training set to train on.")
    ] = "0.03125,0.0625,0.125,0.25,0.5,1",
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of every net, rate and shard.")] = 3,
    steps: Annotated[int | None, typer.Option(min=1, help="Least optimizer steps of a training.")] = None,
    epochs: Annotated[float | None, typer.Option(min=0, help="Passes over the shard, if that is more.")] = None,
    output: Annotated[Path | None, typer.Option(help="Folder for all results.")] = None,
    device: Annotated[DeviceName | None, typer.Option(help="Where to run.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the splits and of every stream.")] = 0,
    print_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, no table.")] = False,
) -> None:
    """Measure a learning curve: the lower envelope over nets and learning rates (Hestness et al. 2017).

    Trains every net with every rate on nested balanced shards, chooses at each size on the validation set, and reports
    the test error of what was chosen. Writes measurement.json and the figure; `lcjax fit` continues such curves.
    """
    import dataclasses

    import jax

    from lcjax.data.sources import load_data
    from lcjax.data.subsets import shard_sizes
    from lcjax.models.vision import MLP
    from lcjax.studies import recipes
    from lcjax.studies.measure import measure_learning_curve

    shares, given = _fractions(fractions), None
    if learning_rates is not None:
        given = _rates(learning_rates)
    _use_device(device)
    task = load_data(data, seed=seed)
    shard_sizes(len(task.train.targets), shares, classes=task.classes)  # refuses shares before anything is trained
    images = task.train.inputs.ndim == 4
    names = model or [ModelName.driving if images and not task.classes else ModelName.mlp]
    programs, labels, rates = [], [], set()
    for name in names:
        recipe = getattr(recipes, f"{name.value}_recipe")(task).with_budget(steps=steps, epochs=epochs)
        rates |= {recipe.learning_rate / 3, recipe.learning_rate, 3 * recipe.learning_rate}
        if name is ModelName.mlp and widths is not None:
            for width in _integers("--widths", widths):
                net = MLP((width, width), max(task.classes, 1))
                programs.append(dataclasses.replace(recipe.program, model=net))
                labels.append(f"mlp {width}")
        else:
            programs.append(recipe.program)
            labels.append(name.value)
    folder = _writable(output or Path("lcjax-results") / f"measure-{data.partition(':')[0]}")
    with _progress(quiet=print_json) as report:
        measured = measure_learning_curve(
            jax.random.key(seed),
            task,
            programs,
            fractions=shares,
            seeds=seeds,
            grid={"learning_rate": given or sorted(rates)},
            folder=folder,
            on_progress=report,
        )
        files = _draw_measurement(measured, folder, data.rpartition("/")[2])
    if print_json:
        print((folder / "measurement.json").read_text(), end="")
        return
    _print_measurement(measured, labels, data)
    print(f"Results: {folder / 'measurement.json'}, {', '.join(str(file) for file in files)}")


def _draw_measurement(measured: Any, folder: Path, title: str) -> list[Path]:
    from matplotlib.figure import Figure

    from lcjax.curves.learning_curve import LowerEnvelope
    from lcjax.output import save_figure
    from lcjax.plots_curves import plot_envelope

    figure = Figure(figsize=(7.2, 5.0), layout="constrained")
    axes = figure.subplots()
    envelope = LowerEnvelope(measured.curve, measured.choice)
    plot_envelope(envelope, measured.members.replicates, axes)
    axes.legend(frameon=False)
    axes.set_title(f"{title}: test error, {len(measured.program)} members", fontsize="medium")
    return list(save_figure(figure, folder / "measurement"))


def _print_measurement(measured: Any, labels: list[str], data: str) -> None:
    import numpy as np
    import rich.console

    from lcjax.output import format_percent, print_table

    console = rich.console.Console()
    curve, rows = measured.curve, []
    for i, size in enumerate(np.asarray(curve.size)):
        chosen = int(measured.choice[i])
        told = "–"
        if chosen >= 0:
            told = f"{labels[measured.program[chosen]]}, {measured.columns['learning_rate'][chosen]:.3g}"
        spread = None if np.isnan(curve.standard_error[i]) else curve.standard_error[i]
        rows.append([f"{size:,}", format_percent(curve.train_error[i]), format_percent(curve.error[i], spread), told])
    print_table(console, f"Error in % on {data}", ["examples", "train", "test", "chosen: net, rate"], rows)
    if measured.failed.any():
        console.print(f"{measured.failed.sum()} trainings diverged and count as absent.")


def _rates(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--learning-rates takes numbers separated by commas, got {text!r}.") from None


@app.command()
@_one_line_errors(interrupted="Interrupted. What had finished is kept; the same command goes on from there.")
def compress(
    data: Annotated[str, typer.Option(help="digits, libsvm:FILE, idx:DIR, npz:FILE or tfds:NAME.")] = "digits",
    layers: Annotated[str, typer.Option(help="Numbers of hidden layers, one net for each.")] = "1,2,3",
    width: Annotated[int, typer.Option(min=1, help="Units of a hidden layer.")] = 50,
    losses: Annotated[
        str, typer.Option(help="Losses by Table 1 of the paper: H or S, then W2, W1, LCA, LCL.")
    ] = "H,H+W2,H+W1,H+LCA,H+W2+LCA,H+W1+LCA",
    weight: Annotated[str, typer.Option(help="C, of penalties on weights, to choose from.")] = "1e-4,1e-3,1e-2,1e-1",
    preactivation: Annotated[
        str, typer.Option(help="D, of penalties on pre-activations, to choose from.")
    ] = "1e-8,1e-7,1e-6,1e-5,1e-4",
    rates: Annotated[str, typer.Option(help="Learning rates to choose from.")] = "1e-2,1e-1",
    epochs: Annotated[float, typer.Option(min=0.01, help="Passes over the training set.")] = 500.0,
    batch: Annotated[int, typer.Option(min=1, help="Examples a step.")] = 100,
    seeds: Annotated[int, typer.Option(min=1, help="Nets of every loss that are compressed.")] = 5,
    pictures: Annotated[bool, typer.Option(help="Draw t-SNE pictures.")] = True,
    output: Annotated[Path | None, typer.Option(help="Folder for all results.")] = None,
    device: Annotated[DeviceName | None, typer.Option(help="Where to run.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the splits and of every stream.")] = 0,
    print_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, no table.")] = False,
) -> None:
    """Train nets under several penalties, prune and quantize them, beside Sharma et al.; see docs/compress.md.

    Penalties and rates are chosen on the validation set; the splits are those of the paper's Table 9 where it has the
    set. Writes compress.json and the figures.
    """
    _use_device(device)
    scheme, _, place = data.partition(":")
    source = "-".join(part for part in (scheme, Path(place).name.partition(".")[0]) if part)
    folder = _writable(output or Path("lcjax-results") / f"compress-{source}")
    import jax

    from lcjax.data.libsvm import split_sizes
    from lcjax.data.sources import load_data
    from lcjax.files import write_json
    from lcjax.models.vision import MLP
    from lcjax.provenance import environment
    from lcjax.studies.compress import Grid, compress_nets, settings_of
    from lcjax.studies.compress_verdicts import verdicts

    sizes = split_sizes(data)
    shares = (
        {}
        if sizes is None
        else {"validation_fraction": sizes.validation_fraction(), "test_fraction": sizes.test_fraction()}
    )
    task = load_data(data, seed=seed, **shares)
    depths = _integers("--layers", layers)
    if min(depths) < 0:
        raise ValueError(f"--layers takes numbers of hidden layers, got {layers!r}.")
    names = tuple(losses.split(","))
    tried = Grid(
        tuple(_number("--weight", part) for part in weight.split(",")),
        tuple(_number("--preactivation", part) for part in preactivation.split(",")),
        tuple(_number("--rates", part) for part in rates.split(",")),
    )
    for name in names:
        settings_of(name, tried)  # refuses an unknown one before any bar is drawn
    found = []
    with _progress(quiet=print_json) as report:
        for depth in depths:
            found.append(
                compress_nets(
                    jax.random.key(seed),
                    task,
                    MLP((width,) * depth, task.classes),
                    losses=names,
                    grid=tried,
                    passes=epochs,
                    batch=batch,
                    seeds=seeds,
                    pictures=pictures,
                    folder=folder,
                    on_progress=functools.partial(_report_depth, report, depth),
                )
            )
    told = verdicts(found)
    result = {
        "configuration": {
            "data": data, "splits": [len(part.targets) for part in (task.train, task.validation, task.test) if part],
            "layers": depths, "width": width, "losses": names, "grid": tried, "epochs": epochs, "batch": batch,
            "seeds": seeds, "seed": seed,
        },
        "environment": environment(),
        "verdicts": [verdict._asdict() for verdict in told],
        "compressions": [dataclasses.replace(one, weights={}) for one in found],  # the figure has their histograms
    }  # fmt: skip
    write_json(folder / "compress.json", result)
    files = _draw_compression(found, folder)
    if print_json:
        print((folder / "compress.json").read_text(), end="")
        return
    _print_compression(found, told, depths if width == 50 else ())
    print(f"Results: {folder / 'compress.json'}, {', '.join(str(file) for file in files)}")


def _report_depth(
    report: Callable[[str, int | float, int | float], None],
    depth: int,
    stage: str,
    done: int | float,
    total: int | float,
) -> None:
    report(f"{depth} hidden: {stage}", done, total)


def _draw_compression(found: list[Any], folder: Path) -> list[Path]:
    from matplotlib.figure import Figure

    from lcjax import plots_compress as plots
    from lcjax.output import save_figure

    def panels(rows: int, columns: int, height: float) -> tuple[Any, Any]:
        figure = Figure(figsize=(3.6 * columns + 0.4, height * rows + 0.5), layout="constrained")
        return figure, figure.subplots(rows, columns, squeeze=False)

    def finish(figure: Any, name: str, axes: Any) -> None:
        columns = max(2, int(figure.get_figwidth() / 1.6))
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=columns, frameon=False)
        written.extend(save_figure(figure, folder / name))

    written: list[Path] = []
    figure, grid = panels(3, len(found), 2.7)
    for one, (top, middle, bottom) in zip(found, grid.T, strict=True):
        plots.plot_trade_off(one, top)
        plots.plot_bits(one, middle)
        plots.plot_bits(one, bottom, pruned=True)
        top.set_title(one.model, fontsize="medium")
    finish(figure, "trade_off", grid[0, 0])
    figure, grid = panels(3, len(found), 2.4)
    for one, (top, middle, bottom) in zip(found, grid.T, strict=True):
        plots.plot_bits(one, top)
        plots.plot_margin(one, middle, bottom)
        top.set_title(one.model, fontsize="medium")
    finish(figure, "figure3", grid[0, 0])
    for one in found:
        names = list(next(iter(one.weights.values())))
        figure, grid = panels(1, len(names), 2.9)
        for axes, layer in zip(grid[0], names, strict=True):
            plots.plot_weights(one, axes, layer=layer)
        depth = len(names) - 1
        finish(figure, f"weights_{depth}", grid[0, 0])
        if one.embedding:
            figure, grid = panels(3, len(one.embedding), 2.4)
            for column, loss in zip(grid.T, one.embedding, strict=True):
                for which, axes in enumerate(column):
                    plots.plot_picture(one, axes, loss=loss, which=which)
            written.extend(save_figure(figure, folder / f"figure2_{depth}"))
    return written


def _print_compression(found: list[Any], told: list[Any], depths: tuple[int, ...]) -> None:
    import numpy as np
    import rich.console

    from lcjax.output import print_table
    from lcjax.studies.compress import LOSSES
    from lcjax.studies.sharma_tables import paper_row

    def spread(values: Any, digits: int = 3) -> str:
        return f"{np.mean(values):.{digits}f} ± {np.std(values):.{digits}f}"

    console = rich.console.Console(width=150)
    for i, one in enumerate(found):
        row = paper_row(one.data, depths[i]) if i < len(depths) else None
        rows = []
        for loss in one.losses:
            at = LOSSES.index(loss.name) if row is not None and loss.name in LOSSES else None
            paper = [f"{column[at]:g}" for column in row] if row is not None and at is not None else ["", "", ""]
            rows.append(
                [
                    loss.name,
                    " ".join(f"{name}={value:g}" for name, value in loss.chosen.items()).replace(
                        "learning_rate", "rate"
                    ),
                    spread(loss.accuracy),
                    paper[0],
                    spread(loss.pruned_accuracy),
                    paper[1],
                    f"{np.exp(np.mean(np.log(loss.ratio))):.1f} ({np.min(loss.ratio):.1f} to {np.max(loss.ratio):.1f})",
                    paper[2],
                    f"{np.mean(loss.bit_ratio['bit mask']):.1f}",
                    spread(loss.fewest_bits, 1),
                ]
            )
        columns = ["loss", "chosen", "accuracy", "paper", "pruned", "paper", "ratio", "paper", "in bits", "fewest bits"]
        title = f"{one.data}, {one.model}: {one.parameters:,} parameters; largest class {float(one.majority):.3f}"
        print_table(console, title, columns, rows)
    rows = []
    for claim in told:
        numbers = [f"{claim.before:.4g}", f"{claim.after:.4g}", f"{claim.pvalue:.2g}"]
        rows.append([claim.model, claim.claim, claim.losses, *numbers, "yes" if claim.holds else "no"])
    columns = ["net", "claim", "without -> with", "before", "after", "p", "holds"]
    print_table(console, "Claims of the paper", columns, rows)


if __name__ == "__main__":
    main()
