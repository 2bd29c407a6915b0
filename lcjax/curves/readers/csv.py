"""Learning curves from CSV files: sizes and errors, repeats, several curves in a file, and the public benchmark."""

import csv
import dataclasses
import itertools
import math
import re
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Bool, Float

from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.metrics import ERROR, Metric
from lcjax.files import require_file
from lcjax.records import record
from lcjax.typing import PathLike

__all__ = ["CurveTable", "read_curves"]

# Recognized headings, in lower case with single spaces for underscores.
_HEADINGS = {
    "size": ("size", "examples", "training examples", "seen examples"),
    "error": ("error", "loss"),
    "repeat": ("repeat", "repeats", "seed"),
    "curve": ("curve", "curve id"),
    "test_count": ("test count",),
}
# A number of one to three digits and dots between groups of three: 20.000 is rather 20,000 examples than 20.
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(\.\d{3})+")
_BENCHMARK = ("domain", "task", "model")


@record
class CurveTable:
    """The curves of one file, NumPy arrays padded with nan to a common shape.

    Attributes:
        curve: sizes in ascending order and errors of `b` curves, `(b, s)`; `replicates` `(b, r, s)` if a size of a
            curve has several rows; `test_count` `(b,)` if the file has that column.
        fitted: True for sizes to fit, False for held-out ones (`Training` = 0 in the benchmark), `(b, s)`.
        absent: number of rows without an error, which were skipped.
        names: names of the curves, in the order of the file.
        groups: domain of each curve in the benchmark's layout, "" in ours.
        metric: metric of the file; `curve` contains its errors.
    """

    curve: LearningCurve
    fitted: Bool[np.ndarray, "b s"]
    absent: int = jax.tree.static()
    names: tuple[str, ...] = jax.tree.static()
    groups: tuple[str, ...] = jax.tree.static()
    metric: Metric = ERROR


def read_curves(path: PathLike, metric: Metric = ERROR) -> CurveTable:
    r"""Read learning curves from a CSV file with a heading, separated by commas, semicolons or tabs.

    The columns identify one of two layouts; the order of columns and rows is free, and other columns are ignored:

    - `size`, `error`, and optionally `repeat` (number or name of the seed), `curve` (name of the curve, for several in
      one file) and `test_count` (number of examples on which errors were measured, the same for all rows of a curve).
    - The public benchmark of Alabdulmohsin et al. (2022): `Domain`, `Task`, `Model`, `Seen Examples`,
      `Loss`, `Training`; one curve for each domain, task and model, rows with `Training` = 0 held out.

    Rows of a curve with the same size are repeats, identified by their `repeat` column or, without one, by their order
    in the file; the error of the curve is their mean. Rows whose error is empty or nan are skipped and counted.

    Args:
        path: the file.
        metric: metric of the file, in a column of that name; its values are converted by `metric.to_error`.

    Returns:
        `CurveTable` of all b curves, padded with nan to a common number of sizes and of repeats.

    Raises:
        ValueError: a column is missing, a value is not a number, a size is not positive, an error is negative or
            infinite, a value is better than `metric.best`, a repeat occurs twice at a size, a curve has no row to fit,
            or the file is not text.
        OSError: the file cannot be read.

    Examples:
        >>> import pathlib, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = pathlib.Path(folder.name, "curve.csv")
        >>> _ = path.write_text("size,error\n200,0.21\n100,0.3\n100,0.28\n")
        >>> table = read_curves(path)
        >>> table.curve.size.tolist(), table.curve.error.round(2).tolist(), table.curve.replicates.shape
        ([[100.0, 200.0]], [[0.29, 0.21]], (1, 2, 2))
        >>> folder.cleanup()
    """
    path = require_file(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text; expected a CSV file with columns size and error.") from None
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    rows = list(csv.reader(lines, delimiter=delimiter))
    numbered = [(i, [cell.strip() for cell in row]) for i, row in enumerate(rows, 1) if any(c.strip() for c in row)]
    if len(numbered) < 2:
        raise ValueError(f"{path} has no row of data; expected a heading with columns size and error, then rows.")
    heading = [" ".join(cell.lower().replace("_", " ").split()) for cell in numbered[0][1]]
    place = {
        name: next(heading.index(h) for h in known if h in heading)
        for name, known in {**_HEADINGS, "error": _value_headings(metric)}.items()
        if any(h in heading for h in known)
    }
    missing = [{"error": metric.name}.get(name, name) for name in ("size", "error") if name not in place]
    if missing:
        is_accuracy = metric == ERROR and any("acc" in h for h in heading)
        hint = " For an accuracy, pass --metric accuracy, which forecasts 1 - accuracy." if is_accuracy else ""
        raise ValueError(
            f"{path} has no column {' and no column '.join(missing)}; its columns are "
            f"{', '.join(numbered[0][1])}. Expected size, {metric.name} (and repeat, curve, test_count), or the "
            f"benchmark's Domain, Task, Model, Seen Examples, Loss, Training.{hint}"
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
            raise ValueError(f"{where}: expected {len(heading)} cells as in the heading, got {len(cells)}.")
        name = tuple(cells[i] for i in labels)
        row = _Row(where, cells, place, training, metric)
        groups.setdefault(name, cells[domain] if domain is not None else "")
        by_curve.setdefault(name, [])
        if math.isnan(row.error):
            absent += 1
        else:
            by_curve[name].append(row)
    for name, curve_rows in by_curve.items():
        if not any(row.fitted for row in curve_rows):
            raise ValueError(f"{path}: the curve {' '.join(name)!r} has no row with an error to fit.")
    table = _pad(list(by_curve.values()), absent, tuple(map(" ".join, by_curve)), tuple(groups.values()))
    return dataclasses.replace(table, metric=metric)


def _value_headings(metric: Metric) -> tuple[str, ...]:
    """Return the accepted headings of the column of values: the metric's name, or all those of errors."""
    return _HEADINGS["error"] if metric.name == ERROR.name else (metric.name,)


class _Row:
    """A validated row."""

    def __init__(
        self, where: str, cells: Sequence[str], place: dict[str, int], training: int | None, metric: Metric
    ) -> None:
        self.where = where
        value = self._number(cells[place["error"]], metric.name)
        self.error = float(metric.to_error(value))
        self.repeat = cells[place["repeat"]] if "repeat" in place else None
        self.test_count = self._number(cells[place["test_count"]], "test_count") if "test_count" in place else None
        self.fitted = training is None or self._number(cells[training], "Training") == 1
        if _THOUSANDS.fullmatch(size := cells[place["size"]]):
            raise ValueError(
                f"{where}: the dot in the size {size!r} may separate thousands. Write {size.replace('.', '')}, or, for "
                "a fraction, another number of decimals."
            )
        self.size = self._number(size, "size")
        if not 0 < self.size < math.inf:
            raise ValueError(f"{where}: a size must be a positive number of examples, got {cells[place['size']]!r}.")
        if metric.name != ERROR.name and not self.error >= 0 and not math.isnan(self.error):
            raise ValueError(
                f"{where}: {metric.name} {value:g} is better than the best possible value, {metric.best:g}."
            )
        if self.error < 0 or self.error == math.inf:
            raise ValueError(
                f"{where}: an error must be 0 or positive, got {cells[place['error']]!r}; leave the cell empty "
                "where it was not measured, negate a log-likelihood, and for a loss that can be negative pass --metric "
                "loss with a lower bound as --best."
            )
        if self.test_count is not None and not 1 <= self.test_count < math.inf:
            raise ValueError(f"{where}: test_count must be at least 1, got {cells[place['test_count']]!r}.")

    def _number(self, text: str, column: str) -> float:
        """Parse a number; nan for an empty cell."""
        if not text:
            return math.nan
        try:
            return float(text)
        except ValueError:
            raise ValueError(f"{self.where}: {column} must be a number, got {text!r}.") from None


def _pad(curves: list[list[_Row]], absent: int, names: tuple[str, ...], groups: tuple[str, ...]) -> CurveTable:
    """Pad curves to arrays of one shape, with sizes in ascending order and rows of one size as repeats."""
    sizes = [sorted({row.size for row in rows}) for rows in curves]
    errors: list[dict[tuple[float, str], float]] = []
    fitted: list[dict[float, bool]] = []
    for rows in curves:
        error_at: dict[tuple[float, str], float] = {}
        is_fitted: dict[float, bool] = {}
        occurrences: dict[float, itertools.count[int]] = {}
        for row in rows:
            repeat = row.repeat or str(next(occurrences.setdefault(row.size, itertools.count())))
            if (row.size, repeat) in error_at:
                raise ValueError(f"{row.where}: size {row.size:g} occurs twice for the repeat {repeat!r} of one curve.")
            if is_fitted.setdefault(row.size, row.fitted) != row.fitted:
                raise ValueError(f"{row.where}: size {row.size:g} is both to be fitted and held out in one curve.")
            error_at[row.size, repeat] = row.error
        errors.append(error_at)
        fitted.append(is_fitted)
    repeats = [list(dict.fromkeys(repeat for _, repeat in error_at)) for error_at in errors]
    width, depth = max(map(len, sizes)), max(map(len, repeats))
    size = np.full((len(curves), width), np.nan)
    replicates = np.full((len(curves), depth, width), np.nan)
    mask = np.zeros(size.shape, bool)
    for i, (ascending, error_at) in enumerate(zip(sizes, errors, strict=True)):
        size[i, : len(ascending)] = ascending
        mask[i, : len(ascending)] = [fitted[i][s] for s in ascending]
        for (s, repeat), error in error_at.items():
            replicates[i, repeats[i].index(repeat), ascending.index(s)] = error
    count = (~np.isnan(replicates)).sum(axis=1)
    mean = np.where(count > 0, np.nansum(replicates, axis=1) / np.maximum(count, 1), np.nan)
    curve = LearningCurve(size, mean, None, replicates if depth > 1 else None, None, _test_counts(curves))
    return CurveTable(curve, mask, absent, names, groups)


def _test_counts(curves: list[list[_Row]]) -> Float[np.ndarray, " b"] | None:
    counts = []
    for rows in curves:
        distinct = {row.test_count for row in rows}
        if len(distinct) > 1:
            raise ValueError(f"{rows[0].where}: a curve must have one test_count, got {sorted(map(str, distinct))}.")
        counts.append(distinct.pop())
    return None if None in counts else np.array(counts, float)
