"""`lcjax compress`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from lcjax.cli.options import (
    DeviceName,
    app,
    integer_list,
    number_list,
    one_line_errors,
    progress_bars,
    use_device,
    writable,
)

__all__ = ["NetName", "compress"]

DIGITS = 6  # of the numbers in compress.json
PANELS = 6  # layers whose weights are drawn, the first ones
ACROSS = 6  # losses whose t-SNE pictures stand side by side, more stand one below the other


class NetName(StrEnum):
    """Nets that `lcjax compress --net` knows."""

    mlp = "mlp"
    quicknet = "quicknet"
    densenet = "densenet"


@app.command()
@one_line_errors(interrupted="Interrupted. What had finished is kept; the same command goes on from there.")
def compress(
    data: Annotated[
        str, typer.Option(help="digits, libsvm:FILE, npz:FILE, tfds:NAME, or idx:, cifar10:, cifar100:DIR.")
    ] = "digits",
    net: Annotated[NetName, typer.Option(help="Perceptrons, Caffe's quick net, or DenseNet.")] = NetName.mlp,
    layers: Annotated[str, typer.Option(help="Numbers of hidden layers of perceptrons, one net for each.")] = "1,2,3",
    width: Annotated[int, typer.Option(min=1, help="Units of a hidden layer.")] = 50,
    depth: Annotated[int, typer.Option(min=7, help="Layers of a DenseNet.")] = 40,
    losses: Annotated[
        str | None,
        typer.Option(help="Losses by Table 1 of the paper: H or S, then W2, W1, LCA, LCL, BN, D; the net's table."),
    ] = None,
    weight: Annotated[str, typer.Option(help="C, of penalties on weights, to choose from.")] = "1e-4,1e-3,1e-2,1e-1",
    preactivation: Annotated[
        str, typer.Option(help="D, of penalties on pre-activations, to choose from.")
    ] = "1e-8,1e-7,1e-6,1e-5,1e-4",
    rates: Annotated[str, typer.Option(help="Learning rates to choose from.")] = "1e-2,1e-1",
    epochs: Annotated[
        float | None, typer.Option(min=0.01, help="Passes over the training set, of perceptrons. [500]")
    ] = None,
    choice_epochs: Annotated[
        float | None, typer.Option(min=0.01, help="Passes after which settings are compared; as many by default.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Iterations, of convolutional nets. [230000]")] = None,
    choice_steps: Annotated[
        int | None, typer.Option(min=1, help="Iterations after which settings are compared; as many by default.")
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Examples a step. [100; 64 for DenseNet]")] = None,
    examples: Annotated[
        int | None, typer.Option(min=4, help="Training examples, at most a quarter to validate and to test. [all]")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Nets of every loss that are compressed.")] = 5,
    pictures: Annotated[bool, typer.Option(help="Draw t-SNE pictures.")] = True,
    output: Annotated[Path | None, typer.Option(help="Folder for all results.")] = None,
    device: Annotated[DeviceName | None, typer.Option(help="Where to run.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the splits and of every stream.")] = 0,
    print_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, no table.")] = False,
) -> None:
    """Train nets under several penalties, prune and quantize them, beside Sharma et al.; see docs/compress.md.

    Penalties and rates are chosen on the validation set; the splits are those of the paper's Tables 2 and 9 where it
    has the set. Writes compress.json, tables.md and the figures.
    """
    use_device(device)
    scheme, _, place = data.partition(":")
    source = "-".join(part for part in (scheme, Path(place).name.partition(".")[0]) if part)
    folder = writable(output or Path("lcjax-results") / f"compress-{source}")
    import jax

    from lcjax.data.sources import load_data
    from lcjax.papers.sharma import split_sizes
    from lcjax.studies.compression.compress import compress as compress_network
    from lcjax.studies.compression.losses import Grid, settings_of
    from lcjax.studies.compression.nets import convolutional_subject, fully_connected_subjects
    from lcjax.studies.compression.recipes import FullyConnectedRecipe
    from lcjax.studies.compression.subsets import cut
    from lcjax.studies.compression.tables import result_table, verdict_table
    from lcjax.studies.compression.verdicts import verdicts
    from lcjax.studies.report import write_markdown, write_report
    from lcjax.studies.sweeps import prefix_stage

    convolutional = net is not NetName.mlp
    foreign = {"--epochs": epochs, "--choice-epochs": choice_epochs} if convolutional else {
        "--steps": steps, "--choice-steps": choice_steps
    }  # fmt: skip
    for option, value in foreign.items():
        if value is not None:
            raise ValueError(f"{option} {value:g} is not for --net {net.value}, which trains by "
                             f"{'--steps' if convolutional else '--epochs'}.")  # fmt: skip
    tried = Grid(
        number_list("--weight", weight), number_list("--preactivation", preactivation), number_list("--rates", rates)
    )
    for name in (losses or "").split(",") if losses else ():
        settings_of(name, tried)  # refuses an unknown one before anything is read
    sizes = split_sizes(data)
    shares = (
        {}
        if sizes is None
        else {"validation_fraction": sizes.validation_fraction(), "test_fraction": sizes.test_fraction()}
    )
    task = load_data(data, seed=seed, **shares)
    if not task.classes:
        raise ValueError(f"compress needs classes; {data} has real targets.")
    if convolutional:
        length = {"steps": steps, "choice": choice_steps, "batch": batch}
        given = {name: value for name, value in length.items() if value is not None}
        subjects = {net.value: convolutional_subject(net.value, task, depth=depth, seed=seed, **given)}
    else:
        recipe = FullyConnectedRecipe(epochs or 500.0, choice_epochs, batch or 100)
        subjects = fully_connected_subjects(task, integer_list("--layers", layers), width, recipe)
    if examples:
        subjects = {name: one._replace(data=cut(one.data, examples, seed=seed)) for name, one in subjects.items()}
    found = []
    with progress_bars(quiet=print_json) as report:
        for label, one in subjects.items():
            found.append(
                compress_network(
                    jax.random.key(seed),
                    one.data,
                    one.model,
                    losses=tuple(losses.split(",")) if losses else one.losses,
                    grid=tried,
                    recipe=one.recipe,
                    seeds=seeds,
                    pictures=pictures,
                    folder=folder,
                    on_progress=prefix_stage(report, label),
                )
            )
    told = verdicts(found)
    tables = [*(result_table(one) for one in found), verdict_table(told)]
    first = next(iter(subjects.values()))
    parts = (first.data.train, first.data.validation, first.data.test)
    settings = {
        "configuration": {
            "data": data, "splits": [len(part.targets) for part in parts if part], "net": net.value,
            "models": [one.model for one in subjects.values()], "losses": found[0].names,
            "grid": tried, "recipe": first.recipe, "seeds": seeds, "seed": seed,
        },
    }  # fmt: skip
    results = {
        "verdicts": [verdict._asdict() for verdict in told],
        "compressions": [_short(one) for one in found],
    }
    write_report(folder / "compress.json", settings, results)
    write_markdown(folder / "tables.md", tables)
    files = _draw_compression(found, list(subjects), folder)
    if print_json:
        print((folder / "compress.json").read_text(), end="")
        return
    _print_tables(tables)
    print(f"Results: {folder / 'compress.json'}, {folder / 'tables.md'}, {', '.join(str(file) for file in files)}")


def _short(one: Any) -> Any:
    """What the JSON has: numbers in a few digits, without what the figures alone need and the layers at every step."""
    import dataclasses

    import jax
    import numpy as np

    def rounded(leaf: Any) -> Any:
        values = np.asarray(leaf)
        if values.dtype.kind != "f":
            return values
        texts = [f"{value:.{DIGITS}g}" for value in values.ravel()]
        return np.array(texts, float).reshape(values.shape)

    def without_layers(loss: Any) -> Any:
        return dataclasses.replace(loss, pruning=dataclasses.replace(loss.pruning, threshold={}, layers={}, live={}))

    losses = tuple(without_layers(loss) for loss in one.losses)
    bare = dataclasses.replace(one, losses=losses, weights={}, embedding={}, picture_classes=np.zeros(0, int))
    return jax.tree.map(rounded, bare)


def _draw_compression(found: list[Any], labels: list[str], folder: Path) -> list[Path]:
    from matplotlib.figure import Figure

    from lcjax.cli.output import save_figure
    from lcjax.plots import compression as plots

    def panels(rows: int, columns: int, height: float) -> tuple[Any, Any]:
        figure = Figure(figsize=(3.6 * columns + 0.4, height * rows + 0.5), layout="constrained")
        return figure, figure.subplots(rows, columns, squeeze=False)

    def finish(figure: Any, name: str, axes: Any) -> None:
        columns = max(2, int(figure.get_figwidth() / 1.6))
        handles = axes.get_legend_handles_labels()
        scale = 2.5 if name.startswith("figure2") else 1.0
        figure.legend(*handles, loc="outside lower center", ncols=columns, frameon=False, markerscale=scale)
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
    for one, label in zip(found, labels, strict=True):
        names = list(dict.fromkeys(layer for layers in one.weights.values() for layer in layers))[:PANELS]
        figure, grid = panels(1, len(names), 2.9)
        for axes, layer in zip(grid[0], names, strict=True):
            plots.plot_weights(one, axes, layer=layer)
        finish(figure, f"weights_{label}", grid[0, 0])
        if one.embedding:
            losses, down = list(one.embedding), len(one.embedding) > ACROSS
            figure, grid = panels(len(losses), 3, 2.4) if down else panels(3, len(losses), 2.4)
            for three, loss in zip(grid if down else grid.T, losses, strict=True):
                for which, axes in enumerate(three):
                    plots.plot_picture(one, axes, loss=loss, which=which)
            finish(figure, f"figure2_{label}", grid[0, 0])
    return written


def _print_tables(tables: list[Any]) -> None:
    import rich.console

    from lcjax.cli.output import print_table

    console = rich.console.Console(width=190)
    for table in tables:
        print_table(console, table.title, table.columns, table.rows)
