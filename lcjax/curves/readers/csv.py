"""Learning curves from files and data frames: sizes and errors, repeats, several curves, and the public benchmark."""

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from lcjax.curves.learning_curve import LARGEST, SMALLEST, LearningCurve
from lcjax.curves.metrics import ERROR, Metric, find_metric
from lcjax.curves.readers.columns import Choice, Columns, naming_columns, spread_kind
from lcjax.curves.readers.headings import parse_heading
from lcjax.curves.readers.layouts import arrange
from lcjax.curves.readers.sources import open_table, source_name
from lcjax.curves.readers.spreads import LARGEST_COUNT, root_mean_square, use_spread
from lcjax.files import reading
from lcjax.records import record
from lcjax.tables.cells import parse_count, parse_spread
from lcjax.tables.table import Table

__all__ = ["CurveTable", "read_curves"]

_LARGEST_TABLE = 2**26  # numbers in the padded array of all repeats, 512 MiB
_NO_ROWS = "it has no row of data; expected a header row with the columns size and error, then rows"


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
        is_named: True if the caller or the file names the metric, so that its values are no other metric's.
    """

    curve: LearningCurve
    fitted: Bool[np.ndarray, "b s"]
    absent: int = jax.tree.static()
    names: tuple[str, ...] = jax.tree.static()
    groups: tuple[str, ...] = jax.tree.static()
    metric: Metric = ERROR
    notes: tuple[str, ...] = jax.tree.static(default=())
    is_named: bool = jax.tree.static(default=False)


def read_curves(
    source: Any,
    metric: Metric | str | None = None,
    *,
    size_column: str | None = None,
    metric_column: str | None = None,
    repeat_column: str | None = None,
    curve_column: str | Sequence[str] = (),
    select: Mapping[str, str] | None = None,
) -> CurveTable:
    r"""Read learning curves from a file, a folder of an experiment tracker, standard input or a data frame.

    A CSV file has a header row, and columns separated by commas, semicolons, tabs, bars or spaces. Its columns identify
    the layout; the order of columns and rows is free, and other columns are ignored:

    - `size`, `error`, and optionally `repeat` (number or name of the seed), `curve` (name of the curve, for several in
      one file) and `test_count` (number of examples on which errors were measured, the same for all rows of a curve).
    - The public benchmark of Alabdulmohsin et al. (2022): `Domain`, `Task`, `Model`, `Seen Examples`,
      `Loss`, `Training`; one curve for each domain, task and model, rows with `Training` = 0 held out.
    - The long table of `lcjax collect`: `size`, `repeat`, `metric`, `value`, with a row for each metric.
    - A column for each repeat (`seed0`, `seed1`) or for each curve (`error_mlp`, `error_lenet`; `mlp`, `lenet`), or a
      row for each with a column for each size.

    Headings such as `n_train` and `test_error` are recognized if only one column can be meant; `notes` says which.

    Rows of a curve with the same size are repeats, identified by their `repeat` column or, without one, by their order
    in the file; the error of the curve is their mean. A table in which another column, such as `model`, may name curves
    is refused until one of the options decides. Rows whose error is empty, nan, NA or a dash are skipped and counted.

    Numbers may be written as 31.2% (0.312), 0,312 or 0.312 ± 0.009, and sizes as 1.5M, 16_000 or "16,000"; a number
    that can be read in two ways is refused. A standard deviation or error determines the noise if a column `n_repeats`
    has the number of repeats. Without it a standard error is a known variance beside that of the trainings
    (`LearningCurve.sampling_error`), and `notes` says that a standard deviation is not used. Lines that begin with #
    are comments. White space in a name counts as one space, and control characters are refused. The file is UTF-8, or
    UTF-16 with a byte order mark, of at most 256 MiB.

    Args:
        source: path of a CSV or Parquet file, or of a folder of MLflow, TensorBoard or `lcjax collect`; "-" for
            standard input; a data frame of pandas, polars or another library, or a mapping from names to columns.
        metric: metric of the file or its name; its values are converted by `metric.to_error`. By default
            the column of an error or a loss is read, or else that of the only other known metric.
        size_column: column of the sizes, if it is not recognized.
        metric_column: column of the values of the metric.
        repeat_column: column that identifies the repeats.
        curve_column: column or columns that name the curves.
        select: values of columns, by name, that the rows to read have.

    Returns:
        `CurveTable` of all b curves, padded with nan to a common number of sizes and of repeats.

    Raises:
        ValueError: a column is missing, or several may be meant; a value is not a number, a size is not positive, an
            error is negative or infinite, a value is better than `metric.best`, a repeat occurs twice at a size, a
            curve has no row to fit, the padded table would exceed 512 MiB, the file is not text, or the package that
            reads it is not installed.
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
        >>> read_curves({"size": [100, 200], "accuracy": [0.7, 0.75]}).curve.error.round(2).tolist()
        [[0.3, 0.25]]
        >>> folder.cleanup()
    """
    metric = find_metric(metric) if isinstance(metric, str) else metric
    curves = (curve_column,) if isinstance(curve_column, str) else tuple(curve_column)
    choice = Choice(size_column, metric_column, repeat_column, curves, {} if select is None else select)
    with reading(source_name(source)):
        table = open_table(source)
        if not len(table):
            raise ValueError(_NO_ROWS)
        rows, columns, found = arrange(table, metric, choice)
        is_named = metric is not None or "metric" in columns.place
        return _make_table(rows, columns, found, choice.select, is_named)


def _make_table(rows: Table, columns: Columns, metric: Metric, select: Mapping[str, str], is_named: bool) -> CurveTable:
    """Convert and check the columns, and pad the curves to arrays of one shape."""
    place = columns.place
    number, names, groups = _number_curves(rows, place)
    values, spread = _convert_values(rows, place, metric)
    size, error, fitted = _convert_sizes_and_errors(rows, place, metric, values)
    kept = np.flatnonzero(~np.isnan(error))
    measured = np.bincount(number[kept], minlength=len(names)) > 0
    omitted: tuple[str, ...] = ()
    if measured.any() and not measured.all():
        absent = ", ".join(repr(name) for name, there in zip(names, measured, strict=True) if not there)
        omitted = (f"Left out, because nothing was measured: {absent}.",)
        number = (np.cumsum(measured) - 1)[number]
        names, groups = (tuple(itertools.compress(labels, measured)) for labels in (names, groups))
    to_fit = np.bincount(number[kept][fitted[kept]], minlength=len(names))
    if not to_fit.all():
        name = names[int(to_fit.argmin())]
        selected = f" among those with {', '.join(f'{key}={value}' for key, value in select.items())}" if select else ""
        label = f"the curve {name!r}" if name else "it"
        raise ValueError(f"{label} has no row with an error to fit{selected}; a row needs a value of {metric.name}")
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
    repeats: Float[np.ndarray, "b r s"] | None = replicates if shape[1] > 1 else None
    notes: tuple[str, ...] = ()
    sampling: Float[np.ndarray, "b s"] | None = None
    if spread is not None and spread.standard_error is not None and np.isnan(spread.count).all():
        sampling = root_mean_square(spread.standard_error[order], curve, column, mean.shape)
        notes = (f"Used as known standard errors beside the noise of trainings: {spread.name}.",)
    elif spread is not None:
        grid = np.full((2, *mean.shape), np.nan)
        grid[:, curve, column] = spread.deviation[order], spread.count[order]
        repeats, notes = use_spread(repeats, mean, grid[0], grid[1], spread.name)
    curves = LearningCurve(sizes, mean, None, repeats, None, test_count, sampling)
    notes = (*columns.notes, *omitted, *notes)
    return CurveTable(curves, mask, error.size - kept.size, names, groups, metric, notes, is_named)


@dataclasses.dataclass(frozen=True)
class _Spread:
    """Standard deviations of one repeat, `(n,)`, the numbers of repeats, `(n,)`, nan if unknown, and their source.

    `standard_error` is that of the value of each row, `(n,)`, or None if the source has no such column.
    """

    deviation: Float[np.ndarray, " n"]
    count: Float[np.ndarray, " n"]
    name: str
    standard_error: Float[np.ndarray, " n"] | None = None


def _convert_values(
    rows: Table, place: Mapping[str, int], metric: Metric
) -> tuple[Float[np.ndarray, " n"], _Spread | None]:
    """Return the values of the metric, and their spreads if the file has them."""
    column = place["error"]
    unit = 0.01 if parse_heading(rows.heading[column]).is_percent else 1.0
    cells, spreads = rows.columns[column], None
    if isinstance(cells, list) and any(sign in cell for cell in cells for sign in ("±", "+/-", "+-", "(")):
        pairs = {}

        def parse(text: str, name: str, comma: bool) -> float:
            pairs[text] = parse_spread(text, name, comma=comma)
            return pairs[text][0]

        values = rows.numbers(column, metric.name, parse)
        spreads = np.array([pairs[cell.strip()][1] for cell in cells])
    else:
        values = rows.numbers(column, metric.name)
    if unit != 1:  # cells with a sign are fractions already
        values = values * [1 if "%" in cell else unit for cell in rows.cells(column)]
    count = np.full(len(rows), np.nan)
    if "count" in place:
        count = rows.numbers(place["count"], "number of repeats", parse_count)
        is_count = np.isnan(count) | ((count >= 1) & (count <= LARGEST_COUNT) & (np.floor(count) == count))
        rows.refuse(~is_count, f"a number of repeats must be 1 to {LARGEST_COUNT}, got {{!r}}", place["count"])
    if "spread" in place:
        heading = rows.heading[place["spread"]]
        deviation = rows.numbers(place["spread"], heading)
        rows.refuse(~(deviation >= 0) & ~np.isnan(deviation), "a spread must be at least 0, got {!r}", place["spread"])
        percent = parse_heading(heading).is_percent or unit != 1
        deviation = metric.spread_to_error(values, deviation * (0.01 if percent else 1))
        if spread_kind(parse_heading(heading)) != "error":
            return values, _Spread(deviation, count, repr(heading))
        return values, _Spread(deviation * np.sqrt(count), count, repr(heading), deviation)
    if spreads is None or np.isnan(spreads).all():
        return values, None
    deviation = metric.spread_to_error(values, np.abs(spreads) * unit)
    return values, _Spread(deviation, count, "the spreads beside the values")


def _number_curves(
    rows: Table, place: Mapping[str, int]
) -> tuple[Int[np.ndarray, " n"], tuple[str, ...], tuple[str, ...]]:
    """Return the number of the curve of each row, and the names and domains of the curves."""
    columns = naming_columns(rows, place)
    headings = [rows.heading[column].lower() for column in columns]
    index: dict[tuple[str, ...], int] = {}
    labels = zip(*map(rows.names, columns), strict=True) if columns else itertools.repeat((), len(rows.lines))
    number = np.array([index.setdefault(label, len(index)) for label in labels])
    domain = headings.index("domain") if "domain" in headings else None
    groups = ["" if domain is None else label[domain] for label in index]
    return number, tuple(map(" ".join, index)), tuple(groups)


def _number_repeats(
    labels: Sequence[str], order: Int[np.ndarray, " m"], curve: Int[np.ndarray, " m"], step: Int[np.ndarray, " m"]
) -> Int[np.ndarray, " m"]:
    """Return the number of each row's repeat in its curve, in the order of the file; unlabeled rows are counted."""
    unlabelled: dict[int, itertools.count[int]] = defaultdict(itertools.count)
    numbers: dict[int, dict[str, int]] = defaultdict(dict)
    in_file = np.argsort(order)
    repeat = []
    for row, number, at in zip(order[in_file].tolist(), curve[in_file].tolist(), step[in_file].tolist(), strict=True):
        known = numbers[number]
        repeat.append(known.setdefault(labels[row] or str(next(unlabelled[at])), len(known)))
    return np.array(repeat)[np.argsort(in_file)]


def _convert_sizes_and_errors(
    rows: Table, place: Mapping[str, int], metric: Metric, values: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    size = rows.numbers(place["size"], "size", parse_count)
    reason = "a size must be a positive number of examples, got {!r}; correct or remove the row"
    rows.refuse(~((size > 0) & (size < np.inf)), reason, place["size"])
    error = np.asarray(metric.to_error(values))
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
    rows: Table, place: Mapping[str, int], number: Int[np.ndarray, " n"], kept: Int[np.ndarray, " m"]
) -> Float[np.ndarray, " b"] | None:
    """Return the number of test examples of each curve, or None without that column."""
    if "test_count" not in place:
        return None
    count = rows.numbers(place["test_count"], "test_count", parse_count)
    is_count = (count >= 1) & (count < np.inf) & (np.floor(count) == count)
    rows.refuse(~is_count, "test_count must be a whole number at least 1, got {!r}", place["test_count"])
    of_curve = count[kept][np.unique(number[kept], return_index=True)[1]]
    differs = np.zeros(count.size, bool)
    differs[kept] = count[kept] != of_curve[number[kept]]
    rows.refuse(differs, "a curve must have one test_count, got another one, {!r}", place["test_count"])
    return np.asarray(of_curve)
