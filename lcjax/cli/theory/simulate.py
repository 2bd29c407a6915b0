"""`lcjax simulate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from lcjax.cli import options
from lcjax.cli.command import Job, command
from lcjax.cli.numbers import Range, parse_list, parse_sizes

if TYPE_CHECKING:
    from rich.console import Console

    from lcjax.studies.simulation import Simulation

__all__ = ["simulate"]


@command("Theory", "simulation.json")
def simulate(
    job: Job,
    dimensions: Annotated[str, options.data("Dimensions, separated by commas.")] = "1,2,3,4,8",
    sizes: Annotated[
        str, options.data("Training-set sizes, separated by commas.")
    ] = "100,316,1000,3162,10000,31623,100000",
    radius: Annotated[
        float, options.data("Radius of the error model in standard deviations.", numbers=options.RATE)
    ] = 1.0,
    test_size: Annotated[int, options.data("Test points per repeat.", numbers=Range(int, 1, 1_000_000))] = 1000,
    repeats: Annotated[int, options.data("Repeats of the paper's protocol.", numbers=Range(int, 2, 100_000))] = 20,
    precise_repeats: Annotated[
        int, options.data("Repeats of the precise comparison.", numbers=Range(int, 2, 100_000))
    ] = 30,
) -> None:
    """Simulate the nearest-neighbor error model and redraw Figure 1 of Bisla et al. (2021) with three laws.

    Features are standard normal. The laws are the exact one (binomial), the local one of independent samples (Poisson)
    and the paper's (hypercube). Writes simulation.json and the figure.
    """
    from lcjax.cli.output import write_result
    from lcjax.studies.simulation import simulate_learning_curve

    settings: options.Settings = {
        "dimensions": parse_list("--dimensions", dimensions, Range(int, 1, 1_000)),
        "sizes": parse_sizes("--sizes", sizes, Range(int, 1, 10_000_000)),
    }
    settings |= options.Settings(radius=radius, test_size=test_size, repeats=repeats, precise_repeats=precise_repeats)
    folder = job.open_folder("simulate")
    with job.show_progress() as report:
        simulation = simulate_learning_curve(job.key, **settings, on_progress=report)
    files = _draw(simulation, folder)
    result = write_result(folder / "simulation.json", {**settings, "seed": job.seed}, simulation=simulation)
    job.finish(result, files, lambda console: _print(console, simulation))


def _draw(simulation: "Simulation", folder: Path) -> tuple[Path, ...]:
    from matplotlib.figure import Figure

    from lcjax.cli.output import save_figure
    from lcjax.plots.simulation import plot_simulation

    columns = len(simulation.dimension)
    figure = Figure(figsize=(3.0 * columns + 0.8, 5.6), layout="constrained")
    panels = figure.subplots(2, columns, squeeze=False, height_ratios=(3, 2), sharex="col", sharey="row")
    for row in range(columns):
        plot_simulation(simulation, panels[0, row], panels[1, row], row=row)
    panels[0, 0].set_ylabel("error")
    panels[1, 0].set_ylabel("deviation from the exact law, %")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return save_figure(figure, folder / "figure1")


def _print(console: "Console", simulation: "Simulation") -> None:
    import numpy as np

    from lcjax.cli.output import print_table

    laws = {"hypercube": "paper", "poisson": "local", "simulation": "sim"}
    deviations = {"max": simulation.largest_deviation, "mean": simulation.mean_deviation}
    rows = [
        [
            str(dimension),
            *(f"{100 * deviation[law][i]:.1f}" for deviation in deviations.values() for law in laws),
            f"{np.abs(simulation.zscore[i]).max():.2f}",
        ]
        for i, dimension in enumerate(simulation.dimension)
    ]
    columns = ["d", *(f"{kind} {name}" for kind in deviations for name in laws.values()), "max |z|"]
    print_table(console, "Deviation from the exact law in %, over sizes", columns, rows)
    rows = [
        [
            str(dimension),
            *(f"{simulation.fitted_radius[law][i]:.3f}" for law in simulation.fitted_radius),
            *(f"{100 * np.abs(simulation.fitted_deviation[law][i]).max():.1f}" for law in simulation.fitted_deviation),
        ]
        for i, dimension in enumerate(simulation.dimension)
    ]
    columns = ["d", *(f"{kind} {laws[law]}" for kind in ("radius", "max") for law in simulation.fitted_radius)]
    title = "The same with the radius of each law fitted to the exact law at the smaller half of the sizes"
    print_table(console, title, columns, rows)
