"""Names, colours and axes that figures share."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["COLORS", "DASHES", "LABELS", "plain_numbers", "plain_ticks"]


LABELS = {
    "hypercube": "paper's law (hypercube)",
    "poisson": "law of independent samples (poisson)",
    "power_law": "power law, no theory",
    "binomial": "exact law (binomial)",
}

COLORS = {"hypercube": "#D55E00", "poisson": "#0072B2", "power_law": "#009E73", "binomial": "#000000"}

DASHES = {"hypercube": (0, (5, 1.5)), "poisson": "solid", "power_law": (0, (1, 1.2)), "binomial": "solid"}


def plain_ticks(axes: "Axes") -> None:
    """Axes of a learning curve: sizes with thousands separated, errors in percent."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.grid(which="major", color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value < 1e7 else f"{value:.0e}"))
    if axes.get_yscale() == "log":
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def plain_numbers(axes: "Axes") -> None:
    """Numbers without powers of ten on the logarithmic axes of what has been drawn, few enough to stay apart."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    for axis in (axes.xaxis, axes.yaxis):
        low, high = axis.get_view_interval()
        ratio = high / low
        axis.set_major_locator(
            MaxNLocator(4, steps=[1, 2, 5, 10]) if ratio < 6 else LogLocator(subs=(1, 2, 5) if ratio < 200 else (1,))
        )
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1000 else f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
