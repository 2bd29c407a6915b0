"""`lcjax collect`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcjax.cli import options
from lcjax.cli.command import Job, command
from lcjax.cli.curves.array_job import array_script
from lcjax.cli.curves.forecasts import draw_forecasts, print_forecasts
from lcjax.cli.curves.parts import PLURALS, fit_parts
from lcjax.cli.numbers import OptionError, Range, parse_list
from lcjax.cli.targets import BestOption, MaximizeOption, TargetErrorOption, TargetOption, read_target

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from lcjax.studies.collection.measurements import Measurements

__all__ = ["collect"]

OrderName = StrEnum("OrderName", ["random", "recent", "first"])
FORECAST_SIZES = 2  # smallest number of sizes that are forecast
# Options that do not affect what a training reports.
FREE = (
    "sizes", "repeats", "jobs", "retries", "timeout", "metric", "best", "maximize", "target", "target_error", "unit",
    "budget", "precision", "max_size", "cost_per_example", "task", "track",
)  # fmt: skip


@command("Curves", "result.json", "measurements.csv", resumable=True)
def collect(
    job: Job,
    words: Annotated[
        list[str], typer.Argument(metavar="COMMAND", help="Command that trains once, after --, with {size} and {seed}.")
    ],
    sizes: Annotated[
        str | None,
        options.training("Numbers of training examples, separated by commas.", show_default="chosen, with --budget"),
    ] = None,
    repeats: Annotated[int, options.training("Number of trainings at each size.", numbers=Range(int, 1, 100_000))] = 3,
    examples: Annotated[
        int | None, options.data("Number of training examples at hand, for {indices}.", numbers=Range(int, 1))
    ] = None,
    labels: Annotated[
        Path | None, options.data("Text file with the label of one training example per line, to stratify {indices}.")
    ] = None,
    groups: Annotated[
        Path | None,
        options.data("Text file with the group (patient, site) of one example per line; sizes then count groups."),
    ] = None,
    order: Annotated[
        OrderName, options.data("Examples that {indices} selects: random, the last (recent) or the first ones.")
    ] = OrderName.random,
    shards: options.ShardsOption = options.ShardsName.nested,
    jobs: Annotated[int, options.training("Number of concurrent trainings.", numbers=Range(int, 1, 10_000))] = 1,
    retries: Annotated[
        int, options.training("Number of times to repeat a training that fails.", numbers=Range(int, 0, 1000))
    ] = 0,
    timeout: Annotated[
        float | None,
        options.training(
            "Time limit of one training, in seconds.", numbers=Range(float, 0, open_low=True), show_default="none"
        ),
    ] = None,
    metrics_from: Annotated[
        str | None,
        options.training(
            'File or folder with the metrics, such as "{output}" or "{folder}/log.csv".',
            show_default="the last line of JSON that COMMAND prints",
        ),
    ] = None,
    budget: Annotated[
        str | None,
        options.training(
            'Choose the sizes, and spend at most 2h, 30m, 90s, "50 trainings", "5000 examples" or a cost.',
            show_default="none",
        ),
    ] = None,
    precision: Annotated[
        float,
        options.training(
            "With --budget, stop when the limits of the 90 % interval of the size have at most this ratio.",
            numbers=Range(float, 1, open_low=True),
        ),
    ] = 2.0,
    max_size: Annotated[
        int | None,
        options.training(
            "With --budget, largest size of a training.", numbers=Range(int, 1), show_default="all examples"
        ),
    ] = None,
    cost_per_example: Annotated[
        float | None,
        options.training(
            "Cost of a training per training example.",
            numbers=Range(float, 0, open_low=True),
            show_default="the metric cost that COMMAND reports",
        ),
    ] = None,
    array: Annotated[
        bool, options.training("Print a Slurm script that runs each training as a task.", "--array")
    ] = False,
    task: Annotated[
        int | None, options.training("Run only the training with this number, counted from 0.", numbers=Range(int, 0))
    ] = None,
    metric: Annotated[
        str | None, options.result("Metric to forecast.", show_default="that of --target, or the first known one")
    ] = None,
    best: BestOption = None,
    maximize: MaximizeOption = False,
    target: TargetOption = None,
    target_error: TargetErrorOption = None,
    unit: Annotated[
        str | None,
        options.fit("What a size counts, in the plural, such as tokens.", show_default="examples, or groups"),
    ] = None,
    track: options.TrackOption = None,
) -> None:
    """Run your own training command on subsets of increasing size, and forecast a metric that it reports.

    lcjax collect --sizes 100,200,400,800 --target "error<=.05" -- python train.py --n {size} --seed {seed}

    COMMAND trains once and prints a line of JSON, such as {"error": 0.12, "auc": 0.93}; every number in the last such
    line is a metric. {size}, {seed} and {indices} in COMMAND are replaced; {indices} is a text file with the number of
    one training example on each line. With --budget the sizes that are most informative about the target are chosen.
    See docs/collect.md. Writes measurements.csv, result.json, report.html and a figure.
    """
    from concurrent.futures import ThreadPoolExecutor

    from lcjax.cli.output import write_result
    from lcjax.curves.metrics import find_metric
    from lcjax.reports.collection import Part, collection_page
    from lcjax.studies.collection import collect as collection
    from lcjax.studies.collection.measurements import write_measurements
    from lcjax.studies.collection.trainers.command import Command
    from lcjax.studies.fitting.fitted_curves import fit_learning_curves
    from lcjax.studies.fitting.summary import summary
    from lcjax.tracking.scalars import TrackedResult
    from lcjax.tracking.trackers import find_tracker

    goal = read_target(target, target_error)
    asked = metric or (None if goal is None or goal.metric == "error" else goal.metric)
    chosen = None if asked is None else find_metric(asked, best, maximize=maximize)
    error = None if goal is None or chosen is None else goal.to_error(chosen)  # refused before any training
    numbers = None if sizes is None else parse_list("--sizes", sizes, Range(int, 1))
    if numbers is None and budget is None:
        raise OptionError("Give --sizes, or --budget to have them chosen.")
    if budget is not None and goal is None:
        raise OptionError("--budget chooses the sizes that are informative about a target: give --target.")
    trainer = Command(tuple(words), timeout=timeout, metrics_from=metrics_from)
    if array:
        if numbers is None or budget is not None or task is not None:
            raise OptionError("--array needs trainings that are known in advance: --sizes, no --budget and no --task.")
        script = array_script(job.words, len(set(numbers)) * repeats)
        if job.print_json:
            job.print_document({"script": script})
        else:
            print(script, end="")
        return

    def choose(measured: "Measurements") -> "Metric":
        """Return the metric to forecast, which is known after the first training."""
        if chosen is not None:
            return chosen
        name = "error" if goal is not None and goal.metric and "error" in measured.metrics else measured.main_metric()
        return find_metric(name, best, maximize=maximize)

    def check(first: "Measurements") -> None:
        known = choose(first)
        first.curves(known)
        if goal is not None:
            goal.to_error(known)

    trackers = [find_tracker(address) for address in track or ()]
    marks, members = (None if file is None else _read_column(file) for file in (labels, groups))
    folder = job.open_folder("collect", free=FREE)
    function, counted = options.shards_function(shards), unit or ("examples" if groups is None else "groups")
    with job.show_progress() as report, ThreadPoolExecutor(jobs) as pool:
        measurements = collection.collect(
            trainer, numbers, repeats=repeats, examples=examples, labels=marks, groups=members, order=order.value,
            seed=job.seed, shards=function, target=goal if budget is not None else None, metric=chosen, budget=budget,
            precision=precision, max_size=max_size, cost_per_example=cost_per_example, folder=folder / "trainings",
            executor=pool if jobs > 1 else None, retries=retries, task=task, check=check,
            on_progress=report,
        )  # fmt: skip
    if task is not None:
        _print_task(measurements)
        return
    write_measurements(folder / "measurements.csv", measurements)
    chosen = choose(measurements)
    error = None if goal is None else goal.to_error(chosen)
    table = measurements.curves(chosen)
    settings = {
        "command": words,
        "sizes": sorted(set(measurements.size.tolist())),
        "repeats": repeats,
        "metric": chosen,
        "target": None if goal is None else goal.expression(chosen),
        "unit": counted,
    }
    files, fitted = [folder / "measurements.csv"], None
    if len(set(measurements.size.tolist())) >= FORECAST_SIZES:
        with job.show_progress() as report:
            fitted = fit_learning_curves(job.key, table, target_error=error, allow_rising=True, on_progress=report)
        files += draw_forecasts(fitted, folder / "curve", counted)
    curves = [] if fitted is None else summary(fitted)
    parts = [] if fitted is None else fit_parts(job.key, measurements, chosen, error, folder, counted)
    files += [file for part in parts for file in part.files]
    title = f"Learning curve: {chosen.name}"
    shown = [Part(part.kind, part.fitted, part.curves, part.sentence) for part in parts]
    page = collection_page(measurements, fitted, curves, counted, title=title, parts=shown)
    files.append(job.write_report(folder, page))
    by_part = {PLURALS[part.kind]: part.fields() for part in parts}
    result = write_result(folder / "result.json", settings, measurements=measurements, curves=curves, **by_part)
    for tracker in trackers:
        tracker(TrackedResult(f"collect-{folder.name}", settings, measurements, fitted, [result, *files]))

    def show(console: "Console") -> None:
        _print(console, measurements, chosen.name)
        if measurements.ending:
            console.print(measurements.ending, markup=False)
        if fitted is not None:
            print_forecasts(console, fitted, curves, counted, file="result.json")
        for part in parts:
            part.print(console, counted)

    job.finish(result, files, show)


def _print_task(measurements: "Measurements") -> None:
    """Print the metrics of one training of an array job, as a line of JSON."""
    import json

    from lcjax.records import to_dict

    size, repeat = int(measurements.size[0]), int(measurements.repeat[0])
    values = dict(zip(measurements.metrics, measurements.value[0].tolist(), strict=True))
    print(json.dumps(to_dict({"size": size, "repeat": repeat, **values})))


def _read_column(path: Path) -> "np.ndarray":
    import numpy as np

    from lcjax.files import reading, require_file

    with reading(require_file(path)):
        return np.array(path.read_text(encoding="utf-8").splitlines())


def _print(console: "Console", measurements: "Measurements", metric: str) -> None:
    """Print the mean of every metric at each size, and the trainings that failed or have no value of the metric."""
    import numpy as np

    from lcjax.cli.output import print_table
    from lcjax.reports.collection import metric_means

    print_table(console, *metric_means(measurements))
    values = measurements.value[:, measurements.metrics.index(metric)]
    for size, repeat in zip(measurements.size[np.isnan(values)], measurements.repeat[np.isnan(values)], strict=True):
        console.print(f"No {metric}: size {size}, repeat {repeat} reported none, or one that is not a number.")
    for failure in measurements.failures:
        console.print(f"Failed: {failure}", markup=False)
