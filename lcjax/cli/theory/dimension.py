"""`lcjax dimension`."""

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from lcjax.cli.options import (
    DeviceName,
    ModelName,
    app,
    integer_list,
    one_line_errors,
    progress_bars,
    use_device,
    writable,
)

__all__ = ["FamilyName", "dimension"]


class FamilyName(StrEnum):
    """Families of nets that `--family` knows."""

    lenet = "lenet"
    mlp = "mlp"


@app.command()
@one_line_errors(interrupted="Interrupted. What had finished is kept; the same command goes on from there.")
def dimension(
    data: Annotated[str, typer.Option(help="digits, npz:FILE, tfds:NAME, or idx:, cifar10:, cifar100:DIR.")] = "digits",
    family: Annotated[
        list[FamilyName] | None,
        typer.Option(help="Nine LeNets (Table 1 of Bisla et al.), six perceptrons (Table 2); may be repeated."),
    ] = None,
    net: Annotated[
        list[str] | None,
        typer.Option(
            help="lenet:FILTERS,FILTERS, mlp:UNITS,... or a name that --model of predict takes; may be repeated. "
            "mlp:64,64 if nothing is given."
        ),
    ] = None,
    size: Annotated[int | None, typer.Option(min=1, help="Training examples; all by default.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of every net.")] = 1,
    steps: Annotated[int | None, typer.Option(min=1, help="Least optimizer steps of a training.")] = None,
    epochs: Annotated[float | None, typer.Option(min=0, help="Passes over the shard, if that is more.")] = None,
    widths: Annotated[str, typer.Option(help="Widths of the bottleneck.")] = "1,2,3,4,5,6,7,8",
    margin: Annotated[
        float | None, typer.Option(min=0, max=1, help="Loss of accuracy that a bottleneck may cause.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Folder for all results.")] = None,
    device: Annotated[DeviceName | None, typer.Option(help="Where to run.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the splits and of every stream.")] = 0,
    print_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, no table.")] = False,
) -> None:
    """Measure the effective dimension of nets of growing capacity (Bisla et al. 2021, Tables 1 and 2).

    Trains each net, puts a bottleneck of every width before its output layer, fine-tunes, and gives the smallest width
    that loses no accuracy on validation data. Writes dimension.json and the figure.
    """
    chosen = integer_list("--widths", widths)
    if min(chosen) < 1 or sorted(set(chosen)) != list(chosen):
        raise ValueError(f"--widths takes different widths from 1 on, ascending, got {widths!r}.")
    nets = _nets(family or [], net or [])
    use_device(device)
    import jax

    from lcjax.data.sources import load_data
    from lcjax.models.vision.lenet import LeNet
    from lcjax.models.vision.mlp import MLP
    from lcjax.studies.dimension import measure_dimensions
    from lcjax.studies.recipes import RECIPES

    task = load_data(data, seed=seed)
    of_nets = {}
    for kind, sides in nets:
        recipe, told = RECIPES[kind](task), kind
        if sides:
            outputs = max(task.classes, 1)
            model = LeNet((sides[0], sides[1]), outputs) if kind == "lenet" else MLP(sides, outputs)
            recipe = dataclasses.replace(recipe, program=dataclasses.replace(recipe.program, model=model))
            told = f"{kind} {'-'.join(map(str, sides))}"
        of_nets[told] = recipe.with_budget(steps=steps, epochs=epochs)
    folder = writable(output or Path("lcjax-results") / f"dimension-{data.partition(':')[0]}")
    with progress_bars(quiet=print_json) as report:
        table = measure_dimensions(
            jax.random.key(seed),
            task,
            of_nets,
            size=size,
            seeds=seeds,
            widths=chosen,
            margin=margin,
            folder=folder,
            on_progress=report,
        )
    files = _draw_dimensions(table, folder, data.rpartition("/")[2])
    if print_json:
        print((folder / "dimension.json").read_text(), end="")
        return
    _print_dimensions(table, nets, data)
    print(f"Results: {folder / 'dimension.json'}, {', '.join(str(file) for file in files)}")


def _nets(families: list[FamilyName], nets: list[str]) -> list[tuple[str, tuple[int, ...]]]:
    """Kind and sides of every net that is asked for."""
    from lcjax.papers.bisla import TABLE_1, TABLE_2

    names = [name.value for name in ModelName]
    found: list[tuple[str, tuple[int, ...]]] = []
    for family in families:
        found += [("lenet", pair) for pair in TABLE_1] if family == "lenet" else [("mlp", (w,)) for w in TABLE_2]
    for text in nets:
        if text in names:
            found.append((text, ()))
            continue
        kind, _, sides = text.partition(":")
        parts = sides.split(",")
        if kind not in ("lenet", "mlp") or not all(p.isdecimal() and int(p) for p in parts) or (
            kind == "lenet" and len(parts) != 2
        ):  # fmt: skip
            raise ValueError(
                f"--net {text!r} is neither lenet:FILTERS,FILTERS nor mlp:UNITS,... with numbers from 1, "
                f"nor one of {', '.join(names)}."
            )
        found.append((kind, tuple(map(int, parts))))
    return list(dict.fromkeys(found)) or [("mlp", (64, 64))]


def _draw_dimensions(table: Any, folder: Path, title: str) -> list[Path]:
    from matplotlib.figure import Figure

    from lcjax.cli.output import save_figure
    from lcjax.plots.dimension import plot_dimensions

    figure = Figure(figsize=(7.6, 4.6), layout="constrained")
    axes = figure.subplots()
    plot_dimensions(table, axes)
    axes.set_title(f"{title}: {table.size:,} training examples", fontsize="medium")
    return list(save_figure(figure, folder / "dimension"))


def _print_dimensions(table: Any, nets: list[tuple[str, tuple[int, ...]]], data: str) -> None:
    import numpy as np
    import rich.console

    from lcjax.cli.output import format_percent, print_table
    from lcjax.papers.bisla import TABLE_1, TABLE_2

    widths = sorted({int(width) for one in table.sweeps for width in one.width})
    errors, told = [], []
    for i, (kind, sides) in enumerate(nets):
        one = table.sweeps[i]
        error = dict(zip(np.asarray(one.width).tolist(), 1 - np.asarray(one.accuracy), strict=True))
        errors.append(
            [
                table.name[i],
                *(format_percent(error[width]) if width in error else "" for width in widths),
                format_percent(1 - float(one.reference)),
            ]
        )
        paper = None
        if sides:
            paper = TABLE_1.get((sides[0], sides[-1])) if kind == "lenet" else TABLE_2.get(sides[0])
        told.append(
            [
                table.name[i],
                f"{table.parameters[i]:,}",
                format_percent(table.train_error[i]),
                f"{table.dimension[i]}{'' if one.estimate.established else ' ?'}",
                "" if paper is None or (kind == "mlp" and len(sides) > 1) else str(paper),
            ]
        )
    console = rich.console.Console()
    title = f"Validation error in % on {data} by width of the bottleneck"
    print_table(console, title, ["net", *map(str, widths), "none"], errors)
    title = f"Effective dimension, {table.size:,} examples, {table.seeds} seeds"
    print_table(console, title, ["net", "parameters", "train error, %", "dimension", "paper, MNIST"], told)
    if any(not one.estimate.established for one in table.sweeps):
        print("?: no width is shown to lose less than the margin; the smallest width of best accuracy is given.")
