"""`lcjax randomize`."""

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from lcjax.cli.common import DeviceName, app, number_list, one_line_errors, progress_bars, use_device, writable

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
    use_device(device)
    folder = writable(output or Path("lcjax-results") / f"randomize-{experiment.value}")
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
        wanted = number_list("--ratios", ratios)
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
            with progress_bars(quiet=print_json) as report:
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
    with progress_bars(quiet=print_json) as report:
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


def _print_parameters() -> None:
    import rich.console

    from lcjax.output import print_table
    from lcjax.studies.zhang_protocol import parameter_table

    rows = [[name, f"{p:,}", f"{n:,}", f"{ratio:.0f}"] for name, p, n, ratio in parameter_table()]
    columns = ["net", "parameters", "training examples", "p / n"]
    print_table(rich.console.Console(), "Parameters over training examples, CIFAR-10 and ImageNet", columns, rows)


def _draw_randomization(tests: Any, experiment: ExperimentName, folder: Path) -> list[Path]:
    from matplotlib.figure import Figure

    from lcjax.output import save_figure
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
