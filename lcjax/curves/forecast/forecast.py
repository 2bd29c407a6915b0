"""Extrapolation of learning curves: a mixture of forms that earn their weight inside the observed range."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Key, Num

from lcjax.curves.fit.curve_fit import CurveFit
from lcjax.curves.fit.exponent_prior import ExponentPrior
from lcjax.curves.fit.fit_curve import fit_curve
from lcjax.curves.forecast.backtest import Observed, anchor, back_test, observe
from lcjax.curves.forecast.size_for_error import SizeForError
from lcjax.curves.forms import FORMS, Form
from lcjax.curves.learning_curve import LearningCurve
from lcjax.kernels.compilation import jit_by_size
from lcjax.records import record

__all__ = ["Forecast", "NextSize", "forecast"]

Array = jax.Array | np.ndarray

# Tuned on half of the data sets of LCDB 1.1, like the constants of the back-test. The logarithmic error beyond the data
# has Student's distribution; the square of its scale is the sum of the back-test's own error, growing as a power of the
# logarithm of the ratio of sizes, of the disagreement between forms, and of the noise of a measurement.
_OWN, _GROWTH, _DISAGREEMENT, _NOISE, _DEGREES = 0.28, 2.0, 0.82, 0.32, 1.4
# Beyond the data no form may fall faster than this exponent from the smallest error seen.
_STEEPEST = 1.5
_HORIZON, _GRID = 1e6, 257


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
        trust: share of its last residual by which each form is moved beyond the data, `(*b, f)`.
        last_error: error at the largest size, `(*b,)`.
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
    trust: Float[Array, "*b f"]
    last_error: Float[Array, "*b"]
    back_test: Float[Array, "*b"]
    back_test_ratio: Float[Array, "*b"]
    noise: Float[Array, "*b"]
    shift: Float[Array, "*b k"]

    @jit_by_size()
    def predict(self, size: Num[Array, "..."]) -> Float[jax.Array, "..."]:
        """Forecast error, the weighted geometric mean of the forms, `(*b, s)`.

        Args:
            size: training examples, `(s,)` for all curves or `(*b, s)`.
        """
        return jnp.exp(self._center(lambda fit, size: fit.predict(size), jnp.asarray(size))[0])

    @jit_by_size()
    def predict_draws(self, size: Num[Array, "..."]) -> Float[jax.Array, "..."]:
        """Draws of the error curve, `(*b, k, s)`: bootstrap fits, shifted by the forecast's own uncertainty."""
        size = jnp.asarray(size)
        _, deviation = self._center(lambda fit, size: fit.predict(size), size)
        drawn = self._center(lambda fit, size: fit.predict_draws(size), size, axes=1)[0]
        shift = jnp.clip(jnp.asarray(self.shift)[..., None] * deviation[..., None, :], -30.0, 30.0)
        error = jnp.exp(drawn + shift)
        guess = self.fits[0].guess
        if guess is None:
            return error
        return jnp.minimum(error, jnp.asarray(guess, error.dtype)[..., None, None])

    @jit_by_size(static_argnames="level")
    def interval(self, size: Num[Array, "..."], level: float = 0.9) -> tuple[jax.Array, jax.Array]:
        """Central prediction interval at `level`: low and high, each `(*b, s)`."""
        limits = jnp.array([0.5 - level / 2, 0.5 + level / 2])
        low, high = jnp.quantile(self.predict_draws(size), limits, axis=-2)
        return low, high

    @jit_by_size(static_argnames="level")
    def size_for_error(self, error: Num[Array, "..."] | float, level: float = 0.9) -> SizeForError:
        """Training examples that reach `error` (`()` or `(*b,)`), with an interval and the probability of never.

        Every draw of the curve is followed until it first falls to the target.
        """
        sizes = self._grid()
        drawn = _crossing(sizes[..., None, :], self.predict_draws(sizes), jnp.asarray(error)[..., None])
        value = _crossing(sizes, self.predict(sizes), jnp.asarray(error))
        return SizeForError.from_draws(value, drawn, level)

    @jit_by_size()
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

    def _center(
        self, predict: Callable[[CurveFit, Array], jax.Array], size: Array, axes: int = 0
    ) -> tuple[jax.Array, jax.Array]:
        """Weighted mean of the forms' log errors at `size`, and the scale of the forecast's own error there.

        Args:
            predict: gives a form's errors, with `axes` axes between the batch and the sizes.
            size: `(s,)` or `(*b, s)`.
            axes: 0, or 1 for draws.
        """

        def spread_out(values: Array) -> jax.Array:
            values = jnp.asarray(values)
            return values.reshape(values.shape + (1,) * (axes + 1))

        largest = jnp.asarray(self.largest)
        inner = size[..., None, :] if axes and size.ndim > 1 else size
        ratio = inner / spread_out(largest)
        beyond = jnp.log(jnp.maximum(ratio, 1.0))
        floor = jnp.log(spread_out(self.smallest_error)) - _STEEPEST * beyond - 3.0 * (beyond <= 0)
        weights = [spread_out(self.weight[..., i]) for i in range(len(self.fits))]
        logs = []
        for i, fit in enumerate(self.fits):
            here = jnp.log(predict(fit, size))
            at_largest = jnp.log(predict(fit, largest[..., None]))
            last = jnp.log(spread_out(self.last_error))
            log = anchor(here, at_largest, last, spread_out(self.trust[..., i]), jnp.minimum(ratio, 1.0))
            # A form that could not be fitted has weight 0, and may be nan.
            logs.append(jnp.where(weights[i] > 0, jnp.maximum(log, floor), 0.0))
        mean = sum((w * a for a, w in zip(logs, weights, strict=True)), jnp.zeros_like(logs[0]))
        variance = sum((w * (a - mean) ** 2 for a, w in zip(logs, weights, strict=True)), jnp.zeros_like(mean))
        steps = beyond / spread_out(self.back_test_ratio)
        own = (_OWN * spread_out(self.back_test)) ** 2 * steps**_GROWTH
        return mean, jnp.sqrt(own + _DISAGREEMENT**2 * variance + (_NOISE * spread_out(self.noise)) ** 2)


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
    range where fewer than three sizes lie below that). The second fit is scored on the sizes left out, and weighs
    accordingly (`lcjax.curves.forecast.backtest`). A form whose residuals agree with their neighbours goes on from the
    last measurement, not from its own fit there.

    The forecast is the weighted geometric mean. Its draws are the bootstrap fits, times `exp(t s)` with t of Student's
    distribution, 1.4 degrees of freedom, and

        s(x)^2 = (0.28 b log(x / largest) / log(largest / cut))^2 + (0.82 disagreement(x))^2 + (0.32 noise)^2

    b being the mixture's own back-test error and the disagreement the weighted standard deviation between the forms.
    The constants are tuned on half of the data sets of LCDB 1.1; what the intervals cover on the other half is in
    docs/results/forecast.

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
    fit_key, shift_key = jax.random.split(key)
    seen, both = _paired(curve)

    def twice(values: Any) -> jax.Array:
        values = jnp.asarray(values, both.error.dtype)
        return jnp.broadcast_to(values[..., None], both.error.shape[:-1])

    both_prior = prior and ExponentPrior(twice(prior.exponent), twice(prior.log_standard_deviation))
    both_guess = None if guess is None else twice(guess)

    def fitted(form: Form) -> CurveFit:
        return fit_curve(both, form, key=fit_key, draws=draws, guess=both_guess, prior=both_prior)

    fits = _side_by_side(fitted, forms, both)
    return _mixed(shift_key, seen, fits, forms=tuple(forms), draws=draws)


def _side_by_side(
    fitted: Callable[[Form], CurveFit], forms: Sequence[Form], both: LearningCurve
) -> tuple[CurveFit, ...]:
    """A program for each form, compiled on every core, and found again where forms are chosen anew."""
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(both)):
        return tuple(fitted(form) for form in forms)
    double = jnp.result_type(float) == jnp.float64

    def one(form: Form) -> CurveFit:
        # Settings belong to a thread.
        with jax.enable_x64(double):
            return fitted(form)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return tuple(pool.map(one, forms))


@jit_by_size()
def _paired(curve: LearningCurve) -> tuple[Observed, LearningCurve]:
    """The curves in order, and each beside its early part, `(*b, 2, s)`, so that one program fits both."""
    seen = observe(curve.size, curve.error)
    error = jnp.asarray(curve.error)
    size = jnp.broadcast_to(jnp.asarray(curve.size, error.dtype), error.shape)
    early = size <= jnp.asarray(seen.cut)[..., None]

    rows = count = None
    if curve.replicates is not None:
        replicates = jnp.asarray(curve.replicates)
        rows = jnp.stack([replicates, jnp.where(early[..., None, :], replicates, jnp.nan)], axis=-3)
    if curve.test_count is not None:
        count = jnp.broadcast_to(jnp.asarray(curve.test_count)[..., None], (*error.shape[:-1], 2))
    return seen, LearningCurve(
        jnp.stack([size, size], axis=-2),
        jnp.stack([error, jnp.where(early, error, jnp.nan)], axis=-2),
        None,
        rows,
        None,
        count,
    )


@jit_by_size(static_argnames=("forms", "draws"))
def _mixed(
    key: Key[Array, ""], seen: Observed, both: tuple[CurveFit, ...], *, forms: tuple[Form, ...], draws: int
) -> Forecast:
    pair = seen.present.ndim - 1
    fits, early = (tuple(jax.tree.map(lambda a, i=i: jnp.take(a, i, axis=pair), fit) for fit in both) for i in (0, 1))
    test = back_test(forms, fits, early, seen)
    weight = jnp.asarray(test.weight)
    noise = sum(
        (jnp.where(weight[..., i] > 0, weight[..., i] * fit.noise, 0.0) for i, fit in enumerate(fits)),
        jnp.zeros_like(weight[..., 0]),
    )
    place = jnp.maximum(jnp.sum(seen.present, axis=-1, keepdims=True) - 1, 0)
    last = jnp.exp(jnp.take_along_axis(jnp.asarray(seen.log_error), place, axis=-1)[..., 0])
    batch, dtype = seen.present.shape[:-1], seen.log_error.dtype
    return Forecast(
        fits,
        weight,
        test.score,
        seen.largest,
        seen.smallest_error,
        test.trust,
        last,
        test.error,
        test.ratio,
        noise,
        _student_deviates(key, batch, draws, dtype),
    )


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
