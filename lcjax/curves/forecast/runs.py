"""Forecasts of training runs in flight: the value at the end, and the probability that it is below the best so far.

The families and limits for curves over steps, and the weights by which finished runs of the same sweep inform a
forecast, were tuned on the development half of the runs in docs/results/runs-in-flight.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Num

from lcjax.curves.forecast.families import (
    Family,
    Shape,
    family,
    flat_curve,
    power_law_with_floor,
    stretched_exponential,
    two_falls,
)
from lcjax.curves.forecast.finished_runs import find_ends, weigh_draws
from lcjax.curves.forecast.forecast import Forecast, forecast
from lcjax.curves.forecast.noise import NOISE, NoiseModels
from lcjax.curves.forecast.posterior import SlopeLimits
from lcjax.curves.learning_curve import LearningCurve
from lcjax.records import record
from lcjax.typing import Array, KeyArray, check_key

__all__ = ["RUN_FAMILIES", "RUN_LIMITS", "RunForecast", "forecast_runs", "turn"]

# Number of steps at which the rest of a run is evaluated to find its lowest value.
_WAY = 16


def turn(u: Float[jax.Array, " d"], t: Float[jax.Array, " s"], span: Float[jax.Array, ""]) -> Shape:
    """Return a fall, a rise and a slower rise, as under overfitting.

    The parameters are the log slopes of the fall and the rise, the log width of the breaks, the position of the
    minimum, the log distance from it to the second break, and the logit of the share of the rise that ends there. A
    priori the minimum lies about 40 % of the log range before the end of the data, but it may lie beyond the end.
    """
    fall, rise = jnp.exp(u[0]), jnp.exp(u[1])
    minimum = -0.4 * span + (0.4 * span + 0.2) * u[3]
    changes = fall + rise, -rise * jax.nn.sigmoid(u[5])
    return Shape(fall, changes, (minimum, minimum + jnp.exp(u[4])), jnp.exp(u[2]))


# Most runs level off before their end: at the prior mean, a share of 0.73 of the last value is irreducible.
_FLOOR = (1.0, 1.2)

RUN_FAMILIES = (
    family("power_law", "a power law that levels off", power_law_with_floor, [(-0.3, 0.8), _FLOOR], -0.3),
    family(
        "stretched_exponential", "a stretched exponential", stretched_exponential, [(-0.2, 0.5), (-0.5, 1.0), _FLOOR]
    ),
    family(
        "two_falls",
        "a plateau, a steep fall and a flatter one",
        two_falls,
        [(0.2, 0.6), (-0.8, 1.2), (-0.7, 0.5), (0.0, 1.0), (0.0, 0.5), _FLOOR],
        -1.0,
    ),
    family("constant", "flat", flat_curve, [(0.0, 1.0)]),
    family(
        "turn",
        "a fall and a slow rise",
        turn,
        [(-0.7, 0.9), (-1.5, 1.0), (-1.0, 0.5), (0.0, 1.0), (0.2, 0.5), (0.5, 1.5)],
        0.5,
    ),
    family(
        "steep_turn",
        "a fall and a steep rise",
        turn,
        [(-0.7, 0.9), (-0.5, 0.7), (-1.0, 0.5), (0.0, 1.0), (0.0, 0.5), (1.0, 1.5)],
        1.3,
    ),
)
"""Default families of a run in flight."""

RUN_LIMITS = SlopeLimits(1.0, 0.3, 1.5)
"""Default limits of the rise of a run in flight beyond its data: a loss may rise in proportion to the steps."""


@record
class RunForecast:
    """Forecasts of runs in flight.

    Attributes:
        value: median of the value at the end, `(*b,)`: of the last record, or of the lowest one if `lowest` is True.
        low: lower limit of its central interval, `(*b,)`.
        high: upper limit, `(*b,)`.
        level: probability of the interval.
        best: value to beat, `(*b,)`; nan if there is none.
        beats: probability that the value at the end is below `best`, `(*b,)`; nan if there is no value to beat.
        draws: k equally likely values at the end in ascending order, `(*b, k)`.
        alone: k such values without the information from finished runs, `(*b, k)`.
        last: most recent record, `(*b,)`; nan if there is none.
        place: index of that record, `(*b,)`.
        lowest: True if a run is judged by its lowest record instead of its last one.
        curve: forecast of the whole curve, without the information from finished runs.
    """

    value: Float[Array, "*b"]
    low: Float[Array, "*b"]
    high: Float[Array, "*b"]
    level: float = jax.tree.static()
    best: Float[Array, "*b"]
    beats: Float[Array, "*b"]
    draws: Float[Array, "*b k"]
    alone: Float[Array, "*b k"]
    last: Float[Array, "*b"]
    place: Int[Array, "*b"]
    lowest: bool = jax.tree.static()
    curve: Forecast

    def probability_below(self, value: Num[Array, "..."] | float) -> Float[np.ndarray, "*b"]:
        """Return the probability that the value at the end is below `value`, `(*b,)`; nan where either is nan.

        Args:
            value: limits, `()` or `(*b,)`.
        """
        draws = np.asarray(self.draws)
        limit = np.broadcast_to(np.asarray(value, draws.dtype), draws.shape[:-1])
        share = np.mean(draws < limit[..., None], axis=-1, dtype=draws.dtype)
        return np.where(np.isnan(limit) | np.isnan(draws[..., 0]), np.nan, share)

    def with_finished(
        self, finished: Float[Array, "..."], best: Num[Array, "..."] | float | None = None
    ) -> "RunForecast":
        """Return the forecasts given another set of finished runs, without sampling again.

        Args:
            finished: records of all finished runs, `(n, s)` or `(*b, n, s)`, as in `forecast_runs`; they replace those
                given before.
            best: value to beat, `()` or `(*b,)`; by default the lowest value of the finished runs.

        Raises:
            ValueError: a run in flight has more records than the finished runs.
        """
        alone = np.asarray(self.alone)
        batch, records = alone.shape[:-1], np.shape(finished)[-1]
        others = np.broadcast_to(np.asarray(finished, alone.dtype), (*batch, *np.shape(finished)[-2:]))
        if np.any(np.asarray(self.place) >= records):
            raise ValueError(f"Finished runs need at least the records of the runs in flight, got {records}.")
        places = np.broadcast_to(np.asarray(self.place)[..., None, None], (*batch, others.shape[-2], 1))
        before = np.take_along_axis(others, places, axis=-1)[..., 0]
        ends = find_ends(others, lowest=self.lowest)
        draws = weigh_draws(alone, np.asarray(self.last), ends, before)
        if best is None:
            least = np.min(np.where(np.isnan(ends), np.inf, ends), axis=-1, initial=np.inf)
            best = np.where(np.isnan(ends).all(axis=-1), np.nan, least)
        return _summarize(dataclasses.replace(self, draws=draws), best)


def _summarize(ahead: RunForecast, best: Num[Array, "..."] | float) -> RunForecast:
    """Return the forecasts with median, interval and probability computed from their draws."""
    draws = np.asarray(ahead.draws)
    count = draws.shape[-1]
    tails = (0.5 - ahead.level / 2, 0.5, 0.5 + ahead.level / 2)
    low, middle, high = (draws[..., min(int(tail * count), count - 1)] for tail in tails)
    best = np.broadcast_to(np.asarray(best, draws.dtype), draws.shape[:-1])
    return dataclasses.replace(ahead, value=middle, low=low, high=high, best=best, beats=ahead.probability_below(best))


def forecast_runs(
    key: KeyArray,
    step: Num[Array, "..."],
    value: Float[Array, "..."],
    total_steps: Num[Array, "..."] | float,
    *,
    finished: Float[Array, "..."] | None = None,
    best: Num[Array, "..."] | float | None = None,
    lowest: bool = False,
    level: float = 0.9,
    families: Sequence[Family] = RUN_FAMILIES,
    noise: NoiseModels = NOISE,
    limits: SlopeLimits = RUN_LIMITS,
    draws: int = 512,
) -> RunForecast:
    """Forecast runs in flight to their end, with the probability that each ends below the best finished run.

    The recorded curve of each run is forecast by `lcjax.curves.forecast.forecast.forecast`, with families that level
    off or turn upwards. The value at the end is one measurement with its noise, and the best value is a measured
    number, so the probability refers to the comparison that a sweep makes, not to noise-free curves.

    Finished runs of the same sweep inform the forecast: its draws y of the log value at the end are weighted by

        (t(y - median_j y_j) + sum_j t((y - y_j) / h) / h)
        * (t(y - x - median_j (y_j - x_j)) + sum_j t((y - x - (y_j - x_j)) / h) / h)

    where y_j is the log value of finished run j at the end and x_j its log value at the step that the run in flight has
    reached, x is the last log value of the run in flight, h = 0.08, and t is Student's density with 4 degrees of
    freedom. The weight is halved for y below the lowest y_j. Without finished runs all draws have equal weights.

    The function computes on the host and cannot be traced. On CPU, runs are forecast one by one in as many threads as
    there are cores.

    Args:
        key: a typed key.
        step: steps or epochs of the records, positive and ascending (epochs count from 1), `(s,)` or `(*b, s)`.
        value: losses or errors, at least 0, `(s,)` or `(*b, s)`; nan where there is no record, such as after the
            current step. Lower values are better: pass 1 - accuracy for an accuracy. A run with an infinite value has
            diverged: its value at the end is inf, and it never beats the best.
        total_steps: step at which runs end, `()` or `(*b,)`. A run that has reached it is finished; its value is known.
        finished: records of n finished runs at the same steps, `(n, s)` or `(*b, n, s)`; nan where there is no record.
            The last record of each run is its value at the end. A row of nan stands for no run.
        best: value to beat, `()` or `(*b,)`; by default the lowest value of the finished runs. Without either, the
            probability of beating it is nan.
        lowest: True if a run is judged by its lowest record, as with early stopping, instead of its last one.
        level: probability of the interval.
        families: families to average, static.
        noise: noise models, static.
        limits: limits of the rise beyond the data, static.
        draws: number of joint draws k of every run, static.

    Returns:
        `RunForecast`; its values are nan where a run has no record.

    Raises:
        ValueError: the shapes disagree, finished runs do not have s records, a value is negative, steps are not
            positive and ascending or go beyond `total_steps`, `level` is outside (0, 1), no family is given, or there
            are no draws.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> step = jnp.arange(1.0, 21.0)
        >>> loss = 0.3 + 1.2 * step ** -jnp.array([[0.5], [0.9]])
        >>> ahead = forecast_runs(jax.random.key(0), step, jnp.where(step <= 10, loss, jnp.nan), 20.0, best=0.45)
        >>> bool(ahead.beats[0] < 0.1), bool(ahead.beats[1] > 0.9)
        (True, True)
    """
    check_key(key)
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}.")
    value = np.asarray(value)
    batch, records = value.shape[:-1], value.shape[-1]
    if finished is not None:
        shape = np.shape(np.asarray(finished))
        if len(shape) < 2 or shape[-1] != records:
            raise ValueError(f"Finished runs need shape (n, {records}), {records} records each, got {shape}.")
        _check_values(np.asarray(finished), "finished run")
    step = np.broadcast_to(np.asarray(step, value.dtype), value.shape)
    total = np.broadcast_to(np.asarray(total_steps, value.dtype), batch)
    _check_values(value, "run")
    _check_steps(step, np.isfinite(value), total)
    diverged = np.any(np.isposinf(value), axis=-1)
    measured = np.where(np.isposinf(value), np.nan, value)
    curve = forecast(
        key,
        LearningCurve(step, measured),
        families=families,
        noise=noise,
        limits=limits,
        allow_rising=True,
        draws=draws,
    )

    there = np.isfinite(value) & (value >= 0)
    place = np.argmax(np.where(there, step, -np.inf), axis=-1)
    last, present = (np.take_along_axis(a, place[..., None], axis=-1)[..., 0] for a in (value, step))
    last = np.where(there.any(axis=-1), last, np.nan)
    share = np.linspace(1 / _WAY, 1.0, _WAY) if lowest else np.ones(1)
    way = present[..., None] * np.maximum(total / present, 1.0)[..., None] ** share
    sample = np.min(np.asarray(curve.predict_draws(way, measured=True)), axis=-1)
    known = np.min(np.where(there, value, np.inf), axis=-1) if lowest else last
    if lowest:
        sample = np.minimum(sample, known[..., None])
    sample = np.where((present >= total)[..., None], known[..., None], np.sort(sample, axis=-1))
    sample = np.asarray(np.where(diverged[..., None], np.inf, sample), value.dtype)
    ahead = RunForecast(last, last, last, level, last, last, sample, sample, last, place, lowest, curve)
    if finished is None:
        return _summarize(ahead, np.nan if best is None else best)
    return ahead.with_finished(finished, best)


def _check_values(value: Float[np.ndarray, "*b s"], name: str) -> None:
    """Raise ValueError for a negative value."""
    places = np.argwhere(value < 0)
    if len(places):
        *run, record = map(int, places[0])
        raise ValueError(
            f"Values must be at least 0, got {value[tuple(places[0])]:g} at record {record} of {name} {tuple(run)}. "
            "Subtract a lower bound from losses that can be negative; pass 1 - metric for a metric that rises."
        )


def _check_steps(
    step: Float[np.ndarray, "*b s"], there: Bool[np.ndarray, "*b s"], total: Float[np.ndarray, "*b"]
) -> None:
    """Raise ValueError unless the steps of the records are positive, ascending and at most the total."""
    for run in np.ndindex(total.shape):
        own = step[run][there[run]]
        if np.any(own <= 0) or np.any(np.diff(own) <= 0):
            raise ValueError(f"Steps must be positive and ascending, got {own.tolist()} for run {run}.")
        if len(own) and own[-1] > total[run] * (1 + 1e-6):
            raise ValueError(f"Run {run} has a record at step {own[-1]:g}, beyond total_steps, {total[run]:g}.")
