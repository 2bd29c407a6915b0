"""The long table of measurements: rows for each training and metric, class and group, and the curves in it."""

import dataclasses
from collections.abc import Iterable, Mapping

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from lcjax.csv_files import write_csv
from lcjax.curves.answer.shared_pool import independent_repeats
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.metrics import METRICS, Metric, find_metric
from lcjax.curves.readers.csv import CurveTable
from lcjax.curves.readers.spreads import root_mean_square
from lcjax.curves.standard_errors import known_variance
from lcjax.records import record
from lcjax.studies.collection.quantities import tabulate
from lcjax.typing import PathLike

__all__ = ["COLUMNS", "Measurements", "Training", "gather", "measurement_columns", "write_measurements"]

COLUMNS = ("size", "repeat", "metric", "class", "group", "value", "standard_error", "count", "seconds", "cost")
KINDS = ("class", "group")


@dataclasses.dataclass(frozen=True)
class Training:
    """One training that has ended.

    Attributes:
        size: number of training examples.
        repeat: number of the repeat, from 0.
        values: each number that it reports, by name (see `lcjax.studies.collection.quantities`).
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
        standard_error: standard error of each value, `(n, m)`; nan where it was not reported.
        cost: cost of each training, as reported under that name, `(n,)`, or nan.
        parts: metric, class and group of the values on parts of the test examples; a class or group is "" for all.
        part_value: these values, `(n, p)`; nan where a training did not report them.
        part_error: their standard errors, `(n, p)`.
        part_count: numbers of test examples behind them, `(n, p)`.
        count: number of test examples behind each value, `(n, m)`; nan where it was not reported.
        pool: number of examples, or groups, of which the subsets of all repeats are drawn; None if it is not known.
        shared: True if trainings ran together in a sweep, whose time `seconds` divides by their steps.
    """

    size: Int[np.ndarray, " n"]
    repeat: Int[np.ndarray, " n"]
    value: Float[np.ndarray, "n m"]
    seconds: Float[np.ndarray, " n"]
    metrics: tuple[str, ...] = jax.tree.static(default=())
    failures: tuple[str, ...] = jax.tree.static(default=())
    ending: str = jax.tree.static(default="")
    standard_error: Float[np.ndarray, "n m"] | None = None
    cost: Float[np.ndarray, " n"] | None = None
    parts: tuple[tuple[str, str, str], ...] = jax.tree.static(default=())
    part_value: Float[np.ndarray, "n p"] | None = None
    part_error: Float[np.ndarray, "n p"] | None = None
    part_count: Float[np.ndarray, "n p"] | None = None
    count: Float[np.ndarray, "n m"] | None = None
    pool: int | None = jax.tree.static(default=None)
    shared: bool = jax.tree.static(default=False)

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
            listed = ", ".join(self.metrics) or "none"
            raise ValueError(f"Name the metric to forecast (--metric, or metric=): the trainings report {listed}.")
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
        chosen = self._find(metric)
        values = self.value[:, self.metrics.index(chosen.name)]
        column = self.metrics.index(chosen.name)
        stated = None if self.standard_error is None else self.standard_error[:, column, None]
        curve, fitted, absent = self._curves(values[:, None], chosen, stated)
        if _is_share(chosen) and self.count is not None:
            count = np.nanmax(self.count[:, column], initial=0.0)
            curve = dataclasses.replace(curve, test_count=np.array([count]) if count >= 1 else None)
        notes = _note_standard_errors(curve)
        curve, shared = self._correct(curve)
        return CurveTable(curve, fitted, absent, ("",), ("",), chosen, (*notes, *shared))

    def part_curves(self, kind: str = "class", metric: Metric | str | None = None) -> CurveTable:
        """Return the learning curve of one metric on each class or each group, as a table of as many curves.

        A part without test examples has no curve; it is named in the notes.

        Args:
            kind: "class" or "group".
            metric: as in `curves`.

        Raises:
            ValueError: as in `curves`; or `kind` is neither, or no part of this kind has a value.

        Examples:
            >>> reports = [(100, {"error": 0.2, "classes.cat": 0.3, "classes.dog": 0.1, "classes.owl.count": 0.0})]
            >>> table = gather([Training(n, 0, values, 0.1) for n, values in reports])
            >>> table.part_curves().names, table.part_curves().notes
            (('cat', 'dog'), ("The class 'owl' has no test example: nothing is known about its error.",))
        """
        if kind not in KINDS:
            raise ValueError(f"kind must be class or group, got {kind!r}.")
        chosen, place = self._find(metric), 1 + KINDS.index(kind)
        columns = [i for i, part in enumerate(self.parts) if part[0] == chosen.name and part[place]]
        if self.part_value is None or self.part_count is None or not columns:
            known = ", ".join(sorted({part[0] for part in self.parts if part[place]})) or "none"
            raise ValueError(f"No training reports the {chosen.name} of each {kind}; metrics with such parts: {known}.")
        present = [i for i in columns if not np.isnan(self.part_value[:, i]).all()]
        absent = [self.parts[i][place] for i in columns if i not in present]
        if not present:
            raise ValueError(f"No {kind} has a test example.")
        stated = None if self.part_error is None else self.part_error[:, present]
        curve, fitted, missing = self._curves(self.part_value[:, present], chosen, stated)
        count = np.nanmax(np.where(np.isnan(self.part_count), 0.0, self.part_count)[:, present], axis=0)
        if _is_share(chosen) and (count >= 1).all():
            curve = dataclasses.replace(curve, test_count=count)
        notes = tuple(f"The {kind} {name!r} has no test example: nothing is known about its error." for name in absent)
        names = tuple(self.parts[i][place] for i in present)
        curve, _ = self._correct(curve)
        return CurveTable(curve, fitted, missing, names, ("",) * len(names), chosen, notes)

    def _correct(self, curve: LearningCurve) -> tuple[LearningCurve, tuple[str, ...]]:
        """Correct repeats that share examples to the spread of independent training sets, with a note."""
        if self.pool is None or curve.replicates is None:
            return curve, ()
        curve = dataclasses.replace(curve, replicates=independent_repeats(curve.size, curve.replicates, self.pool))
        if not np.any(2 * np.asarray(curve.size) > self.pool):
            return curve, ()
        note = f"Repeats on more than half of the {self.pool:,} examples share most of them: their mean counts once."
        return curve, (note,)

    def _find(self, metric: Metric | str | None) -> Metric:
        name = metric.name if isinstance(metric, Metric) else metric or self.main_metric()
        if name not in self.metrics:
            raise ValueError(f"No training reports {name!r}; the metrics are {', '.join(self.metrics) or 'none'}.")
        return metric if isinstance(metric, Metric) else find_metric(name)

    def _curves(
        self, values: Float[np.ndarray, "n b"], metric: Metric, stated: Float[np.ndarray, "n b"] | None
    ) -> tuple[LearningCurve, Bool[np.ndarray, "b s"], int]:
        """Return the curves of some columns with their repeats, what was measured, and the number of absent values."""
        errors = np.asarray(metric.to_error(values), float)
        if np.any(errors < 0):
            best = values.ravel()[np.argmin(np.where(np.isnan(errors), np.inf, errors))]
            raise ValueError(
                f"The {metric.name} {best:g} is better than the best possible value, {metric.best:g}"
                f"{_remedy(metric, float(best))}."
            )
        sizes, repeats = np.unique(self.size), np.unique(self.repeat)
        grid = np.full((values.shape[1], len(repeats), len(sizes)), np.nan)
        grid[:, np.searchsorted(repeats, self.repeat), np.searchsorted(sizes, self.size)] = errors.T
        count = np.sum(~np.isnan(grid), axis=1)
        mean = np.where(count > 0, np.nansum(grid, axis=1) / np.maximum(count, 1), np.nan)
        size = np.tile(sizes.astype(float), (len(mean), 1))
        curve = LearningCurve(size, mean, None, grid if len(repeats) > 1 else None)
        if stated is not None and np.isfinite(stated).any():
            known = np.asarray(metric.spread_to_error(values, stated), float)
            row, column = np.indices(known.T.shape)[0], np.searchsorted(sizes, self.size)
            column = np.broadcast_to(column, known.T.shape)
            sampling = root_mean_square(known.T.ravel(), row.ravel(), column.ravel(), mean.shape)
            curve = dataclasses.replace(curve, sampling_error=sampling)
        return curve, ~np.isnan(mean), int(np.sum(np.isnan(errors)))


def _is_share(metric: Metric) -> bool:
    """Return True if values are shares of test examples, or means of such, whose number tells their sampling error."""
    return metric.name == "error" or (metric.transform == "identity" and metric.largest_error == 1)


def _note_standard_errors(curve: LearningCurve) -> tuple[str, ...]:
    """Return a note that says how standard errors are used."""
    variance = known_variance(curve)
    if variance is None:
        return ()
    if np.any(np.asarray(variance) > 0):
        return ("The standard errors are used: they add to the noise of the trainings.",)
    return ("The standard errors are those of test examples that all sizes share: they enter the answer for a target.",)


def _remedy(metric: Metric, value: float) -> str:
    """Return the advice for a value that is better than the best possible one."""
    if metric.rises and metric.best == 1 and value <= 100:
        return "; for percentages, pass --best 100 (Metric.with_best)"
    if not metric.rises and metric.best > 0:
        return "; if larger values are better, pass --maximize"
    return ""


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
    table = tabulate(one.values for one in rows)
    cost = table.pop(("cost", "", ""), {"value": np.full(len(rows), np.nan)})["value"]
    whole = [key for key in table if key[1:] == ("", "")]
    parts = [key for key in table if key[1:] != ("", "")]

    def stack(keys: list[tuple[str, str, str]], statistic: str) -> Float[np.ndarray, "n m"]:
        return np.array([table[key][statistic] for key in keys], float).reshape(len(keys), len(rows)).T

    return Measurements(
        np.array([one.size for one in rows], np.int64),
        np.array([one.repeat for one in rows], np.int64),
        stack(whole, "value"),
        np.array([one.seconds for one in rows], float),
        tuple(metric for metric, _, _ in whole),
        tuple(failures),
        standard_error=stack(whole, "standard_error"),
        cost=cost,
        parts=tuple(parts),
        part_value=stack(parts, "value"),
        part_error=stack(parts, "standard_error"),
        part_count=stack(parts, "count"),
        count=stack(whole, "count"),
    )


def measurement_columns(measurements: Measurements) -> dict[str, list[object]]:
    """Return the columns of the long table, with a row for each training, metric, class and group.

    Args:
        measurements: the table.

    Examples:
        >>> training = Training(10, 0, {"error": 0.2, "classes.a": 0.3, "cost": 2.0}, 0.51)
        >>> columns = measurement_columns(gather([training]))
        >>> columns["metric"], columns["class"], columns["value"], columns["cost"]
        (['error', 'error'], ['', 'a'], [0.2, 0.3], [2.0, 2.0])
    """
    keys = [*((metric, "", "") for metric in measurements.metrics), *measurements.parts]
    count, rows = len(keys), len(measurements.size)

    def join(whole: np.ndarray | None, parts: np.ndarray | None, width: int) -> list[float]:
        sides = [np.full((rows, n), np.nan) if a is None else a for a, n in ((whole, width), (parts, count - width))]
        return [float(value) for value in np.concatenate(sides, axis=1).ravel()]

    width = len(measurements.metrics)
    seconds = [round(second, 3) for second in measurements.seconds.tolist()]  # nan stays nan
    cost = [float("nan")] * rows if measurements.cost is None else measurements.cost.tolist()
    columns = {
        "size": np.repeat(measurements.size, count).tolist(),
        "repeat": np.repeat(measurements.repeat, count).tolist(),
        **{name: [key[i] for key in keys] * rows for i, name in enumerate(("metric", *KINDS))},
        "value": join(measurements.value, measurements.part_value, width),
        "standard_error": join(measurements.standard_error, measurements.part_error, width),
        "count": join(measurements.count, measurements.part_count, width),
        "seconds": [second for second in seconds for _ in range(count)],
        "cost": [one for one in cost for _ in range(count)],
    }
    assert tuple(columns) == COLUMNS
    return columns


def write_measurements(path: PathLike, measurements: Measurements) -> None:
    """Write the long table as CSV, a row for each training and metric, class and group; nan is an empty cell.

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
        ['size,repeat,metric,class,group,value,standard_error,count,seconds,cost', '10,0,error,,,0.2,,,0.51,']
    """
    write_csv(path, measurement_columns(measurements))
