"""Results of a command: JSON with settings and environment, figures as PNG and SVG, tables on the terminal."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lcjax.files import atomic_path
from lcjax.formats import format_number, format_percent, format_size
from lcjax.plots.style import plain_text
from lcjax.studies.report import write_report
from lcjax.typing import PathLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.console import Console

__all__ = ["format_number", "format_percent", "format_size", "print_table", "save_figure", "save_plot", "write_result"]


def write_result(path: Path, configuration: Mapping[str, object], **results: object) -> Path:
    """Write the settings, environment and results of a command as JSON, and return the path."""
    write_report(path, {"configuration": configuration}, results)
    return path


def save_figure(figure: "Figure", path: PathLike) -> tuple[Path, Path]:
    """Save a figure as PNG and SVG, each atomically, at a path without suffix; its folder is created.

    Examples:
        >>> import tempfile, matplotlib.figure
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     png, svg = save_figure(matplotlib.figure.Figure(), folder + "/curve")
        ...     png.name, svg.name, png.exists()
        ('curve.png', 'curve.svg', True)
    """
    import matplotlib

    base = Path(path)
    paths = (base.with_name(base.name + ".png"), base.with_name(base.name + ".svg"))
    for target in paths:
        metadata = {"Date": None} if target.suffix == ".svg" else None
        with atomic_path(target) as temporary, matplotlib.rc_context({"svg.hashsalt": "lcjax", "svg.fonttype": "none"}):
            figure.savefig(temporary, dpi=150, metadata=metadata)
        figure.set_layout_engine("none")  # the same layout in the other format
    return paths


def save_plot(
    path: PathLike, plot: Callable[["Axes"], object], size: tuple[float, float], title: str = ""
) -> tuple[Path, Path]:
    """Draw a figure with one panel, `size` inches (width, height), and save it as `save_figure` does."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    plot(axes)
    axes.set_title(plain_text(title), fontsize="medium")
    return save_figure(figure, path)


def print_table(console: "Console", title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table with a title, headings and right-aligned columns of text.

    Examples:
        >>> import rich.console
        >>> print_table(rich.console.Console(width=40), "sizes", ["size", "error"], [["100", "1.0 %"]])
           sizes...
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), min_width=60
    )
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table)
