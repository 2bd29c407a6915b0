"""Learning curves from CSV files: sizes and errors, repeats, many curves in one file; the public benchmark's layout."""

import csv
import itertools
import math
import os
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Bool

from lcjax.curves.learning_curve import LearningCurve
from lcjax.records import record

__all__ = ["CurveTable", "read_curves"]

# Headings that are understood, in lower case with single spaces for underscores.
_HEADINGS = {
    "size": ("size", "examples", "training examples", "seen examples"),
    "error": ("error", "loss"),
    "repeat": ("repeat", "repeats", "seed"),
    "curve": ("curve", "curve id"),
    "test_count": ("test count",),
}
_BENCHMARK = ("domain", "task", "model")


@record
class CurveTable:
    """The curves of one file, padded with nan to one shape.

    Attributes:
        curve: sizes and errors of `b` curves, `(b, s)`, ascending; `replicates` `(b, r, s)` where a size of some curve
            has several rows; `test_count` `(b,)` where the file tells.
        fitted: which of them are to be fitted, `(b, s)`; the others are held out (`Training` = 0 in the benchmark).
        absent: rows without an error, which were left out.
        names: of the curves, in the order of the file.
        groups: the domain of each curve in the benchmark's layout, "" in ours.
    """

    curve: LearningCurve
    fitted: Bool[np.ndarray, "b s"]
    absent: int = jax.tree.static()
    names: tuple[str, ...] = jax.tree.static()
    groups: tuple[str, ...] = jax.tree.static()


def read_curves(path: str | os.PathLike[str]) -> CurveTable:
    r"""Read learning curves from a CSV file with a heading, separated by commas, semicolons or tabs.

    Two layouts, told apart by their columns; the order of columns and rows is free, further columns are ignored:

    - `size`, `error`, and where there are: `repeat` (number or name of the seed), `curve` (name of the curve, for
      several in one file), `test_count` (examples that errors were measured on, one number a curve).
    - that of the public benchmark of Alabdulmohsin, Neyshabur and Zhai (2022): `Domain`, `Task`, `Model`,
      `Seen Examples`, `Loss`, `Training`; one curve for each domain, task and model, rows with `Training` = 0 held out.

    Several rows of a curve with one size are repeats, by their `repeat` column or, without one, in the order of the
    file; the curve's error is their mean. A row whose error is empty or nan is absent, and counted.

    Args:
        path: the file.

    Returns:
        A `CurveTable` of NumPy arrays.

    Raises:
        ValueError: a column is missing, a value is no number, a size is not positive, an error is negative or infinite,
            a repeat occurs twice at a size, a curve has no row to fit, or the file is no text.
        OSError: the file cannot be read.

    Examples:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = Path(folder.name, "curve.csv")
        >>> _ = path.write_text("size,error\n200,0.21\n100,0.3\n100,0.28\n")
        >>> table = read_curves(path)
        >>> table.curve.size.tolist(), table.curve.error.round(2).tolist(), table.curve.replicates.shape
        ([[100.0, 200.0]], [[0.29, 0.21]], (1, 2, 2))
        >>> folder.cleanup()
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text in UTF-8: a CSV file with columns size and error is wanted.") from None
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    rows = list(csv.reader(lines, delimiter=delimiter))
    numbered = [(i, [cell.strip() for cell in row]) for i, row in enumerate(rows, 1) if any(c.strip() for c in row)]
    if len(numbered) < 2:
        raise ValueError(f"{path} has no row of data: a heading with columns size and error is wanted, then rows.")
    heading = [" ".join(cell.lower().replace("_", " ").split()) for cell in numbered[0][1]]
    place = {
        name: next(heading.index(h) for h in known if h in heading)
        for name, known in _HEADINGS.items()
        if any(h in heading for h in known)
    }
    missing = [name for name in ("size", "error") if name not in place]
    if missing:
        flipped = " Give an accuracy as its error, 1 - accuracy." if any("acc" in h for h in heading) else ""
        raise ValueError(
            f"{path} has no column {' and no column '.join(missing)}; its columns are "
            f"{', '.join(numbered[0][1])}. Wanted: size, error (and repeat, curve, test_count), or the benchmark's "
            f"Domain, Task, Model, Seen Examples, Loss, Training.{flipped}"
        )
    training = heading.index("training") if "training" in heading else None
    labels = [heading.index(h) for h in _BENCHMARK if h in heading]
    if training is None and "curve" in place:
        labels = [place["curve"]]
    domain = heading.index("domain") if "domain" in heading and "curve" not in place else None
    by_curve: dict[tuple[str, ...], list[_Row]] = {}
    groups: dict[tuple[str, ...], str] = {}
    absent = 0
    for number, cells in numbered[1:]:
        where = f"{path}, line {number}"
        if len(cells) != len(heading):
            raise ValueError(f"{where}: {len(heading)} cells are wanted as in the heading, got {len(cells)}.")
        name = tuple(cells[i] for i in labels)
        row = _Row(where, cells, place, training)
        groups.setdefault(name, cells[domain] if domain is not None else "")
        by_curve.setdefault(name, [])
        if math.isnan(row.error):
            absent += 1
        else:
            by_curve[name].append(row)
    for name, own in by_curve.items():
        if not any(row.fitted for row in own):
            raise ValueError(f"{path}: the curve {' '.join(name)!r} has no row with an error to fit.")
    return _padded(list(by_curve.values()), absent, tuple(map(" ".join, by_curve)), tuple(groups.values()))


class _Row:
    """One row, checked."""

    def __init__(self, where: str, cells: Sequence[str], place: dict[str, int], training: int | None) -> None:
        self.where = where
        self.size = self._number(cells[place["size"]], "size", empty=math.nan)
        self.error = self._number(cells[place["error"]], "error", empty=math.nan)
        self.repeat = cells[place["repeat"]] if "repeat" in place else None
        self.test_count = (
            self._number(cells[place["test_count"]], "test_count", empty=math.nan) if "test_count" in place else None
        )
        self.fitted = training is None or self._number(cells[training], "Training", empty=math.nan) == 1
        if not 0 < self.size < math.inf:
            raise ValueError(f"{where}: a size must be a positive number of examples, got {cells[place['size']]!r}.")
        if self.error < 0 or self.error == math.inf:
            raise ValueError(
                f"{where}: an error must be 0 or positive, got {cells[place['error']]!r}; leave the cell empty "
                "where it was not measured, and give a log-likelihood as its negative."
            )
        if self.test_count is not None and not 1 <= self.test_count < math.inf:
            raise ValueError(f"{where}: test_count must be at least 1, got {cells[place['test_count']]!r}.")

    def _number(self, text: str, column: str, *, empty: float) -> float:
        if not text:
            return empty
        try:
            return float(text)
        except ValueError:
            raise ValueError(f"{self.where}: {column} must be a number, got {text!r}.") from None


def _padded(curves: list[list[_Row]], absent: int, names: tuple[str, ...], groups: tuple[str, ...]) -> CurveTable:
    """Arrays of one shape: a curve's sizes in ascending order, its rows of one size as repeats."""
    sizes = [sorted({row.size for row in rows}) for rows in curves]
    cells: list[dict[tuple[float, str], float]] = []
    fitted: list[dict[float, bool]] = []
    for rows in curves:
        seen: dict[tuple[float, str], float] = {}
        used: dict[float, bool] = {}
        occurrences: dict[float, itertools.count] = {}
        for row in rows:
            repeat = row.repeat or str(next(occurrences.setdefault(row.size, itertools.count())))
            if (row.size, repeat) in seen:
                raise ValueError(f"{row.where}: size {row.size:g} occurs twice for the repeat {repeat!r} of one curve.")
            if used.setdefault(row.size, row.fitted) != row.fitted:
                raise ValueError(f"{row.where}: size {row.size:g} is both to be fitted and held out in one curve.")
            seen[row.size, repeat] = row.error
        cells.append(seen)
        fitted.append(used)
    repeats = [list(dict.fromkeys(repeat for _, repeat in seen)) for seen in cells]
    width, depth = max(map(len, sizes)), max(map(len, repeats))
    size = np.full((len(curves), width), np.nan)
    replicates = np.full((len(curves), depth, width), np.nan)
    mask = np.zeros(size.shape, bool)
    for i, (own, seen) in enumerate(zip(sizes, cells, strict=True)):
        size[i, : len(own)] = own
        mask[i, : len(own)] = [fitted[i][s] for s in own]
        for (s, repeat), error in seen.items():
            replicates[i, repeats[i].index(repeat), own.index(s)] = error
    present = ~np.isnan(replicates)
    total = np.where(present, replicates, 0).sum(axis=1)
    count_rows = present.sum(axis=1)
    mean = np.where(count_rows > 0, total / np.maximum(count_rows, 1), np.nan)
    curve = LearningCurve(size, mean, None, replicates if depth > 1 else None, None, _test_counts(curves))
    return CurveTable(curve, mask, absent, names, groups)


def _test_counts(curves: list[list[_Row]]) -> np.ndarray | None:
    counts = []
    for rows in curves:
        own = {row.test_count for row in rows}
        if len(own) > 1:
            raise ValueError(f"{rows[0].where}: a curve must have one test_count, got {sorted(map(str, own))}.")
        counts.append(own.pop())
    return None if None in counts else np.array(counts, float)
