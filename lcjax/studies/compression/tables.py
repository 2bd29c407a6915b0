"""Tables of compressed nets beside those of Sharma et al., as text."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lcjax.papers.sharma import PaperNumbers, paper_numbers
from lcjax.studies.compression.compress import Compression, Diverged
from lcjax.studies.compression.compressed_loss import CompressedLoss
from lcjax.studies.compression.verdicts import Verdict

__all__ = ["Table", "markdown", "result_table", "verdict_table"]


class Table(NamedTuple):
    """Cells as text."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def result_table(one: Compression) -> Table:
    """One row a loss: ours (mean and standard deviation over seeds), and the paper's beside each number that it has.

    Where trainings diverged the row says how many; its numbers are those of the others.
    """
    paper = paper_numbers(one.data, one.model, one.names)
    ours, lost = {loss.name: loss for loss in one.losses}, {loss.name: loss for loss in one.diverged}
    columns = ("loss", "chosen", "accuracy", "paper", "pruned", "paper", "ratio", "paper", "in bits", "quantized",
               "paper", "bits", "its ratio", "paper")  # fmt: skip
    title = f"{one.data}, {one.model}: {one.parameters:,} parameters; largest class {float(one.majority):.3f}"
    return Table(title, columns, [_row(ours.get(name), lost.get(name), paper.get(name)) for name in one.names])


def verdict_table(told: Sequence[Verdict]) -> Table:
    """One row a verdict."""
    rows = []
    for claim in told:
        numbers = [f"{claim.before:.4g}", f"{claim.after:.4g}", f"{claim.pvalue:.2g}"]
        rows.append([claim.model, claim.claim, claim.losses, *numbers, "yes" if claim.holds else "no"])
    return Table("Claims of the paper", ("net", "claim", "losses", "before", "after", "p", "holds"), rows)


def markdown(tables: Sequence[Table]) -> str:
    """The tables as Markdown.

    Examples:
        >>> print(markdown([Table("T", ("a", "b"), [["1", "2"]])]), end="")
        ### T
        <BLANKLINE>
        | a | b |
        |---|---|
        | 1 | 2 |
        <BLANKLINE>
    """
    lines = []
    for table in tables:
        lines += [f"### {table.title}", "", *(f"| {' | '.join(row)} |" for row in (table.columns, *table.rows)), ""]
        lines.insert(len(lines) - len(table.rows) - 1, "|---" * len(table.columns) + "|")
    return "\n".join(lines) + "\n"


def _row(loss: CompressedLoss | None, lost: Diverged | None, paper: PaperNumbers | None) -> list[str]:
    def theirs(field: str) -> str:
        value = getattr(paper, field, math.nan)
        return "" if math.isnan(value) else f"{value:g}"

    def said(chosen: dict[str, float]) -> str:
        return " ".join(f"{name}={value:g}" for name, value in chosen.items()).replace("learning_rate", "rate")

    if loss is None:
        assert lost is not None
        none = ["", theirs("pruned_accuracy"), "", theirs("ratio"), "", "", theirs("quantized_accuracy"), "", ""]
        how = "diverged" if lost.chosen else "every setting diverged"
        return [lost.name, said(lost.chosen), how, theirs("accuracy"), *none, theirs("quantized_ratio")]
    of_all = "" if lost is None else f"; {len(lost.seed)} of {lost.trained} diverged"
    return [
        loss.name,
        said(loss.chosen),
        _spread(loss.accuracy) + of_all,
        theirs("accuracy"),
        _spread(loss.pruned_accuracy),
        theirs("pruned_accuracy"),
        f"{_middle(loss.ratio):.1f} ({np.min(loss.ratio):.1f} to {np.max(loss.ratio):.1f})",
        theirs("ratio"),
        f"{_middle(loss.bit_ratio['bit mask']):.1f}",
        _spread(loss.quantized_accuracy),
        theirs("quantized_accuracy"),
        _spread(loss.quantized_bits, 1),
        f"{_middle(loss.quantized_ratio):.2f}",
        theirs("quantized_ratio"),
    ]


def _spread(values: Any, digits: int = 3) -> str:
    return f"{np.mean(values):.{digits}f} ± {np.std(values):.{digits}f}"


def _middle(ratio: Any) -> float:
    """Geometric mean; inf where a net was pruned whole."""
    return float(np.exp(np.mean(np.log(np.asarray(ratio, float)))))
