"""`lcjax rank`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from lcjax.cli.options import (
    DeviceName,
    ShardsName,
    app,
    one_line_errors,
    progress_bars,
    shards_named,
    use_device,
    writable,
)

__all__ = ["rank"]


class ScaleName(StrEnum):
    """Sizes of a ranking that `--scale` knows."""

    smoke = "smoke"
    reported = "reported"


@app.command()
@one_line_errors(interrupted="Interrupted. What had finished is kept; the same command goes on from there.")
def rank(
    folder: Annotated[
        Path | None, typer.Option(help="Where mnist, tinyshakespeare, ptb, multi30k and fsdd lie.")
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME or NAME=PATH, for instance words=ptb or images=digits; may be repeated. All six main tasks of "
            "the folder if none is given; see docs/rank.md for the names of variants."
        ),
    ] = None,
    variants: Annotated[bool, typer.Option("--variants", help="Also the variants of each model.")] = False,
    scale: Annotated[ScaleName, typer.Option(help="How large: shards, nets, vocabularies, budgets.")] = ScaleName.smoke,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of every net, rate and shard.")] = 3,
    shards: Annotated[
        ShardsName, typer.Option(help="Prefixes of one order a seed, or an order for each size (the paper's).")
    ] = ShardsName.nested,
    output: Annotated[Path | None, typer.Option(help="Folder for all results.")] = None,
    device: Annotated[DeviceName | None, typer.Option(help="Where to run.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the data's draws and of every stream.")] = 0,
    print_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, no table.")] = False,
) -> None:
    """Rank tasks by the exponents of their learning curves (Hestness et al. 2018).

    Trains nets of several sizes on shards of images, characters, words, translation and speech, takes the lower
    envelope over nets and learning rates, fits power laws, and says which exponents can be told apart. Writes
    hierarchy.json after every task, and the figures.
    """
    import jax

    from lcjax.studies.ranking import tasks as hestness_tasks
    from lcjax.studies.ranking.rank import rank as ranked
    from lcjax.studies.ranking.scales import REPORTED, SMOKE

    size = {"smoke": SMOKE, "reported": REPORTED}[scale.value]
    wanted = task or ([*hestness_tasks.TASKS] if variants else [*hestness_tasks.MAIN])
    if folder is None and any("=" not in name for name in wanted):
        raise ValueError("Give --folder with the data of all tasks, or --task NAME=PATH for some.")
    use_device(device)
    tasks = []
    for given in wanted:
        name, _, path = given.partition("=")
        if name not in hestness_tasks.TASKS:
            raise ValueError(f"There is no task {name!r}; known are {', '.join(hestness_tasks.TASKS)}.")
        assert folder is not None or path
        where = path or hestness_tasks.find_data(folder or "", name)
        tasks.append(hestness_tasks.hestness_task(name, where, size, seed=seed))
    into = writable(output or Path("lcjax-results") / f"rank-{scale.value}")
    with progress_bars(quiet=print_json) as report:
        hierarchy = ranked(
            jax.random.key(seed), tasks, seeds=seeds, shards=shards_named(shards), folder=into, on_progress=report
        )
        files = draw_hierarchy(hierarchy, tasks, into)
    if print_json:
        print((into / "hierarchy.json").read_text(), end="")
        return
    _print_hierarchy(hierarchy, tasks, scale.value)
    print(f"Results: {into / 'hierarchy.json'}, {', '.join(str(file) for file in files)}")


def draw_hierarchy(hierarchy: Any, tasks: Any, folder: Path) -> list[Path]:
    """All figures of a ranking."""
    from matplotlib.figure import Figure

    from lcjax.cli.output import save_figure
    from lcjax.plots import hierarchy as plots
    from lcjax.plots.style import plain_numbers

    files: list[Path] = []
    rows = len(tasks)
    figure = Figure(figsize=(12.0, 3.1 * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, 3, squeeze=False)
    for row, task in enumerate(tasks):
        curve = hierarchy.curves[task.name][task.metric]
        counted = f"{task.metric}, nats" if task.metric == "loss" else task.metric
        draw = (plots.plot_task_curve, plots.plot_task_model_size, plots.plot_fixed_nets)
        for axes, plot, label in zip(panels[row], draw, (counted, "parameters", counted), strict=True):
            plot(curve, axes)
            axes.set_xlabel(task.unit)
            axes.set_ylabel(label)
            axes.legend(frameon=False, fontsize="x-small")
            plain_numbers(axes)
        panels[row, 0].set_title(task.name, loc="left", fontsize="medium")
    files += save_figure(figure, folder / "curves")
    if hierarchy.ranking is not None:
        figure = Figure(figsize=(7.2, 1.2 + 0.4 * len(hierarchy.ranking.names)), layout="constrained")
        published = {task.name: task.paper_exponents(task.metric) for task in tasks}
        plots.plot_exponents(hierarchy, published, figure.subplots())
        files += save_figure(figure, folder / "exponents")
    for task in tasks:
        if hierarchy.scores[task.name].test[task.metric].shape[1] >= VIOLINS:
            figure = Figure(figsize=(11.0, 4.5), layout="constrained")
            left, right = figure.subplots(1, 2)
            plots.plot_repeats(hierarchy.scores[task.name], task.metric, left)
            plots.plot_spread(hierarchy.scores[task.name], task.metric, right)
            left.set(xlabel=task.unit, ylabel=task.metric, title=f"{task.name}: repeats")
            right.set(xlabel=task.unit, ylabel="standard deviation over repeats")
            plain_numbers(left)
            plain_numbers(right)
            files += save_figure(figure, folder / f"repeats-{task.name.replace(' ', '-').replace(',', '')}")
    return files


def _published(task: Any, metric: str, digits: int = 3) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in task.paper_exponents(metric))


VIOLINS = 10  # repeats from which their distribution is drawn


def _print_hierarchy(hierarchy: Any, tasks: Any, scale: str) -> None:
    import numpy as np
    import rich.console

    from lcjax.cli.output import print_table

    console = rich.console.Console()
    by_name = {task.name: task for task in tasks}
    ranking, rows, sizes = hierarchy.ranking, [], []
    for i, name in enumerate(ranking.names if ranking is not None else ()):
        task, curve = by_name[name], hierarchy.curves[name][by_name[name].metric]
        law = curve.model_size
        rows.append(
            [
                f"{name}, {task.metric}",
                f"{ranking.rank_low[i]} to {ranking.rank_high[i]}",
                f"{ranking.exponent[i]:.3f} ({ranking.low[i]:.3f} to {ranking.high[i]:.3f})",
                _published(task, task.metric),
            ]
        )
        sizes.append(
            [
                name,
                "" if law is None else f"{float(law.exponent):.2f} ± {float(law.exponent_error):.2f}",
                _published(task, "model size", 2),
                f"{int(np.sum(curve.fitted))} of {len(curve.fitted)}",
                f"{curve.guess:.3g}",
                f"{float(np.asarray(curve.curve.error)[-1]):.3g}",
            ]
        )
    title = f"Hierarchy of tasks, {scale} scale; ranks and intervals at 90 %"
    print_table(console, title, ["task", "rank", "exponent", "paper"], rows)
    columns = ["task", "exponent", "paper", "fitted", "best guess", "last score"]
    print_table(console, "The best net's size; sizes fitted; where the curve begins and ends", columns, sizes)
    rows = []
    for task in tasks:
        for metric, curve in hierarchy.curves[task.name].items():
            low, high = curve.interval()
            rows.append(
                [
                    task.name,
                    metric,
                    "not fitted" if curve.fit is None else f"{curve.exponent:.3f} ({low:.3f} to {high:.3f})",
                    _published(task, metric),
                ]
            )
    print_table(console, "Exponent in every metric", ["task", "in", "exponent", "paper"], rows)
    rows = [
        [
            task.name,
            f"{int(net['parameters']):,}",
            f"{net['exponent']:.3f}",
            f"{net['offset']:.3g}",
            f"{100 * net['relative_error']:.1f} %",
        ]
        for task in tasks
        for net in hierarchy.curves[task.name][task.metric].fixed_laws()
    ]
    if rows:
        columns = ["task", "parameters", "exponent", "offset", "fit off by"]
        print_table(console, "Nets of fixed size: scale * size ** exponent + offset", columns, rows)
    if hierarchy.comparisons:
        rows = [
            [
                f"{one.first} /\n{one.second}",
                f"{one.difference:+.3f} ({one.low:+.3f} to {one.high:+.3f})",
                "yes" if one.stable else "no",
                f"{one.error_ratio:.2f} ({one.ratio_low:.2f} to {one.ratio_high:.2f})",
            ]
            for one in hierarchy.comparisons
        ]
        print_table(console, "Variants", ["pair", "exponents, difference", "same", "errors, ratio"], rows)
    if np.isfinite(hierarchy.correlation):
        console.print(
            f"Correlation of the exponents of error and model size over tasks: {hierarchy.correlation:.2f} (Pearson), "
            f"{hierarchy.rank_correlation:.2f} (Spearman)."
        )
    for task in tasks:
        curve = hierarchy.curves[task.name][task.metric]
        if curve.fit is None:
            console.print(f"{task.name}: fewer than three sizes are 5 % better than the best guess; not ranked.")
        if task.note:
            console.print(f"{task.name}: {task.note}.")
