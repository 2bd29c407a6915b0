"""Extrapolation of learning curves: a mixture of forms that earn their weight inside the observed range."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Key, Num

from lcjax.curves.fitting import CurveFit, ExponentPrior, fit_curve
from lcjax.curves.forms import FORMS, Form, power_law
from lcjax.curves.learning_curve import LearningCurve
from lcjax.records import record

__all__ = ["Forecast", "NextSize", "SizeForError", "forecast"]

Array = jax.Array | np.ndarray

# Tuned on the curves of LCDB 1.1 (sizes to a quarter of the largest fitted, the rest scored) and on nothing else.
_SCORE_FLOOR, _SCORE_POWER = 0.01, 2.0
# A law that loses its back-test against the last value, and any law on a curve that rises as it falls.
_DOUBT = 1 / 30
# One power law on a curve that bends is often far off: it is there for curves of three points.
_PLAIN_POWER_LAW = 0.1
# Scale of the forecast's logarithmic error after one back-test's ratio of sizes, in units of the back-test's own, its
# weight of the disagreement between forms, and the degrees of freedom of its Student distribution.
_SPREAD, _DEGREES = 0.62, 1.4
# Back-test error of a curve too short to have one, and how many observations that counts for otherwise.
_TYPICAL, _TYPICAL_COUNT = 0.1, 0.5
# Beyond the data no form may fall faster than this exponent from the smallest error seen.
_STEEPEST = 1.5
_HORIZON, _GRID = 1e6, 257


@record
class SizeForError:
    """Training examples that reach a target error, each `(*b,)`.

    Attributes:
        value: where the forecast reaches it, inf where it does not within a million times the largest size.
        low: lower limit at `level`.
        high: upper limit at `level`, inf where the target may be out of reach.
        never: probability that the target is not reached within a million times the largest size.
        level: of the interval.
    """

    value: Float[Array, "*b"]
    low: Float[Array, "*b"]
    high: Float[Array, "*b"]
    never: Float[Array, "*b"]
    level: float = jax.tree.static(default=0.9)


@record
class NextSize:
    """The measurement to make next.

    Attributes:
        size: the candidate with the largest gain, `(*b,)`.
        candidates: sizes considered, `(*b, c)`.
        gain: expected fall of the variance of `log(size for the target)` per unit of cost, `(*b, c)`.
    """

    size: Float[Array, "*b"]
    candidates: Float[Array, "*b c"]
    gain: Float[Array, "*b c"]


@record
class Forecast:
    """A learning curve beyond its data.

    Attributes:
        fits: one `CurveFit` per form, with bootstrap draws.
        weight: weight of each form, `(*b, f)`.
        score: back-test error of each form, root mean square of `log(prediction / error)`, `(*b, f)`.
        largest: largest size measured, `(*b,)`.
        smallest_error: smallest positive error measured, `(*b,)`.
        back_test: back-test error of the mixture, `(*b,)`.
        back_test_ratio: log of the ratio of sizes that the back-test bridged, `(*b,)`.
        noise: relative standard deviation of one measurement, `(*b,)`.
        shift: Student deviates, one for each draw, `(*b, k)`.
    """

    fits: tuple[CurveFit, ...]
    weight: Float[Array, "*b f"]
    score: Float[Array, "*b f"]
    largest: Float[Array, "*b"]
    smallest_error: Float[Array, "*b"]
    back_test: Float[Array, "*b"]
    back_test_ratio: Float[Array, "*b"]
    noise: Float[Array, "*b"]
    shift: Float[Array, "*b k"]

    @jax.jit
    def predict(self, size: Num[Array, "..."]) -> Float[jax.Array, "..."]:
        """Forecast error, the weighted geometric mean of the forms, `(*b, s)`.

        Args:
            size: training examples, `(s,)` for all curves or `(*b, s)`.
        """
        return jnp.exp(self._center([fit.predict(size) for fit in self.fits], size)[0])

    @jax.jit
    def predict_draws(self, size: Num[Array, "..."]) -> Float[jax.Array, "..."]:
        """Draws of the error curve, `(*b, k, s)`: bootstrap fits, shifted by the forecast's own uncertainty."""
        size = jnp.asarray(size)
        _, deviation = self._center([fit.predict(size) for fit in self.fits], size)
        inner = size[..., None, :] if size.ndim > 1 else size
        drawn = self._center([fit.predict_draws(size) for fit in self.fits], inner, axes=1)[0]
        shift = jnp.clip(jnp.asarray(self.shift)[..., None] * deviation[..., None, :], -30.0, 30.0)
        error = jnp.exp(drawn + shift)
        guess = self.fits[0].guess
        if guess is None:
            return error
        return jnp.minimum(error, jnp.asarray(guess, error.dtype)[..., None, None])

    @functools.partial(jax.jit, static_argnames="level")
    def interval(self, size: Num[Array, "..."], level: float = 0.9) -> tuple[jax.Array, jax.Array]:
        """Central prediction interval at `level`: low and high, each `(*b, s)`."""
        limits = jnp.array([0.5 - level / 2, 0.5 + level / 2])
        low, high = jnp.quantile(self.predict_draws(size), limits, axis=-2)
        return low, high

    @functools.partial(jax.jit, static_argnames="level")
    def size_for_error(self, error: Num[Array, "..."] | float, level: float = 0.9) -> SizeForError:
        """Training examples that reach `error` (`()` or `(*b,)`), with an interval and the probability of never.

        Every draw of the curve is followed until it first falls to the target.
        """
        sizes = self._grid()
        drawn = _crossing(sizes[..., None, :], self.predict_draws(sizes), jnp.asarray(error)[..., None])
        value = _crossing(sizes, self.predict(sizes), jnp.asarray(error))
        low = jnp.quantile(drawn, 0.5 - level / 2, axis=-1, method="lower")
        high = jnp.quantile(drawn, 0.5 + level / 2, axis=-1, method="higher")
        never = jnp.mean(jnp.isinf(drawn), axis=-1, dtype=value.dtype)
        return SizeForError(value, low, high, never, level)

    @jax.jit
    def next_size(
        self,
        error: Num[Array, "..."] | float,
        *,
        candidates: Num[Array, "..."] | None = None,
        cost: Num[Array, "..."] | None = None,
    ) -> NextSize:
        """The measurement expected to shrink the interval of `size_for_error(error)` most for its cost.

        Over the draws, a measurement at size x with noise variance v explains of `L = log(size for the target)`

            cov(L, log e(x))^2 / (var(log e(x)) + v)

        of its variance, the linear-Gaussian expectation. Draws that never arrive count as the horizon.

        Args:
            error: the target, `()` or `(*b,)`.
            candidates: sizes to choose from, `(c,)` or `(*b, c)`; by default 1/4 to 16 times the largest size.
            cost: cost of each candidate, in any unit, shaped like it; by default its size.
        """
        largest = jnp.asarray(self.largest)
        if candidates is None:
            candidates = largest[..., None] * 2.0 ** jnp.arange(-2, 5).astype(largest.dtype)
        candidates = jnp.asarray(candidates, largest.dtype)
        sizes = self._grid()
        drawn = _crossing(sizes[..., None, :], self.predict_draws(sizes), jnp.asarray(error)[..., None])
        log_size = jnp.log(jnp.minimum(drawn, sizes[..., -1:]))[..., None]
        log_error = jnp.log(self.predict_draws(candidates))
        log_size, log_error = (a - jnp.mean(a, axis=-2, keepdims=True) for a in (log_size, log_error))
        covariance = jnp.mean(log_size * log_error, axis=-2)
        explained = covariance**2 / (jnp.mean(log_error**2, axis=-2) + jnp.asarray(self.noise)[..., None] ** 2)
        gain = explained / jnp.broadcast_to(candidates if cost is None else jnp.asarray(cost), explained.shape)
        candidates = jnp.broadcast_to(candidates, gain.shape)
        best = jnp.take_along_axis(candidates, jnp.argmax(gain, axis=-1)[..., None], axis=-1)[..., 0]
        return NextSize(best, candidates, gain)

    def _grid(self) -> jax.Array:
        largest = jnp.asarray(self.largest)
        return largest[..., None] * jnp.exp(jnp.linspace(jnp.log(1e-3), jnp.log(_HORIZON), _GRID, dtype=largest.dtype))

    def _center(self, errors: list[jax.Array], size: Array, axes: int = 0) -> tuple[jax.Array, jax.Array]:
        """Weighted mean of the forms' log errors at `size`, and the standard deviation of the forecast there."""

        def spread_out(values: Array) -> jax.Array:
            values = jnp.asarray(values)
            return values.reshape(values.shape + (1,) * (axes + 1))

        beyond = jnp.log(jnp.maximum(jnp.asarray(size) / spread_out(self.largest), 1.0))
        floor = jnp.log(spread_out(self.smallest_error)) - _STEEPEST * beyond - 3.0 * (beyond <= 0)
        logs = [jnp.maximum(jnp.log(e), floor) for e in errors]
        weights = [spread_out(self.weight[..., i]) for i in range(len(errors))]
        # A form that could not be fitted has weight 0, and may be nan.
        logs = [jnp.where(w > 0, a, 0.0) for a, w in zip(logs, weights, strict=True)]
        mean = sum((w * a for a, w in zip(logs, weights, strict=True)), jnp.zeros_like(logs[0]))
        variance = sum((w * (a - mean) ** 2 for a, w in zip(logs, weights, strict=True)), jnp.zeros_like(mean))
        steps = beyond / spread_out(self.back_test_ratio)
        own = spread_out(self.back_test) ** 2 * steps
        return mean, jnp.sqrt(own + _SPREAD**2 * variance)


def forecast(
    key: Key[Array, ""],
    curve: LearningCurve,
    *,
    forms: Sequence[Form] = FORMS,
    prior: ExponentPrior | None = None,
    draws: int = 200,
    guess: float | Float[Array, "..."] | None = None,
) -> Forecast:
    """Forecast a learning curve, or each of a ragged batch, and say how sure.

    Every form is fitted twice: to all sizes, and to those up to a quarter of the largest (up to the middle of the log
    range where fewer than three sizes lie below that). The second fit is scored on the sizes left out, and the form's
    weight is `1 / (0.01 + rms log error)^2`. A law that does worse there than the last value loses weight by 30, and so
    do all laws on a curve that rises by more than half of what it falls. Forms with at least as many parameters as
    there are sizes are left out.

    The forecast is the weighted geometric mean. Its draws are the bootstrap fits, times `exp(t s)` with t of Student's
    distribution and

        s(x)^2 = b^2 log(x / largest) / log(largest / cut) + (0.62 disagreement(x))^2

    b being the mixture's own back-test error and the disagreement the weighted standard deviation between the forms.
    The constants come from the learning curves of LCDB 1.1, where the interval at 0.9 covers that part of what follows.

    Args:
        key: a typed key.
        curve: as for `fit_curve`, with its handling of zeros, negatives and repeats.
        forms: forms to mix, `last_value` among them for the comparison.
        prior: an `ExponentPrior`, for curves of three to six points.
        draws: draws for every curve, static.
        guess: error of guessing, `()` or `(*b,)`: no forecast exceeds it.

    Returns:
        A `Forecast`.

    Raises:
        ValueError: shapes disagree, no form is given, or `draws` is not positive.

    Examples:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from lcjax.curves.forms import last_value, power_law
        >>> size = jnp.array([100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0])
        >>> curve = LearningCurve(size, 1.2 * size**-0.4)
        >>> told = forecast(jax.random.key(0), curve, forms=(last_value, power_law), draws=20)
        >>> round(float(told.predict(jnp.array([12800.0]))[0]), 3)
        0.027
    """
    if not forms or draws < 1:
        raise ValueError(f"forecast needs a form and at least one draw, got {len(forms)} forms and draws={draws}.")
    return _forecast(key, curve, prior, guess, forms=tuple(forms), draws=draws)


@functools.partial(jax.jit, static_argnames=("forms", "draws"))
def _forecast(
    key: Key[Array, ""],
    curve: LearningCurve,
    prior: ExponentPrior | None,
    guess: Any,
    *,
    forms: tuple[Form, ...],
    draws: int,
) -> Forecast:
    error = jnp.asarray(curve.error)
    size = jnp.broadcast_to(jnp.asarray(curve.size, error.dtype), error.shape)
    present = jnp.isfinite(error) & jnp.isfinite(size) & (size > 0) & (error >= 0)
    order = jnp.argsort(jnp.where(present, size, jnp.inf), axis=-1)
    size, error, present = (jnp.take_along_axis(a, order, axis=-1) for a in (size, error, present))
    replicates = curve.replicates
    if replicates is not None:
        replicates = jnp.asarray(replicates)
        moved = jnp.broadcast_to(order[..., None, :], replicates.shape)
        replicates = jnp.take_along_axis(replicates, moved, axis=-1)

    largest = jnp.max(jnp.where(present, size, -jnp.inf), axis=-1)
    smallest = jnp.min(jnp.where(present, size, jnp.inf), axis=-1)
    cut = _cut(size, present, smallest, largest)
    early = present & (size <= cut[..., None])
    # One size left out, or two to fit, is no test of a law.
    enough = (jnp.sum(early, axis=-1) >= 3) & (jnp.sum(present & ~early, axis=-1) >= 2)
    rest = present & ~early & enough[..., None]

    both = _stacked(curve, size, error, replicates, early)
    positive = jnp.where(present & (error > 0), error, jnp.inf)
    smallest_error = jnp.min(positive, axis=-1)
    smallest_error = jnp.where(jnp.isfinite(smallest_error), smallest_error, 1e-6)
    log_error = jnp.log(jnp.where(present, jnp.maximum(error, 0.5 * smallest_error[..., None]), 1.0))
    both_guess = None if guess is None else jnp.broadcast_to(jnp.asarray(guess, error.dtype), (2, *error.shape[:-1]))
    both_prior = prior and ExponentPrior(
        *(
            jnp.broadcast_to(jnp.asarray(v, error.dtype), (2, *error.shape[:-1]))
            for v in (prior.exponent, prior.log_standard_deviation)
        )
    )

    fit_key, shift_key = jax.random.split(key)
    fits, logs = [], []
    for form in forms:
        fit = fit_curve(both, form, key=fit_key, draws=draws, guess=both_guess, prior=both_prior)
        full, tested = (jax.tree.map(lambda a, i=i: a[i], fit) for i in (0, 1))
        fits.append(full)
        lowest = jnp.log(smallest_error)[..., None] - 3.0
        logs.append(jnp.where(rest, jnp.fmax(jnp.log(tested.predict(size)), lowest), 0.0))
    weight, score = _weights(forms, logs, log_error, early, present, rest)
    tested_mean = sum(weight[..., i, None] * a for i, a in enumerate(logs))
    count = jnp.sum(rest, axis=-1)
    squares = jnp.sum(jnp.where(rest, (tested_mean - log_error) ** 2, 0.0), axis=-1)
    back_test = jnp.sqrt((squares + _TYPICAL_COUNT * _TYPICAL**2) / (count + _TYPICAL_COUNT))
    ratio = jnp.where(count > 0, jnp.log(largest / cut), jnp.log(4.0))

    noise = sum(weight[..., i] * fit.noise for i, fit in enumerate(fits))
    return Forecast(
        tuple(fits),
        weight,
        score,
        largest,
        smallest_error,
        back_test,
        jnp.where(jnp.isfinite(ratio), ratio, jnp.log(4.0)),
        jnp.asarray(noise),
        _student_deviates(shift_key, error.shape[:-1], draws, error.dtype),
    )


def _cut(size: Array, present: Array, smallest: Array, largest: Array) -> jax.Array:
    quarter, middle = largest / 4, jnp.sqrt(smallest * largest)
    enough = jnp.sum(present & (size <= quarter[..., None]), axis=-1) >= 3
    return jnp.where(enough, quarter, jnp.where(jnp.isfinite(middle), middle, quarter))


def _stacked(
    curve: LearningCurve, size: jax.Array, error: jax.Array, replicates: jax.Array | None, early: jax.Array
) -> LearningCurve:
    """The whole curves and their early parts as one batch, so that both are one compiled call."""
    rows = None
    if replicates is not None:
        rows = jnp.stack([replicates, jnp.where(early[..., None, :], replicates, jnp.nan)])
    count = None
    if curve.test_count is not None:
        count = jnp.broadcast_to(jnp.asarray(curve.test_count), (2, *error.shape[:-1]))
    return LearningCurve(
        jnp.stack([size, size]), jnp.stack([error, jnp.where(early, error, jnp.nan)]), None, rows, None, count
    )


def _weights(
    forms: Sequence[Form],
    logs: list[jax.Array],
    log_error: jax.Array,
    early: jax.Array,
    present: jax.Array,
    rest: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    left = jnp.maximum(jnp.sum(rest, axis=-1), 1)
    tested = jnp.sum(rest, axis=-1) > 0
    scores = []
    for form, log in zip(forms, logs, strict=True):
        square = jnp.sum(jnp.where(rest, (log - log_error) ** 2, 0.0), axis=-1) / left
        # More parameters than early sizes: the form was not tested, and counts as a poor one.
        fitted = (jnp.sum(early, axis=-1) >= len(form.parameters)) & jnp.isfinite(square)
        scores.append(jnp.where(fitted, jnp.sqrt(square), jnp.maximum(jnp.sqrt(jnp.where(fitted, square, 0)), 0.5)))
    score = jnp.stack(scores, axis=-1)
    is_last = jnp.array([form.last_only for form in forms])
    plain = jnp.array([form is power_law for form in forms])
    weight = (_SCORE_FLOOR + score) ** -_SCORE_POWER
    weight = jnp.where(tested[..., None], weight, 1.0)
    best_last = jnp.min(jnp.where(is_last, score, jnp.inf), axis=-1, keepdims=True)
    loses = tested[..., None] & (score > best_last) & ~is_last
    weight = weight * jnp.where(loses, _DOUBT, 1.0) * jnp.where(plain, _PLAIN_POWER_LAW, 1.0)
    weight = weight * jnp.where(_wanders(log_error, present)[..., None] & ~is_last, _DOUBT, 1.0)
    # A curve of few points that falls gives the last value no credit without a test.
    weight = weight * jnp.where(is_last & ~tested[..., None], _DOUBT, 1.0)
    count = jnp.sum(present, axis=-1)[..., None]
    needs = jnp.array([0 if f.last_only else 2 if f is power_law else len(f.parameters) + 1 for f in forms])
    usable = count >= needs
    usable = jnp.where(jnp.any(usable, axis=-1, keepdims=True), usable, jnp.arange(len(forms)) == 0)
    weight = jnp.where(usable, weight, 0.0)
    return weight / jnp.sum(weight, axis=-1, keepdims=True), score


def _wanders(log_error: jax.Array, present: jax.Array) -> Bool[jax.Array, "*b"]:
    """Whether a curve, sorted and present sizes first, rises by more than half of what it falls.

    The fall is that from the mean of the first third of the sizes to that of the last; the rise is the largest one
    above an earlier minimum, of running means of three.
    """
    count = jnp.sum(present, axis=-1, keepdims=True)
    place = jnp.arange(log_error.shape[-1])
    third = jnp.maximum(3, count // 3)

    def mean(where: jax.Array) -> jax.Array:
        return jnp.sum(jnp.where(where, log_error, 0.0), axis=-1) / jnp.maximum(jnp.sum(where, axis=-1), 1)

    fall = mean(present & (place < third)) - mean(present & (place >= count - third))
    if log_error.shape[-1] < 6:
        return jnp.zeros(fall.shape, bool)
    smooth = (log_error[..., :-2] + log_error[..., 1:-1] + log_error[..., 2:]) / 3
    there = present[..., 2:]
    lowest = jax.lax.cummin(jnp.where(there, smooth, jnp.inf), axis=smooth.ndim - 1)
    rise = jnp.max(jnp.where(there, smooth - lowest, 0.0), axis=-1)
    return (count[..., 0] >= 6) & (rise > 0.5 * jnp.maximum(fall, 0.02))


def _student_deviates(key: Key[Array, ""], batch: tuple[int, ...], draws: int, dtype: jnp.dtype) -> jax.Array:
    """Quantiles of Student's distribution in random order: the same ones for all, so that intervals are steady."""
    import scipy.special

    quantiles = scipy.special.stdtrit(_DEGREES, (np.arange(draws) + 0.5) / draws)
    count = int(np.prod(batch, dtype=int))
    shuffled = jax.vmap(lambda k: jax.random.permutation(k, jnp.asarray(quantiles, dtype)))(
        jax.random.split(key, count)
    )
    return shuffled.reshape(*batch, draws)


def _crossing(size: jax.Array, error: jax.Array, target: jax.Array) -> jax.Array:
    """Size at which `error` first falls to `target`, linear in logarithms between grid points; inf where never."""
    size = jnp.broadcast_to(size, error.shape)
    below = error <= target[..., None]
    first = jnp.argmax(below, axis=-1)[..., None]
    before = jnp.maximum(first - 1, 0)

    def at(values: jax.Array, index: jax.Array) -> jax.Array:
        return jnp.log(jnp.take_along_axis(values, index, axis=-1)[..., 0])

    e0, e1, x0, x1 = at(error, before), at(error, first), at(size, before), at(size, first)
    part = jnp.where(e1 < e0, (jnp.log(target) - e0) / jnp.where(e1 < e0, e1 - e0, 1.0), 1.0)
    crossing = jnp.exp(x0 + jnp.clip(part, 0.0, 1.0) * (x1 - x0))
    return jnp.where(jnp.any(below, axis=-1), crossing, jnp.inf)
