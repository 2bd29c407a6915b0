"""Names, colours and axes that figures share."""

from typing import TYPE_CHECKING, Literal, TypeAlias

from lcjax.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "COLORS", "LABELS", "label_axes", "law_style", "log_axes", "plain_errors", "plain_numbers", "plain_text",
    "plain_ticks",
]  # fmt: skip

Place: TypeAlias = Literal["best", "lower left", "lower right", "upper left", "upper right"]

LABELS = {
    "hypercube": "paper's law (hypercube)",
    "poisson": "law of independent samples",
    "hypercube_squared": "paper's law, squared distance",
    "distances": "distances of features",
    "nearest_neighbor": "power law, prior at 1/d",
    "power_law": "power law, no theory",
    "forecast": "Bayesian forecast",
    "binomial": "exact law (binomial)",
}
COLORS = {
    "answer": "#222222",
    "hypercube": "#D55E00",
    "poisson": "#0072B2",
    "hypercube_squared": "#E69F00",
    "distances": "#999999",
    "nearest_neighbor": "#56B4E9",
    "power_law": "#009E73",
    "forecast": "#CC79A7",
    "binomial": "#000000",
    "validation": "#7A5195",
    "test": "#000000",
}
DASHES: dict[str, str | tuple[float, tuple[float, ...]]] = {
    "hypercube": (0, (5, 1.5)),
    "poisson": "solid",
    "hypercube_squared": (0, (3, 1, 1, 1)),
    "distances": (0, (6, 2)),
    "nearest_neighbor": (0, (2, 1)),
    "power_law": (0, (1, 1.2)),
    "forecast": "solid",
    "binomial": "solid",
}


def plain_text(text: str) -> str:
    r"""Return a name for a label, title or legend: on one line, without mathematics, and never hidden.

    Matplotlib typesets `$...$` and leaves labels that begin with an underscore out of legends.

    Examples:
        >>> plain_text("a $x$\nb"), plain_text("_hidden")
        ('a \\$x\\$\\nb', ' _hidden')
    """
    text = printable(text).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def law_style(name: str) -> dict[str, str | tuple[float, tuple[float, ...]]]:
    """Return the colour, dashes and label of a law or method; by default grey, solid and its name."""
    return {
        "color": COLORS.get(name, "0.4"),
        "linestyle": DASHES.get(name, "solid"),
        "label": LABELS.get(name, plain_text(name.replace("_", " "))),
    }


def label_axes(
    axes: "Axes", x: str | None = None, y: str | None = None, *, grid: bool = False, legend: Place | None = None
) -> None:
    """Set the given labels, remove the top and right spines, and add major grid lines and a legend if requested."""
    if x is not None:
        axes.set_xlabel(plain_text(x))
    if y is not None:
        axes.set_ylabel(plain_text(y))
    axes.spines[["top", "right"]].set_visible(False)
    if grid:
        axes.grid(which="major", color="0.9", linewidth=0.6)
    if legend is not None:
        axes.legend(frameon=False, fontsize="small", loc=legend)


def log_axes(axes: "Axes") -> None:
    """Make both axes logarithmic."""
    axes.set_xscale("log")
    axes.set_yscale("log")


def plain_ticks(axes: "Axes") -> None:
    """Format the axes of a learning curve: sizes with separated thousands, errors in percent."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    label_axes(axes, grid=True)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value < 1e7 else f"{value:.0e}"))
    if axes.get_yscale() == "log":
        plain_errors(axes, percent=True)


def plain_errors(axes: "Axes", *, percent: bool = False) -> None:
    """Format a logarithmic error axis with plain numbers or percentages at 1, 2 and 5 times powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(
        FuncFormatter(
            lambda value, _: f"{100 * value:g} %" if percent else f"{value:,.10g}" if value < 1e7 else f"{value:g}"
        )
    )
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())


def plain_numbers(axes: "Axes") -> None:
    """Format logarithmic axes, after drawing, with few numbers and without powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    for axis in (axes.xaxis, axes.yaxis):
        low, high = axis.get_view_interval()
        logarithmic = LogLocator(subs=(1, 2, 5) if high / low < 200 else (1,))
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]) if high / low < 6 else logarithmic)
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1000 else f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
