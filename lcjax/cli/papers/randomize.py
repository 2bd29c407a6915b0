"""`lcjax randomize`."""

import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from lcjax.cli import options
from lcjax.cli.command import Job, command
from lcjax.cli.numbers import OptionError, Range, parse_list

if TYPE_CHECKING:
    from rich.console import Console

    from lcjax.studies.randomization.complexity import ComplexityStudy
    from lcjax.studies.randomization.nets import Net
    from lcjax.studies.randomization.randomize import RandomizationTests

__all__ = ["randomize"]

EXPERIMENT = "Figure 1 (conditions), Tables 1 and 2 (regularizers), error by width, complexity, or the slides' table."
TOP = "Also count labels among this many largest outputs as correct."
ExperimentName = StrEnum("ExperimentName", ["conditions", "regularizers", "widths", "complexity", "parameters"])


@command("Papers", "randomize.json", "complexity.json", resumable=True)
def randomize(
    job: Job,
    data: options.DataOption = "digits",
    regression: options.RegressionOption = None,
    size: options.SizeOption = None,
    experiment: Annotated[ExperimentName, options.training(EXPERIMENT)] = ExperimentName.conditions,
    net: Annotated[
        list[str] | None,
        options.training("NAME or NAME:EXAMPLES; repeatable. An unknown name lists all.", show_default="mlp-1x512"),
    ] = None,
    steps: Annotated[int, options.training("Largest number of steps per training.", numbers=options.COUNT)] = 1200,
    batch: Annotated[int, options.training("Batch size.", numbers=options.BATCH)] = 128,
    decay_steps: Annotated[
        int, options.training("Steps after which the learning rate falls by 0.95.", numbers=options.COUNT)
    ] = 391,
    records: Annotated[
        int, options.training("Number of evaluations during a training.", numbers=Range(int, 1, 100_000))
    ] = 60,
    stop: Annotated[
        bool | None,
        options.training("Stop a training once its training set is fitted.", show_default="except for regularizers"),
    ] = None,
    levels: Annotated[
        int, options.training("Levels of label corruption from 0 to 1.", numbers=Range(int, 2, 1_001))
    ] = 11,
    ratios: Annotated[
        str, options.training("Ratios of parameters to examples, for --experiment widths.")
    ] = "0.2,0.5,1,2,5,10",
    dropout: Annotated[
        bool, options.training("Add a row with dropout, which Table 1 lacks, to --experiment regularizers.")
    ] = False,
    top: Annotated[
        int | None, options.training(TOP, numbers=options.COUNT, show_default="5 for inception-v3, else 1")
    ] = None,
    replacements: Annotated[
        int,
        options.training(
            "Examples to replace for the stability, for --experiment complexity.", numbers=Range(int, 1, 100_000)
        ),
    ] = 4,
    seeds: options.SeedsOption = 1,
) -> None:
    """Run the randomization tests of Zhang et al. (2017) on your images; see docs/randomize.md.

    Trains on true, corrupted and random labels, on shuffled, random and Gaussian pixels, with regularizers switched on
    and off, or with models of growing width. Prints the settings, and writes randomize.json and the figures.
    """
    from lcjax.cli.output import write_result
    from lcjax.cli.papers import randomize_tables as tables
    from lcjax.data.sources import load_data
    from lcjax.studies.randomization import cases as study
    from lcjax.studies.randomization.complexity import measure_complexity
    from lcjax.studies.randomization.nets import parameter_table
    from lcjax.studies.randomization.randomize import randomization_tests
    from lcjax.studies.randomization.recipe import RandomizationRecipe

    if experiment is ExperimentName.parameters:
        if job.print_json:
            names = ("name", "parameters", "training_examples", "ratio")
            job.print_document({"nets": [dict(zip(names, row, strict=True)) for row in parameter_table()]})
        elif not job.is_silent:
            tables.print_parameters()
        return
    shares = parse_list("--ratios", ratios, options.RATE)
    chosen = [_parse_net(text) for text in net or ["mlp-1x512"]]
    folder = job.open_folder(f"randomize-{experiment.value}")
    task = load_data(data, seed=job.seed, regression=regression)
    options.require_classes("randomize", task)
    job.print_notes(task.notes)
    n = size or len(task.train.targets)
    nets = [(one, examples or n) for one, examples in chosen]
    stops = experiment is not ExperimentName.regularizers if stop is None else stop
    recipe = RandomizationRecipe(steps, batch, decay_steps, records=min(records, steps), stop_when_fit=stops)
    if not job.is_silent:
        print(recipe)
    configuration = {
        "data": data, "experiment": experiment.value, "recipe": recipe, "seed": job.seed, "seeds": seeds,
    }  # fmt: skip
    repeats = range(seeds)
    if experiment is ExperimentName.complexity:
        measures: dict[str, ComplexityStudy] = {}
        for one, examples in nets:
            with job.show_progress() as report:
                settings = options.Settings(size=examples, seeds=repeats, replacements=replacements)
                measures[one.name] = measure_complexity(job.key, task, one, recipe, **settings, on_progress=report)
        result = write_result(folder / "complexity.json", configuration, measures=measures)
        job.finish(result, (), lambda console: _print_measures(console, measures))
        return
    if experiment is ExperimentName.widths:
        shape = task.train.inputs.shape[1:]
        inputs = math.prod((*(min(side, 28) for side in shape[:2]), *shape[2:]))
        cases = study.width_cases(inputs, task.classes, n, ratios=shares, seeds=repeats)
    elif experiment is ExperimentName.regularizers:
        cases = study.regularizer_cases(nets, seeds=repeats, dropout=dropout)
    else:
        cases = study.condition_cases(nets, levels=levels, seeds=repeats)
    with job.show_progress() as report:
        largest = top or (5 if "inception-v3" in {case.net.name for case in cases} else 1)
        tests = randomization_tests(job.key, task, cases, recipe, folder=folder, top=largest, on_progress=report)
    files = _draw(tests, experiment, folder)
    result = write_result(folder / "randomize.json", configuration, tests=tests)
    job.finish(result, files, lambda console: tables.print_randomization(console, tests, data))


def _parse_net(text: str) -> "tuple[Net, int | None]":
    """Return the model and the number of examples of NAME or NAME:EXAMPLES; None for all examples."""
    from lcjax.studies.randomization.nets import NETS

    name, _, number = text.partition(":")
    if name not in NETS:
        raise OptionError(f"--net {text!r} is not NAME or NAME:EXAMPLES; the names are {', '.join(NETS)}.")
    return NETS[name], parse_list("--net", number, Range(int, 2))[0] if number else None


def _print_measures(console: "Console", measures: "dict[str, ComplexityStudy]") -> None:
    for name, study in measures.items():
        true, random = (f"{100 * error:.1f}" for error in study.test_error.mean(axis=1))
        console.print(f"\n{name}, test error {true} % on true labels, {random} % on random labels\n{study.report}")


def _draw(tests: "RandomizationTests", experiment: ExperimentName, folder: Path) -> tuple[Path, ...]:
    from matplotlib.figure import Figure

    from lcjax.cli.output import save_figure, save_plot
    from lcjax.plots import randomization as plots

    nets = list(dict.fromkeys(tests.net))
    if experiment is ExperimentName.widths:
        return save_plot(folder / "width", lambda axes: plots.plot_width(tests, axes), (5.6, 4.2))
    if experiment is ExperimentName.regularizers:
        figure = Figure(figsize=(4.6 * len(nets), 4.0), layout="constrained")
        for axes, name in zip(figure.subplots(1, len(nets), squeeze=False)[0], nets, strict=True):
            plots.plot_regularizers(tests, axes, net=name)
        return save_figure(figure, folder / "figure2")
    figure = Figure(figsize=(3.9 * max(len(nets), 3), 7.2), layout="constrained")
    grid = figure.add_gridspec(2, 1)
    above, below = (figure.add_subfigure(grid[row]) for row in range(2))
    for axes, name in zip(above.subplots(1, len(nets), squeeze=False, sharey=True)[0], nets, strict=True):
        plots.plot_training_loss(tests, axes, net=name)
    left, middle, right = below.subplots(1, 3)
    plots.plot_slowdown(tests, left)
    plots.plot_corrupted_error(tests, middle)
    plots.plot_slowdown_of_nets(tests, right)
    return save_figure(figure, folder / "figure1")
