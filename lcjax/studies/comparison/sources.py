"""Learning curves to compare, from files of curves and from folders of `lcjax collect`."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np

from lcjax.curves.answer.plausibility import check_rise, check_units
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.metrics import Metric
from lcjax.curves.readers.csv import CurveTable, read_curves
from lcjax.files import require_file
from lcjax.records import record
from lcjax.studies.comparison.pairing import align_repeats, name_repeats
from lcjax.typing import PathLike

__all__ = ["ComparedCurves", "read_compared"]

_MEASUREMENTS = "measurements.csv"


@record
class ComparedCurves:
    """Learning curves of one metric by name.

    Attributes:
        curves: the curves, as errors, each without batch axes.
        metric: their metric.
        notes: what was inferred about the files, one sentence each.
    """

    curves: Mapping[str, LearningCurve]
    metric: Metric
    notes: tuple[str, ...] = jax.tree.static(default=())


def read_compared(
    paths: Iterable[PathLike],
    metric: Metric | None = None,
    *,
    paired: bool = False,
    allow_rising: bool = False,
    size_column: str | None = None,
    metric_column: str | None = None,
    repeat_column: str | None = None,
    curve_column: str | Sequence[str] = (),
    select: Mapping[str, str] | None = None,
) -> ComparedCurves:
    r"""Read the curves of one or more files.

    A path is a file of curves (see `lcjax.read_curves`), a `measurements.csv` of `lcjax collect`, or a folder that
    contains one. A curve without a name takes that of its file or folder.

    Args:
        paths: files and folders.
        metric: metric of the curves; by default that of the files.
        paired: True if repeats correspond to each other: those with the same entry in a column `repeat` or `seed`, or,
            without such a column, in the order in which each curve lists them.
        allow_rising: True to accept curves whose error rises with size.
        size_column: column of the sizes, as for `lcjax.read_curves`, like the next ones.
        metric_column: column of the values of the metric.
        repeat_column: column that identifies the repeats.
        curve_column: column or columns that name the curves.
        select: values of columns, by name, that the rows to read have.

    Returns:
        `ComparedCurves`, in the order of the files.

    Raises:
        ValueError: there are fewer than two curves, the files have different metrics, a curve has fewer than two sizes,
            mixes units or rises.
        OSError: a file cannot be read.

    Examples:
        >>> import pathlib, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = pathlib.Path(folder.name, "curves.csv")
        >>> _ = path.write_text("curve,size,error\na,100,0.3\na,200,0.2\nb,100,0.4\nb,200,0.3\n")
        >>> list(read_compared([path]).curves)
        ['a', 'b']
        >>> folder.cleanup()
    """
    curves: dict[str, LearningCurve] = {}
    metrics: dict[str, Metric] = {}
    repeats: dict[str, list[str] | None] = {}
    notes: list[str] = []
    for source in map(Path, paths):
        path = source / _MEASUREMENTS if source.is_dir() else source
        table = read_curves(
            str(require_file(path)),
            metric,
            size_column=size_column,
            metric_column=metric_column,
            repeat_column=repeat_column,
            curve_column=curve_column,
            select=select,
        )
        metrics[str(source)] = table.metric
        notes += [note for note in table.notes if note not in notes]
        labels = name_repeats(path, table) if paired else [None] * len(table.names)
        for i, name in enumerate(table.names):
            folder = path.resolve().parent.name
            named = name or (folder if path.name == _MEASUREMENTS else path.stem)
            unique = named if named not in curves else f"{path.stem if name else folder}: {named}"
            if unique in curves:
                raise ValueError(f"Two curves are named {unique!r}: rename one of the files or folders.")
            curves[unique] = _select(table, i)
            repeats[unique] = labels[i]
    if len({one.name for one in metrics.values()}) > 1:
        listed = ", ".join(f"{one.name} in {path}" for path, one in metrics.items())
        raise ValueError(f"The files have different metrics: {listed}. Name one that all of them have by --metric.")
    if len(curves) < 2:
        raise ValueError(f"A comparison needs at least two curves, got {len(curves)}: give another file.")
    common = next(iter(metrics.values()))
    for name, curve in curves.items():
        size, error = np.asarray(curve.size, float), np.asarray(curve.error, float)
        if len(size) < 2:
            raise ValueError(f"The curve {name!r} has {len(size)} size; at least two are needed for a forecast.")
        check_units(f"The curve {name!r}", size, error, common)
        if not allow_rising:
            check_rise(f"The curve {name!r}", size, error, common, is_named=metric is not None)
    if paired:
        aligned = align_repeats(curves, repeats)
        if aligned is None:
            notes.append("The repeats are paired in the order in which each curve lists them.")
        curves = aligned or curves
    return ComparedCurves(curves, common, tuple(notes))


def _select(table: CurveTable, i: int) -> LearningCurve:
    """Return the fitted sizes of one curve of a table."""
    curve = table.curve
    error = np.asarray(curve.error, float)[i]
    there = table.fitted[i] & ~np.isnan(error)
    replicates = None if curve.replicates is None else np.asarray(curve.replicates, float)[i][:, there]
    count = None if curve.test_count is None else np.asarray(np.asarray(curve.test_count, float)[i])
    count = None if count is None or np.isnan(count) else count
    stated = None if curve.sampling_error is None else np.asarray(curve.sampling_error, float)[i][there]
    return LearningCurve(np.asarray(curve.size, float)[i][there], error[there], None, replicates, None, count, stated)
