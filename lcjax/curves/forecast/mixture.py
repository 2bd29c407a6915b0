"""Forecasts of learning curves by a mixture of functional forms, weighted by their back-test."""

import dataclasses
from collections.abc import Callable, Sequence
from statistics import NormalDist

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtri
from jaxtyping import Float, Num

from lcjax.curves.answer.crossing import first_crossing, largest_rise, worst_from_here
from lcjax.curves.answer.joint_draws import JointDraws, search_grid
from lcjax.curves.answer.next_size import expected_information
from lcjax.curves.fit.curve_fit import CurveFit
from lcjax.curves.fit.exponent_prior import ExponentPrior
from lcjax.curves.fit.fit_curve import fit_curve
from lcjax.curves.forecast.backtest import ObservedCurves, anchor, back_test, observe
from lcjax.curves.forecast.batching import is_traced
from lcjax.curves.forecast.posterior import coprime
from lcjax.curves.forms import FORMS, Form
from lcjax.curves.intervals import central_interval
from lcjax.curves.learning_curve import LearningCurve, check_test_count
from lcjax.curves.standard_errors import error_bars
from lcjax.kernels.compilation import jit_by_size, namespace
from lcjax.records import record
from lcjax.threads import cores, in_threads
from lcjax.typing import Array, KeyArray, Scalar, check_key

__all__ = ["MixtureForecast", "mixture_forecast"]

# Tuned on half of the data sets of LCDB 1.1, like the constants of the back-test. The log error beyond the data has
# Student's distribution; its squared scale is the sum of three squares: of the back-test's error, growing as a power of
# the logarithm of the ratio of sizes, of the disagreement between forms, and of the noise of a measurement.
_BACK_TEST, _GROWTH, _DISAGREEMENT, _NOISE, _DEGREES = 0.28, 2.0, 0.82, 0.32, 1.4
# Beyond the data no form falls faster than this exponent from the smallest error measured.
_STEEPEST = 1.5
_NORMAL = 1e6  # degrees of freedom of a normal distribution


@record
class MixtureForecast(JointDraws):
    """The forecast of a learning curve by a mixture of forms.

    Attributes:
        fits: one `CurveFit` per form, with bootstrap draws.
        weight: weight of each form, `(*b, f)`.
        score: back-test error of each form, root mean square of `log(prediction / error)`, `(*b, f)`.
        measured: sizes and errors as measured, `(*b, s)`; nan where absent.
        smallest: smallest size measured, `(*b,)`.
        largest: largest size measured, `(*b,)`.
        smallest_error: smallest positive error measured, `(*b,)`.
        trust: share of its last residual by which each form is moved beyond the data, `(*b, f)`.
        last_error: error at the largest size, `(*b,)`.
        back_test: back-test error of the mixture, `(*b,)`.
        back_test_ratio: logarithm of the ratio of sizes across which the back-test extrapolates, `(*b,)`.
        noise: relative standard deviation of one measurement, `(*b,)`.
        shift: Student deviates, one for each draw, `(*b, k)`.
    """

    fits: tuple[CurveFit, ...]
    weight: Float[Array, "*b f"]
    score: Float[Array, "*b f"]
    measured: LearningCurve
    smallest: Float[Array, "*b"]
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
        """Forecast the error, `(*b, s)`, by the weighted geometric mean of the forms.

        Sizes are `(s,)` for all curves or `(*b, s)`, here and in the other methods.
        """
        return jnp.exp(self._log_mean_and_scale(CurveFit.predict, jnp.asarray(size))[0])

    @jit_by_size()
    def predict_draws(self, size: Num[Array, "..."]) -> Float[jax.Array, "..."]:
        """Draw error curves, `(*b, k, s)`: bootstrap fits, shifted by the uncertainty of the extrapolation."""
        size = jnp.asarray(size)
        _, scale = self._log_mean_and_scale(CurveFit.predict, size)
        log_draws, _ = self._log_mean_and_scale(CurveFit.predict_draws, size, axes=1)
        shift = jnp.clip(jnp.asarray(self.shift)[..., None] * scale[..., None, :], -30.0, 30.0)
        error, guess = jnp.exp(log_draws + shift), self.fits[0].guess
        return error if guess is None else jnp.minimum(error, jnp.asarray(guess, error.dtype)[..., None, None])

    @jit_by_size(static_argnames="level")
    def interval(
        self, size: Num[Array, "..."], level: float = 0.9
    ) -> tuple[Float[jax.Array, "..."], Float[jax.Array, "..."]]:
        """Return the central prediction interval of nominal coverage `level`, static: two limits, each `(*b, s)`."""
        return central_interval(self.predict_draws(size), level, axis=-2)

    def _range(self) -> tuple[Float[Array, "*b"], Float[Array, "*b"]]:
        return self.smallest, self.largest

    def _draw_curves(self, sizes: Float[Array, "..."]) -> Float[Array, "*b k s"]:
        """Return the draws at sizes, as NumPy arrays if they are concrete, whose reduction needs no compilation."""
        draws = self.predict_draws(sizes)
        return draws if is_traced(draws) else np.asarray(draws)

    def _crossings(
        self,
        error: Num[Array, "..."] | float,
        *,
        share: float | None = None,
        repeats: float = 1.0,
        lasting: bool = False,
    ) -> Float[Array, "*b k"]:
        curve = self._draw_curves(search_grid(jnp.asarray(self.smallest), jnp.asarray(self.largest)))
        xp = namespace(curve)
        largest, noise = (xp.asarray(a, curve.dtype) for a in (self.largest, self.noise))
        sizes = search_grid(xp.asarray(self.smallest, curve.dtype), largest)
        if share is not None:
            deviate = NormalDist().inv_cdf(share) / repeats**0.5
            curve = curve * xp.exp(deviate * noise[..., None, None])
        if lasting:
            curve = worst_from_here(sizes[..., None, :], curve, largest[..., None])
        target = xp.asarray(self._targets(error, curve.shape[-2]), curve.dtype)
        crossing: Array = xp.asarray(first_crossing(sizes[..., None, :], curve, target))
        return crossing

    def _information(
        self, error: Num[Array, "..."] | float, sizes: Float[Array, "..."], repeats: tuple[int, ...]
    ) -> Float[Array, "*b c r"]:
        largest = jnp.asarray(self.largest)
        curve = self._draw_curves(jnp.where(jnp.isnan(sizes), largest[..., None], sizes))
        xp = namespace(curve)
        log_error = xp.log(curve)
        noise = xp.broadcast_to(xp.asarray(self.noise, curve.dtype)[..., None, None], curve.shape)
        count = curve.shape[-2]
        deviate = xp.asarray(ndtri(((np.arange(count) * coprime(count)) % count + 0.5) / count), curve.dtype)

        def one(row: tuple[Array, ...]) -> Array:
            log_error, noise, crossing, smallest = row
            rest = deviate, xp.asarray(_NORMAL, curve.dtype), crossing, smallest
            return expected_information(log_error, 0 * noise, noise, *rest, repeats=repeats)

        rows = log_error, noise, self._crossings(error), xp.asarray(self.smallest, curve.dtype)
        flat = jax.tree.map(lambda a: a.reshape(-1, *a.shape[largest.ndim :]), rows)
        if xp is jnp:
            mapped = jax.lax.map(one, flat)
        else:
            mapped = np.stack([one(tuple(np.asarray(a[i]) for a in flat)) for i in range(len(flat[0]))])
        information: Array = mapped.reshape(*largest.shape, sizes.shape[-1], len(repeats))
        return information

    def _rises(self) -> Float[Array, "*b k"]:
        smallest, largest = jnp.asarray(self.smallest), jnp.asarray(self.largest)
        grid = search_grid(smallest, largest)
        return largest_rise(self._draw_curves(jnp.minimum(grid, largest[..., None])))

    def _log_mean_and_scale(
        self, predict: Callable[[CurveFit, Array], jax.Array], size: Num[jax.Array, "..."], axes: int = 0
    ) -> tuple[Float[jax.Array, "..."], Float[jax.Array, "..."]]:
        """Return the weighted mean of the forms' log errors at `size`, and the scale of the forecast's own error.

        `predict` evaluates a form, with `axes` axes between the batch and the sizes: 0, or 1 for draws.
        """

        def expand(values: Float[Array, "*b"]) -> Float[jax.Array, "..."]:
            values = jnp.asarray(values)
            return values.reshape(values.shape + (1,) * (axes + 1))

        largest = jnp.asarray(self.largest)
        inner = size[..., None, :] if axes and size.ndim > 1 else size
        ratio = inner / expand(largest)
        beyond = jnp.log(jnp.maximum(ratio, 1.0))
        floor = jnp.log(expand(self.smallest_error)) - _STEEPEST * beyond - 3.0 * (beyond <= 0)
        weights = [expand(self.weight[..., i]) for i in range(len(self.fits))]
        logs = []
        for i, fit in enumerate(self.fits):
            here = jnp.log(predict(fit, size))
            at_largest = jnp.log(predict(fit, largest[..., None]))
            last = jnp.log(expand(self.last_error))
            log = anchor(here, at_largest, last, expand(self.trust[..., i]), jnp.minimum(ratio, 1.0))
            # A form that could not be fitted has weight 0, and may be nan.
            logs.append(jnp.where(weights[i] > 0, jnp.maximum(log, floor), 0.0))
        mean = sum((w * a for a, w in zip(logs, weights, strict=True)), jnp.zeros_like(logs[0]))
        variance = sum((w * (a - mean) ** 2 for a, w in zip(logs, weights, strict=True)), jnp.zeros_like(mean))
        steps = beyond / expand(self.back_test_ratio)
        from_back_test = (_BACK_TEST * expand(self.back_test)) ** 2 * steps**_GROWTH
        return mean, jnp.sqrt(from_back_test + _DISAGREEMENT**2 * variance + (_NOISE * expand(self.noise)) ** 2)


def mixture_forecast(
    key: KeyArray,
    curve: LearningCurve,
    *,
    forms: Sequence[Form] = FORMS,
    prior: ExponentPrior | None = None,
    draws: int = 200,
    guess: Float[Array, "..."] | float | None = None,
) -> MixtureForecast:
    """Forecast a learning curve, or each curve of a ragged batch, with its uncertainty.

    Every form is fitted twice: to all sizes, and to the sizes up to a quarter of the largest one (up to the middle of
    the log range if fewer than three sizes lie below that). The second fit is scored on the remaining sizes, which
    determines the weight of the form (`lcjax.curves.forecast.backtest`). A form whose neighboring residuals agree is
    moved towards the last measurement.

    The forecast is the weighted geometric mean. Its draws are the bootstrap fits, times `exp(t s)` with t of Student's
    distribution with 1.4 degrees of freedom and

        s(x)^2 = (0.28 b log(x / largest) / log(largest / cut))^2 + (0.82 disagreement(x))^2 + (0.32 noise)^2

    where b is the back-test error of the mixture and the disagreement is the weighted standard deviation between forms.
    The constants are tuned on half of the data sets of LCDB 1.1; docs/results/forecast reports the coverage of the
    intervals on the other half.

    Args:
        key: a typed key.
        curve: as for `fit_curve`, which describes the treatment of zeros, negative errors and repeats.
        forms: forms to combine, with `last_value` for comparison.
        prior: an `ExponentPrior`, for curves of three to six points.
        draws: number of draws of every curve, static.
        guess: error of guessing, `()` or `(*b,)`, an upper limit of the forecast.

    Returns:
        `MixtureForecast` with one fit, weight and score for each of f forms, and k = `draws` draws of every curve.

    Raises:
        ValueError: the shapes disagree, no form is given, or `draws` is not positive.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> from lcjax.curves.forms import last_value, power_law
        >>> size = jnp.array([100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0])
        >>> curve = LearningCurve(size, 1.2 * size**-0.4)
        >>> ahead = mixture_forecast(jax.random.key(0), curve, forms=(last_value, power_law), draws=20)
        >>> round(float(ahead.predict(jnp.array([12800.0]))[0]), 3)
        0.027
    """
    check_key(key)
    if not forms or draws < 1:
        raise ValueError(
            f"mixture_forecast needs a form and at least one draw, got {len(forms)} forms and draws={draws}."
        )
    check_test_count(curve, np.shape(curve.error)[:-1])
    fit_key, shift_key = jax.random.split(key)
    observed, pair = _pair_with_early_part(curve)

    def for_both(values: Scalar) -> Float[jax.Array, "*b 2"]:
        values = jnp.asarray(values, pair.error.dtype)
        return jnp.broadcast_to(values[..., None], pair.error.shape[:-1])

    pair_prior = prior and ExponentPrior(for_both(prior.exponent), for_both(prior.log_standard_deviation))
    pair_guess = None if guess is None else for_both(guess)

    def fit(form: Form) -> CurveFit:
        return fit_curve(pair, form, key=fit_key, draws=draws, guess=pair_guess, prior=pair_prior)

    # Each form has its own program: compile them concurrently, unless they become part of a traced one.
    is_traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(pair))
    fits = [fit(form) for form in forms] if is_traced else in_threads(fit, forms, cores())
    mixed = _mix(shift_key, observed, tuple(fits), forms=tuple(forms), draws=draws)
    if curve.test_count is None:
        return mixed
    count = jnp.broadcast_to(jnp.asarray(curve.test_count, mixed.largest.dtype), mixed.largest.shape)
    return dataclasses.replace(mixed, measured=dataclasses.replace(mixed.measured, test_count=count))


@jit_by_size()
def _pair_with_early_part(curve: LearningCurve) -> tuple[ObservedCurves, LearningCurve]:
    """Sort the curves, and stack each with its early part, `(*b, 2, s)`, so that one program fits both."""
    error = jnp.asarray(curve.error)
    seen = error
    if curve.test_count is not None:
        seen = jnp.where(error == 0, 0.5 / jnp.asarray(curve.test_count, error.dtype)[..., None], error)
    observed = observe(curve.size, seen)
    size = jnp.broadcast_to(jnp.asarray(curve.size, error.dtype), error.shape)
    early = size <= observed.cut[..., None]

    replicates = count = None
    if curve.replicates is not None:
        rows = jnp.asarray(curve.replicates)
        replicates = jnp.stack([rows, jnp.where(early[..., None, :], rows, jnp.nan)], axis=-3)
    if curve.test_count is not None:
        count = jnp.broadcast_to(jnp.asarray(curve.test_count)[..., None], (*error.shape[:-1], 2))
    errors = jnp.stack([error, jnp.where(early, error, jnp.nan)], axis=-2)
    stated = error_bars(curve)
    stated = None if stated is None else jnp.broadcast_to(jnp.asarray(stated)[..., None, :], errors.shape)
    sizes = jnp.stack([size, size], axis=-2)
    return observed, LearningCurve(sizes, errors, None, replicates, None, count, stated)


@jit_by_size(static_argnames=("forms", "draws"))
def _mix(
    key: KeyArray, observed: ObservedCurves, pairs: tuple[CurveFit, ...], *, forms: tuple[Form, ...], draws: int
) -> MixtureForecast:
    """Weight the fits by their back-test; each of `pairs` holds those to all sizes and to the early ones."""
    axis = observed.present.ndim - 1
    full, early = (tuple(jax.tree.map(lambda a, i=i: jnp.take(a, i, axis=axis), fit) for fit in pairs) for i in (0, 1))
    test = back_test(forms, full, early, observed)
    noise = sum(
        (jnp.where(test.weight[..., i] > 0, test.weight[..., i] * fit.noise, 0.0) for i, fit in enumerate(full)),
        jnp.zeros_like(test.weight[..., 0]),
    )
    place = jnp.maximum(jnp.sum(observed.present, axis=-1, keepdims=True) - 1, 0)
    last_error = jnp.exp(jnp.take_along_axis(observed.log_error, place, axis=-1)[..., 0])
    shift = _student_deviates(key, last_error.shape, draws, last_error.dtype)
    error = jnp.where(observed.present, jnp.exp(observed.log_error), jnp.nan)
    measured = LearningCurve(jnp.where(observed.present, observed.size, jnp.nan), error)
    smallest = jnp.min(jnp.where(observed.present, observed.size, jnp.inf), axis=-1)
    return MixtureForecast(
        full, test.weight, test.score, measured, smallest, observed.largest, observed.smallest_error, test.trust,
        last_error, test.error, test.ratio, noise, shift,
    )  # fmt: skip


def _student_deviates(
    key: KeyArray, batch: tuple[int, ...], draws: int, dtype: jnp.dtype
) -> Float[jax.Array, "*b {draws}"]:
    """Return quantiles of Student's distribution, shuffled for each curve, so that intervals have little variance."""
    import scipy.special

    quantiles = jnp.asarray(scipy.special.stdtrit(_DEGREES, (np.arange(draws) + 0.5) / draws), dtype)
    keys = jax.random.split(key, int(np.prod(batch, dtype=int)))
    return jax.vmap(lambda k: jax.random.permutation(k, quantiles))(keys).reshape(*batch, draws)
