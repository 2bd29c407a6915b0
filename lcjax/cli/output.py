"""Results of a command: JSON with settings and environment, figures as PNG and SVG, tables on the terminal."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, SupportsFloat

from lcjax.files import atomic_path
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


def format_percent(error: SupportsFloat, standard_error: SupportsFloat | None = None) -> str:
    """Format an error in percent, with one decimal from 2 % up and more decimals below; nan is "–".

    Examples:
        >>> format_percent(0.0123, 0.0011), format_percent(float("nan")), format_percent(0.25)
        ('1.23 ± 0.11', '–', '25.0')
    """
    percent = 100 * float(error)
    spread = float("nan") if standard_error is None else 100 * float(standard_error)
    if percent != percent:
        return "–"
    digits = 1 if percent >= 2 else 2 if percent >= 0.1 or percent == 0 else 3
    return f"{percent:.{digits}f}" + ("" if spread != spread else f" ± {spread:.{digits}f}")


def format_number(value: SupportsFloat, spec: str = ".3g") -> str:
    """Format a number; nan is "–".

    Examples:
        >>> format_number(0.0123456), format_number(1234.5, ",.0f"), format_number(float("nan"))
        ('0.0123', '1,234', '–')
    """
    number = float(value)
    return "–" if number != number else format(number, spec)


def format_size(size: SupportsFloat) -> str:
    """Format a size: whole numbers below a million exactly, others with three digits; inf is "never", nan is "–".

    Examples:
        >>> format_size(12345), format_size(12345.2), format_size(3.214e7), format_size(0.5), format_size(5.37e12)
        ('12,345', '12,300', '32,100,000', '0.5', '5.37e+12')
        >>> format_size(float("inf"))
        'never'
    """
    number = float(size)
    if number == float("inf"):
        return "never"
    if number != number:
        return "–"
    if number == int(number) and number < 1e6:
        return f"{number:,.0f}"
    rounded = float(f"{number:.3g}")
    return f"{rounded:,.10g}" if rounded < 1e10 else f"{rounded:.3g}"
