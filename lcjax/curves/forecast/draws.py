"""Joint draws of a forecast evaluated at sizes, and the quantiles, densities and probabilities computed from them.

Concrete draws are NumPy arrays, which need no compilation; traced ones are JAX arrays. The same functions serve both.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Float, Int, Num

from lcjax.curves.answer.crossing import first_crossing, largest_rise, worst_from_here
from lcjax.curves.answer.next_size import expected_information
from lcjax.curves.forecast.condensed import POINTS, CondensedCurve
from lcjax.curves.forecast.families import Curve, Family
from lcjax.curves.forecast.noise import NoiseModels, krige, models_of, white_scale
from lcjax.curves.forecast.posterior import SLOPES, Posterior, SlopeLimits, evaluate_curves
from lcjax.kernels.compilation import namespace
from lcjax.kernels.integer_sort import ascending
from lcjax.kernels.stored_programs import jit_stored
from lcjax.records import record
from lcjax.typing import Array

__all__ = [
    "SIZES",
    "Draws",
    "assurance",
    "compile_evaluation",
    "errors",
    "evaluate_draws",
    "family_curves",
    "first_crossings",
    "information",
    "largest_rises",
    "log_density",
    "quantile",
    "student",
]

SIZES = 128
"""Smallest number of sizes evaluated at once; fewer are padded to it, so that one program serves them all."""

# Intervals beyond the data are widened about the median, because no family is exact. Tuned on the development sets.
_STRETCH = 1.25
# One draw in 50 allows for a surprise, such as a sudden fall: beyond the data its curve has an additional standard
# deviation of 0.8 times the square root of the log ratio of sizes, which counts as at least 0.1.
_SURPRISE, _EVERY, _AT_LEAST = 0.8, 50, 0.1
# Beyond the data no draw falls faster than size^-1.5, from 0.03 below the last log error, or rises faster than
# `SlopeLimits.steepest`, from 0.5 above it.
_STEEPEST, _BELOW, _ABOVE = 1.5, 0.03, 0.5
# Levels at which Student's distribution is tabulated, number of strata of each draw's distribution in the sample from
# which quantiles are taken, and largest number of degrees of freedom in the table.
_LEVELS, _STRATA, _MOST_DEGREES = 1024, 8, 100


@record
class Draws:
    """The draws of one forecast, evaluated at some sizes.

    Attributes:
        mean: center of the log error of each draw, `(k, s)`.
        curve: scale of the curve about it, which multiplies the deviate, `(k, s)`.
        white: scale of one measurement about the curve, `(k, s)`.
        deviate: Student deviate of each draw, `(k,)`.
        deviates: stratified deviates that represent the distribution of each draw, `(strata, k)`.
        degrees: degrees of freedom of the deviates, `()`.
        bound: upper limit of the error, `()`; inf if there is none.
        width: width of the draws beyond the data relative to the default, `()`.
        family: index of each draw's family, `(k,)`.
        families: indices of all families, `(f,)`.
        size: numbers of training examples, `(s,)`.
    """

    mean: Float[Array, "k s"]
    curve: Float[Array, "k s"]
    white: Float[Array, "k s"]
    deviate: Float[Array, " k"]
    deviates: Float[Array, "strata k"]
    degrees: Float[Array, ""]
    bound: Float[Array, ""]
    width: Float[Array, ""]
    family: Int[Array, " k"]
    families: Int[Array, " f"]
    size: Float[Array, " s"]

    def first(self, count: int) -> "Draws":
        """Return the draws at the first `count` sizes."""
        rows = {name: getattr(self, name)[:, :count] for name in ("mean", "curve", "white")}
        return dataclasses.replace(self, **rows, size=self.size[:count])

    def scale(self, repeats: Num[Array, ""] | float = 1.0) -> Float[Array, "k s"]:
        """Return the scale of the mean of `repeats` measurements about the center of each draw."""
        xp = namespace(self.mean)
        scale: Array = xp.sqrt(self.curve**2 + self.white**2 / repeats)
        return scale

    def sample(self, scale: Float[Array, "k s"]) -> Float[Array, "n s"]:
        """Return a sample of the mixture of the draws' distributions, with `strata` values of each draw."""
        values = self.mean + scale * self.deviates[:, :, None]
        return values.reshape(-1, self.mean.shape[1])

    def error(self, log_error: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return the errors at log errors, limited by the bound."""
        xp = namespace(log_error)
        error: Array = xp.minimum(xp.exp(xp.clip(log_error, -80.0, 80.0)), self.bound)
        return error


def student(degrees: Float[jax.Array, ""], probability: Float[jax.Array, "..."]) -> Float[jax.Array, "..."]:
    """Return quantiles of Student's distribution from a table.

    Args:
        degrees: degrees of freedom, rounded to a whole number from 1 to 100.
        probability: levels, rounded to a grid of 1024.
    """
    import scipy.special

    levels = (np.arange(_LEVELS) + 0.5) / _LEVELS
    table = jnp.asarray(scipy.special.stdtrit(np.arange(1, _MOST_DEGREES + 1)[:, None], levels), probability.dtype)
    row = jnp.clip(jnp.round(degrees).astype(jnp.int32) - 1, 0, _MOST_DEGREES - 1)
    column = jnp.clip((probability * _LEVELS).astype(jnp.int32), 0, _LEVELS - 1)
    return table[row, column]


@jit_stored(static_argnames=("noise", "curves", "limits"), result=Draws)
def evaluate_draws(
    posterior: Posterior,
    observed: CondensedCurve,
    deviate: Float[Array, " k"],
    bound: Float[Array, ""],
    width: Float[Array, ""],
    size: Float[Array, " s"],
    noise: NoiseModels,
    curves: tuple[Curve, ...],
    limits: SlopeLimits,
) -> Draws:
    """Evaluate the draws of one curve at new sizes.

    The residuals of a draw persist beyond the data as far as its noise model correlates them (kriging).

    Args:
        posterior: the draws.
        observed: the data.
        deviate: Student deviate of each draw.
        bound: upper limit of the error; inf if there is none.
        width: factor on the widening of the draws about their median beyond the data.
        size: numbers of training examples.
        noise: noise models, static.
        curves: functions of the families, static.
        limits: limits of the rise beyond the data, static.
    """
    points, draws = observed.time.shape[0], posterior.family.shape[0]
    noise = models_of(noise, observed)
    time = jnp.log(size / observed.largest)
    at = jnp.concatenate([observed.time, time])
    log_error = evaluate_curves(curves, posterior.family, posterior.parameters, at, observed.span)
    residual = jnp.where(observed.present, observed.log_error - log_error[:, :points], 0.0)
    kriging = krige(noise, observed, time)
    departure = jnp.einsum("jmn,kn->jkm", kriging.gain, residual, precision="highest")
    mean = log_error[:, points:] + jnp.take_along_axis(departure, posterior.noise[None, :, None], axis=0)[0]
    beyond = jnp.maximum(time, 0.0)
    end = 0.0 if observed.known is None else _level_at_end(posterior, observed, log_error[:, :points], noise, curves)
    guarded = jnp.clip(mean, end - _STEEPEST * beyond - _BELOW, end + limits.steepest * beyond + _ABOVE)
    mean = jnp.where(time > 0, guarded, mean)
    middle = ascending(mean.T)[:, draws // 2]
    stretch = jnp.where(time > 0, _STRETCH * width, 1.0)
    mean = middle + stretch * (mean - middle)
    white = stretch * jnp.sqrt(posterior.variance)[:, None] * white_scale(noise, posterior.noise, time, mean)
    mean = observed.last + mean
    offset = (jnp.arange(draws, dtype=mean.dtype) * 0.6180339887) % 1.0
    place = (jnp.arange(_STRATA, dtype=mean.dtype)[:, None] + offset) / _STRATA
    curve = stretch * jnp.sqrt(posterior.variance[:, None] * kriging.spread[posterior.noise])
    surprised = jnp.arange(draws) % _EVERY == _EVERY // 2
    surprise = jnp.where(time > 0, _SURPRISE**2 * jnp.maximum(time, _AT_LEAST), 0.0)
    curve = jnp.sqrt(curve**2 + jnp.where(surprised[:, None], surprise, 0.0))
    families = jnp.arange(len(curves))
    return Draws(
        mean, curve, white, deviate, student(posterior.degrees, place), posterior.degrees,
        bound, width, posterior.family, families, size,
    )  # fmt: skip


def _level_at_end(
    posterior: Posterior,
    observed: CondensedCurve,
    log_error: Float[jax.Array, "k n"],
    noise: NoiseModels,
    curves: tuple[Curve, ...],
) -> Float[jax.Array, ""]:
    """Return the median of the draws at the largest size, relative to the error measured there, which may be vague."""
    here = jnp.zeros(1, observed.time.dtype)
    last = evaluate_curves(curves, posterior.family, posterior.parameters, here, observed.span)[:, 0]
    residual = jnp.where(observed.present, observed.log_error - log_error, 0.0)
    departure = jnp.einsum("jn,kn->kj", krige(noise, observed, here).gain[:, 0], residual, precision="highest")
    return jnp.median(last + jnp.take_along_axis(departure, posterior.noise[:, None], axis=1)[:, 0])


def compile_evaluation(
    families: Sequence[Family], noise: NoiseModels, *, draws: int, dtype: DTypeLike | None = None
) -> None:
    """Compile the evaluation of a forecast's draws by evaluating placeholders, concurrently with the forecast.

    On an accelerator, where the curves of a batch are evaluated together, do nothing.

    Args:
        families: families of the forecast.
        noise: its noise models.
        draws: number of its draws.
        dtype: dtype of the errors; JAX's default float if None.

    Examples:
        >>> from lcjax.curves.forecast.families import FAMILIES
        >>> from lcjax.curves.forecast.noise import NOISE
        >>> compile_evaluation(FAMILIES, NOISE, draws=64)
    """
    if jax.default_backend() != "cpu":
        return
    dtype = jnp.dtype(dtype or jnp.result_type(float))
    width = max(family.dimension for family in families)
    one, each, weight = np.ones((), dtype), np.zeros(draws, dtype), np.zeros(len(families), dtype)
    family, model = np.zeros(draws, np.int32), np.zeros(draws, jnp.result_type(int))
    parts: list[Any] = [weight, weight, family, np.zeros((draws, width), dtype), model, each, one]
    points = np.zeros(POINTS, dtype)
    curve: list[Any] = [points, points, points + 1, points, points, np.ones(POINTS, bool), one, one, one]
    curves = tuple(family.curve for family in families)
    sizes = np.ones(SIZES, dtype)
    evaluate_draws(Posterior(*parts), CondensedCurve(*curve), each, one, one, sizes, noise, curves, SLOPES)


def errors(draws: Draws, *, measured: bool) -> Float[Array, "k s"]:
    """Return the error of every draw at every size: of one measurement if `measured`, else of the curve."""
    scale = draws.scale() if measured else draws.curve
    return draws.error(draws.mean + scale * draws.deviate[:, None])


def quantile(draws: Draws, levels: Float[Array, " l"], *, measured: bool) -> Float[Array, "s l"]:
    """Return quantiles at each size: of one measurement if `measured`, else of the curve."""
    sample = draws.sample(draws.scale() if measured else draws.curve)
    xp = namespace(sample)
    ordered = _sort(sample)
    index = xp.clip((levels * sample.shape[0]).astype(int), 0, sample.shape[0] - 1)
    return draws.error(ordered[index].T)


def log_density(draws: Draws, error: Float[Array, " s"]) -> Float[Array, " s"]:
    """Return the log density of one measurement at each size, per unit of the error; -inf for errors of 0 or less.

    For an error at or above the bound, return the log probability that a measurement reaches the bound.
    """
    scale = draws.scale()
    xp = namespace(scale)
    degrees = xp.asarray(draws.degrees)
    is_positive = ~(error <= 0)
    error = xp.where(is_positive, error, 1.0)
    square = ((xp.log(error) - draws.mean) / scale) ** 2
    half = xp.asarray(degrees / 2)
    constant = _log_gamma(xp.asarray(half + 0.5)) - _log_gamma(half) - 0.5 * xp.log(degrees * np.pi)
    each = constant - xp.log(scale) - (degrees + 1) / 2 * xp.log1p(square / degrees)
    highest = xp.max(each, axis=0)
    density: Array = highest + xp.log(xp.mean(xp.exp(each - highest), axis=0)) - xp.log(error)
    value: Array = xp.where(is_positive, density, -xp.inf)
    if xp is np and not np.isfinite(draws.bound):
        return value
    is_bounded = xp.isfinite(draws.bound)
    edge = (xp.log(xp.where(is_bounded, draws.bound, 1.0)) - draws.mean) / scale
    atom = xp.log(xp.mean(_survival(degrees, edge), axis=0))
    mixed: Array = xp.where(is_positive & is_bounded & (error >= draws.bound), atom, value)
    return mixed


def assurance(draws: Draws, error: Float[Array, " 1"], *, repeats: Num[Array, ""] | float) -> Float[Array, " s"]:
    """Return the probability that the mean of `repeats` measurements is at most an error, at each size."""
    sample = draws.error(draws.sample(draws.scale(repeats)))
    share: Array = namespace(sample).mean(sample <= error, axis=0, dtype=sample.dtype)
    return share


def first_crossings(
    draws: Draws,
    target: Float[Array, " k"],
    largest: Float[Array, " 1"],
    *,
    share: float | None = None,
    repeats: Num[Array, ""] | float = 1.0,
    lasting: bool = False,
) -> Float[Array, " k"]:
    """Return the size at which every draw reaches an error; inf for a draw that does not.

    Args:
        draws: the draws on a grid of sizes.
        target: error that each draw has to reach.
        largest: largest size measured.
        share: share of the trainings that reach it; the curve itself if None.
        repeats: number of trainings whose mean counts as one.
        lasting: True for the size from which the draw stays there up to the largest size measured.
    """
    curve = errors(draws, measured=False)
    if share is not None:
        xp = namespace(curve)
        deviate = _student_quantile(draws.degrees, share)
        stretch = _STRETCH * xp.asarray(draws.width)
        noise = xp.where(draws.size > largest * (1 + 1e-5), draws.white / stretch, draws.white)
        curve = draws.error(xp.log(curve) + deviate * noise / xp.sqrt(xp.asarray(repeats, curve.dtype)))
    return first_crossing(draws.size, worst_from_here(draws.size, curve, largest) if lasting else curve, target)


def largest_rises(draws: Draws) -> Float[Array, " k"]:
    """Return the largest rise of every draw over its sizes, in log error."""
    return largest_rise(errors(draws, measured=False))


def information(
    draws: Draws, error: Float[Array, " k"], smallest: Float[Array, " 1"], *, repeats: tuple[int, ...]
) -> Float[Array, "s r"]:
    """Return the expected information about the size for a target by measurements, see `expected_information`.

    Args:
        draws: the draws at the candidate sizes.
        error: size at which each draw reaches the target.
        smallest: smallest size measured.
        repeats: numbers of trainings averaged.
    """
    xp = namespace(draws.mean)
    place = np.arange(draws.mean.shape[0])
    outcome = draws.deviates[place // 4 % _STRATA, place]
    rest = outcome, xp.asarray(draws.degrees), error, xp.asarray(smallest[0])
    if xp is jnp:
        return expected_information(draws.mean, draws.curve, draws.white, *rest, repeats=repeats)
    _, first, inverse = np.unique(draws.size, return_index=True, return_inverse=True)
    mean, curve, white = (values[:, first] for values in (draws.mean, draws.curve, draws.white))
    each = expected_information(mean, curve, white, *rest, repeats=repeats)
    return np.asarray(each)[inverse]


def family_curves(draws: Draws) -> Float[Array, "f s"]:
    """Return the median curve of the draws of each family; nan for a family without draws."""
    xp = namespace(draws.mean)
    rows = []
    for index in range(draws.families.shape[0]):
        member = draws.family == index
        ordered = _sort(xp.where(member[:, None], draws.mean, xp.inf))
        middle = xp.maximum(xp.sum(member) - 1, 0) // 2
        rows.append(xp.where(xp.any(member), ordered[middle], xp.nan))
    return draws.error(xp.stack(rows))


def _sort(values: Float[Array, "n s"]) -> Float[Array, "n s"]:
    """Sort each column; JAX arrays as integers, because XLA sorts floating-point numbers slowly on a CPU."""
    return ascending(values.T).T if isinstance(values, jax.Array) else np.sort(values, axis=0)


def _survival(degrees: Float[Array, ""], deviate: Float[Array, "k s"]) -> Float[Array, "k s"]:
    """Return the probability that Student's deviate is larger, at least the smallest positive number of the dtype."""
    import scipy.special

    xp = namespace(deviate)
    incomplete_beta = (jax.scipy if isinstance(deviate, jax.Array) else scipy).special.betainc
    tail = 0.5 * incomplete_beta(degrees / 2, 0.5, degrees / (degrees + deviate**2))
    survival: Array = xp.maximum(xp.where(deviate > 0, tail, 1 - tail), np.finfo(deviate.dtype).tiny)
    return survival


def _student_quantile(degrees: Float[Array, ""], probability: float) -> Float[Array, ""]:
    if isinstance(degrees, jax.Array):
        return student(degrees, jnp.asarray(probability, degrees.dtype))
    import scipy.special

    return np.asarray(scipy.special.stdtrit(degrees, probability), degrees.dtype)


def _log_gamma(x: Float[Array, ""]) -> Float[Array, ""]:
    if isinstance(x, jax.Array):
        return jax.scipy.special.gammaln(x)
    import scipy.special

    return np.asarray(scipy.special.gammaln(x))
