"""Fitting one form to one learning curve or to a ragged batch of them, in one compiled call."""

import dataclasses
import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Key

from lcjax.curves.fit.bootstrap import bootstrap_fits
from lcjax.curves.fit.curve_fit import CurveFit, FitFlags
from lcjax.curves.fit.diagnostics import InOrder, ill_conditioned, in_order
from lcjax.curves.fit.exponent_prior import NOISE, ExponentPrior, penalty
from lcjax.curves.fit.global_search import BLOCK, at, disagree, in_blocks, search
from lcjax.curves.fit.objective import CurveData, box, residuals
from lcjax.curves.fit.replicate_weights import repeat_weights
from lcjax.curves.fit.residual_losses import Loss, relative
from lcjax.curves.forms import Form, power_law_offset
from lcjax.curves.learning_curve import LearningCurve
from lcjax.kernels.compilation import jit_by_size
from lcjax.kernels.integer_sort import argsort, order_words

__all__ = ["fit_curve"]

Array = jax.Array | np.ndarray

# Curves a part: a core is given no fewer.
_PART = 2048
# A few residuals say little about their scale: this many observations of a typical relative noise are added.
_NOISE_COUNT = 1.0


def fit_curve(
    curve: LearningCurve,
    form: Form = power_law_offset,
    *,
    key: Key[Array, ""] | None = None,
    draws: int = 0,
    loss: Loss = relative,
    weight: Float[Array, "..."] | None = None,
    guess: float | Float[Array, "..."] | None = None,
    prior: ExponentPrior | None = None,
) -> CurveFit:
    """Least-squares fit of one form to a learning curve, or to every curve of a ragged batch.

    Minimizes `sum_i weight_i loss(log prediction_i, log error_i)^2` over the form's parameters within their bounds
    (offset in [0, smallest error], scales and exponents by their logarithms). A grid over the shape parameters, with
    offset and scale solved in closed form at each point (variable projection: Golub and Pereyra 1973), makes the
    search global; the best starts are then minimized by Levenberg-Marquardt steps with exact second derivatives, in
    float64 where x64 is enabled.

    Handled, and flagged as `changed`: errors of zero count as half an error in `test_count` examples, or as half the
    smallest positive error where the count is unknown; negative errors are left out like nan. Repeated and unsorted
    sizes are allowed. Without repeats the bootstrap draws Student noise of the residuals' scale around the fit; with
    them it draws whole seeds.

    Args:
        curve: `size` `(s,)` or `(*b, s)`, `error` `(*b, s)`; nan marks an absent size.
        form: a form of `lcjax.curves.forms`.
        key: a typed key, required for draws; each curve has its own stream.
        draws: number of bootstrap fits, static.
        loss: `relative`, `absolute` or `huber`, or a function like them, at module level.
        weight: weight of each squared residual, `(*b, s)` or `(s,)`; by default from the repeats' variance, smoothed
            as `v0 + v1 / size`, or equal where there are no repeats.
        guess: error of guessing, `()` or `(*b,)`: no prediction exceeds it.
        prior: an `ExponentPrior`, added to the sum of squares for forms with an exponent as if residuals had a
            standard deviation of 0.03.

    Returns:
        A `CurveFit`; nan where a curve has no size at all.

    Raises:
        ValueError: shapes disagree, or draws are asked for without a key.

    Examples:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from lcjax.curves.forms import power_law
        >>> size = jnp.array([100.0, 200.0, 400.0, 800.0])
        >>> noisy = jnp.array([0.251, 0.189, 0.152, 0.119])
        >>> fit = fit_curve(LearningCurve(size, noisy), power_law, key=jax.random.key(0), draws=200)
        >>> low, high = fit.interval(jnp.array([1600.0]))
        >>> bool(low[0] < fit.predict(jnp.array([1600.0]))[0] < high[0])
        True
    """
    size, error = jnp.asarray(curve.size), jnp.asarray(curve.error)
    if size.ndim not in (1, error.ndim) or size.shape[-1:] != error.shape[-1:] or error.ndim < 1:
        raise ValueError(f"size must be (s,) or shaped like error, got size {size.shape} and error {error.shape}.")
    if draws < 0 or (draws > 0 and key is None):
        raise ValueError(f"draws must be >= 0 and needs a key, got draws={draws} and key={key}.")
    keys = jax.random.split(key, error.shape[:-1]) if draws and key is not None else None
    fit = functools.partial(_compiled_fit, form=form, loss=loss, draws=draws)
    arguments = (curve, keys, weight, guess, prior)
    if error.ndim == 1 or error.shape[0] < 2 * _PART or jax.default_backend() != "cpu":
        return fit(*arguments)
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(arguments)):
        return fit(*arguments)
    return _on_every_core(fit, arguments, error.shape)


def _on_every_core(fit: Callable[..., CurveFit], arguments: Any, shape: tuple[int, ...]) -> CurveFit:
    """The batch in one part for each core, because a compiled loop of small operations runs on one."""
    cores = min(os.cpu_count() or 1, shape[0] // _PART)
    length = -(-shape[0] // cores)
    curve, keys, weight, guess, prior = arguments

    def part(start: int) -> Any:
        def rows(values: Any, axes: int) -> Any:
            """Those of some curves; what lacks the axis for curves belongs to all."""
            return values if jnp.ndim(values) < axes else values[start : start + length]

        def cut(tree: Any) -> Any:
            return jax.tree.map(lambda a: rows(a, len(shape) - 1), tree)

        sliced = dataclasses.replace(cut(curve), size=rows(curve.size, len(shape)))
        return sliced, cut(keys), None if weight is None else rows(weight, len(shape)), cut(guess), cut(prior)

    # The parts are alike, so that they are compiled once; the last two overlap.
    begins = [min(i * length, shape[0] - length) for i in range(cores)]
    double = jnp.result_type(float) == jnp.float64

    def one(start: int) -> CurveFit:
        # Settings belong to a thread.
        with jax.enable_x64(double):
            return jax.block_until_ready(fit(*part(start)))

    with ThreadPoolExecutor(cores) as pool:
        fits = list(pool.map(one, begins))
    kept = [slice(i * length - start, None) for i, start in enumerate(begins)]
    return jax.tree.map(lambda *leaves: jnp.concatenate([a[k] for a, k in zip(leaves, kept, strict=True)]), *fits)


def _fit(
    curve: LearningCurve, keys: Any, weight: Any, guess: Any, prior: Any, *, form: Form, loss: Loss, draws: int
) -> CurveFit:
    """Sizes in order on the first axis, curves on the last, in the working precision."""
    size, error = jnp.asarray(curve.size), jnp.asarray(curve.error)
    dtype, inside = error.dtype, jnp.result_type(float)
    batch, points = error.shape[:-1], error.shape[-1]
    # Absent sizes may lie anywhere, but last if they are nan.
    words = order_words(jnp.where(jnp.isnan(size), jnp.inf, size.astype(jnp.result_type(float))))
    order = argsort([word.reshape(-1, points) for word in words]).reshape(size.shape)

    def columns(values: Any, *middle: int) -> jax.Array:
        """`(*b, ..., s)` -> `(..., s, n)`, in the order of the sizes."""
        values = jnp.broadcast_to(jnp.asarray(values, inside), (*batch, *middle, points))
        if order.ndim == 1:
            values = values[..., order]
        else:
            within = order.reshape(*batch, *(1,) * len(middle), points)
            values = jnp.take_along_axis(values, jnp.broadcast_to(within, values.shape), axis=-1)
        return jnp.moveaxis(values.reshape(-1, *middle, points), 0, -1)

    def scalars(values: Any) -> jax.Array | None:
        return None if values is None else jnp.broadcast_to(jnp.asarray(values, inside), batch).reshape(-1)

    replicates = curve.replicates if draws or weight is None else None
    if replicates is not None:
        replicates = columns(replicates, jnp.asarray(replicates).shape[-2])
    fit = _fit_columns(
        columns(size),
        columns(error),
        None if weight is None else columns(weight),
        replicates,
        scalars(curve.test_count),
        scalars(guess),
        None if prior is None else (scalars(prior.exponent), scalars(prior.log_standard_deviation)),
        None if keys is None else keys.reshape(-1),
        form=form,
        loss=loss,
        draws=draws,
    )
    return jax.tree.map(
        lambda a: jnp.moveaxis(a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a, -1, 0).reshape(
            batch + a.shape[:-1]
        ),
        fit,
    )


_compiled_fit = jit_by_size(static_argnames=("form", "loss", "draws"))(_fit)


def _fit_columns(
    size: jax.Array,
    error: jax.Array,
    weight: jax.Array | None,
    replicates: jax.Array | None,
    test_count: jax.Array | None,
    guess: jax.Array | None,
    prior: Any,
    keys: Any,
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
    log_size = jnp.log(jnp.where(present, size, 1.0))
    low = jnp.min(jnp.where(present, log_size, jnp.inf), axis=0)
    high = jnp.max(jnp.where(present, log_size, -jnp.inf), axis=0)
    reference = jax.lax.stop_gradient(0.5 * (low + high))
    half = jnp.maximum(0.5 * (high - low), 1e-3)
    unit = jax.lax.stop_gradient(jnp.sum(log_error, axis=0) / jnp.sum(present, axis=0))
    z = jnp.where(present, log_size - reference, 0.0)
    y = jnp.where(present, log_error - unit, 0.0)
    if weight is None:
        weight = repeat_weights(size, error, replicates, present) if replicates is not None else jnp.ones_like(z)
    if form.last_only:
        last = present & (log_size >= high)
        weight = jnp.where(last, weight, 0.0)
        weight = jnp.where(jnp.sum(weight, axis=0) > 0, weight, last)
        present = last
    weight = jnp.where(present, weight, 0.0)
    weight = weight * jnp.sum(present, axis=0) / jnp.sum(weight, axis=0)
    data = CurveData(z, y, weight, reference, None if guess is None else jnp.log(guess) - unit)

    lower, upper = box(form, y, present, half)
    weak = penalty(form, prior, lower)
    found, best = search(form, loss, data, lower, upper, half, weak)
    p, count = lower.shape[0], jnp.sum(present, axis=0)
    degrees = jnp.maximum(count - p, 0) + _NOISE_COUNT
    noise = jnp.sqrt((2 * best.value + _NOISE_COUNT * NOISE**2) / degrees)
    nothing = count == 0

    everything = jax.lax.stop_gradient((best.parameters, best.free, data, present))

    def look(index: jax.Array) -> tuple[InOrder, jax.Array]:
        u, free, part, there = at(everything, index)
        seen = in_order(part.z, part.log_error, residuals(form, loss, u, part), there)
        return seen, ill_conditioned(lambda v: residuals(form, loss, v, part), u, free)

    seen, undetermined = in_blocks(look, count.shape[0], BLOCK)
    flags = FitFlags(
        at_bound=jnp.any(~best.free | (jnp.abs(best.parameters - lower) < 1e-6), axis=0),
        ill_conditioned=undetermined,
        too_few_sizes=seen.distinct <= p,
        starts_disagree=disagree(form, found, best, reference, half),
        # A rise is the difference of two observations: four of its standard errors.
        not_monotone=seen.rise > jnp.maximum(0.05, 4 * 2**0.5 * jnp.minimum(noise, seen.noise)),
        break_suspected=(count >= 8) & (seen.correlation * jnp.sqrt(count) > 2.5),
        changed=changed,
    )
    drawn = None
    if draws:
        drawn = bootstrap_fits(
            keys, form, loss, best, data, replicates, noise, degrees, unit, lower, upper, weak, draws
        )
        drawn = jnp.where(nothing, jnp.nan, drawn)
    return CurveFit(
        jnp.where(nothing, jnp.nan, best.parameters),
        reference,
        unit,
        2 * best.value,
        noise,
        best.converged & ~nothing,
        flags,
        drawn,
        guess,
        form,
    )
