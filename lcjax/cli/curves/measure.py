"""`lcjax measure`."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from lcjax.cli.options import (
    DeviceName,
    ModelName,
    ShardsName,
    app,
    integer_list,
    number_list,
    one_line_errors,
    progress_bars,
    shards_named,
    use_device,
    writable,
)

__all__ = ["measure"]


@app.command()
@one_line_errors(interrupted="Interrupted. What had finished is kept; the same command goes on from there.")
def measure(
    data: Annotated[
        str, typer.Option(help="digits, npz:FILE, tfds:NAME, or idx:, cifar10:, cifar100:, driving:DIR.")
    ] = "digits",
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
    shards: Annotated[
        ShardsName, typer.Option(help="Prefixes of one order a seed, or an order for each size (the paper's).")
    ] = ShardsName.nested,
    output: Annotated[Path | None, typer.Option(help="Folder for all results.")] = None,
    device: Annotated[DeviceName | None, typer.Option(help="Where to run.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the splits and of every stream.")] = 0,
    print_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, no table.")] = False,
) -> None:
    """Measure a learning curve: the lower envelope over nets and learning rates (Hestness et al. 2017).

    Trains every net with every rate on balanced shards, chooses at each size on the validation set, and reports the
    test error of what was chosen. Writes measurement.json and the figure; `lcjax fit` continues such curves.
    """
    import jax

    from lcjax.data.sources import load_data
    from lcjax.data.subsets import shard_sizes
    from lcjax.models.vision.mlp import MLP
    from lcjax.studies.measurement import measure_learning_curve
    from lcjax.studies.recipes import RECIPES

    shares, given = number_list("--fractions", fractions), None
    if learning_rates is not None:
        given = number_list("--learning-rates", learning_rates)
    use_device(device)
    task = load_data(data, seed=seed)
    shard_sizes(len(task.train.targets), shares, classes=task.classes)  # refuses shares before anything is trained
    images = task.train.inputs.ndim == 4
    names = model or [ModelName.driving if images and not task.classes else ModelName.mlp]
    programs, labels, rates = [], [], set()
    for name in names:
        recipe = RECIPES[name.value](task).with_budget(steps=steps, epochs=epochs)
        rates |= {recipe.learning_rate / 3, recipe.learning_rate, 3 * recipe.learning_rate}
        if name is ModelName.mlp and widths is not None:
            for width in integer_list("--widths", widths):
                net = MLP((width, width), max(task.classes, 1))
                programs.append(dataclasses.replace(recipe.program, model=net))
                labels.append(f"mlp {width}")
        else:
            programs.append(recipe.program)
            labels.append(name.value)
    folder = writable(output or Path("lcjax-results") / f"measure-{data.partition(':')[0]}")
    with progress_bars(quiet=print_json) as report:
        measured = measure_learning_curve(
            jax.random.key(seed),
            task,
            programs,
            fractions=shares,
            seeds=seeds,
            grid={"learning_rate": given or sorted(rates)},
            shards=shards_named(shards),
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

    from lcjax.cli.output import save_figure
    from lcjax.curves.envelope import LowerEnvelope
    from lcjax.plots.curves import plot_envelope

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

    from lcjax.cli.output import format_percent, print_table

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
