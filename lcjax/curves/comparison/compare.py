"""Comparison of learning curves: differences, order, crossings and equivalent amounts of data."""

from collections.abc import Mapping, Sequence

import jax
import numpy as np
from jaxtyping import Float, Int, Num

from lcjax.curves.answer.crossing import HORIZON, first_crossing
from lcjax.curves.answer.joint_draws import search_grid
from lcjax.curves.answer.size_for_error import SizeForError
from lcjax.curves.comparison.crossing import (
    PER_OCTAVE, Crossings, divide, find_windows, smoothing_matrix, window_grid,
)  # fmt: skip
from lcjax.curves.comparison.dependence import correlate, pair_draws, pool_falls, shared_noise
from lcjax.curves.comparison.measured import MeasuredDifferences, align_curves, measure_differences
from lcjax.curves.comparison.order import best_probability, order_probability
from lcjax.curves.comparison.sentences import write_sentences
from lcjax.curves.forecast.families import FAMILIES, Family
from lcjax.curves.forecast.forecast import Forecast, forecast
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.metrics import ERROR, Metric
from lcjax.records import record
from lcjax.typing import Array, KeyArray, check_key

__all__ = ["AHEAD", "CurveComparison", "Difference", "compare_curves", "compare_forecasts"]

AHEAD = 16.0
"""Largest size of a comparison unless one is given, relative to the largest measured size."""

# Joint draws for each draw of a forecast, and the multiples of the largest size at which draws are ranked.
_ROUNDS, _RANKED = 4, 2.0 ** (np.arange(1, 9) / 4)
_FALL = 4.0  # multiple of the largest size up to which forecast falls are compared
# Share of pairs whose order is reversed beyond the data although the forecasts exclude it.
_SURPRISE = 0.005
# Scale of the deviations of a measured curve from a draw beyond its data, relative to the noise of a measurement.
_DEVIATION = 1.25
_UNITS = 20.0  # a factor by which the errors of curves in one unit do not differ


@record
class Difference:
    """Difference of the errors of c curves from those of the baseline.

    Attributes:
        size: numbers of training examples, `(s,)`.
        value: median of the error less that of the baseline, `(c, s)`; negative for a better curve.
        low: lower limit of the interval, `(c, s)`.
        high: upper limit, `(c, s)`.
        level: probability of the interval.
    """

    size: Float[np.ndarray, " s"]
    value: Float[np.ndarray, "c s"]
    low: Float[np.ndarray, "c s"]
    high: Float[np.ndarray, "c s"]
    level: float = jax.tree.static(default=0.9)


@record
class CurveComparison:
    """Comparison of c learning curves by joint draws of their forecasts.

    A joint draw consists of one draw of the forecast of each curve. Forecasts of curves that are alike, or that share
    their noise, err together, and beyond the data the falls of close curves are pooled. Inside the measured range a
    draw is the measured curve, smoothed within its noise.

    Sizes lie between `start`, the largest of the smallest measured sizes, and any size beyond the data.

    Attributes:
        forecast: forecasts of the curves, batched, `(c,)`.
        curves: measured curves on the union of their sizes.
        measured: differences of the measured errors from the baseline.
        place: index of the draw of each curve in every joint draw, `(c, n)`.
        pooling: weights of the pooled falls, `(c, c)`.
        correlation: correlation of the forecasts, `(c, c)`.
        names: names of the curves.
        baseline: index of the curve with which the others are compared.
        level: probability of all intervals.
    """

    forecast: Forecast
    curves: LearningCurve
    measured: MeasuredDifferences
    place: Int[np.ndarray, "c n"]
    pooling: Float[np.ndarray, "c c"]
    correlation: Float[np.ndarray, "c c"]
    names: tuple[str, ...] = jax.tree.static()
    baseline: int = jax.tree.static(default=0)
    level: float = jax.tree.static(default=0.9)

    @property
    def start(self) -> float:
        """Smallest size at which all curves are known."""
        return float(np.max(np.asarray(self.forecast.observed.smallest)))

    @property
    def now(self) -> float:
        """Largest size up to which all curves are measured."""
        return float(np.min(np.asarray(self.forecast.largest)))

    @property
    def largest(self) -> float:
        """Largest size at which any curve is measured."""
        return float(np.max(np.asarray(self.forecast.largest)))

    def draws(self, size: Num[Array, " s"] | Sequence[float], *, measured: bool = False) -> Float[np.ndarray, "c n s"]:
        """Return the errors of the curves in every joint draw.

        Args:
            size: numbers of training examples.
            measured: True for one measurement with its noise, False for the curve without it.

        Raises:
            ValueError: a size is not finite or lies below `start`.
        """
        return self._joint(self._check_sizes(size), measured)

    def _joint(self, sizes: Float[np.ndarray, " s"], measured: bool = False) -> Float[np.ndarray, "c n s"]:
        largest = np.asarray(self.forecast.largest, float)
        at = np.concatenate([sizes, np.maximum(largest, self.start)])
        log_error = np.log(np.asarray(self.forecast.predict_draws(at, measured=measured)))
        middle = np.median(log_error, axis=1).astype(float)
        count = len(sizes)
        # fall[i, j] is the forecast fall of curve j from the largest measured size of curve i.
        fall = middle[None, :, :count] - middle[:, count:].T[:, :, None]
        own = np.einsum("iis->is", fall)
        shift = np.einsum("ij,ijs->is", self.pooling, fall - own[:, None])
        shift = np.where(sizes > largest[:, None] * (1 + 1e-5), shift, 0.0).astype(log_error.dtype)
        paired = np.take_along_axis(log_error[..., :count], self.place[..., None], axis=1)
        bound = np.asarray(self.forecast.bound, log_error.dtype)[:, None, None]
        errors: np.ndarray = np.minimum(np.exp(paired + shift[:, None]), bound)
        return errors

    def difference(self, size: Num[Array, " s"] | Sequence[float]) -> Difference:
        """Return the difference of each error from that of the baseline, with intervals.

        Args:
            size: numbers of training examples, `(s,)`.

        Raises:
            ValueError: a size is not finite or lies below `start`.
        """
        errors = self.draws(size)
        apart = errors - errors[self.baseline]
        low, value, high = np.quantile(apart, [0.5 - self.level / 2, 0.5, 0.5 + self.level / 2], axis=1)
        return Difference(self._check_sizes(size), value, low, high, self.level)

    def probability_of_order(
        self, size: Num[Array, " s"] | Sequence[float], *, measured: bool = False
    ) -> Float[np.ndarray, "c c s"]:
        """Return the probability that the error of each curve (row) is below that of each other one (column).

        Equal errors count a half, so that an entry and its transpose add up to 1. Beyond the data of one of the two
        curves, no probability is below 0.005.

        Args:
            size: numbers of training examples, `(s,)`.
            measured: True for one measurement of each curve, False for the curves themselves.

        Raises:
            ValueError: a size is not finite or lies below `start`.
        """
        probability = order_probability(self.draws(size, measured=measured))
        largest = np.asarray(self.forecast.largest, float)
        known = np.minimum(largest[:, None], largest)[..., None]
        floor = np.where(self._check_sizes(size) > known * (1 + 1e-5), _SURPRISE, 0.0)
        return np.asarray((1 - 2 * floor) * probability + floor)

    def probability_best(
        self, size: Num[Array, " s"] | Sequence[float], *, measured: bool = False
    ) -> Float[np.ndarray, "c s"]:
        """Return the probability that each curve has the smallest error of all; they add up to 1 at every size.

        Args:
            size: numbers of training examples, `(s,)`.
            measured: True for one measurement of each curve, False for the curves themselves.

        Raises:
            ValueError: a size is not finite or lies below `start`.
        """
        probability = best_probability(self.draws(size, measured=measured))
        count = len(self.names)
        floor = np.where(self._check_sizes(size) > self.now * (1 + 1e-5), min(_SURPRISE, 1 / count), 0.0)
        return np.asarray((1 - count * floor) * probability + floor)

    def order_now(self) -> Float[np.ndarray, "c c"]:
        """Return the order at the largest common measured size: 1 where a curve (row) is better, -1 where worse, else 0.

        If two curves have no common measured size, it is the more probable order at `now`.
        """
        error = np.asarray(self.curves.error, float)
        likely = np.sign(self.probability_of_order([self.now])[..., 0] - 0.5)
        both = ~np.isnan(error)[:, None] & ~np.isnan(error)[None]
        last = np.max(np.where(both, np.arange(error.shape[1]), -1), axis=-1)
        i, j = np.indices(last.shape)
        return np.asarray(np.where(last >= 0, np.sign(error[j, last] - error[i, last]), likely))

    def probability_of_reversal(
        self, size: Num[Array, " s"] | Sequence[float], *, measured: bool = False
    ) -> Float[np.ndarray, "c c s"]:
        """Return the probability that the order of two curves differs from the order now.

        Args:
            size: numbers of training examples, `(s,)`.
            measured: True for one measurement of each curve, False for the curves themselves.

        Raises:
            ValueError: a size is not finite or lies below `start`.
        """
        better = self.probability_of_order(size, measured=measured)
        now = self.order_now()[..., None]
        return np.asarray(np.where(now > 0, 1 - better, np.where(now < 0, better, 0.5)))

    def smoothed_draws(self, *, start: float, end: float) -> tuple[Float[np.ndarray, " g"], Float[np.ndarray, "c n g"]]:
        """Return the log errors of the curves in every joint draw as they would be measured and smoothed.

        Beyond its data, a draw deviates from its smooth curve by the noise of one measurement at eight sizes in an
        octave. Local lines with normal weights of width 0.25 in log size smooth the result.

        Args:
            start: smallest size.
            end: largest size.

        Returns:
            g sizes from `start` to `end`, and the smoothed log errors, `(c, n, g)`.

        Raises:
            ValueError: the range is empty, or begins below `start`.
        """
        if not self.start * (1 - 1e-5) <= start < end <= HORIZON * self.largest:
            raise ValueError(
                f"A range begins at {self.start:g} or later and ends at {HORIZON * self.largest:g} or earlier, got "
                f"{start:g} to {end:g}."
            )
        grid, inside = window_grid(start, end)
        there = grid >= self.start * (1 - 1e-5)
        grid, inside = grid[there], inside[there]
        log_error = np.log(self._joint(grid))
        noise = np.asarray(self.forecast.noise_level)[:, None] * _DEVIATION
        beyond = grid > np.asarray(self.forecast.largest, float)[:, None] * (1 + 1e-5)
        scale = np.where(beyond, noise, 0.0).astype(log_error.dtype)[:, None]
        deviation = np.random.default_rng(0).standard_normal(log_error.shape, log_error.dtype.type)
        matrix = smoothing_matrix(np.log(grid))[inside].astype(log_error.dtype)
        return grid[inside], (log_error + scale * deviation) @ matrix.T

    def crossing_draws(self, curve: int | str, other: int | str, *, start: float, end: float) -> Float[np.ndarray, " n"]:
        """Return the size in a range at which a curve falls behind another one, in every joint draw.

        The crossing of two smoothed draws (`smoothed_draws`) is the size that best divides those at which the curve is
        better from those at which it is worse (`lcjax.curves.comparison.crossing.divide`).

        Args:
            curve: name or index of the curve that is better first.
            other: name or index of the other one.
            start: beginning of the range.
            end: end of the range.

        Returns:
            Sizes, `(n,)`: `start` where the other curve is better from the beginning, inf where the curves do not cross.

        Raises:
            ValueError: a name is unknown, or the range is empty or begins below `start`.
        """
        i, j = self._find(curve), self._find(other)
        size, log_error = self.smoothed_draws(start=start, end=end)
        return np.asarray(np.exp(divide(np.log(size), log_error[j] - log_error[i])))

    def crossings(self, curve: int | str, other: int | str, *, end: float | None = None) -> Crossings:
        """Find where two curves cross, with intervals and probabilities.

        There is one range of sizes for each known change of the order, and one from the last known order to the end.

        Args:
            curve: name or index of the first curve.
            other: name or index of the other one.
            end: largest size; by default 16 times the largest measured one.

        Returns:
            `Crossings`, with no entry if the order is nowhere known with a probability of 0.8.

        Raises:
            ValueError: a name is unknown, or `end` is out of range.
        """
        i, j = self._find(curve), self._find(other)
        end = AHEAD * self.largest if end is None else float(end)
        count = max(2, round(np.log2(end / self.start) * PER_OCTAVE) + 1)
        grid = np.geomspace(self.start, end, min(count, 512))
        rows = []
        windows = find_windows(self.probability_of_order(grid)[i, j])
        for low, high, first in windows:
            pair = (i, j) if first else (j, i)
            sizes = self.crossing_draws(*pair, start=float(grid[low]), end=float(grid[high]))
            rows.append((*self._summarize(sizes), grid[low], grid[high]))
        columns = np.array(rows).T.reshape(6, len(rows))
        return Crossings(*columns, np.array([first for *_, first in windows], bool), self.level)

    def data_equivalent(
        self, size: Num[Array, " s"] | Sequence[float], curve: int | str, other: int | str | None = None
    ) -> SizeForError:
        """Return the size at which a curve reaches the error that another one has at each of some sizes.

        Divided by the sizes, these are the ratios of the amounts of data at which the curves are equivalent.

        Args:
            size: numbers of training examples of the other curve, `(s,)`.
            curve: name or index of the curve.
            other: name or index of the other one; the baseline by default.

        Returns:
            `SizeForError` of batch shape `(s,)`: "never" where the curve does not reach the error, and the smallest
            measured size where that one is enough.

        Raises:
            ValueError: a name is unknown, or a size is not finite or lies below `start`.
        """
        draws = self._equivalent_draws(size, self._find(curve), self._find(other))
        return self._answer(draws, self._find(curve))

    def examples_saved(
        self, size: Num[Array, " s"] | Sequence[float], curve: int | str, other: int | str | None = None
    ) -> SizeForError:
        """Return the number of further examples that another curve needs for the error of a curve at some sizes.

        Args:
            size: numbers of training examples of the curve, `(s,)`.
            curve: name or index of the curve.
            other: name or index of the other one; the baseline by default.

        Returns:
            `SizeForError` of batch shape `(s,)`, negative where the other curve needs fewer examples, and "never" where
            it does not reach the error.

        Raises:
            ValueError: a name is unknown, or a size is not finite or lies below `start`.
        """
        sizes = self._check_sizes(size)
        extra = self._equivalent_draws(size, self._find(other), self._find(curve)) - sizes[:, None]
        value = np.quantile(extra, 0.5, axis=-1, method="lower")
        return SizeForError.from_draws(value, extra, self.level)

    def sentences(
        self, size: float | None = None, *, metric: Metric = ERROR, unit: str = "examples"
    ) -> tuple[str, ...]:
        """Describe the comparison with the baseline in words.

        Args:
            size: size for which to compare the curves; by default 16 times the largest measured one.
            metric: metric in which to write values.
            unit: what a size counts, in the plural.

        Raises:
            ValueError: the size is not finite or lies below `start`.
        """
        return write_sentences(self, AHEAD * self.largest if size is None else float(size), metric, unit)

    def _equivalent_draws(
        self, size: Num[Array, " s"] | Sequence[float], curve: int, other: int
    ) -> Float[np.ndarray, "s n"]:
        """Return the size at which `curve` reaches the error of `other` at every size, in every joint draw."""
        target = self.draws(size)[other]
        observed = self.forecast.observed
        smallest, largest = (float(np.asarray(a)[curve]) for a in (observed.smallest, observed.largest))
        grid = search_grid(np.asarray(smallest), np.asarray(largest))
        errors = self._joint(grid)[curve]
        reached = [first_crossing(grid.astype(errors.dtype), errors, column) for column in target.T]
        return np.stack([np.asarray(row) for row in reached])

    def _answer(self, draws: Float[np.ndarray, "s n"], curve: int) -> SizeForError:
        observed = self.forecast.observed
        smallest, largest = (float(np.asarray(a)[curve]) for a in (observed.smallest, observed.largest))
        middle = np.quantile(draws, 0.5, axis=-1, method="lower")
        limits = {"smallest": np.full(len(draws), smallest), "largest": np.full(len(draws), largest)}
        return SizeForError.from_draws(middle, draws, self.level, **limits)

    def _summarize(self, sizes: Float[np.ndarray, " n"]) -> tuple[float, float, float, float]:
        """Return the median and the interval of the crossings in the draws that cross, and the share of these."""
        crossing = sizes[np.isfinite(sizes)]
        if not crossing.size:
            return np.nan, np.nan, np.nan, 0.0
        tail = 0.5 - self.level / 2
        low, high = np.quantile(crossing, tail, method="lower"), np.quantile(crossing, 1 - tail, method="higher")
        return float(np.median(crossing)), float(low), float(high), crossing.size / sizes.size

    def _find(self, curve: int | str | None) -> int:
        """Return the index of a curve given by its name or index; the baseline for None."""
        if curve is None:
            return self.baseline
        if curve in self.names:
            return self.names.index(str(curve))
        if isinstance(curve, str) or not 0 <= curve < len(self.names):
            raise ValueError(f"There is no curve {curve!r}; the curves are {', '.join(self.names)}.")
        return curve

    def _check_sizes(self, size: Num[Array, " s"] | Sequence[float]) -> Float[np.ndarray, " s"]:
        sizes = np.asarray(size, float)
        if sizes.ndim != 1 or not sizes.size:
            raise ValueError(f"Sizes need shape (s,), got shape {sizes.shape}.")
        if np.any(wrong := ~((sizes >= self.start * (1 - 1e-5)) & (sizes < np.inf))):
            raise ValueError(
                f"The curves can be compared from size {self.start:g} on, the largest of their smallest measured sizes; "
                f"got {sizes[wrong][0]:g}."
            )
        return sizes


def compare_curves(
    key: KeyArray,
    curves: Mapping[str, LearningCurve],
    *,
    baseline: str | None = None,
    paired: bool = False,
    families: Sequence[Family] = FAMILIES,
    chance: float | None = None,
    draws: int = 512,
    level: float = 0.9,
) -> CurveComparison:
    """Compare learning curves of several models, recipes or data sets, measured and beyond their data.

    All answers are computed from joint draws of the forecasts of the curves (`lcjax.forecast`).

    Args:
        key: a typed key.
        curves: two or more curves by name, each with sizes and errors `(s,)`, and replicates `(r, s)` if there are. Sizes
            may differ, but each curve must begin before every other one ends.
        baseline: name of the curve with which the others are compared; by default the first.
        paired: True if repeats of the same number correspond to each other in all curves, such as trainings with the
            same seed on the same shard.
        families: families of curves to average, as in `lcjax.forecast`.
        chance: chance error, an upper limit of every forecast.
        draws: number of draws of each forecast, static.
        level: probability of all intervals.

    Returns:
        `CurveComparison` of c curves, in the order of `curves`.

    Raises:
        ValueError: there are fewer than two curves, one has fewer than two sizes, two do not overlap or have errors in
            different units, the baseline is unknown, or an argument is out of range.

    Examples:
        >>> import jax, jax.numpy as jnp, lcjax as lc
        >>> size = 100.0 * 2.0 ** jnp.arange(6)
        >>> curves = {"scratch": lc.LearningCurve(size, 2 * size**-0.4), "tuned": lc.LearningCurve(size, size**-0.4)}
        >>> comparison = lc.compare_curves(jax.random.key(0), curves, draws=256)
        >>> bool(comparison.probability_best([12800.0])[1, 0] > 0.95)
        True
        >>> equal = comparison.data_equivalent([3200.0], "tuned")  # 0.5 ** (1 / 0.4) = 0.18 of the data
        >>> bool(abs(equal.value[0] / 3200 - 0.18) < 0.02)
        True
    """
    check_key(key)
    aligned = _check_curves(curves, baseline, level)
    forecast_key, pair_key = jax.random.split(key)
    ahead = forecast(forecast_key, _as_batch(aligned), families=families, chance=chance, draws=draws)
    names = tuple(curves)
    first = 0 if baseline is None else names.index(baseline)
    return compare_forecasts(pair_key, ahead, aligned, names=names, baseline=first, paired=paired, level=level)


def compare_forecasts(
    key: KeyArray,
    forecast: Forecast,
    curves: LearningCurve,
    *,
    names: Sequence[str],
    baseline: int = 0,
    paired: bool = False,
    level: float = 0.9,
    dependent: bool = True,
) -> CurveComparison:
    """Compare learning curves by forecasts made before.

    Args:
        key: a typed key.
        forecast: forecasts of the curves, of batch shape `(c,)`.
        curves: the measured curves with sizes `(s,)` common to all, errors `(c, s)` and nan where absent.
        names: names of the curves.
        baseline: index of the curve with which the others are compared.
        paired: as in `compare_curves`.
        level: probability of all intervals.
        dependent: False to treat the forecasts as independent, for comparison.

    Returns:
        `CurveComparison` of c curves.

    Examples:
        >>> import jax, jax.numpy as jnp, lcjax as lc
        >>> size = 100.0 * 2.0 ** np.arange(5)
        >>> curves = lc.LearningCurve(size, np.stack([size**-0.5, 2 * size**-0.5]))
        >>> ahead = lc.forecast(jax.random.key(0), curves, draws=128)
        >>> comparison = compare_forecasts(jax.random.key(1), ahead, curves, names=("a", "b"))
        >>> comparison.order_now().tolist()
        [[0.0, 1.0], [-1.0, 0.0]]
    """
    check_key(key)
    size, error = np.asarray(curves.size, float), np.asarray(curves.error, float)
    largest = np.asarray(forecast.largest, float)
    now, end = float(largest.min()), float(largest.max())
    log_error = np.log(np.asarray(forecast.predict_draws(np.concatenate([[now, _FALL * end], end * _RANKED]))))
    level_now, ahead = np.median(log_error[..., 0], axis=1), np.median(log_error[..., 1], axis=1)
    repeats = np.asarray(curves.replicates, float) if paired and curves.replicates is not None else None
    shared = shared_noise(size, error, repeats)
    count = len(names)
    correlation = correlate(level_now, ahead - level_now, shared) if dependent else np.eye(count)
    pooling = pool_falls(level_now) if dependent else np.zeros((count, count))
    ranked = log_error[..., 2:]
    low, middle, high = np.quantile(ranked, [0.25, 0.5, 0.75], axis=1)
    score = np.mean((ranked - middle[:, None]) / (high - low + 1e-9)[:, None], axis=-1).astype(ranked.dtype)
    place = pair_draws(key, score, correlation, rounds=_ROUNDS)
    measured = measure_differences(curves, baseline=baseline, paired=paired, level=level)
    return CurveComparison(
        forecast, curves, measured, place, pooling, correlation, tuple(names), baseline, level
    )  # fmt: skip


def _as_batch(aligned: LearningCurve) -> LearningCurve:
    """Return aligned curves in JAX's default precision, for a forecast."""
    dtype = jax.dtypes.canonicalize_dtype(float)
    replicates = None if aligned.replicates is None else np.asarray(aligned.replicates, dtype)
    return LearningCurve(
        np.asarray(aligned.size, dtype), np.asarray(aligned.error, dtype), None, replicates, None, aligned.test_count
    )  # fmt: skip


def _check_curves(curves: Mapping[str, LearningCurve], baseline: str | None, level: float) -> LearningCurve:
    """Align the curves, and raise ValueError unless they can be compared."""
    if len(curves) < 2:
        raise ValueError(f"A comparison needs at least two curves, got {len(curves)}.")
    if baseline is not None and baseline not in curves:
        raise ValueError(f"There is no curve {baseline!r} to be the baseline; the curves are {', '.join(curves)}.")
    if not 0 < level < 1:
        raise ValueError(f"level is a probability between 0 and 1, got {level}.")
    aligned = align_curves(list(curves.values()))
    error, there = np.asarray(aligned.error, float), ~np.isnan(np.asarray(aligned.error, float))
    names, size = list(curves), np.asarray(aligned.size, float)
    for name, row in zip(names, there, strict=True):
        if row.sum() < 2:
            raise ValueError(f"The curve {name!r} has one size; at least two are needed for a forecast.")
    first = np.array([size[row].min() for row in there])
    last = np.array([size[row].max() for row in there])
    i, j = int(first.argmax()), int(last.argmin())
    if first[i] > last[j]:
        raise ValueError(
            f"The curves {names[j]!r} ({first[j]:g} to {last[j]:g}) and {names[i]!r} ({first[i]:g} to {last[i]:g}) have "
            "no sizes in common: measure one of them at sizes of the other."
        )
    typical = np.array([np.median(row[~np.isnan(row)]) for row in error])
    i, j = int(typical.argmax()), int(typical.argmin())
    if error[i][there[i]].max() > 1 >= error[j][there[j]].max() and typical[i] > _UNITS * typical[j]:
        raise ValueError(
            f"The errors of {names[i]!r} (median {typical[i]:.3g}) and {names[j]!r} (median {typical[j]:.3g}) look like "
            "percentages and fractions: use one unit."
        )
    return aligned
