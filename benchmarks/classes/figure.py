"""Figure of the errors of single classes, and of what pooling changes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.classes.score import HELD_OUT
from lcjax.cli.output import save_figure

__all__ = ["draw"]


def draw(results: Mapping[str, Mapping[str, Any]], summary: Mapping[str, Any], path: Path) -> None:
    """Draw the mean error of each class of each network with the held-out sizes marked, and the coverage."""
    figure = Figure(figsize=(3.4 * (len(results) + 1), 3.2), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(results) + 1))
    for axes, (_, result) in zip(panels, sorted(results.items()), strict=False):
        size, count = np.asarray(result["size"], float), np.asarray(result["classes"], float)
        errors = np.asarray(result["mistakes"], float).mean(axis=0) / count
        for label in range(len(count)):
            axes.loglog(size, np.where(errors[:, label] > 0, errors[:, label], np.nan), ".-", lw=0.8, ms=3)
        axes.axvspan(size[-HELD_OUT] / 2**0.5, size[-1] * 2**0.5, color="0.9", lw=0)
        axes.set_title(result["title"], fontsize="medium")
        axes.set_xlabel("training examples")
    panels[0].set_ylabel("test error of each class")
    axes = panels[-1]
    levels = [float(level) for level in summary["all"]["pooled"]["coverage"]]
    for kind, marker in (("separate", "o"), ("pooled", "s")):
        covered = summary["all"][kind]["coverage"].values()
        mean = np.array([one["mean"] for one in covered])
        bars = np.abs([[one["low"], one["high"]] for one in covered] - mean[:, None]).T
        axes.errorbar(levels, mean, bars, marker=marker, ms=4, lw=1, capsize=2, label=kind)
    axes.plot([0.4, 1], [0.4, 1], color="0.5", lw=0.8, ls="--")
    axes.set_xlabel("nominal coverage")
    axes.set_ylabel("held-out errors inside")
    axes.legend(frameon=False)
    save_figure(figure, path.with_suffix(""))
