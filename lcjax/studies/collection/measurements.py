"""The long table of measurements: one row for each training and metric, and the curves in it."""

import csv
import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float, Int

from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.metrics import METRICS, Metric, find_metric
from lcjax.curves.readers.csv import CurveTable
from lcjax.files import atomic_path
from lcjax.records import record
from lcjax.typing import PathLike

__all__ = ["COLUMNS", "Measurements", "Training", "gather", "write_measurements"]

COLUMNS = ("size", "repeat", "metric", "value", "seconds")


@dataclasses.dataclass(frozen=True)
class Training:
    """One training that has ended.

    Attributes:
        size: number of training examples.
        repeat: number of the repeat, from 0.
        values: value of each metric.
        seconds: wall-clock time.
    """

    size: int
    repeat: int
    values: Mapping[str, float]
    seconds: float


@record
class Measurements:
    """Trainings of growing size, in the order of size and repeat.

    Attributes:
        size: numbers of training examples, `(n,)`.
        repeat: numbers of the repeats, `(n,)`.
        value: value of each metric after each training, `(n, m)`; nan where a training did not report it.
        seconds: wall-clock time of each training, `(n,)`.
        metrics: names of the metrics, in alphabetical order.
        failures: reason of each training that failed, in words.
    """

    size: Int[np.ndarray, " n"]
    repeat: Int[np.ndarray, " n"]
    value: Float[np.ndarray, "n m"]
    seconds: Float[np.ndarray, " n"]
    metrics: tuple[str, ...] = jax.tree.static(default=())
    failures: tuple[str, ...] = jax.tree.static(default=())

    def main_metric(self) -> str:
        """Return the metric that is meant if none is named: the first one in the order of `METRICS`, or the only one.

        Raises:
            ValueError: there are several metrics, and the direction of none of them is known.
        """
        known = [name for name in METRICS if name in self.metrics]
        if not known and len(self.metrics) != 1:
            raise ValueError(f"Which metric is meant? The trainings report {', '.join(self.metrics) or 'none'}.")
        return known[0] if known else self.metrics[0]

    def curves(self, metric: Metric | str | None = None) -> CurveTable:
        """Return the learning curve of one metric, with its repeats, as a table of one curve.

        Args:
            metric: the metric, or the name of one in `lcjax.curves.metrics.METRICS`; by default `main_metric`.

        Raises:
            ValueError: no training reports the metric, its direction is not known, or a value is better than the best
                possible one.

        Examples:
            >>> trainings = [Training(n, r, {"accuracy": 1 - n**-0.5}, 0.1) for n in (100, 400) for r in (0, 1)]
            >>> table = gather(trainings).curves()
            >>> table.curve.size.tolist(), table.curve.error.round(3).tolist(), table.metric.name
            ([[100.0, 400.0]], [[0.1, 0.05]], 'accuracy')
        """
        name = metric.name if isinstance(metric, Metric) else metric or self.main_metric()
        if name not in self.metrics:
            raise ValueError(f"No training reports {name!r}; the metrics are {', '.join(self.metrics) or 'none'}.")
        chosen = metric if isinstance(metric, Metric) else find_metric(name)
        values = self.value[:, self.metrics.index(name)]
        errors = np.asarray(chosen.to_error(values), float)
        if np.any(errors < 0):
            best = values[np.argmin(np.where(np.isnan(errors), np.inf, errors))]
            raise ValueError(f"The {name} {best:g} is better than the best possible value, {chosen.best:g}.")
        sizes, repeats = np.unique(self.size), np.unique(self.repeat)
        grid = np.full((len(repeats), len(sizes)), np.nan)
        grid[np.searchsorted(repeats, self.repeat), np.searchsorted(sizes, self.size)] = errors
        count = np.sum(~np.isnan(grid), axis=0)
        mean = np.where(count > 0, np.nansum(grid, axis=0) / np.maximum(count, 1), np.nan)
        repeated = grid[None] if len(repeats) > 1 else None
        curve = LearningCurve(sizes[None].astype(float), mean[None], None, repeated)
        return CurveTable(curve, ~np.isnan(mean)[None], int(np.sum(np.isnan(errors))), ("",), ("",), chosen)


def gather(trainings: Iterable[Training], failures: Iterable[str] = ()) -> Measurements:
    """Assemble trainings into a table.

    Args:
        trainings: in any order.
        failures: reasons of those that failed.

    Examples:
        >>> table = gather([Training(20, 0, {"error": 0.1}, 1.0), Training(10, 0, {"error": 0.2}, 0.5)])
        >>> table.size.tolist(), table.value.ravel().tolist()
        ([10, 20], [0.2, 0.1])
    """
    rows = sorted(trainings, key=lambda one: (one.size, one.repeat))
    names = tuple(sorted({name for one in rows for name in one.values}))
    return Measurements(
        np.array([one.size for one in rows], np.int64),
        np.array([one.repeat for one in rows], np.int64),
        np.array([[one.values.get(name, np.nan) for name in names] for one in rows], float).reshape(
            len(rows), len(names)
        ),
        np.array([one.seconds for one in rows], float),
        names,
        tuple(failures),
    )


def write_measurements(path: PathLike, measurements: Measurements) -> None:
    """Write the long table as CSV, a row for each training and metric; values that are not numbers are empty.

    A name that a spreadsheet would take for a formula is preceded by an apostrophe.

    Args:
        path: the file.
        measurements: the table.

    Examples:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "measurements.csv")
        ...     write_measurements(path, gather([Training(10, 0, {"error": 0.2}, 0.51)]))
        ...     path.read_text().splitlines()
        ['size,repeat,metric,value,seconds', '10,0,error,0.2,0.51']
    """
    with atomic_path(path) as temporary, Path(temporary).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for i, (size, repeat, seconds) in enumerate(
            zip(measurements.size, measurements.repeat, measurements.seconds.tolist(), strict=True)
        ):
            for name, value in zip(measurements.metrics, measurements.value[i], strict=True):
                cell = "" if np.isnan(value) else repr(float(value))
                writer.writerow([size, repeat, _harmless(name), cell, "" if np.isnan(seconds) else round(seconds, 3)])


def _harmless(name: str) -> str:
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name
