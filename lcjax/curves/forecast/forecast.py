"""Forecasts of learning curves: a Bayesian average over families of curves, with joint draws of whole curves."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Num

from lcjax.curves.answer.joint_draws import JointDraws, search_grid, spread_target
from lcjax.curves.answer.plausibility import warn_of_rise
from lcjax.curves.forecast import draws as draws_of
from lcjax.curves.forecast.batching import bucket_length, is_traced, map_curves
from lcjax.curves.forecast.condensed import POINTS, CondensedCurve, CurveData, condense, summarize_repeats
from lcjax.curves.forecast.draws import SIZES, evaluate_draws, student
from lcjax.curves.forecast.families import FAMILIES, Curve, Family, check_families
from lcjax.curves.forecast.noise import NOISE, NoiseModels
from lcjax.curves.forecast.posterior import SLOPES, Posterior, SlopeLimits, condition, coprime
from lcjax.curves.learning_curve import LearningCurve, check_curve, check_test_count
from lcjax.curves.readers.holders import CurveSource, curve_of
from lcjax.curves.standard_errors import known_variance
from lcjax.formats import format_size
from lcjax.kernels.compilation import namespace
from lcjax.kernels.stored_programs import jit_stored
from lcjax.records import record
from lcjax.typing import Array, KeyArray, check_key

__all__ = ["Forecast", "forecast"]


@record
class Forecast(JointDraws):
    """The posterior of a learning curve, as joint draws of whole curves.

    Every result is computed from the same k draws. A draw consists of a family, its parameters, a noise model and one
    deviate, which together define a function of the size.

    Attributes:
        posterior: the draws.
        observed: the measured curve, condensed to 32 points.
        measured: sizes and errors as measured, `(*b, s)`; nan where absent.
        deviate: Student deviate of each draw, `(*b, k)`.
        bound: upper limit of the error; inf if there is none, `(*b,)`.
        width: width of the draws beyond the data about their median, relative to the default one, `(*b,)`; 1 unless the
            forecasts were pooled.
        noise: noise models, the same for all curves.
        families: names of the families.
        words: description of the shape of each family.
        curves: functions of the families.
        limits: limits of the rise beyond the data.
    """

    posterior: Posterior
    observed: CondensedCurve
    measured: LearningCurve
    deviate: Float[Array, "*b k"]
    bound: Float[Array, "*b"]
    width: Float[Array, "*b"]
    noise: NoiseModels = jax.tree.static()
    families: tuple[str, ...] = jax.tree.static()
    words: tuple[str, ...] = jax.tree.static()
    curves: tuple[Curve, ...] = jax.tree.static()
    limits: SlopeLimits = jax.tree.static(default=SLOPES)

    @property
    def weight(self) -> Float[Array, "*b f"]:
        """Return the posterior weight of each family, `(*b, f)`."""
        return self.posterior.weight

    @property
    def largest(self) -> Float[Array, "*b"]:
        """Return the largest size measured, `(*b,)`."""
        return self.observed.largest

    def headline(self) -> str:
        """Return the error that is expected at four times the largest size, for notebooks; nothing for a batch."""
        if np.ndim(self.largest):
            return ""
        size = 4 * np.asarray(self.largest)[None]
        error, low, high = (float(np.asarray(one)[0]) for one in (self.predict(size), *self.interval(size)))
        return f"Error at {format_size(size[0])} examples: {error:.3g} (90 % interval {low:.3g} to {high:.3g})"

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

        Raises:
            ValueError: a level is outside (0, 1).
        """
        levels = np.atleast_1d(np.asarray(levels))
        if not np.all((levels > 0) & (levels < 1)):
            raise ValueError(f"Levels are probabilities between 0 and 1, got {levels.tolist()}.")
        return self.evaluate(functools.partial(draws_of.quantile, measured=measured), size, levels)

    def interval(
        self, size: Num[Array, "..."], level: float = 0.9, *, measured: bool = True
    ) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """Return the central interval of probability `level`: two limits, each `(*b, s)`."""
        limits = self.quantile(size, [0.5 - level / 2, 0.5 + level / 2], measured=measured)
        return limits[..., 0], limits[..., 1]

    def predict_draws(self, size: Num[Array, "..."], *, measured: bool = False) -> Float[Array, "..."]:
        """Evaluate every draw, `(*b, k, s)`: error curves, or measurements with their noise.

        A draw has one deviate, so its noise has the same sign and rank at all sizes.

        Args:
            size: numbers of training examples.
            measured: True for one measurement with its noise, False for the curve without it.
        """
        return self.evaluate(functools.partial(draws_of.errors, measured=measured), size)

    def log_density(self, size: Num[Array, "..."], error: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return the log density of measurements of the error, per unit of the error, `(*b, s)`.

        With a chance error, values above it count as chance. For an error at or above chance, the result is the
        logarithm of their total probability, which together with the density below chance adds up to 1. For errors of
        0 or less it is -inf.

        Args:
            size: numbers of training examples.
            error: measured errors, `(s,)` or `(*b, s)`.
        """
        batch = self.deviate.shape[:-1]
        count = np.shape(size)[-1]
        return self.evaluate(draws_of.log_density, size, each=(namespace(error).broadcast_to(error, (*batch, count)),))

    def assurance(
        self, error: Num[Array, "..."] | float, size: Num[Array, "..."], *, repeats: Num[Array, ""] | float = 1.0
    ) -> Float[Array, "..."]:
        """Return the probability that the mean error of `repeats` trainings is at most `error`, `(*b, s)`.

        Args:
            error: target, `()` or `(*b,)`.
            size: numbers of training examples.
            repeats: number of trainings, positive; `inf` for the curve itself.

        Raises:
            ValueError: `repeats` is not positive.
        """
        if not is_traced(repeats) and not np.all(np.asarray(repeats) > 0):
            raise ValueError(f"repeats must be positive, got {repeats}.")
        return self.evaluate(functools.partial(draws_of.assurance, repeats=repeats), size, each=(self._each(error),))

    def family_curves(self, size: Num[Array, "..."]) -> Float[Array, "..."]:
        """Return the median curve of the draws of each family, `(*b, f, s)`; nan for a family without draws."""
        return self.evaluate(draws_of.family_curves, size)

    @property
    def noise_level(self) -> Float[Array, "*b"]:
        """Return the relative standard deviation of one measurement at the largest size, median over draws, `(*b,)`."""
        variance = self.posterior.variance
        xp = namespace(variance)
        level: Array = xp.asarray(xp.sqrt(xp.median(variance, axis=-1)))
        return level

    def _range(self) -> tuple[Float[Array, "*b"], Float[Array, "*b"]]:
        xp = namespace(self.observed.largest)
        return xp.asarray(self.observed.smallest), xp.asarray(self.observed.largest)

    def _crossings(
        self,
        error: Num[Array, "..."] | float,
        *,
        share: float | None = None,
        repeats: float = 1.0,
        lasting: bool = False,
    ) -> Float[Array, "*b k"]:
        smallest, largest = self._range()
        reduce = functools.partial(draws_of.first_crossings, share=share, repeats=repeats, lasting=lasting)
        return self.evaluate(
            reduce,
            search_grid(smallest, largest),
            each=(self._targets(error, self.deviate.shape[-1]), largest[..., None]),
        )

    def _information(
        self, error: Num[Array, "..."] | float, sizes: Float[Array, "..."], repeats: tuple[int, ...]
    ) -> Float[Array, "*b c r"]:
        smallest, largest = self._range()
        sizes = namespace(sizes).where(namespace(sizes).isnan(sizes), largest[..., None], sizes)
        reduce = functools.partial(draws_of.information, repeats=repeats)
        return self.evaluate(reduce, sizes, each=(self._crossings(error), smallest[..., None]))

    def _rises(self) -> Float[Array, "*b k"]:
        smallest, largest = self._range()
        steps = np.linspace(0.0, 1.0, SIZES).astype(largest.dtype)
        xp = namespace(largest)
        low, high = xp.log(smallest)[..., None], xp.log(largest)[..., None]
        return self.evaluate(draws_of.largest_rises, xp.exp(low + (high - low) * steps))

    def _each(self, error: Num[Array, "..."] | float) -> Num[Array, "..."]:
        """Broadcast an error to one number for each curve, `(*b, 1)`."""
        each: Array = spread_target(error, self.deviate.shape[:-1], self.deviate.dtype)[..., None]
        return each

    def evaluate(
        self,
        reduce: Callable[..., Array],
        size: Num[Array, "..."],
        *shared: Array,
        each: tuple[Num[Array, "..."], ...] = (),
    ) -> Float[Array, "..."]:
        """Evaluate the draws of every curve of the batch at its sizes and reduce them.

        The draws are evaluated by a compiled program, with sizes padded to one of a few lengths. Concrete draws are
        reduced by NumPy, which needs no compilation, and traced ones by the same functions in JAX.

        Args:
            reduce: function of the `Draws`, of `shared` and of the curve's row of every array of `each`.
            size: sizes, `(s,)` or `(*b, s)`.
            shared: arguments for all curves.
            each: arguments with one row for each curve, `(*b, n)`.
        """
        batch = self.deviate.shape[:-1]
        traced = is_traced(self, size, each)
        xp = jnp if traced else np
        size = xp.asarray(size, self.deviate.dtype)
        if size.ndim < 1:
            raise ValueError(f"Sizes need shape (s,) or (*b, s), got a scalar: pass [{size}].")
        count = size.shape[-1]
        size = xp.broadcast_to(size, (*batch, count))
        pad = [(0, 0)] * len(batch) + [(0, bucket_length(count, least=SIZES) - count)]
        size = xp.pad(size, pad, mode="edge")

        def one(
            posterior: Posterior,
            observed: CondensedCurve,
            deviate: Array,
            bound: Array,
            width: Array,
            size: Array,
            *own: Array,
        ) -> Array:
            models = self.noise, self.curves, self.limits
            draws = evaluate_draws(posterior, observed, deviate, bound, width, size, *models)
            if not is_traced(draws):
                draws = jax.tree.map(np.asarray, draws)
            return reduce(draws.first(count), *shared, *own)

        rows = (self.posterior, self.observed, self.deviate, self.bound, self.width, size, *each)
        return map_curves(one, batch, *rows, traced=traced)


def forecast(
    key: KeyArray,
    curve: CurveSource,
    *,
    families: Sequence[Family] = FAMILIES,
    noise: NoiseModels = NOISE,
    limits: SlopeLimits = SLOPES,
    chance: Float[Array, "..."] | float | None = None,
    allow_rising: bool = False,
    draws: int = 512,
    chains: int = 32,
    moves: int = 24,
) -> Forecast:
    """Forecast a learning curve, or each curve of a ragged batch, by Bayesian averaging over families of curves.

    With t = log(size / largest size), the log error is

        log error_i = level + h(t_i; u) + d(t_i) + e_i

    where h is a family with a normal prior of its parameters u (`lcjax.curves.forecast.families`), d a correlated
    departure from it and e white noise (`lcjax.curves.forecast.noise`). Level and variance are integrated out; the
    parameters are sampled by sequential Monte Carlo (`lcjax.kernels.sampling.tempering`); families are weighted by
    `prior * evidence^0.5`. The forecast is the median over joint draws of family, parameters and noise.

    Args:
        key: a typed key.
        curve: sizes and errors, `(s,)` or `(*b, s)`; nan marks an absent size. An error that is the mean of repeats is
            weighted by their number, and their spread informs the noise. `test_count` widens the answers for targets.
            An error of 0 counts as half an error in `test_count` examples, or as half of the smallest positive error.
            Standard errors enter as known variances beside that of the trainings, see
            `lcjax.curves.standard_errors.known_variance`: points with larger ones have less weight.
            Also the measurements of `lcjax.collect`, `(s,)`, or a table of `lcjax.read_curves`, `(b, s)`.
        families: families to average, static functions with arrays as priors; see `Family` for one of your own.
        noise: noise models, static.
        limits: limits of the rise beyond the data, static; `SLOPES` allows little rise.
        chance: chance error, `()` or `(*b,)`: an upper limit of the forecast, at which families with a plateau begin.
        allow_rising: True for errors that may rise with size, which are otherwise warned of
            (`lcjax.curves.RisingCurveWarning`): they may be accuracies.
        draws: number of joint draws k of every curve, static.
        chains: number of chains that sample each family, static.
        moves: moves of each chain at each stage of the sampler, static; the precision of the evidence grows with both.

    Returns:
        `Forecast` with k draws of every curve; nan where a curve has no size.

    Raises:
        ValueError: the shapes disagree, no family is given, there are no draws, or, outside of `jax.jit`, a size, an
            error or `chance` is not a finite number above zero (errors may be 0).

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> size = jnp.array([100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0])
        >>> ahead = forecast(jax.random.key(0), LearningCurve(size, 1.2 * size**-0.4))
        >>> bool(abs(ahead.predict(jnp.array([12800.0]))[0] / 0.0273 - 1) < 0.1)
        True
    """
    check_key(key)
    curve = curve_of(curve)[0]
    if not np.size(curve.error):
        raise ValueError(f"The curve has no sizes: its errors have shape {np.shape(curve.error)}.")
    if not families or draws < 1:
        raise ValueError(f"forecast needs a family and at least one draw, got {len(families)} and draws={draws}.")
    check_families(families)
    traced = is_traced(key, curve, chance, tuple(families))
    xp = jnp if traced else np
    error = xp.asarray(curve.error)
    dtype = jax.dtypes.canonicalize_dtype(error.dtype if jnp.issubdtype(error.dtype, jnp.floating) else float)
    error, size = error.astype(dtype), xp.asarray(curve.size, dtype)
    if size.ndim < 1 or error.ndim < 1 or size.shape[-1] != error.shape[-1]:
        raise ValueError(f"Sizes and errors must have the same last axis, got shapes {size.shape} and {error.shape}.")
    size = xp.broadcast_to(size, error.shape)
    if not traced:
        check_curve(curve.size, curve.error, chance)
        if not allow_rising:
            warn_of_rise(np.asarray(size), np.asarray(error), stacklevel=2)
    batch = error.shape[:-1]
    check_test_count(curve, batch)
    test_count = None if curve.test_count is None else xp.broadcast_to(xp.asarray(curve.test_count, dtype), batch)
    measured = LearningCurve(xp.where(xp.isnan(error), xp.nan, size), error, test_count=test_count)
    if test_count is not None:
        error = xp.where(error == 0, 0.5 / test_count[..., None], error)
    count, within = summarize_repeats(curve.replicates, error)
    stated = known_variance(dataclasses.replace(curve, error=measured.error, test_count=test_count))
    known = [] if stated is None else [xp.broadcast_to(xp.asarray(stated, dtype), error.shape)]
    pad = bucket_length(error.shape[-1], least=POINTS) - error.shape[-1]
    fill = [(0, 0)] * len(batch) + [(0, pad)]
    error = xp.pad(error, fill, constant_values=np.nan)
    size, count, within = (xp.pad(a, fill, constant_values=1) for a in (size, count, within))
    known = [xp.pad(a, fill) for a in known]
    limit = xp.broadcast_to(xp.asarray(np.nan if chance is None else chance, dtype), batch)
    families = tuple(families)

    def one(
        index: Array, size: Array, error: Array, count: Array, within: Array, chance: Array, *known: Array
    ) -> tuple[Posterior, CondensedCurve, jax.Array, jax.Array, jax.Array]:
        data = CurveData(size, error, count, within, chance, *known)
        return _forecast_one(key, index, data, families, noise, limits, draws, chains, moves)

    places = xp.arange(int(np.prod(batch, dtype=int)), dtype=np.int32).reshape(batch)
    rows = (places, size, error, count, within, limit, *known)
    posterior, observed, deviate, bound, condensed = map_curves(one, batch, *rows, traced=traced)
    observed = dataclasses.replace(observed, known=condensed) if known else observed
    names = tuple(family.name for family in families)
    words = tuple(family.words for family in families)
    return Forecast(
        posterior, observed, measured, deviate, bound, xp.ones(batch, dtype), noise, names, words,
        tuple(family.curve for family in families), limits,
    )  # fmt: skip


@jit_stored(
    static_argnames=("noise", "limits", "draws", "chains", "moves"),
    result=(Posterior, CondensedCurve, None, None, None),
)
def _forecast_one(
    key: KeyArray,
    index: Int[Array, ""],
    data: CurveData,
    families: tuple[Family, ...],
    noise: NoiseModels,
    limits: SlopeLimits,
    draws: int,
    chains: int,
    moves: int,
) -> tuple[Posterior, CondensedCurve, jax.Array, jax.Array, jax.Array]:
    observed = condense(data.size, data.error, data.count, data.within, data.known)
    posterior_key, deviate_key = jax.random.split(jax.random.fold_in(key, index))
    posterior = condition(
        posterior_key, observed, families, noise, data.chance, limits=limits, draws=draws, chains=chains, moves=moves
    )
    start = jax.random.randint(deviate_key, (), 0, draws)
    place = ((jnp.arange(draws) * coprime(draws) + start) % draws + 0.5) / draws
    deviate = student(posterior.degrees, place)
    known = jnp.zeros_like(observed.time) if observed.known is None else observed.known
    bare = dataclasses.replace(observed, known=None)
    return posterior, bare, deviate, jnp.where(jnp.isnan(data.chance), jnp.inf, data.chance), known
