"""`lcjax dimension`."""

import dataclasses
import functools
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

from lcjax.cli import options
from lcjax.cli.command import Job, command
from lcjax.cli.numbers import parse_list

if TYPE_CHECKING:
    from rich.console import Console

    from lcjax.data.examples import Data
    from lcjax.studies.dimension import DimensionTable
    from lcjax.studies.prediction.shard_dimensions import ShardDimensions
    from lcjax.studies.recipes import Recipe

__all__ = ["dimension"]

NET = "lenet:FILTERS,FILTERS, mlp:UNITS,... or a name of `lcjax predict --model`; repeatable."
Sides: TypeAlias = tuple[int, ...]  # filters of both convolutions, or units of hidden layers; () for a named model

FamilyName = StrEnum("FamilyName", ["lenet", "mlp"])


@command("Theory", "dimension.json", "shard_dimensions.json", resumable=True)
def dimension(
    job: Job,
    data: options.DataOption = "digits",
    family: Annotated[
        list[FamilyName] | None,
        options.training("Nine LeNets (Bisla et al., 2021, Table 1) or six perceptrons (Table 2); repeatable."),
    ] = None,
    net: Annotated[list[str] | None, options.training(NET, show_default="mlp:64,64 without --family")] = None,
    groups: options.GroupsOption = None,
    regression: options.RegressionOption = None,
    tolerance: options.ToleranceOption = None,
    size: options.SizeOption = None,
    fractions: Annotated[
        str | None,
        options.data("Fractions of the training set, to measure one net on a shard of each.", show_default="none"),
    ] = None,
    seeds: options.SeedsOption = 1,
    steps: options.StepsOption = None,
    epochs: options.EpochsOption = None,
    widths: options.WidthsOption = "1,2,3,4,5,6,7,8",
    margin: options.MarginOption = None,
) -> None:
    """Measure the effective dimension of models of increasing capacity (Bisla et al., 2021, Tables 1 and 2).

    Trains each model, inserts a bottleneck of every width before its output layer, fine-tunes, and reports the smallest
    width that is shown to lose less validation accuracy than the margin. Writes dimension.json and the figure. With
    --fractions, measures one model on shards of increasing size and writes shard_dimensions.json.
    """
    from lcjax.cli.output import save_plot
    from lcjax.data.examples import TOLERANCE
    from lcjax.data.sources import load_data
    from lcjax.models.vision.lenet import LeNet
    from lcjax.models.vision.mlp import MLP
    from lcjax.plots.dimension import plot_dimensions
    from lcjax.studies.dimension import measure_dimensions
    from lcjax.studies.recipes import RECIPES

    settings = options.Settings(seeds=seeds, widths=options.parse_widths(widths), margin=margin)
    nets = _parse_nets(family or [], net or [])
    if fractions is not None and (len(nets) > 1 or size is not None):
        raise ValueError("--fractions measures the shards of one net: pass one --net, and no --size.")
    shares = None if fractions is None else options.parse_fractions(fractions, ())
    task = load_data(data, seed=job.seed, groups=groups, regression=regression, tolerance=tolerance or TOLERANCE)
    options.require_rate("dimension", task, tolerance)
    job.print_notes(task.notes)
    recipes = {}
    for kind, sides in nets:
        recipe, name = RECIPES[kind](task), kind
        if sides:
            outputs = max(task.classes, 1)
            model = LeNet((sides[0], sides[1]), outputs) if kind == "lenet" else MLP(sides, outputs)
            recipe = dataclasses.replace(recipe, program=dataclasses.replace(recipe.program, model=model))
            name = f"{kind} {'-'.join(map(str, sides))}"
        recipes[name] = recipe.with_budget(steps=steps, epochs=epochs)
    folder = job.open_folder(f"dimension-{options.source_name(data)}")
    if shares is not None:
        _measure_shards(job, task, recipes, shares, settings, folder)
        return
    with job.show_progress() as report:
        table = measure_dimensions(job.key, task, recipes, size=size, **settings, folder=folder, on_progress=report)
    title = f"{data.rpartition('/')[2]}: {table.size:,} training examples"
    files = save_plot(folder / "dimension", lambda axes: plot_dimensions(table, axes), (7.6, 4.6), title)
    job.finish(folder / "dimension.json", files, lambda console: _print(console, table, nets, data))


def _measure_shards(
    job: Job,
    task: "Data",
    recipes: "dict[str, Recipe]",
    fractions: tuple[float, ...],
    settings: options.Settings,
    folder: Path,
) -> None:
    """Measure the dimension of the single net on every shard."""
    from lcjax.cli.output import save_plot
    from lcjax.plots.dimension import plot_accuracy_by_width
    from lcjax.studies.prediction.shard_dimensions import measure_dimension_by_shard

    ((name, recipe),) = recipes.items()
    with job.show_progress() as report:
        table = measure_dimension_by_shard(
            job.key, task, recipe, fractions=fractions, **settings, folder=folder, on_progress=report
        )
    title, plot = f"{task.name.rpartition('/')[2]}, {name}", functools.partial(plot_accuracy_by_width, table)
    files = save_plot(folder / "shard_dimensions", plot, (7.6, 4.6), title)
    job.finish(folder / "shard_dimensions.json", files, lambda console: _print_shards(console, table, name))


def _parse_nets(families: list[FamilyName], nets: list[str]) -> list[tuple[str, Sides]]:
    """Return the kind and the sides of every model."""
    from lcjax.papers.bisla import TABLE_1, TABLE_2

    models: list[tuple[str, Sides]] = []
    for family in families:
        models += [("lenet", pair) for pair in TABLE_1] if family == "lenet" else [("mlp", (w,)) for w in TABLE_2]
    for text in nets:
        kind, _, sides = text.partition(":")
        if text in options.model_names():
            models.append((text, ()))
        elif kind == "mlp" or (kind == "lenet" and sides.count(",") == 1):
            models.append((kind, parse_list("--net", sides, options.WIDTH)))
        else:
            raise ValueError(
                f"--net {text!r} is neither lenet:FILTERS,FILTERS nor mlp:UNITS,... with positive numbers, "
                f"nor one of {', '.join(options.model_names())}."
            )
    return list(dict.fromkeys(models)) or [("mlp", (64, 64))]


def _print(console: "Console", table: "DimensionTable", nets: list[tuple[str, Sides]], data: str) -> None:
    import numpy as np

    from lcjax.cli.output import format_percent, print_table

    widths = sorted({int(width) for sweep in table.sweeps for width in sweep.width})
    errors, dimensions = [], []
    for i, (net, sweep) in enumerate(zip(nets, table.sweeps, strict=True)):
        error = dict(zip(np.asarray(sweep.width).tolist(), 1 - np.asarray(sweep.accuracy), strict=True))
        cells = (format_percent(error[width]) if width in error else "" for width in widths)
        errors.append([table.name[i], *cells, format_percent(1 - float(sweep.reference))])
        row = [table.name[i], f"{table.parameters[i]:,}", format_percent(table.train_error[i])]
        width = f"{table.dimension[i]}{'' if sweep.estimate.established else ' ?'}"
        dimensions.append([*row, width, _printed_dimension(*net)])
    title = f"Validation error in % on {data} by bottleneck width"
    print_table(console, title, ["net", *map(str, widths), "none"], errors)
    title = f"Effective dimension, {table.size:,} examples, {table.seeds} seeds"
    print_table(console, title, ["net", "parameters", "train error, %", "dimension", "paper, MNIST"], dimensions)
    if not all(sweep.estimate.established for sweep in table.sweeps):
        console.print("?: no width is shown to lose less than the margin; this is the smallest width of best accuracy.")


def _print_shards(console: "Console", table: "ShardDimensions", name: str) -> None:
    import numpy as np

    from lcjax.cli.output import format_percent, print_table

    rows = [
        [
            f"{table.size[i]:,}",
            format_percent(table.train_error[i]),
            *(format_percent(1 - accuracy) for accuracy in np.append(np.asarray(sweep.accuracy), sweep.reference)),
            f"{table.dimension[i]}{'' if sweep.estimate.established else ' ?'}",
            f"{table.saturation[i]}",
        ]
        for i, sweep in enumerate(table.sweeps)
    ]
    widths = [str(width) for width in np.asarray(table.sweeps[0].width)]
    columns = ["examples", "train", *widths, "none", "dimension", "saturated"]
    print_table(console, f"Validation error in % of {name} by bottleneck width, {table.seeds} seeds", columns, rows)
    if not all(sweep.estimate.established for sweep in table.sweeps):
        console.print("?: no width is shown to lose less than the margin; this is the smallest width of best accuracy.")


def _printed_dimension(kind: str, sides: Sides) -> str:
    """Return the dimension printed in the paper, or ""."""
    from lcjax.papers.bisla import TABLE_1, TABLE_2

    value = TABLE_1.get((sides[0], sides[1])) if kind == "lenet" and sides else None
    if kind == "mlp" and len(sides) == 1:
        value = TABLE_2.get(sides[0])
    return "" if value is None else str(value)
