"""`lcjax randomize`."""

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from lcjax.cli.options import DeviceName, app, number_list, one_line_errors, progress_bars, use_device, writable
from lcjax.cli.papers.randomize_tables import print_parameters, print_randomization

__all__ = ["ExperimentName", "randomize"]


class ExperimentName(StrEnum):
    """Experiments that `lcjax randomize --experiment` knows."""

    conditions = "conditions"
    regularizers = "regularizers"
    widths = "widths"
    complexity = "complexity"
    parameters = "parameters"


@app.command()
@one_line_errors(interrupted="Interrupted. What had finished is kept; the same command goes on from there.")
def randomize(
    data: Annotated[
        str, typer.Option(help="Images: digits, npz:FILE, tfds:NAME, or idx:, cifar10:, cifar100:DIR.")
    ] = "digits",
    experiment: Annotated[
        ExperimentName,
        typer.Option(
            help="Figure 1 (conditions), Tables 1 and 2 (regularizers), test error against width, "
            "complexity measures, or the slides' table of parameters."
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
    dropout: Annotated[bool, typer.Option(help="A row with dropout too, which Table 1 lacks; regularizers.")] = False,
    top: Annotated[
        int | None,
        typer.Option(min=1, help="Also count a label among so many largest outputs as right; 5 for inception-v3."),
    ] = None,
    replacements: Annotated[int, typer.Option(min=1, help="Examples replaced, for the stability; complexity.")] = 4,
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
        print_parameters()
        return
    use_device(device)
    folder = writable(output or Path("lcjax-results") / f"randomize-{experiment.value}")
    import jax

    from lcjax.data.sources import load_data
    from lcjax.files import write_json
    from lcjax.provenance import environment
    from lcjax.studies.randomization import cases as tables
    from lcjax.studies.randomization import randomize as study
    from lcjax.studies.randomization.nets import NETS
    from lcjax.studies.randomization.recipe import RandomizationRecipe

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
        wanted = number_list("--ratios", ratios)
        inputs = math.prod((*(min(side, 28) for side in shape[:2]), *shape[2:]))
        cases = tables.width_cases(inputs, task.classes, size or n, ratios=wanted, seeds=repeats)
    elif experiment is ExperimentName.regularizers:
        cases = tables.regularizer_cases(nets, seeds=repeats, dropout=dropout)
    else:
        cases = tables.condition_cases(nets, levels=levels, seeds=repeats)
    stops = experiment is not ExperimentName.regularizers if stop is None else stop
    recipe = RandomizationRecipe(steps, batch, decay_steps, records=min(records, steps), stop_when_fit=stops)
    if not print_json:
        print(recipe)
    configuration = {"data": data, "experiment": experiment.value, "recipe": recipe, "seed": seed, "seeds": seeds}
    if experiment is ExperimentName.complexity:
        from lcjax.studies.randomization.complexity import measure_complexity

        reports = {}
        for one, examples in nets:
            with progress_bars(quiet=print_json) as report:
                reports[one.name] = measure_complexity(
                    jax.random.key(seed),
                    task,
                    one,
                    recipe,
                    size=examples,
                    seeds=repeats,
                    replacements=replacements,
                    on_progress=report,
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
    with progress_bars(quiet=print_json) as report:
        tests = study.randomization_tests(
            jax.random.key(seed),
            task,
            cases,
            recipe,
            folder=folder,
            top=top or (5 if "inception-v3" in {case.net.name for case in cases} else 1),
            on_progress=report,
        )
    result = {"configuration": configuration, "environment": environment(), "tests": tests}
    write_json(folder / "randomize.json", result)
    files = _draw_randomization(tests, experiment, folder)
    if print_json:
        print((folder / "randomize.json").read_text(), end="")
        return
    print_randomization(tests, data)
    print(f"Results: {folder / 'randomize.json'}, {', '.join(str(file) for file in files)}")


def _draw_randomization(tests: Any, experiment: ExperimentName, folder: Path) -> list[Path]:
    from matplotlib.figure import Figure

    from lcjax.cli.output import save_figure
    from lcjax.plots import randomization as plots

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
    figure = Figure(figsize=(3.9 * max(len(nets), 3), 7.2), layout="constrained")
    parts: Any = figure.subfigures(2, 1)
    for axes, name in zip(parts[0].subplots(1, len(nets), squeeze=False, sharey=True)[0], nets, strict=True):
        plots.plot_training_loss(tests, axes, net=name)
    left, middle, right = parts[1].subplots(1, 3)
    plots.plot_slowdown(tests, left)
    plots.plot_corrupted_error(tests, middle)
    plots.plot_slowdown_of_nets(tests, right)
    return [*save_figure(figure, folder / "figure1")]
