"""Forecasts of learning curves: a Bayesian average over families of curves, with joint draws of whole curves."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Num

from lcjax.curves.forecast.batching import map_curves, padded_length
from lcjax.curves.forecast.condensed import POINTS, CondensedCurve, condense
from lcjax.curves.forecast.families import FAMILIES, Curve, Family
from lcjax.curves.forecast.next_size import NextSize, rank_measurements
from lcjax.curves.forecast.noise import NOISE, NoiseModels, krige
from lcjax.curves.forecast.posterior import Posterior, condition, coprime, evaluate_curves
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.size_for_error import SizeForError, first_crossing
from lcjax.kernels.compilation import jit, namespace
from lcjax.kernels.integer_sort import ascending
from lcjax.records import record
from lcjax.typing import Array, KeyArray

__all__ = ["Forecast", "forecast"]

# Intervals are widened about the median: the families are not the truth. Measured on the development sets.
_STRETCH = 1.25
# One draw in 50 expects a surprise, such as a sudden fall: beyond the data its curve has a standard deviation of 0.8
# times the square root of the log ratio of sizes, which counts as at least 0.1.
_SURPRISE, _EVERY, _AT_LEAST = 0.8, 50, 0.1
# Beyond the data no draw falls faster than size^-1.5 or rises faster than size^0.7 from the last error.
_STEEPEST, _RISE, _BELOW, _ABOVE = 1.5, 0.7, 0.03, 0.5
_HORIZON, _GRID = 1e6, 128
_SIZES = 128  # least number of sizes evaluated at once; fewer are padded, so that one program serves them all
# Levels at which Student's distribution is tabulated, and strata of each draw from which quantiles are taken.
_LEVELS, _STRATA, _MOST_DEGREES = 1024, 8, 100


@record
class Forecast:
    """The posterior of a learning curve, as joint draws of whole curves.

    Every answer is computed from the same k draws. A draw is a family, its parameters, a noise model and one deviate:
    a function of the size.

    Attributes:
        posterior: the draws.
        observed: the curve to which they are fitted.
        deviate: Student deviate of each draw, `(*b, k)`.
        bound: upper limit of the error; inf if there is none, `(*b,)`.
        noise: noise models, the same for all curves.
        families: names of the families.
        words: description of each family.
        curves: their functions.
    """

    posterior: Posterior
    observed: CondensedCurve
    deviate: Float[Array, "*b k"]
    bound: Float[Array, "*b"]
    noise: NoiseModels = jax.tree.static()
    families: tuple[str, ...] = jax.tree.static()
    words: tuple[str, ...] = jax.tree.static()
    curves: tuple[Curve, ...] = jax.tree.static()

    @property
    def weight(self) -> Float[Array, "*b f"]:
        """Return the posterior weight of each family, `(*b, f)`."""
        return self.posterior.weight

    @property
    def largest(self) -> Float[Array, "*b"]:
        """Return the largest size measured, `(*b,)`."""
        return self.observed.largest

    def predict(self, size: Num[Array, "..."]) -> Float[Array, "..."]:
        """Forecast the error, `(*b, s)`: the median of the posterior of the curve.

        Sizes are `(s,)` for all curves or `(*b, s)`, here and in the other methods.
        """
        return self.quantile(size, 0.5, measured=False)[..., 0]

    def quantile(
        self, size: Num[Array, "..."], levels: Float[Array, " l"] | Sequence[float] | float, *, measured: bool = True
    ) -> Float[Array, "..."]:
        """Return quantiles of a measurement of the error, or of the curve, `(*b, s, l)`.

        Args:
            size: numbers of training examples.
            levels: probabilities, in (0, 1).
            measured: True for one measurement with its noise, False for the curve without it.
        """
        return self._at(functools.partial(_quantile, measured=measured), size, np.atleast_1d(np.asarray(levels)))

    def interval(
        self, size: Num[Array, "..."], level: float = 0.9, *, measured: bool = True
    ) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """Return the central interval of probability `level`: two limits, each `(*b, s)`."""
        limits = self.quantile(size, [0.5 - level / 2, 0.5 + level / 2], measured=measured)
        return limits[..., 0], limits[..., 1]

    def predict_draws(self, size: Num[Array, "..."], *, measured: bool = False) -> Float[Array, "..."]:
        """Evaluate every draw, `(*b, k, s)`: error curves, or with the noise of a measurement.

        A draw has one deviate, so that its noise is of the same sign and rank at all sizes.
        """
        return self._at(functools.partial(_draws, measured=measured), size)

    def log_density(self, size: Num[Array, "..."], error: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return the log density of measurements of the error, per unit of the error, `(*b, s)`.

        Args:
            size: numbers of training examples.
            error: measured errors, `(s,)` or `(*b, s)`.
        """
        batch = self.deviate.shape[:-1]
        count = np.shape(size)[-1]
        return self._at(_log_density, size, each=namespace(error).broadcast_to(error, (*batch, count)))

    def assurance(
        self, error: Num[Array, "..."] | float, size: Num[Array, "..."], *, repeats: Num[Array, ""] | float = 1.0
    ) -> Float[Array, "..."]:
        """Return the probability that the mean error of `repeats` trainings at a size is at most `error`, `(*b, s)`.

        Args:
            error: target, `()` or `(*b,)`.
            size: numbers of training examples.
            repeats: number of trainings; `inf` for the curve itself.
        """
        return self._at(functools.partial(_assurance, repeats=repeats), size, each=self._each(error))

    def family_curves(self, size: Num[Array, "..."]) -> Float[Array, "..."]:
        """Return the median curve of the draws of each family, `(*b, f, s)`; nan for a family without draws."""
        return self._at(_family_curves, size)

    def size_for_error(self, error: Num[Array, "..."] | float, level: float = 0.9) -> SizeForError:
        """Return the number of training examples at which the curve first falls to an error, `()` or `(*b,)`.

        Value, limits and probabilities come from the first crossings of all draws, from the smallest size measured to a
        million times the largest one. A draw that starts at or below the target counts as the smallest size
        (`at_smallest`), one that does not reach it as infinite (`never`). The value is the median crossing.
        """
        crossing = self._crossings(error)
        xp = namespace(crossing)
        middle = xp.asarray(xp.quantile(crossing, 0.5, axis=-1, method="lower"))
        smallest = xp.asarray(self.observed.smallest)[..., None]
        at_smallest = xp.mean(crossing <= smallest * (1 + 1e-5), axis=-1, dtype=crossing.dtype)
        return SizeForError.from_draws(middle, crossing, level).with_smallest(xp.asarray(at_smallest))

    def next_size(
        self,
        error: Num[Array, "..."] | float,
        *,
        candidates: Num[Array, "..."] | None = None,
        cost: Num[Array, "..."] | None = None,
    ) -> NextSize:
        """Select the measurement that is expected to narrow the interval of `size_for_error(error)` most for its cost.

        Draws that do not reach the target count as a million times the largest size; see `rank_measurements`.

        Args:
            error: target, `()` or `(*b,)`.
            candidates: sizes to choose from, `(c,)` or `(*b, c)`; by default 1/4 to 16 times the largest size.
            cost: cost of each candidate, in any unit and of the same shape; its size by default.
        """
        crossing = self._crossings(error)
        xp = namespace(crossing)
        largest = xp.asarray(self.largest)
        if candidates is None:
            candidates = largest[..., None] * 2.0 ** xp.arange(-2, 5).astype(largest.dtype)
        candidates = xp.asarray(candidates, largest.dtype)
        target_size = xp.minimum(crossing, _HORIZON * largest[..., None])
        return rank_measurements(candidates, self.predict_draws(candidates), target_size, self.noise_level, cost)

    @property
    def noise_level(self) -> Float[Array, "*b"]:
        """Return the relative standard deviation of one measurement at the largest size, median over the draws."""
        variance = self.posterior.variance
        level: Array = namespace(variance).sqrt(namespace(variance).median(variance, axis=-1))
        return level

    def _crossings(self, error: Num[Array, "..."] | float) -> Float[Array, "*b k"]:
        """Return the size at which every draw first falls to an error; the smallest size if it starts there."""
        xp = namespace(self.observed.largest)
        smallest, largest = xp.asarray(self.observed.smallest), xp.asarray(self.observed.largest)
        step = np.linspace(0.0, 1.0, _GRID)
        low, high = xp.log(smallest)[..., None], xp.log(largest * _HORIZON)[..., None]
        sizes = xp.exp(low + (high - low) * step.astype(low.dtype))
        return self._at(_first_crossings, sizes, each=self._each(error))

    def _each(self, error: Num[Array, "..."] | float) -> Num[Array, "..."]:
        """Return one number for each curve, `(*b, 1)`."""
        error = namespace(error).asarray(error, self.deviate.dtype)
        each: Array = namespace(error).broadcast_to(error, self.deviate.shape[:-1])[..., None]
        return each

    def _at(
        self,
        reduce: Callable[..., Array],
        size: Num[Array, "..."],
        *shared: Array,
        each: Num[Array, "..."] | None = None,
    ) -> Float[Array, "..."]:
        """Evaluate the draws of every curve of the batch at its sizes and reduce them.

        The draws are evaluated by one compiled program, with sizes padded to few lengths. Concrete ones are reduced by
        NumPy, which compiles nothing, traced ones by the same functions in JAX.

        Args:
            reduce: function of the draws' parts (`_Parts`), of `shared` and of the row of `each`.
            size: sizes, `(s,)` or `(*b, s)`.
            shared: arguments for all curves.
            each: an argument with one row for each curve, `(*b, n)`.
        """
        batch = self.deviate.shape[:-1]
        xp = namespace(size)
        size = xp.asarray(size, self.deviate.dtype)
        count = size.shape[-1]
        size = xp.broadcast_to(size, (*batch, count))
        pad = [(0, 0)] * len(batch) + [(0, padded_length(count, least=_SIZES) - count)]
        size = xp.pad(size, pad, mode="edge")

        def one(ahead: Forecast, size: Float[Array, " s"], *own: Array) -> Array:
            parts = _parts(ahead, jnp.asarray(size))
            if not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(parts)):
                parts = jax.tree.map(np.asarray, parts)
            return reduce(parts.first(count), *shared, *own)

        return map_curves(one, batch, self, size, *(() if each is None else (each,)))


@record
class _Parts:
    """The draws of one forecast at some sizes.

    Attributes:
        mean: mean of the log error of each draw, `(k, s)`.
        curve: standard deviation of the curve about it, in units of the deviates, `(k, s)`.
        white: that of a measurement about the curve, `(k,)`.
        deviate: deviate of each draw, `(k,)`.
        deviates: deviates of each draw that represent its own distribution, `(strata, k)`.
        degrees: degrees of freedom of the deviates.
        bound: upper limit of the error.
        family: index of each draw's family, `(k,)`.
        families: all indices, `(f,)`.
        size: sizes, `(s,)`.
    """

    mean: Float[Array, "k s"]
    curve: Float[Array, "k s"]
    white: Float[Array, " k"]
    deviate: Float[Array, " k"]
    deviates: Float[Array, "strata k"]
    degrees: Float[Array, ""]
    bound: Float[Array, ""]
    family: Int[Array, " k"]
    families: Int[Array, " f"]
    size: Float[Array, " s"]

    def first(self, count: int) -> "_Parts":
        """Return the parts at the first `count` sizes."""
        rows = {name: getattr(self, name)[:, :count] for name in ("mean", "curve")}
        return dataclasses.replace(self, **rows, size=self.size[:count])

    def scale(self, repeats: Num[Array, ""] | float = 1.0) -> Float[Array, "k s"]:
        """Return the standard deviation of the mean of `repeats` measurements."""
        xp = namespace(self.mean)
        scale: Array = xp.sqrt(self.curve**2 + self.white[:, None] ** 2 / repeats)
        return scale

    def sample(self, scale: Float[Array, "k s"]) -> Float[Array, "n s"]:
        """Return a sample of the mixture of all draws' own distributions."""
        values = self.mean + scale * self.deviates[:, :, None]
        return values.reshape(-1, self.mean.shape[1])

    def error(self, log_error: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return bounded errors."""
        xp = namespace(log_error)
        error: Array = xp.minimum(xp.exp(xp.clip(log_error, -80.0, 80.0)), self.bound)
        return error


def forecast(
    key: KeyArray,
    curve: LearningCurve,
    *,
    families: Sequence[Family] = FAMILIES,
    noise: NoiseModels = NOISE,
    chance: Float[Array, "..."] | float | None = None,
    draws: int = 512,
    chains: int = 64,
    moves: int = 12,
) -> Forecast:
    """Forecast a learning curve, or each curve of a ragged batch, by Bayesian averaging over families of curves.

    With t = log(size / largest size), the log error is

        log error_i = level + h(t_i; u) + d(t_i) + e_i

    where h is a family with a normal prior of its parameters u (`lcjax.curves.forecast.families`), d a correlated
    departure from it and e white noise (`lcjax.curves.forecast.noise`). Level and variance are integrated out; the
    parameters are sampled by tempered sequential Monte Carlo; families are weighed by `prior * evidence^0.7`. The
    forecast is the median over joint draws of family, parameters and noise.

    Args:
        key: a typed key.
        curve: sizes and errors, `(s,)` or `(*b, s)`; nan marks an absent size. An error that is the mean of repeats has
            the weight of their number, and their spread informs the noise.
        families: families to average, static functions with arrays as priors; see `Family` for one of your own.
        noise: noise models, static.
        chance: chance error, `()` or `(*b,)`: an upper limit of the forecast, at which families with a plateau begin.
        draws: number of joint draws k of every curve, static.
        chains: number of chains by which each family is sampled, static.
        moves: moves of each chain at each temperature, static; the precision of the evidence grows with both.

    Returns:
        `Forecast` with k draws of every curve; nan where a curve has no size.

    Raises:
        ValueError: the shapes disagree, no family is given, or there are no draws.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> size = jnp.array([100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0])
        >>> ahead = forecast(jax.random.key(0), LearningCurve(size, 1.2 * size**-0.4))
        >>> bool(abs(ahead.predict(jnp.array([12800.0]))[0] / 0.0273 - 1) < 0.1)
        True
    """
    if not families or draws < 1:
        raise ValueError(f"forecast needs a family and at least one draw, got {len(families)} and draws={draws}.")
    error = jnp.asarray(curve.error)
    if not jnp.issubdtype(error.dtype, jnp.floating):
        error = error.astype(jnp.result_type(float))
    size = jnp.asarray(curve.size, error.dtype)
    if size.ndim < 1 or error.ndim < 1 or size.shape[-1] != error.shape[-1]:
        raise ValueError(f"Sizes and errors must have the same last axis, got shapes {size.shape} and {error.shape}.")
    size = jnp.broadcast_to(size, error.shape)
    batch = error.shape[:-1]
    count, within = jnp.ones_like(error), jnp.zeros_like(error)
    if curve.replicates is not None:
        runs = jnp.asarray(curve.replicates, error.dtype)
        there = jnp.isfinite(runs) & (runs > 0)
        count = jnp.maximum(jnp.sum(there, axis=-2), 1).astype(error.dtype)
        logs = jnp.where(there, jnp.log(jnp.where(there, runs, 1.0)), 0.0)
        mean = jnp.sum(logs, axis=-2, keepdims=True) / count[..., None, :]
        within = jnp.sum(jnp.where(there, logs - mean, 0.0) ** 2, axis=-2)
        count, within = (jnp.broadcast_to(a, error.shape) for a in (count, within))
    pad = padded_length(error.shape[-1], least=POINTS) - error.shape[-1]
    fill = [(0, 0)] * len(batch) + [(0, pad)]
    error = jnp.pad(error, fill, constant_values=jnp.nan)
    size, count, within = (jnp.pad(a, fill, constant_values=1) for a in (size, count, within))
    limit = jnp.broadcast_to(jnp.asarray(jnp.nan if chance is None else chance, error.dtype), batch)
    keys = jax.random.split(key, batch) if batch else key
    families = tuple(families)

    def one(
        key: KeyArray, size: jax.Array, error: jax.Array, count: jax.Array, within: jax.Array, chance: jax.Array
    ) -> tuple[Posterior, CondensedCurve, jax.Array, jax.Array]:
        return _forecast_one(
            key, size, error, count, within, chance, families, noise=noise, draws=draws, chains=chains, moves=moves
        )

    posterior, observed, deviate, bound = map_curves(one, batch, keys, size, error, count, within, limit)
    names = tuple(family.name for family in families)
    return Forecast(
        posterior, observed, deviate, bound, noise, names, tuple(family.words for family in families),
        tuple(family.curve for family in families),
    )  # fmt: skip


@jit(static_argnames=("noise", "draws", "chains", "moves"))
def _forecast_one(
    key: KeyArray,
    size: Float[jax.Array, " s"],
    error: Float[jax.Array, " s"],
    count: Float[jax.Array, " s"],
    within: Float[jax.Array, " s"],
    chance: Float[jax.Array, ""],
    families: tuple[Family, ...],
    *,
    noise: NoiseModels,
    draws: int,
    chains: int,
    moves: int,
) -> tuple[Posterior, CondensedCurve, jax.Array, jax.Array]:
    observed = condense(size, error, count, within)
    posterior_key, deviate_key = jax.random.split(key)
    posterior = condition(posterior_key, observed, families, noise, chance, draws=draws, chains=chains, moves=moves)
    start = jax.random.randint(deviate_key, (), 0, draws)
    place = ((jnp.arange(draws) * coprime(draws) + start) % draws + 0.5) / draws
    deviate = _student(posterior.degrees, place)
    return posterior, observed, deviate, jnp.where(jnp.isnan(chance), jnp.inf, chance)


def _student(degrees: Float[jax.Array, ""], probability: Float[jax.Array, "..."]) -> Float[jax.Array, "..."]:
    """Return quantiles of Student's distribution from a table, for up to 100 degrees of freedom."""
    import scipy.special

    levels = (np.arange(_LEVELS) + 0.5) / _LEVELS
    table = jnp.asarray(scipy.special.stdtrit(np.arange(1, _MOST_DEGREES + 1)[:, None], levels), probability.dtype)
    row = jnp.clip(jnp.round(degrees).astype(jnp.int32) - 1, 0, _MOST_DEGREES - 1)
    column = jnp.clip((probability * _LEVELS).astype(jnp.int32), 0, _LEVELS - 1)
    return table[row, column]


@jit
def _parts(ahead: Forecast, size: Float[jax.Array, " s"]) -> _Parts:
    """Evaluate the draws of one curve."""
    posterior, observed = ahead.posterior, ahead.observed
    points, draws = observed.time.shape[0], posterior.family.shape[0]
    time = jnp.log(size / observed.largest)
    at = jnp.concatenate([observed.time, time])
    log_error = evaluate_curves(ahead.curves, posterior.family, posterior.parameters, at, observed.span)
    residual = jnp.where(observed.present, observed.log_error - log_error[:, :points], 0.0)
    kriging = krige(ahead.noise, observed, time)
    departure = jnp.einsum("jmn,kn->jkm", kriging.gain, residual, precision="highest")
    mean = log_error[:, points:] + jnp.take_along_axis(departure, posterior.noise[None, :, None], axis=0)[0]
    beyond = jnp.maximum(time, 0.0)
    guarded = jnp.clip(mean, -_STEEPEST * beyond - _BELOW, _RISE * beyond + _ABOVE)
    mean = jnp.where(time > 0, guarded, mean)
    middle = ascending(mean.T)[:, draws // 2]
    mean = observed.last + middle + _STRETCH * (mean - middle)
    white = _STRETCH * jnp.sqrt(posterior.variance)
    offset = (jnp.arange(draws, dtype=mean.dtype) * 0.6180339887) % 1.0
    place = (jnp.arange(_STRATA, dtype=mean.dtype)[:, None] + offset) / _STRATA
    curve = white[:, None] * jnp.sqrt(kriging.spread[posterior.noise])
    surprised = jnp.arange(draws) % _EVERY == _EVERY // 2
    surprise = jnp.where(time > 0, _SURPRISE**2 * jnp.maximum(time, _AT_LEAST), 0.0)
    curve = jnp.sqrt(curve**2 + jnp.where(surprised[:, None], surprise, 0.0))
    families = jnp.arange(len(ahead.families))
    return _Parts(
        mean, curve, white, jnp.asarray(ahead.deviate), _student(posterior.degrees, place), posterior.degrees,
        jnp.asarray(ahead.bound), posterior.family, families, size,
    )  # fmt: skip


def _draws(parts: _Parts, *, measured: bool) -> Float[Array, "k s"]:
    scale = parts.scale() if measured else parts.curve
    return parts.error(parts.mean + scale * parts.deviate[:, None])


def _quantile(parts: _Parts, levels: Float[Array, " l"], *, measured: bool) -> Float[Array, "s l"]:
    sample = parts.sample(parts.scale() if measured else parts.curve)
    xp = namespace(sample)
    ordered = xp.sort(sample, axis=0)
    index = xp.clip((levels * sample.shape[0]).astype(int), 0, sample.shape[0] - 1)
    return parts.error(ordered[index].T)


def _log_density(parts: _Parts, error: Float[Array, " s"]) -> Float[Array, " s"]:
    scale = parts.scale()
    xp = namespace(scale)
    degrees = xp.asarray(parts.degrees)
    square = ((xp.log(error) - parts.mean) / scale) ** 2
    special = jax.scipy.special if xp is jnp else __import__("scipy.special").special
    constant = special.gammaln((degrees + 1) / 2) - special.gammaln(degrees / 2) - 0.5 * xp.log(degrees * np.pi)
    each = constant - xp.log(scale) - (degrees + 1) / 2 * xp.log1p(square / degrees)
    highest = xp.max(each, axis=0)
    density: Array = highest + xp.log(xp.mean(xp.exp(each - highest), axis=0)) - xp.log(error)
    return density


def _assurance(parts: _Parts, error: Float[Array, " 1"], *, repeats: Num[Array, ""] | float) -> Float[Array, " s"]:
    sample = parts.error(parts.sample(parts.scale(repeats)))
    share: Array = namespace(sample).mean(sample <= error, axis=0, dtype=sample.dtype)
    return share


def _first_crossings(parts: _Parts, error: Float[Array, " 1"]) -> Float[Array, " k"]:
    return first_crossing(parts.size, _draws(parts, measured=False), error)


def _family_curves(parts: _Parts) -> Float[Array, "f s"]:
    xp = namespace(parts.mean)
    rows = []
    for index in range(parts.families.shape[0]):
        member = parts.family == index
        ordered = xp.sort(xp.where(member[:, None], parts.mean, xp.inf), axis=0)
        middle = xp.maximum(xp.sum(member) - 1, 0) // 2
        rows.append(xp.where(xp.any(member), ordered[middle], xp.nan))
    return parts.error(xp.stack(rows))
