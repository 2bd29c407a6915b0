"""`lcjax simulate`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lcjax.cli.options import DeviceName, app, integer_list, one_line_errors, progress_bars, use_device, writable

__all__ = ["simulate"]


@app.command()
@one_line_errors()
def simulate(
    dimensions: Annotated[str, typer.Option(help="Dimensions, separated by commas.")] = "1,2,3,4,8",
    sizes: Annotated[str, typer.Option(help="Training-set sizes.")] = "100,316,1000,3162,10000,31623,100000",
    radius: Annotated[float, typer.Option(help="Radius in standard deviations.")] = 1.0,
    test_size: Annotated[int, typer.Option(min=1, help="Test points a repeat.")] = 1000,
    repeats: Annotated[int, typer.Option(min=2, help="Repeats of the paper's protocol.")] = 20,
    precise_repeats: Annotated[int, typer.Option(min=2, help="Repeats of the comparison in numbers.")] = 30,
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("lcjax-results/simulate"),
    device: Annotated[DeviceName | None, typer.Option(help="Where to run.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of every stream.")] = 0,
    print_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, no table.")] = False,
) -> None:
    """Simulate the nearest-neighbour error model and redraw Figure 1 of Bisla et al. (2021) with three laws.

    Standard normal features; the exact (binomial) law, the local law of independent samples and the paper's.
    """
    use_device(device)
    folder = writable(output)
    import jax
    from matplotlib.figure import Figure

    from lcjax.cli.output import save_figure
    from lcjax.files import write_json
    from lcjax.plots import simulation as plots
    from lcjax.provenance import environment
    from lcjax.studies.simulation import simulate_learning_curve

    configuration = {
        "dimensions": integer_list("--dimensions", dimensions),
        "sizes": integer_list("--sizes", sizes),
        "radius": radius,
        "test_size": test_size,
        "repeats": repeats,
        "precise_repeats": precise_repeats,
    }
    with progress_bars(quiet=print_json) as report:
        simulation = simulate_learning_curve(jax.random.key(seed), **configuration, on_progress=report)  # type: ignore[arg-type]
    result = {
        "configuration": {**configuration, "seed": seed},
        "environment": environment(),
        "simulation": simulation,
    }
    write_json(folder / "simulation.json", result)
    columns = len(simulation.dimension)
    figure = Figure(figsize=(3.0 * columns + 0.8, 5.6), layout="constrained")
    panels = figure.subplots(2, columns, squeeze=False, height_ratios=(3, 2), sharex="col", sharey="row")
    for row in range(columns):
        plots.plot_simulation(simulation, panels[0, row], panels[1, row], row=row)
    panels[0, 0].set_ylabel("error")
    panels[1, 0].set_ylabel("off the exact law, %")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    files = save_figure(figure, folder / "figure1")
    if print_json:
        print((folder / "simulation.json").read_text(), end="")
        return
    _print_simulation(simulation)
    print(f"Results: {folder / 'simulation.json'}, {', '.join(str(file) for file in files)}")


def _print_simulation(simulation: Any) -> None:
    import numpy as np
    import rich.console

    from lcjax.cli.output import print_table

    rows = [
        [
            str(d),
            *(f"{100 * simulation.largest_deviation[name][i]:.1f}" for name in ("hypercube", "poisson", "simulation")),
            *(f"{100 * simulation.mean_deviation[name][i]:.1f}" for name in ("hypercube", "poisson", "simulation")),
            f"{np.abs(simulation.zscore[i]).max():.2f}",
        ]
        for i, d in enumerate(simulation.dimension)
    ]
    names = ["paper", "local", "sim"]
    columns = ["d", *(f"max {name}" for name in names), *(f"mean {name}" for name in names), "max |z|"]
    print_table(rich.console.Console(), "Deviation from the exact law in %, over sizes", columns, rows)
