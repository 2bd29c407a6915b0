"""`lcjax interpolate`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lcjax.cli.options import DeviceName, app, number_list, one_line_errors, progress_bars, use_device, writable

__all__ = ["interpolate"]


@app.command()
@one_line_errors()
def interpolate(
    data: Annotated[
        str, typer.Option(help="Images: digits, npz:FILE, tfds:NAME, or idx:, cifar10:, cifar100:DIR.")
    ] = "digits",
    rows: Annotated[int | None, typer.Option(min=1, help="Images to interpolate; the training set by default.")] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(
            help="pixels, pixels:BANDWIDTH, gabor, gabor:BANDWIDTH or filters:COUNT; may be repeated. Without a "
            "bandwidth it is chosen on validation images. pixels if not given."
        ),
    ] = None,
    ridge: Annotated[str, typer.Option(help="Added to the diagonal: numbers, each tried.")] = "0",
    block: Annotated[int, typer.Option(min=1, help="Rows of a block of the factor.")] = 1024,
    iterative: Annotated[
        bool, typer.Option(help="Conjugate gradients over the rows of all devices: stores no matrix.")
    ] = False,
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("lcjax-results/interpolate"),
    device: Annotated[DeviceName | None, typer.Option(help="Where to run.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the splits and of every stream.")] = 0,
    print_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, no table.")] = False,
) -> None:
    """Interpolate images by kernels without regularization, as Zhang et al. (2017), section 5; see docs/randomize.md.

    Prints the norm of each solution beside its test error, and draws how descent finds the solution of least norm.
    """
    use_device(device)
    folder = writable(output)
    import jax
    from matplotlib.figure import Figure

    from lcjax.cli.output import save_figure
    from lcjax.data.sources import load_data
    from lcjax.files import write_json
    from lcjax.plots.interpolation import plot_descent
    from lcjax.provenance import environment
    from lcjax.studies import interpolation as study
    from lcjax.studies.descent import descend_on_pixels

    wanted = [study.Features.parse(text) for text in features or ["pixels"]]
    ridges = number_list("--ridge", ridge)
    task = load_data(data, seed=seed)
    count = rows or len(task.train.targets)
    key = jax.random.key(seed)
    with progress_bars(quiet=print_json) as report:
        found = study.interpolate_images(
            key, task, rows=count, features=wanted, ridges=ridges, block=block, iterative=iterative, on_progress=report
        )
    descent = descend_on_pixels(key, task)
    result = {
        "configuration": {
            "data": data,
            "rows": count,
            "features": wanted,
            "ridges": ridges,
            "block": block,
            "iterative": iterative,
            "seed": seed,
        },
        "environment": environment(),
        "peak_memory_gigabytes": _peak_memory(),
        "interpolations": found,
        "descent": descent,
    }
    write_json(folder / "interpolation.json", result)
    figure = Figure(figsize=(5.6, 4.2), layout="constrained")
    plot_descent(descent, figure.subplots())
    files = save_figure(figure, folder / "descent")
    if print_json:
        print((folder / "interpolation.json").read_text(), end="")
        return
    _print_interpolations(found, data)
    print(f"Results: {folder / 'interpolation.json'}, {', '.join(str(file) for file in files)}")


def _peak_memory() -> float | None:
    """Of this process so far, in gigabytes; absent where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    import sys

    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9, 2)


def _print_interpolations(found: Any, data: str) -> None:
    import rich.console

    from lcjax.cli.output import print_table
    from lcjax.papers.zhang import KERNELS

    console = rich.console.Console()
    columns = ["features", "bandwidth", "ridge", "norm", "residual", "test error", "seconds"]
    cells = [
        [
            row.features,
            "–" if row.bandwidth != row.bandwidth else f"{row.bandwidth:.3g}",
            f"{row.ridge:g}",
            f"{row.norm:.3g}",
            "–" if row.residual != row.residual else f"{row.residual:.1g}",
            f"{100 * row.test_error:.2f}",
            f"{row.solve_seconds + row.test_seconds:.1f}",
        ]
        for row in found.rows
    ]
    print_table(console, f"Interpolants of {found.rows[0].rows:,} images, {data}, errors in %", columns, cells)
    console.print(found.caveat())
    printed = (f"{name} {error} %{f', norm {norm}' if norm else ''}" for name, error, norm in KERNELS)
    console.print(f"Zhang et al. (2017), all training images: {'; '.join(printed)}.")
