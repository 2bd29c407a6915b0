"""Figures of `lcjax compress`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from lcjax.cli.output import save_figure
from lcjax.plots import compression as plots
from lcjax.plots.style import plain_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lcjax.studies.compression.compress import Compression

__all__ = ["draw_compressions"]

PANELS = 6  # largest number of layers whose weights are drawn, the first ones
ACROSS = 6  # largest number of losses whose t-SNE pictures are side by side; more are stacked


def draw_compressions(compressions: "Sequence[Compression]", labels: Sequence[str], folder: Path) -> list[Path]:
    """Draw and save all figures of compressed models, and return their paths."""
    files: list[Path] = []
    figure, grid = _panels(3, len(compressions), 2.7)
    for one, (top, middle, bottom) in zip(compressions, grid.T, strict=True):
        plots.plot_trade_off(one, top)
        plots.plot_bits(one, middle)
        plots.plot_bits(one, bottom, pruned=True)
        top.set_title(plain_text(one.model), fontsize="medium")
    files += _save(figure, folder / "trade_off", grid[0, 0])
    figure, grid = _panels(3, len(compressions), 2.4)
    for one, (top, middle, bottom) in zip(compressions, grid.T, strict=True):
        plots.plot_bits(one, top)
        plots.plot_margin(one, middle, bottom)
        top.set_title(plain_text(one.model), fontsize="medium")
    files += _save(figure, folder / "figure3", grid[0, 0])
    for one, label in zip(compressions, labels, strict=True):
        names = list(dict.fromkeys(layer for layers in one.weights.values() for layer in layers))[:PANELS]
        figure, grid = _panels(1, len(names), 2.9)
        for axes, layer in zip(grid[0], names, strict=True):
            plots.plot_weights(one, axes, layer=layer)
        files += _save(figure, folder / f"weights_{label}", grid[0, 0])
        if one.embedding:
            losses, stacked = list(one.embedding), len(one.embedding) > ACROSS
            figure, grid = _panels(len(losses), 3, 2.4) if stacked else _panels(3, len(losses), 2.4)
            for pictures, loss in zip(grid if stacked else grid.T, losses, strict=True):
                for which, axes in enumerate(pictures):
                    plots.plot_picture(one, axes, loss=loss, which=which)
            files += _save(figure, folder / f"figure2_{label}", grid[0, 0], scale=2.5)
    return files


def _panels(rows: int, columns: int, height: float) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(3.6 * columns + 0.4, height * rows + 0.5), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _save(figure: Figure, path: Path, axes: "Axes", *, scale: float = 1.0) -> tuple[Path, ...]:
    """Add a common legend below the panels and save the figure."""
    columns = max(2, int(figure.get_figwidth() / 1.6))
    handles = axes.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=columns, frameon=False, markerscale=scale)
    return save_figure(figure, path)
