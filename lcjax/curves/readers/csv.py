"""Learning curves from CSV files: sizes and errors, repeats, several curves in a file, and the public benchmark."""

import codecs
import contextlib
import csv
import dataclasses
import io
import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from lcjax.curves.learning_curve import LARGEST, SMALLEST, LearningCurve
from lcjax.curves.metrics import ERROR, Metric
from lcjax.curves.readers.cells import check_name, parse_count, parse_value
from lcjax.curves.readers.columns import BENCHMARK, explain_missing, find_columns
from lcjax.files import reading, require_file
from lcjax.records import record
from lcjax.typing import PathLike

__all__ = ["CurveTable", "read_curves"]

T = TypeVar("T")

_LARGEST_FILE = 2**28  # bytes, some 15 million rows
_LARGEST_TABLE = 2**26  # numbers in the padded array of all repeats, 512 MiB
_NO_ROWS = "it has no row of data; expected a heading with columns size and error, then rows"


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
        notes: what was inferred about the columns, one sentence each.
    """

    curve: LearningCurve
    fitted: Bool[np.ndarray, "b s"]
    absent: int = jax.tree.static()
    names: tuple[str, ...] = jax.tree.static()
    groups: tuple[str, ...] = jax.tree.static()
    metric: Metric = ERROR
    notes: tuple[str, ...] = jax.tree.static(default=())


def read_curves(path: PathLike, metric: Metric = ERROR) -> CurveTable:
    r"""Read learning curves from a CSV file with a heading, separated by commas, semicolons, tabs or spaces.

    The columns identify one of two layouts; the order of columns and rows is free, and other columns are ignored:

    - `size`, `error`, and optionally `repeat` (number or name of the seed), `curve` (name of the curve, for several in
      one file) and `test_count` (number of examples on which errors were measured, the same for all rows of a curve).
    - The public benchmark of Alabdulmohsin et al. (2022): `Domain`, `Task`, `Model`, `Seen Examples`,
      `Loss`, `Training`; one curve for each domain, task and model, rows with `Training` = 0 held out.

    Headings such as `n_train` and `test_error` are recognized if only one column can be meant; `notes` says which.

    Rows of a curve with the same size are repeats, identified by their `repeat` column or, without one, by their order
    in the file; the error of the curve is their mean. Rows whose error is empty, nan, NA or a dash are skipped and
    counted.

    Numbers may be written as 31.2% (0.312) or 0,312, and sizes as 1.5M, 16_000 or "16,000"; a number that can be read
    in two ways is refused. Lines before the heading that begin with # are comments. White space in a name counts as one
    space, and control characters are refused. The file is UTF-8, or UTF-16 with a byte order mark, of at most 256 MiB.

    Args:
        path: path of the file.
        metric: metric of the file, in a column of that name; its values are converted by `metric.to_error`.

    Returns:
        `CurveTable` of all b curves, padded with nan to a common number of sizes and of repeats.

    Raises:
        ValueError: a column is missing, a value is not a number, a size is not positive, an error is negative or
            infinite, a value is better than `metric.best`, a repeat occurs twice at a size, a curve has no row to fit,
            the padded table would exceed 512 MiB, or the file is not text.
        OSError: the file cannot be read.

    Examples:
        >>> import pathlib, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = pathlib.Path(folder.name, "curve.csv")
        >>> _ = path.write_text("n_train,error\n200,0.21\n100,0.3\n100,28%\n")
        >>> table = read_curves(path)
        >>> table.curve.size.tolist(), table.curve.error.round(2).tolist(), table.curve.replicates.shape
        ([[100.0, 200.0]], [[0.29, 0.21]], (1, 2, 2))
        >>> table.notes
        ("The column 'n_train' is used as size.",)
        >>> folder.cleanup()
    """
    path = require_file(path)
    with reading(path):
        rows = _read_rows(path)
        place, notes = find_columns(rows.heading, metric)
        if not {"size", "error"} <= set(place):
            raise ValueError(explain_missing(rows.heading, place, metric))
        return _make_table(rows, place, metric, notes)


@dataclasses.dataclass(frozen=True)
class _Rows:
    """Cells of a file, row by row in one list (a list for each row would take seconds to collect), and their lines."""

    path: Path
    comma: bool
    heading: list[str]
    cells: list[str]
    lines: list[int]

    def column(self, column: int) -> list[str]:
        """Return the cells of a column."""
        return self.cells[column :: len(self.heading)]

    def names(self, column: int) -> list[str]:
        """Return the names in a column."""
        return self._convert(column, check_name)

    def numbers(self, column: int, name: str, parse: Callable[..., float] = parse_value) -> Float[np.ndarray, " n"]:
        """Return the numbers in a column, nan for missing ones."""
        cells = self.column(column)
        text = "".join(cells)
        # Of such characters alone, `float` accepts what `parse` does, except that a dot may separate thousands.
        if text.isascii() and not text.encode().translate(None, b"0123456789eE+-" + b"." * (parse is parse_value)):
            with contextlib.suppress(ValueError):
                return np.array(list(map(float, cells)))
        return np.array(self._convert(column, partial(parse, name=name, comma=self.comma)), float)

    def refuse(self, wrong: Bool[np.ndarray, " n"], reason: str, column: int) -> None:
        """Raise ValueError for the first row that is wrong, with its cell in place of {} or {!r} in the reason."""
        if wrong.any():
            row = int(wrong.argmax())
            cell = self.column(column)[row].strip()
            raise ValueError(f"{self.path}, line {self.lines[row]}: {reason.format(cell)}.")

    def _convert(self, column: int, convert: Callable[[str], T]) -> list[T]:
        """Convert the cells of a column, each distinct text once."""
        known: dict[str, T] = {}
        cells = self.column(column)
        for text in dict.fromkeys(cells):
            try:
                known[text] = convert(text.strip())
            except ValueError as error:
                raise ValueError(f"{self.path}, line {self.lines[cells.index(text)]}: {error}") from None
        return [known[text] for text in cells]


def _read_rows(path: Path) -> _Rows:
    file = io.StringIO(_read_text(path), newline="")
    skipped, delimiter, first = 0, "", ""
    for first in file:
        if first.strip() and not first.startswith(("#", "sep=")):
            break
        skipped += 1
        delimiter = first[4:5].strip("\r\n") if first.startswith("sep=") else delimiter
    best = max(",;\t", key=first.count)
    delimiter = delimiter or (best if best in first else " ")
    reader = csv.reader(itertools.chain([first], file), delimiter=delimiter, skipinitialspace=True, strict=True)
    heading: list[str] = []
    cells: list[str] = []
    lines: list[int] = []
    try:
        for row in reader:
            if not "".join(row).strip():
                continue
            heading = heading or row
            if len(row) != len(heading):
                if len(row) < len(heading) or "".join(row[len(heading) :]).strip():
                    raise csv.Error(f"expected {len(heading)} cells as in the heading, got {len(row)}")
                del row[len(heading) :]
            cells += row
            lines.append(skipped + reader.line_num)
    except csv.Error as error:
        raise ValueError(f"{path}, line {skipped + reader.line_num}: {error}.") from None
    if len(lines) < 2:
        raise ValueError(_NO_ROWS)
    return _Rows(path, delimiter == ",", list(map(check_name, heading)), cells[len(heading) :], lines[1:])


def _read_text(path: Path) -> str:
    if (size := path.stat().st_size) > _LARGEST_FILE:
        raise ValueError(f"it has {size:,} bytes, more than {_LARGEST_FILE:,}; split it by curve, or average repeats")
    raw = path.read_bytes()
    encoding = "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        byte, name = raw[error.start], encoding.removesuffix("-sig").upper()
        raise ValueError(f"{path}, line {line}: byte 0x{byte:02x} is not {name}; save the file as UTF-8.") from None


def _make_table(rows: _Rows, place: Mapping[str, int], metric: Metric, notes: tuple[str, ...]) -> CurveTable:
    """Convert and check the columns, and pad the curves to arrays of one shape."""
    number, names, groups = _number_curves(rows, place)
    size, error, fitted = _convert_sizes_and_errors(rows, place, metric)
    kept = np.flatnonzero(~np.isnan(error))
    to_fit = np.bincount(number[kept][fitted[kept]], minlength=len(names))
    if not to_fit.all():
        raise ValueError(f"the curve {names[int(to_fit.argmin())]!r} has no row with an error to fit")
    test_count = _convert_test_counts(rows, place, number, kept)

    # Rows sorted by curve and size, in the order of the file at each size of a curve, which begins at `start`.
    order = kept[np.lexsort((size[kept], number[kept]))]
    is_new = np.ones(order.size, bool)
    is_new[1:] = (np.diff(number[order]) != 0) | (np.diff(size[order]) != 0)
    start, step = np.flatnonzero(is_new), np.cumsum(is_new) - 1
    curve = number[order]
    column = step - step[np.searchsorted(curve, curve)]
    repeat = np.arange(order.size) - start[step]
    if "repeat" in place:
        repeat = _number_repeats(rows.names(place["repeat"]), order, curve, step)
    shape = len(names), int(repeat.max()) + 1, int(column.max()) + 1
    if (count := int(np.prod(shape, dtype=object))) > _LARGEST_TABLE:
        raise ValueError(
            f"its {shape[0]:,} curves, {shape[1]:,} repeats and {shape[2]:,} sizes make a table of {count:,} numbers, "
            f"more than {_LARGEST_TABLE:,}; split it by curve, and number the repeats of each size from 0"
        )

    def mark(wrong: Bool[np.ndarray, " m"]) -> Bool[np.ndarray, " n"]:
        return np.isin(np.arange(error.size), order[wrong])

    is_twice = np.ones(order.size, bool)
    is_twice[np.unique(np.ravel_multi_index((curve, repeat, column), shape), return_index=True)[1]] = False
    advice = "number the repeats of each size, or leave the column out"
    rows.refuse(
        mark(is_twice), f"its size occurs twice for the repeat {{!r}} of one curve; {advice}", place.get("repeat", 0)
    )
    advice = "remove one of the rows, or give both the same mark"
    is_both = fitted[order] != fitted[order][start[step]]
    rows.refuse(
        mark(is_both), f"the size {{!r}} is both to be fitted and held out in one curve; {advice}", place["size"]
    )

    replicates = np.full(shape, np.nan)
    replicates[curve, repeat, column] = error[order]
    sizes, mask = np.full(shape[::2], np.nan), np.zeros(shape[::2], bool)
    sizes[curve, column], mask[curve, column] = size[order], fitted[order]
    present = (~np.isnan(replicates)).sum(axis=1)
    mean = np.where(present > 0, np.nansum(replicates, axis=1) / np.maximum(present, 1), np.nan)
    curves = LearningCurve(sizes, mean, None, replicates if shape[1] > 1 else None, None, test_count)
    return CurveTable(curves, mask, error.size - kept.size, names, groups, metric, notes)


def _number_curves(
    rows: _Rows, place: Mapping[str, int]
) -> tuple[Int[np.ndarray, " n"], tuple[str, ...], tuple[str, ...]]:
    """Return the number of the curve of each row, and the names and domains of the curves."""
    headings = [cell.lower() for cell in rows.heading]
    columns = [headings.index(name) for name in BENCHMARK if name in headings]
    has_domain = "domain" in headings and "curve" not in place
    if "training" not in place and "curve" in place:
        columns = [place["curve"]]
    index: dict[tuple[str, ...], int] = {}
    labels = zip(*map(rows.names, columns), strict=True) if columns else itertools.repeat((), len(rows.lines))
    number = np.array([index.setdefault(label, len(index)) for label in labels])
    groups = [label[columns.index(headings.index("domain"))] if has_domain else "" for label in index]
    return number, tuple(map(" ".join, index)), tuple(groups)


def _number_repeats(
    labels: Sequence[str], order: Int[np.ndarray, " m"], curve: Int[np.ndarray, " m"], step: Int[np.ndarray, " m"]
) -> Int[np.ndarray, " m"]:
    """Return the number of each row's repeat in its curve, in the order of the file; unlabelled rows are counted."""
    unlabelled: dict[int, itertools.count[int]] = defaultdict(itertools.count)
    numbers: dict[int, dict[str, int]] = defaultdict(dict)
    in_file = np.argsort(order)
    repeat = []
    for row, number, at in zip(order[in_file].tolist(), curve[in_file].tolist(), step[in_file].tolist(), strict=True):
        known = numbers[number]
        repeat.append(known.setdefault(labels[row] or str(next(unlabelled[at])), len(known)))
    return np.array(repeat)[np.argsort(in_file)]


def _convert_sizes_and_errors(
    rows: _Rows, place: Mapping[str, int], metric: Metric
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    size = rows.numbers(place["size"], "size", parse_count)
    reason = "a size must be a positive number of examples, got {!r}; correct or remove the row"
    rows.refuse(~((size > 0) & (size < np.inf)), reason, place["size"])
    error = np.asarray(metric.to_error(rows.numbers(place["error"], metric.name)))
    if metric.name != ERROR.name:
        percent = "; pass --best 100 for percentages" if metric.best == 1 and metric.rises else ""
        reason = f"{metric.name} {{}} is better than the best possible value, {metric.best:g}{percent}"
        rows.refuse(error < 0, reason, place["error"])
    reason = (
        "an error must be 0 or positive, got {!r}; leave the cell empty where it was not measured, negate a "
        "log-likelihood, and for a loss that can be negative pass --metric loss with a lower bound as --best"
    )
    rows.refuse((error < 0) | (error == np.inf), reason, place["error"])
    for name, values in (("size", size), ("error", error)):
        outside = (values != 0) & ((values < SMALLEST) | (values > LARGEST))
        reason = f"the {name} {{}} is outside the range from {SMALLEST:g} to {LARGEST:g}; use another unit"
        rows.refuse(outside, reason, place[name])
    if "training" not in place:
        return size, error, np.ones(size.shape, bool)
    training = rows.numbers(place["training"], "Training")
    rows.refuse(
        (training != 0) & (training != 1), "Training must be 1 (fitted) or 0 (held out), got {!r}", place["training"]
    )
    return size, error, training == 1


def _convert_test_counts(
    rows: _Rows, place: Mapping[str, int], number: Int[np.ndarray, " n"], kept: Int[np.ndarray, " m"]
) -> Float[np.ndarray, " b"] | None:
    """Return the number of test examples of each curve, or None without that column."""
    if "test_count" not in place:
        return None
    count = rows.numbers(place["test_count"], "test_count", parse_count)
    is_count = (count >= 1) & (count < np.inf) & (count % 1 == 0)
    rows.refuse(~is_count, "test_count must be a whole number at least 1, got {!r}", place["test_count"])
    of_curve = count[kept][np.unique(number[kept], return_index=True)[1]]
    differs = np.zeros(count.size, bool)
    differs[kept] = count[kept] != of_curve[number[kept]]
    rows.refuse(differs, "a curve must have one test_count, got another one, {!r}", place["test_count"])
    return np.asarray(of_curve)
