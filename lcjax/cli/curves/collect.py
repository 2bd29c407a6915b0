"""`lcjax collect`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcjax.cli import options
from lcjax.cli.command import Job, command
from lcjax.cli.curves.forecasts import draw_forecasts, print_forecasts
from lcjax.cli.numbers import Range, parse_list
from lcjax.cli.targets import BestOption, MaximizeOption, TargetErrorOption, TargetOption, read_target

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from lcjax.studies.collection.measurements import Measurements

__all__ = ["collect"]

FORECAST_SIZES = 2  # smallest number of sizes that are forecast
# Options that do not affect what a training reports.
FREE = (
    "sizes", "repeats", "jobs", "retries", "timeout", "metric", "best", "maximize", "target", "target_error", "unit",
)  # fmt: skip


@command("Curves", "result.json", "measurements.csv", resumable=True)
def collect(
    job: Job,
    words: Annotated[
        list[str], typer.Argument(metavar="COMMAND", help="Command that trains once, after --, with {size} and {seed}.")
    ],
    sizes: Annotated[str, options.training("Numbers of training examples, separated by commas.")],
    repeats: Annotated[int, options.training("Number of trainings at each size.", numbers=Range(int, 1, 100_000))] = 3,
    examples: Annotated[
        int | None, options.data("Number of training examples at hand, for {indices}.", numbers=Range(int, 1))
    ] = None,
    labels: Annotated[
        Path | None, options.data("Text file with the label of each training example on a line, to stratify {indices}.")
    ] = None,
    shards: options.ShardsOption = options.ShardsName.nested,
    jobs: Annotated[int, options.training("Number of concurrent trainings.", numbers=Range(int, 1, 10_000))] = 1,
    retries: Annotated[
        int, options.training("Number of times that a training that fails is repeated.", numbers=Range(int, 0, 1000))
    ] = 0,
    timeout: Annotated[
        float | None,
        options.training(
            "Seconds after which a training is ended.", numbers=Range(float, 0, open_low=True), show_default="none"
        ),
    ] = None,
    metric: Annotated[
        str | None, options.result("Metric to forecast.", show_default="that of --target, or the first known one")
    ] = None,
    best: BestOption = None,
    maximize: MaximizeOption = False,
    target: TargetOption = None,
    target_error: TargetErrorOption = None,
    unit: Annotated[str, options.fit("What a size counts, in the plural, such as tokens or hours.")] = "examples",
) -> None:
    """Run your own training command on growing subsets, and forecast what it reports.

    lcjax collect --sizes 100,200,400,800 --target "error<=.05" -- python train.py --n {size} --seed {seed}

    COMMAND trains once and prints a line of JSON, such as {"error": 0.12, "auc": 0.93}; every number in the last such
    line is a metric. {size}, {seed} and {indices} in COMMAND are replaced; {indices} is a text file with the number of
    one training example on each line. See docs/collect.md. Writes measurements.csv, result.json and a figure.
    """
    from concurrent.futures import ThreadPoolExecutor

    from lcjax.cli.output import write_result
    from lcjax.curves.metrics import find_metric
    from lcjax.studies.collection import collect as collection
    from lcjax.studies.collection.command import Command
    from lcjax.studies.collection.measurements import write_measurements
    from lcjax.studies.fitting.fitted_curves import fit_learning_curves
    from lcjax.studies.fitting.summary import summary

    goal = read_target(target, target_error)
    asked = metric or (None if goal is None else goal.metric)
    chosen = None if asked is None else find_metric(asked, best, maximize=maximize)
    error = None if goal is None or chosen is None else goal.to_error(chosen)  # refused before any training
    numbers = parse_list("--sizes", sizes, Range(int, 1))
    trainer = Command(tuple(words), timeout=timeout)
    marks = None if labels is None else _read_labels(labels)
    folder = job.open_folder("collect", free=FREE)
    function = options.shards_function(shards)
    with job.show_progress() as report, ThreadPoolExecutor(jobs) as pool:
        measurements = collection.collect(
            trainer, numbers, repeats=repeats, examples=examples, labels=marks, seed=job.seed, shards=function,
            folder=folder / "trainings", executor=pool if jobs > 1 else None, retries=retries, on_progress=report,
        )  # fmt: skip
    write_measurements(folder / "measurements.csv", measurements)
    if chosen is None:
        chosen = find_metric(measurements.main_metric(), best, maximize=maximize)
        error = None if goal is None else goal.to_error(chosen)
    if chosen.name not in measurements.metrics:
        raise ValueError(f"The command reports {', '.join(measurements.metrics)}, but not {chosen.name!r}.")
    table = measurements.curves(chosen)
    settings = {
        "command": words,
        "sizes": numbers,
        "repeats": repeats,
        "metric": chosen,
        "target": None if goal is None else goal.expression(chosen),
        "unit": unit,
    }
    files, fitted = [folder / "measurements.csv"], None
    if len(set(numbers)) >= FORECAST_SIZES:
        fitted = fit_learning_curves(job.key, table, target_error=error, allow_rising=True)
        files += draw_forecasts(fitted, folder / "curve", unit)
    curves = [] if fitted is None else summary(fitted)
    result = write_result(folder / "result.json", settings, measurements=measurements, curves=curves)

    def show(console: "Console") -> None:
        _print(console, measurements)
        if fitted is not None:
            print_forecasts(console, fitted, curves, unit, file="result.json")

    job.finish(result, files, show)


def _read_labels(path: Path) -> "np.ndarray":
    import numpy as np

    from lcjax.files import reading, require_file

    with reading(require_file(path)):
        return np.array(path.read_text(encoding="utf-8").splitlines())


def _print(console: "Console", measurements: "Measurements") -> None:
    """Print the mean of every metric at each size, and the trainings that failed."""
    import numpy as np

    from lcjax.cli.output import format_size, print_table

    rows = []
    for size in np.unique(measurements.size):
        at = measurements.size == size
        means = [_mean(measurements.value[at, i]) for i in range(len(measurements.metrics))]
        rows.append([format_size(size), f"{at.sum()}", *means, f"{measurements.seconds[at].mean():.3g}"])
    columns = ["size", "trainings", *measurements.metrics, "seconds"]
    print_table(console, "Mean of each metric", columns, rows)
    for failure in measurements.failures:
        console.print(f"Failed: {failure}", markup=False)


def _mean(values: "object") -> str:
    import numpy as np

    present = np.asarray(values, float)
    present = present[~np.isnan(present)]
    return f"{present.mean():.4g}" if present.size else "–"
