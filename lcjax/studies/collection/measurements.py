"""The long table of measurements: one row for each training and metric, and the curves in it."""

import dataclasses
from collections.abc import Iterable, Mapping

import jax
import numpy as np
from jaxtyping import Float, Int

from lcjax.csv_files import write_csv
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.metrics import METRICS, Metric, find_metric
from lcjax.curves.readers.csv import CurveTable
from lcjax.records import record
from lcjax.typing import PathLike

__all__ = ["COLUMNS", "Measurements", "Training", "gather", "measurement_columns", "write_measurements"]

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
        ending: for sizes that were chosen one after the other, why no further one was, in words.
    """

    size: Int[np.ndarray, " n"]
    repeat: Int[np.ndarray, " n"]
    value: Float[np.ndarray, "n m"]
    seconds: Float[np.ndarray, " n"]
    metrics: tuple[str, ...] = jax.tree.static(default=())
    failures: tuple[str, ...] = jax.tree.static(default=())
    ending: str = jax.tree.static(default="")

    def headline(self) -> str:
        """Return the contents in words, for notebooks.

        Examples:
            >>> gather([Training(10, 0, {"error": 0.2}, 1.0)], ["size 20, repeat 0: killed"]).headline()
            '1 training on 10 examples: error; 1 failed'
        """
        sizes = np.unique(self.size)
        span = f"{sizes[0]:,} to {sizes[-1]:,}" if len(sizes) > 1 else ", ".join(f"{size:,}" for size in sizes)
        failed = f"; {len(self.failures)} failed" if self.failures else ""
        count = f"{len(self.size)} training{'s' if len(self.size) != 1 else ''}"
        return f"{count} on {span} examples: {', '.join(self.metrics)}{failed}"

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


def measurement_columns(measurements: Measurements) -> dict[str, list[object]]:
    """Return the long table by column, a row for each training and metric.

    Args:
        measurements: the table.

    Examples:
        >>> measurement_columns(gather([Training(10, 0, {"error": 0.2}, 0.51)]))
        {'size': [10], 'repeat': [0], 'metric': ['error'], 'value': [0.2], 'seconds': [0.51]}
    """
    count = len(measurements.metrics)
    seconds = [round(second, 3) for second in measurements.seconds.tolist()]  # nan stays nan
    columns = {
        "size": np.repeat(measurements.size, count).tolist(),
        "repeat": np.repeat(measurements.repeat, count).tolist(),
        "metric": list(measurements.metrics) * len(measurements.size),
        "value": measurements.value.ravel().tolist(),
        "seconds": [second for second in seconds for _ in range(count)],
    }
    assert tuple(columns) == COLUMNS
    return columns


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
    write_csv(path, measurement_columns(measurements))
