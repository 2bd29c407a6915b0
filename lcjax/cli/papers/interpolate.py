"""`lcjax interpolate`."""

import sys
from typing import TYPE_CHECKING, Annotated

from lcjax.cli import options
from lcjax.cli.command import Job, command
from lcjax.cli.numbers import Range, parse_list

if TYPE_CHECKING:
    from rich.console import Console

    from lcjax.studies.interpolation import Interpolations

__all__ = ["interpolate"]

FEATURES = "pixels, gabor, either with :BANDWIDTH, or filters:COUNT; repeatable. Default bandwidths are selected."


@command("Papers", "interpolation.json")
def interpolate(
    job: Job,
    data: options.DataOption = "digits",
    regression: options.RegressionOption = None,
    rows: Annotated[
        int | None,
        options.data("Number of images to interpolate.", numbers=options.COUNT, show_default="the training set"),
    ] = None,
    features: Annotated[list[str] | None, options.training(FEATURES, show_default="pixels")] = None,
    ridge: Annotated[str, options.training("Values to add to the diagonal, separated by commas.")] = "0",
    block: Annotated[int, options.training("Rows per block of the Cholesky factor.", numbers=options.COUNT)] = 1024,
    iterative: Annotated[
        bool, options.training("Solve by conjugate gradients over the rows of all devices, storing no matrix.")
    ] = False,
) -> None:
    """Interpolate images by kernels without regularization (Zhang et al., 2017, section 5); see docs/randomize.md.

    Prints the norm and the test error of each solution, writes interpolation.json, and draws the convergence of
    gradient descent to the solution of least norm.
    """
    from lcjax.cli.output import save_plot, write_result
    from lcjax.data.sources import load_data
    from lcjax.plots.interpolation import plot_descent
    from lcjax.studies.descent import descend_on_pixels
    from lcjax.studies.interpolation import Features, interpolate_images

    parts = [Features.parse(text) for text in features or ["pixels"]]
    ridges = parse_list("--ridge", ridge, Range(float, 0))
    folder = job.open_folder("interpolate")
    task = load_data(data, seed=job.seed, regression=regression)
    options.require_classes("interpolate", task)
    job.print_notes(task.notes)
    count = rows or len(task.train.targets)
    settings = options.Settings(rows=count, features=parts, ridges=ridges, block=block, iterative=iterative)
    with job.show_progress() as report:
        table = interpolate_images(job.key, task, **settings, on_progress=report)
    descent = descend_on_pixels(job.key, task)
    files = save_plot(folder / "descent", lambda axes: plot_descent(descent, axes), (5.6, 4.2))
    result = write_result(
        folder / "interpolation.json",
        {"data": data, **settings, "seed": job.seed},
        peak_memory_gigabytes=_peak_memory(),
        interpolations=table,
        descent=descent,
    )
    job.finish(result, files, lambda console: _print(console, table, data))


def _peak_memory() -> float | None:
    """Return the largest resident size of this process in gigabytes, or None on systems that do not report it."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9, 2)


def _print(console: "Console", table: "Interpolations", data: str) -> None:
    from lcjax.cli.output import format_number, print_table
    from lcjax.papers.zhang import KERNELS

    columns = ["features", "bandwidth", "ridge", "norm", "residual", "test error", "seconds"]
    cells = [
        [
            row.features,
            format_number(row.bandwidth),
            f"{row.ridge:g}",
            f"{row.norm:.3g}",
            format_number(row.residual, ".1g"),
            f"{100 * row.test_error:.2f}",
            f"{row.solve_seconds + row.test_seconds:.1f}",
        ]
        for row in table.rows
    ]
    print_table(console, f"Interpolants of {table.rows[0].rows:,} images, {data}, errors in %", columns, cells)
    console.print(table.caveat())
    printed = (f"{name} {error} %{f', norm {norm}' if norm else ''}" for name, error, norm in KERNELS)
    console.print(f"Zhang et al. (2017), all training images: {'; '.join(printed)}.")
