"""`lcjax compress`."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from lcjax.cli.common import (
    DeviceName,
    app,
    integer_list,
    number_list,
    one_line_errors,
    progress_bars,
    use_device,
    writable,
)

__all__ = ["compress"]


@app.command()
@one_line_errors(interrupted="Interrupted. What had finished is kept; the same command goes on from there.")
def compress(
    data: Annotated[str, typer.Option(help="digits, libsvm:FILE, idx:DIR, npz:FILE or tfds:NAME.")] = "digits",
    layers: Annotated[str, typer.Option(help="Numbers of hidden layers, one net for each.")] = "1,2,3",
    width: Annotated[int, typer.Option(min=1, help="Units of a hidden layer.")] = 50,
    losses: Annotated[
        str, typer.Option(help="Losses by Table 1 of the paper: H or S, then W2, W1, LCA, LCL.")
    ] = "H,H+W2,H+W1,H+LCA,H+W2+LCA,H+W1+LCA",
    weight: Annotated[str, typer.Option(help="C, of penalties on weights, to choose from.")] = "1e-4,1e-3,1e-2,1e-1",
    preactivation: Annotated[
        str, typer.Option(help="D, of penalties on pre-activations, to choose from.")
    ] = "1e-8,1e-7,1e-6,1e-5,1e-4",
    rates: Annotated[str, typer.Option(help="Learning rates to choose from.")] = "1e-2,1e-1",
    epochs: Annotated[float, typer.Option(min=0.01, help="Passes over the training set.")] = 500.0,
    batch: Annotated[int, typer.Option(min=1, help="Examples a step.")] = 100,
    seeds: Annotated[int, typer.Option(min=1, help="Nets of every loss that are compressed.")] = 5,
    pictures: Annotated[bool, typer.Option(help="Draw t-SNE pictures.")] = True,
    output: Annotated[Path | None, typer.Option(help="Folder for all results.")] = None,
    device: Annotated[DeviceName | None, typer.Option(help="Where to run.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the splits and of every stream.")] = 0,
    print_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, no table.")] = False,
) -> None:
    """Train nets under several penalties, prune and quantize them, beside Sharma et al.; see docs/compress.md.

    Penalties and rates are chosen on the validation set; the splits are those of the paper's Table 9 where it has the
    set. Writes compress.json and the figures.
    """
    use_device(device)
    scheme, _, place = data.partition(":")
    source = "-".join(part for part in (scheme, Path(place).name.partition(".")[0]) if part)
    folder = writable(output or Path("lcjax-results") / f"compress-{source}")
    import jax

    from lcjax.data.libsvm import split_sizes
    from lcjax.data.sources import load_data
    from lcjax.files import write_json
    from lcjax.models.vision import MLP
    from lcjax.provenance import environment
    from lcjax.studies.compress import Grid, compress_nets, settings_of
    from lcjax.studies.compress_verdicts import verdicts

    sizes = split_sizes(data)
    shares = (
        {}
        if sizes is None
        else {"validation_fraction": sizes.validation_fraction(), "test_fraction": sizes.test_fraction()}
    )
    task = load_data(data, seed=seed, **shares)
    depths = integer_list("--layers", layers)
    if min(depths) < 0:
        raise ValueError(f"--layers takes numbers of hidden layers, got {layers!r}.")
    names = tuple(losses.split(","))
    tried = Grid(
        number_list("--weight", weight),
        number_list("--preactivation", preactivation),
        number_list("--rates", rates),
    )
    for name in names:
        settings_of(name, tried)  # refuses an unknown one before any bar is drawn
    found = []
    with progress_bars(quiet=print_json) as report:
        for depth in depths:
            found.append(
                compress_nets(
                    jax.random.key(seed),
                    task,
                    MLP((width,) * depth, task.classes),
                    losses=names,
                    grid=tried,
                    passes=epochs,
                    batch=batch,
                    seeds=seeds,
                    pictures=pictures,
                    folder=folder,
                    on_progress=functools.partial(_report_depth, report, depth),
                )
            )
    told = verdicts(found)
    result = {
        "configuration": {
            "data": data, "splits": [len(part.targets) for part in (task.train, task.validation, task.test) if part],
            "layers": depths, "width": width, "losses": names, "grid": tried, "epochs": epochs, "batch": batch,
            "seeds": seeds, "seed": seed,
        },
        "environment": environment(),
        "verdicts": [verdict._asdict() for verdict in told],
        "compressions": [dataclasses.replace(one, weights={}) for one in found],  # the figure has their histograms
    }  # fmt: skip
    write_json(folder / "compress.json", result)
    files = _draw_compression(found, folder)
    if print_json:
        print((folder / "compress.json").read_text(), end="")
        return
    _print_compression(found, told, depths if width == 50 else ())
    print(f"Results: {folder / 'compress.json'}, {', '.join(str(file) for file in files)}")


def _report_depth(
    report: Callable[[str, int | float, int | float], None],
    depth: int,
    stage: str,
    done: int | float,
    total: int | float,
) -> None:
    report(f"{depth} hidden: {stage}", done, total)


def _draw_compression(found: list[Any], folder: Path) -> list[Path]:
    from matplotlib.figure import Figure

    from lcjax.output import save_figure
    from lcjax.plots import compression as plots

    def panels(rows: int, columns: int, height: float) -> tuple[Any, Any]:
        figure = Figure(figsize=(3.6 * columns + 0.4, height * rows + 0.5), layout="constrained")
        return figure, figure.subplots(rows, columns, squeeze=False)

    def finish(figure: Any, name: str, axes: Any) -> None:
        columns = max(2, int(figure.get_figwidth() / 1.6))
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=columns, frameon=False)
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
    for one in found:
        names = list(next(iter(one.weights.values())))
        figure, grid = panels(1, len(names), 2.9)
        for axes, layer in zip(grid[0], names, strict=True):
            plots.plot_weights(one, axes, layer=layer)
        depth = len(names) - 1
        finish(figure, f"weights_{depth}", grid[0, 0])
        if one.embedding:
            figure, grid = panels(3, len(one.embedding), 2.4)
            for column, loss in zip(grid.T, one.embedding, strict=True):
                for which, axes in enumerate(column):
                    plots.plot_picture(one, axes, loss=loss, which=which)
            written.extend(save_figure(figure, folder / f"figure2_{depth}"))
    return written


def _print_compression(found: list[Any], told: list[Any], depths: tuple[int, ...]) -> None:
    import numpy as np
    import rich.console

    from lcjax.output import print_table
    from lcjax.studies.compress import LOSSES
    from lcjax.studies.sharma_tables import paper_row

    def spread(values: Any, digits: int = 3) -> str:
        return f"{np.mean(values):.{digits}f} ± {np.std(values):.{digits}f}"

    console = rich.console.Console(width=150)
    for i, one in enumerate(found):
        row = paper_row(one.data, depths[i]) if i < len(depths) else None
        rows = []
        for loss in one.losses:
            at = LOSSES.index(loss.name) if row is not None and loss.name in LOSSES else None
            paper = [f"{column[at]:g}" for column in row] if row is not None and at is not None else ["", "", ""]
            rows.append(
                [
                    loss.name,
                    " ".join(f"{name}={value:g}" for name, value in loss.chosen.items()).replace(
                        "learning_rate", "rate"
                    ),
                    spread(loss.accuracy),
                    paper[0],
                    spread(loss.pruned_accuracy),
                    paper[1],
                    f"{np.exp(np.mean(np.log(loss.ratio))):.1f} ({np.min(loss.ratio):.1f} to {np.max(loss.ratio):.1f})",
                    paper[2],
                    f"{np.mean(loss.bit_ratio['bit mask']):.1f}",
                    spread(loss.fewest_bits, 1),
                ]
            )
        columns = ["loss", "chosen", "accuracy", "paper", "pruned", "paper", "ratio", "paper", "in bits", "fewest bits"]
        title = f"{one.data}, {one.model}: {one.parameters:,} parameters; largest class {float(one.majority):.3f}"
        print_table(console, title, columns, rows)
    rows = []
    for claim in told:
        numbers = [f"{claim.before:.4g}", f"{claim.after:.4g}", f"{claim.pvalue:.2g}"]
        rows.append([claim.model, claim.claim, claim.losses, *numbers, "yes" if claim.holds else "no"])
    columns = ["net", "claim", "without -> with", "before", "after", "p", "holds"]
    print_table(console, "Claims of the paper", columns, rows)
