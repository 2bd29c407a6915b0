"""Fitting one form to one learning curve or to a ragged batch of them, in one compiled call."""

import dataclasses
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Float, Key, Num

from lcjax.curves.fit.bootstrap import bootstrap_fits
from lcjax.curves.fit.curve_fit import CurveFit, FitFlags
from lcjax.curves.fit.diagnostics import ResidualStatistics, is_ill_conditioned, residual_statistics
from lcjax.curves.fit.exponent_prior import NOISE, ExponentPrior, penalty
from lcjax.curves.fit.global_search import BLOCK, map_blocks, search, starts_disagree, take_curves
from lcjax.curves.fit.objective import CurveData, box, residuals
from lcjax.curves.fit.replicate_weights import replicate_weights
from lcjax.curves.fit.residual_losses import Loss, relative
from lcjax.curves.forms import Form, power_law_offset
from lcjax.curves.learning_curve import LearningCurve, check_test_count
from lcjax.curves.readers.holders import CurveSource, curve_of
from lcjax.curves.standard_errors import known_variance
from lcjax.kernels.compilation import jit_by_size
from lcjax.kernels.integer_sort import argsort, order_words
from lcjax.records import record
from lcjax.threads import cores, in_threads
from lcjax.typing import Array, KeyArray, Scalar, check_key

__all__ = ["fit_curve"]

T = TypeVar("T")
_PART = 2048  # fewest curves that are worth a thread of their own
# The scale of few residuals is uncertain: this many observations of the typical relative noise are added.
_NOISE_COUNT = 1.0


@record
class _Problem:
    """Arguments of `fit_curve` with an entry for every curve of a batch, or one entry for all."""

    curve: LearningCurve
    keys: Key[jax.Array, "*b"] | None
    weight: Float[Array, "..."] | None
    guess: Scalar | None
    prior: ExponentPrior | None


def fit_curve(
    curve: CurveSource,
    form: Form = power_law_offset,
    *,
    key: KeyArray | None = None,
    draws: int = 0,
    loss: Loss = relative,
    weight: Float[Array, "..."] | None = None,
    guess: Float[Array, "..."] | float | None = None,
    prior: ExponentPrior | None = None,
) -> CurveFit:
    """Fit one form by least squares to a learning curve, or to every curve of a ragged batch.

    Minimizes `sum_i weight_i loss(log prediction_i, log error_i)^2` over the form's parameters within their bounds
    (offset in [0, smallest error], scales and exponents by their logarithms). A grid over the shape parameters, with
    offset and scale in closed form at each point (variable projection; Golub and Pereyra, 1973), makes the search
    global; its best points start Levenberg-Marquardt steps with exact second derivatives, in float64 if x64 is enabled.

    Errors of zero count as half an error in `test_count` examples, or as half the smallest positive error if the count
    is unknown; negative errors are ignored like nan. Both set the flag `changed`. Sizes may be repeated and unsorted; a
    curve without any size gives nan. Without repeats, the bootstrap draws Student noise of the residuals' scale around
    the fit; with repeats, it resamples whole seeds.

    Args:
        curve: `size` `(s,)` or `(*b, s)`, `error` `(*b, s)`; nan marks an absent size. Also the measurements of
            `lcjax.collect`, `(s,)`, or a table of `lcjax.read_curves`, `(b, s)`.
        form: a form of `lcjax.curves.forms`.
        key: a typed key, required for draws; each curve has its own stream.
        draws: number of bootstrap fits, static.
        loss: `relative`, `absolute`, `huber` or another such function at module level.
        weight: weight of each squared residual, `(*b, s)` or `(s,)`; by default from the variance of repeats, smoothed
            as `v0 + v1 / size`, or equal without repeats; known variances are added (`known_variance`), without repeats
            to that of a relative standard deviation of 0.03.
        guess: error of guessing, `()` or `(*b,)`, an upper limit of all predictions.
        prior: an `ExponentPrior`, added to the sum of squares of forms with an exponent as if residuals had a
            standard deviation of 0.03.

    Returns:
        `CurveFit`, one entry per curve, `(*b, ...)`, in the dtype of `error`. A fit that fails or is doubtful raises no
        error: see its `converged` and `flags`.

    Raises:
        ValueError: the shapes disagree, or draws are requested without a key.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> from lcjax.curves.forms import power_law
        >>> curve = LearningCurve(jnp.array([100.0, 200.0, 400.0, 800.0]), jnp.array([0.251, 0.189, 0.152, 0.119]))
        >>> fit = fit_curve(curve, power_law, key=jax.random.key(0), draws=200)
        >>> low, high = fit.interval(jnp.array([1600.0]))
        >>> bool(low[0] < fit.predict(jnp.array([1600.0]))[0] < high[0])
        True
    """
    if key is not None:
        check_key(key)
    curve = curve_of(curve)[0]
    size, error = jnp.asarray(curve.size), jnp.asarray(curve.error)
    if size.ndim not in (1, error.ndim) or size.shape[-1:] != error.shape[-1:] or error.ndim < 1:
        raise ValueError(
            f"size must be (s,) or have the shape of error, got size {size.shape} and error {error.shape}."
        )
    if not isinstance(form, Form):
        raise ValueError(f"form must be one of lcjax.curves.forms, such as forms.power_law, got {form!r}.")
    check_test_count(curve, error.shape[:-1])
    if draws < 0 or (draws > 0 and key is None):
        raise ValueError(f"draws must be >= 0 and needs a key, got draws={draws} and key={key}.")
    keys = jax.random.split(key, error.shape[:-1]) if draws and key is not None else None
    problem = _Problem(curve, keys, weight, guess, prior)
    is_small = error.ndim == 1 or error.shape[0] < 2 * _PART or jax.default_backend() != "cpu"
    if is_small or any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(problem)):
        return _fit(problem, form=form, loss=loss, draws=draws)

    # A compiled loop of small operations runs on one core, so each core fits a part. All parts have the same length, so
    # that they share a program; the last two overlap.
    parts = min(cores(), error.shape[0] // _PART)
    length = -(-error.shape[0] // parts)
    begins = [min(i * length, error.shape[0] - length) for i in range(parts)]

    def fit_part(begin: int) -> CurveFit:
        fit = _fit(_take_rows(problem, slice(begin, begin + length), error.ndim), form=form, loss=loss, draws=draws)
        for leaf in jax.tree.leaves(fit):
            leaf.block_until_ready()
        return fit

    fits = in_threads(fit_part, begins, parts)
    new = [slice(i * length - begin, None) for i, begin in enumerate(begins)]
    whole: CurveFit = jax.tree.map(
        lambda *leaves: jnp.concatenate([leaf[rows] for leaf, rows in zip(leaves, new, strict=True)]), *fits
    )
    return whole


def _take_rows(problem: _Problem, rows: slice, ndim: int) -> _Problem:
    """Select curves along the first axis of a batch whose errors have `ndim` axes."""

    def take(tree: T, axes: int) -> T:
        """Slice arrays that have the axis of curves; those with fewer than `axes` axes belong to all curves."""
        selection: T = jax.tree.map(lambda a: a if jnp.ndim(a) < axes else a[rows], tree)
        return selection

    curve = dataclasses.replace(take(problem.curve, ndim - 1), size=take(problem.curve.size, ndim))
    return dataclasses.replace(take(problem, ndim - 1), curve=curve, weight=take(problem.weight, ndim))


@jit_by_size(static_argnames=("form", "loss", "draws"))
def _fit(problem: _Problem, *, form: Form, loss: Loss, draws: int) -> CurveFit:
    """Fit in the working precision, with sizes in ascending order on the first axis and curves on the last."""
    curve, weight, prior = problem.curve, problem.weight, problem.prior
    size, error = jnp.asarray(curve.size), jnp.asarray(curve.error)
    dtype, inside = error.dtype, jnp.result_type(float)
    batch, points = error.shape[:-1], error.shape[-1]
    # Absent sizes may lie anywhere, but nan sizes come last.
    words = order_words(jnp.where(jnp.isnan(size), jnp.inf, size.astype(jnp.result_type(float))))
    order = argsort([word.reshape(-1, points) for word in words]).reshape(size.shape)

    def columns(values: Num[Array, "..."], *middle: int) -> Float[jax.Array, "..."]:
        """Move curves last and sort the sizes: `(*b, ..., s)` -> `(..., s, n)`."""
        values = jnp.broadcast_to(jnp.asarray(values, inside), (*batch, *middle, points))
        if order.ndim == 1:
            values = values[..., order]
        else:
            within = order.reshape(*batch, *(1,) * len(middle), points)
            values = jnp.take_along_axis(values, jnp.broadcast_to(within, values.shape), axis=-1)
        return jnp.moveaxis(values.reshape(-1, *middle, points), 0, -1)

    def scalars(values: Scalar) -> Float[jax.Array, " n"]:
        return jnp.broadcast_to(jnp.asarray(values, inside), batch).reshape(-1)

    replicates = curve.replicates if draws or weight is None else None
    known = known_variance(curve) if weight is None else None
    fit = _fit_columns(
        columns(size),
        columns(error),
        None if weight is None else columns(weight),
        None if replicates is None else columns(replicates, jnp.asarray(replicates).shape[-2]),
        None if known is None else columns(known),
        None if curve.test_count is None else scalars(curve.test_count),
        None if problem.guess is None else scalars(problem.guess),
        None if prior is None else (scalars(prior.exponent), scalars(prior.log_standard_deviation)),
        None if problem.keys is None else problem.keys.reshape(-1),
        form=form,
        loss=loss,
        draws=draws,
    )

    def restore(values: jax.Array) -> jax.Array:
        values = values.astype(dtype) if jnp.issubdtype(values.dtype, jnp.floating) else values
        return jnp.moveaxis(values, -1, 0).reshape(batch + values.shape[:-1])

    batched: CurveFit = jax.tree.map(restore, fit)
    return batched


def _fit_columns(
    size: Float[jax.Array, "s n"],
    error: Float[jax.Array, "s n"],
    weight: Float[jax.Array, "s n"] | None,
    replicates: Float[jax.Array, "r s n"] | None,
    known: Float[jax.Array, "s n"] | None,
    test_count: Float[jax.Array, " n"] | None,
    guess: Float[jax.Array, " n"] | None,
    prior: tuple[Float[jax.Array, " n"], Float[jax.Array, " n"]] | None,
    keys: Key[jax.Array, " n"] | None,
    *,
    form: Form,
    loss: Loss,
    draws: int,
) -> CurveFit:
    present = jnp.isfinite(error) & jnp.isfinite(size) & (size > 0) & (error >= 0)
    changed = jnp.any((error < 0) | (present & (error <= 0)), axis=0)
    smallest = jnp.min(jnp.where(present & (error > 0), error, jnp.inf), axis=0)
    floor = 0.5 / test_count if test_count is not None else 0.5 * jnp.where(jnp.isfinite(smallest), smallest, 1e-6)
    log_error = jnp.log(jnp.where(present, jnp.where(error > 0, error, floor), 1.0))
    # Bootstrap means of positive errors may be 0 or less: they count as half an error or half the measured error.
    least = jnp.log(jnp.where(present, jnp.where(error > 0, jnp.minimum(floor, error / 2), floor), 1.0))
    log_size = jnp.log(jnp.where(present, size, 1.0))
    low = jnp.min(jnp.where(present, log_size, jnp.inf), axis=0)
    high = jnp.max(jnp.where(present, log_size, -jnp.inf), axis=0)
    reference = jax.lax.stop_gradient(0.5 * (low + high))
    half = jnp.maximum(0.5 * (high - low), 1e-3)
    unit = jax.lax.stop_gradient(jnp.sum(log_error, axis=0) / jnp.sum(present, axis=0))
    z = jnp.where(present, log_size - reference, 0.0)
    y = jnp.where(present, log_error - unit, 0.0)
    if weight is None:
        weight = replicate_weights(size, error, replicates, present) if replicates is not None else jnp.ones_like(z)
        if known is not None:
            alone = NOISE**2 if replicates is None else 1 / weight
            weight = 1 / (alone + jnp.where(present, known, 0.0))
    if form.last_only:
        last = present & (log_size >= high)
        weight = jnp.where(last, weight, 0.0)
        weight = jnp.where(jnp.sum(weight, axis=0) > 0, weight, last)
        present = last
    weight = jnp.where(present, weight, 0.0)
    weight = weight * jnp.sum(present, axis=0) / jnp.sum(weight, axis=0)
    data = CurveData(z, y, weight, reference, None if guess is None else jnp.log(guess) - unit)

    lower, upper = box(form, y, present, half)
    prior_penalty = penalty(form, prior, lower)
    minima, best = search(form, loss, data, lower, upper, half, prior_penalty)
    p, count = lower.shape[0], jnp.sum(present, axis=0)
    degrees = jnp.maximum(count - p, 0) + _NOISE_COUNT
    noise = jnp.sqrt((2 * best.value + _NOISE_COUNT * NOISE**2) / degrees)
    is_empty = count == 0
    everything = jax.lax.stop_gradient((jnp.asarray(best.parameters), jnp.asarray(best.free), data, present))

    def diagnose(index: jax.Array) -> tuple[ResidualStatistics, jax.Array]:
        u, free, block, there = take_curves(everything, index)
        statistics = residual_statistics(block.z, block.log_error, residuals(form, loss, u, block), there)
        return statistics, is_ill_conditioned(lambda v: residuals(form, loss, v, block), u, free)

    statistics, undetermined = map_blocks(diagnose, count.shape[0], BLOCK)
    flags = FitFlags(
        at_bound=jnp.any(~best.free | (jnp.abs(best.parameters - lower) < 1e-6), axis=0),
        ill_conditioned=undetermined,
        too_few_sizes=statistics.distinct <= p,
        starts_disagree=starts_disagree(form, minima, best, reference, half),
        # A rise is the difference of two observations: four of its standard errors.
        not_monotone=statistics.rise > jnp.maximum(0.05, 4 * 2**0.5 * jnp.minimum(noise, statistics.noise)),
        break_suspected=(count >= 8) & (statistics.correlation * jnp.sqrt(count) > 2.5),
        changed=changed,
    )
    coordinate_draws = None
    if draws and keys is not None:
        coordinate_draws = bootstrap_fits(
            keys, form, loss, best, data, replicates, least, noise, degrees, unit, lower, upper, prior_penalty, draws
        )
        coordinate_draws = jnp.where(is_empty, jnp.nan, coordinate_draws)
    coordinates, converged = jnp.where(is_empty, jnp.nan, best.parameters), best.converged & ~is_empty
    return CurveFit(
        coordinates, reference, unit, 2 * best.value, noise, converged, flags, coordinate_draws, guess, form
    )
