"""`lcjax measure`."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from lcjax.cli import options
from lcjax.cli.command import Job, command
from lcjax.cli.numbers import OptionError, parse_list
from lcjax.cli.targets import TargetErrorOption, TargetOption, read_target, value_target

if TYPE_CHECKING:
    from rich.console import Console

    from lcjax.data.examples import Data
    from lcjax.studies.measurement import Measurement
    from lcjax.studies.recipes import Recipe

__all__ = ["measure"]

AHEAD = (2.0, 4.0, 8.0, 16.0)  # sizes of the forecast, as multiples of the largest one
LEVEL = 0.9
TARGET_UNIT = "unit of the targets"
RATES = "the recipe's, a third of it and three times it"


@command("Curves", "measurement.json", resumable=True)
def measure(
    job: Job,
    data: options.DataOption = "digits",
    model: Annotated[list[str] | None, options.model_option("Model to try; repeatable")] = None,
    widths: Annotated[str | None, options.training("Model sizes of mlp: units of both hidden layers.")] = None,
    learning_rates: Annotated[str | None, options.training("Learning rates to try.", show_default=RATES)] = None,
    groups: options.GroupsOption = None,
    regression: options.RegressionOption = None,
    tolerance: options.ToleranceOption = None,
    metric: Annotated[
        str | None,
        options.data(
            "Regression: rmse or mae, in the unit of the targets, or error, the share of predictions off by more than "
            "--tolerance.",
            show_default="that of --target, else rmse, or error with --tolerance",
        ),
    ] = None,
    target_unit: Annotated[
        str | None, options.data("Regression: unit of the targets in tables and figures, such as USD.")
    ] = None,
    fractions: Annotated[
        str | None,
        options.data(
            "Fractions of the training set to train on, separated by commas.", show_default="six, from 0.03125 to 1"
        ),
    ] = None,
    seeds: options.SeedsOption = 3,
    steps: options.StepsOption = None,
    epochs: options.EpochsOption = None,
    shards: options.ShardsOption = options.ShardsName.nested,
    target: TargetOption = None,
    target_error: TargetErrorOption = None,
) -> None:
    """Measure a learning curve: the lower envelope over models and learning rates (Hestness et al., 2019).

    Trains every model with every rate on balanced shards, selects one at each size by validation error, and reports
    its test error with a forecast beyond the largest size; for a regression its RMSE or MAE. Writes measurement.json,
    measurements.csv (which `lcjax fit` and `lcjax compare` read), report.html and a figure.
    """
    from lcjax.curves.metrics import ERROR
    from lcjax.data.balance import check_targets
    from lcjax.data.examples import TOLERANCE
    from lcjax.data.sources import load_data
    from lcjax.data.subsets import shard_sizes
    from lcjax.reports.measurement import measurement_page
    from lcjax.studies.measurement import FRACTIONS, measure_learning_curve
    from lcjax.studies.metrics import choose_metric
    from lcjax.studies.recipes import RECIPES

    asked = read_target(target, target_error)
    shares = options.parse_fractions(fractions, FRACTIONS)
    rates = None if learning_rates is None else parse_list("--learning-rates", learning_rates, options.RATE)
    sides = parse_list("--widths", widths, options.WIDTH) if widths is not None else ()
    name = metric or (asked.metric if asked is not None and asked.metric in ("rmse", "mae") else None)
    name = "error" if name is None and tolerance is not None else name
    if name in ("rmse", "mae") and tolerance is not None:
        raise OptionError(
            f"--tolerance is for the share of wrong predictions, not for the {name}: leave one of them out."
        )
    task = load_data(data, seed=job.seed, groups=groups, regression=regression, tolerance=tolerance or TOLERANCE)
    chosen = dataclasses.replace(choose_metric(task, name), unit="" if task.classes else target_unit or TARGET_UNIT)
    if chosen.name == "error":
        options.require_rate("measure", task, tolerance)
        chosen = ERROR
    goal = value_target(target, target_error, chosen)
    job.print_notes(task.notes)
    shard_sizes(len(task.train.targets), shares, classes=task.classes)  # validates the fractions before any training
    names = [options.parse_model(name, task) for name in model] if model else [options.parse_model(None, task)]
    recipes: dict[str, Recipe] = {}
    for name in names:
        recipe = RECIPES[name](task).with_budget(steps=steps, epochs=epochs)
        recipes |= _perceptrons(recipe, task, sides) if name == "mlp" and sides else {name: recipe}
    if rates is None:
        usual = {recipe.learning_rate for recipe in recipes.values()}
        rates = tuple(sorted({rate for one in usual for rate in (one / 3, one, 3 * one)}))
    folder, grid = job.open_folder(f"measure-{options.source_name(data)}"), {"learning_rate": rates}
    function = options.shards_function(shards)
    settings = options.Settings(
        fractions=shares, seeds=seeds, grid=grid, shards=function, target_error=goal, metric=chosen
    )
    programs = [recipe.program for recipe in recipes.values()]
    with job.show_progress() as report:
        measurement = measure_learning_curve(job.key, task, programs, **settings, folder=folder, on_progress=report)
    files = [_tabulate(measurement, folder), *_draw(measurement, folder, data.rpartition("/")[2])]
    labels, cautions = list(recipes), check_targets(task, by_rate=chosen.name == "error")
    page = measurement_page(measurement, labels, title=f"Learning curve on {data.rpartition('/')[2]}", caveats=cautions)
    files.append(job.write_report(folder, page))

    def show(console: "Console") -> None:
        _print(console, measurement, labels, data)
        for caution in cautions:
            console.print(f"Caution: {caution}")

    job.finish(folder / "measurement.json", files, show)


def _perceptrons(recipe: "Recipe", task: "Data", widths: tuple[int, ...]) -> "dict[str, Recipe]":
    """Return the recipe with hidden layers of each of the widths."""
    from lcjax.models.vision.mlp import MLP

    recipes = {}
    for width in widths:
        program = dataclasses.replace(recipe.program, model=MLP((width, width), max(task.classes, 1)))
        recipes[f"mlp {width}"] = dataclasses.replace(recipe, program=program)
    return recipes


def _tabulate(measurement: "Measurement", folder: Path) -> Path:
    """Write the test errors of the best member at each size as the long table of `lcjax collect`."""
    import numpy as np

    from lcjax.studies.collection.measurements import Training, gather, write_measurements

    curve, metric = measurement.curve, measurement.metric
    assert curve.replicates is not None
    trainings = [
        Training(int(size), repeat, {metric.name: float(metric.from_error(error))}, float("nan"))
        for repeat, row in enumerate(np.asarray(curve.replicates, float))
        for size, error in zip(np.asarray(curve.size), row, strict=True)
        if np.isfinite(error)
    ]
    write_measurements(folder / "measurements.csv", gather(trainings))
    return folder / "measurements.csv"


def _draw(measurement: "Measurement", folder: Path, title: str) -> tuple[Path, ...]:
    from matplotlib.figure import Figure

    from lcjax.cli.output import save_figure
    from lcjax.curves.envelope import LowerEnvelope
    from lcjax.plots.curves import plot_envelope
    from lcjax.plots.style import plain_text

    figure = Figure(figsize=(7.2, 5.0), layout="constrained")
    axes = figure.subplots()
    replicates = measurement.members.replicates
    assert replicates is not None
    envelope = LowerEnvelope(measurement.curve, measurement.choice)
    metric = measurement.metric
    plot_envelope(envelope, replicates, axes, forecast=measurement.forecast, metric=metric)
    axes.legend(frameon=False)
    subject = f"{title}: test {metric.title}, {len(measurement.program)} members"
    axes.set_title(plain_text(subject), fontsize="medium")
    return save_figure(figure, folder / "measurement")


def _print(console: "Console", measurement: "Measurement", labels: list[str], data: str) -> None:
    import numpy as np

    from lcjax.cli.answers import print_answer
    from lcjax.cli.output import print_table
    from lcjax.reports.measurement import describe_target, format_error, rows_by_size

    curve, metric, rows = measurement.curve, measurement.metric, rows_by_size(measurement, labels)
    if (ahead := measurement.forecast) is not None:
        sizes = np.array(AHEAD) * float(ahead.largest)
        low, high = (np.asarray(limit, float) for limit in ahead.interval(sizes, LEVEL))
        for size, value, *limits in zip(sizes, np.asarray(ahead.predict(sizes), float), low, high, strict=True):
            interval = " to ".join(format_error(metric, limit) for limit in limits)
            rows.append([f"{size:,.0f}", "", format_error(metric, value), f"forecast; {100 * LEVEL:g} %: {interval}"])
    columns = ["examples", "train", "test", "best: model, rate"]
    heading = "Error in %" if metric.name == "error" else f"{metric.title} in {metric.unit}"
    print_table(console, f"{heading} on {data}", columns, rows)
    if measurement.target is not None:
        subject = f"Test {describe_target(metric, measurement.target.error)}"
        count = None if curve.test_count is None else float(np.asarray(curve.test_count))
        print_answer(console, measurement.target.fields(), subject, "examples", test_count=count)
    if measurement.diagnosis is not None:
        console.print(measurement.diagnosis.sentence(metric=measurement.metric))
    if measurement.failed.any():
        console.print(f"{measurement.failed.sum()} trainings diverged and were left out.")
