"""What a command leaves behind: tables on the terminal, figures as PNG and SVG."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, SupportsFloat

from lcjax.files import atomic_path

__all__ = ["format_error", "format_percent", "format_size", "print_table", "save_figure"]


def save_figure(figure: Any, path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Save a matplotlib figure as PNG and SVG, each whole or not at all.

    Args:
        figure: a `matplotlib.figure.Figure`.
        path: target without suffix; its folder is made if it does not exist.

    Returns:
        The two paths.

    Examples:
        >>> import tempfile, matplotlib.figure
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     png, svg = save_figure(matplotlib.figure.Figure(), folder + "/curve")
        ...     png.name, svg.name, png.exists()
        ('curve.png', 'curve.svg', True)
    """
    import matplotlib

    base = Path(path)
    written = (base.with_name(base.name + ".png"), base.with_name(base.name + ".svg"))
    for target in written:
        with atomic_path(target) as temporary, matplotlib.rc_context({"svg.hashsalt": "lcjax", "svg.fonttype": "none"}):
            metadata = {"Date": None} if target.suffix == ".svg" else None
            figure.savefig(temporary, dpi=150, metadata=metadata)
    return written


def print_table(console: Any, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table with right-aligned columns on a rich console.

    Args:
        console: a `rich.console.Console`.
        title: above the table.
        columns: headings.
        rows: cells as text, one sequence a row.

    Examples:
        >>> import rich.console
        >>> print_table(rich.console.Console(width=40), "sizes", ["size", "error"], [["100", "1.0 %"]])
           sizes...
    """
    import rich.box
    import rich.table

    table = rich.table.Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=rich.box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        min_width=60,
    )
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def format_percent(error: SupportsFloat, standard_error: SupportsFloat | None = None) -> str:
    """An error in percent, with one decimal from 2 % up and more below, "–" where it is absent.

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


def format_error(error: SupportsFloat) -> str:
    """An error or a loss, whatever its unit: three figures, "–" where it is absent.

    Examples:
        >>> format_error(0.0123456), format_error(2.5), format_error(float("nan"))
        ('0.0123', '2.5', '–')
    """
    value = float(error)
    return "–" if value != value else f"{value:.3g}"


def format_size(size: SupportsFloat) -> str:
    """A number of examples: exact below a million, two figures above, "never" where it is infinite.

    Examples:
        >>> format_size(12345.2), format_size(3.21e7), format_size(float("inf"))
        ('12,345', '3.2e+07', 'never')
    """
    size = float(size)
    if size != size:
        return "–"
    if size == float("inf"):
        return "never"
    return f"{size:,.0f}" if size < 1e6 else f"{size:.1e}"
