"""Tables of compressed networks beside those of Sharma et al. (2019)."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Num

from lcjax.papers.sharma import PaperRow, paper_rows
from lcjax.studies.compression.compress import Compression, Diverged
from lcjax.studies.compression.compressed_loss import CompressedLoss
from lcjax.studies.compression.verdicts import Verdict
from lcjax.studies.report import Table
from lcjax.typing import Array

__all__ = ["result_table", "verdict_table"]


def result_table(compression: Compression) -> Table:
    """Return a table with one row per loss: mean and standard deviation over seeds, beside the paper's numbers.

    The numbers leave out diverged runs, which the row counts.
    """
    paper = paper_rows(compression.data, compression.model, compression.names)
    losses = {loss.name: loss for loss in compression.losses}
    diverged = {loss.name: loss for loss in compression.diverged}
    columns = ("loss", "chosen", "accuracy", "paper", "pruned", "paper", "ratio", "paper", "in bits", "quantized",
               "paper", "bits", "its ratio", "paper")  # fmt: skip
    title = (
        f"{compression.data}, {compression.model}: {compression.parameters:,} parameters; largest class "
        f"{1 - compression.chance_error:.3f}"
    )
    rows = [_row(losses.get(n), diverged.get(n), paper.get(n, PaperRow())) for n in compression.names]
    return Table(title, columns, rows)


def verdict_table(verdicts: Sequence[Verdict]) -> Table:
    """Return a table with one row per verdict."""
    rows = []
    for verdict in verdicts:
        numbers = [f"{verdict.before:.4g}", f"{verdict.after:.4g}", f"{verdict.pvalue:.2g}"]
        rows.append([verdict.model, verdict.claim, verdict.losses, *numbers, "yes" if verdict.holds else "no"])
    return Table("Claims of the paper", ("net", "claim", "losses", "before", "after", "p", "holds"), rows)


def _row(loss: CompressedLoss | None, diverged: Diverged | None, paper: PaperRow) -> list[str]:
    printed = {name: "" if math.isnan(value) else f"{value:g}" for name, value in paper._asdict().items()}
    if loss is None:
        assert diverged is not None
        status = "diverged" if diverged.chosen else "every setting diverged"
        name, chosen, ours = diverged.name, diverged.chosen, [status, *[""] * 6]
    else:
        part = "" if diverged is None else f"; {len(diverged.seed)} of {diverged.trained} diverged"
        ours = [
            _mean_and_spread(loss.accuracy) + part,
            _mean_and_spread(loss.pruned_accuracy),
            f"{_geometric_mean(loss.ratio):.1f} ({np.min(loss.ratio):.1f} to {np.max(loss.ratio):.1f})",
            f"{_geometric_mean(loss.bit_ratio['bit mask']):.1f}",
            _mean_and_spread(loss.quantized_accuracy),
            _mean_and_spread(loss.quantized_bits, 1),
            f"{_geometric_mean(loss.quantized_ratio):.2f}",
        ]
        name, chosen = loss.name, loss.chosen
    setting = " ".join(f"{column}={value:g}" for column, value in chosen.items()).replace("learning_rate", "rate")
    papers = ("accuracy", "pruned_accuracy", "ratio", "", "quantized_accuracy", "", "quantized_ratio")
    pairs = ([cell, printed[paper]] if paper else [cell] for cell, paper in zip(ours, papers, strict=True))
    return [name, setting, *itertools.chain.from_iterable(pairs)]


def _mean_and_spread(values: Num[Array, " r"], digits: int = 3) -> str:
    return f"{np.mean(values):.{digits}f} ± {np.std(values):.{digits}f}"


def _geometric_mean(ratio: Num[Array, " r"]) -> float:
    """Return the geometric mean; inf if a network was pruned entirely."""
    return float(np.exp(np.mean(np.log(np.asarray(ratio, float)))))
