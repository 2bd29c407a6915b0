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
from jaxtyping import Bool, Float, Key, Num

from lcjax.curves.diagnostics import InOrder, ill_conditioned, in_order
from lcjax.curves.forms import Form, power_law_offset
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.objective import CurveData, box, expansion, log_prediction, residuals, starts, unpack
from lcjax.kernels.least_squares import LeastSquares, least_squares
from lcjax.kernels.resampling import resample_rows, student_noise
from lcjax.records import record

__all__ = ["CurveFit", "ExponentPrior", "FitFlags", "absolute", "fit_curve", "huber", "relative"]

Array = jax.Array | np.ndarray
Loss = Callable[[jax.Array, jax.Array], jax.Array]

# Curves a block: its arrays stay in the cache. Curves a part: a core is given no fewer.
_BLOCK, _PART = 1024, 2048
_STEPS, _DRAW_STEPS = 200, 12
# A few residuals say little about their scale: this many observations of a typical relative noise are added.
_NOISE_PRIOR, _NOISE_PRIOR_COUNT = 0.03, 1.0


def relative(log_prediction: jax.Array, log_error: jax.Array) -> jax.Array:
    """Residual `log(prediction) - log(error)`: a factor counts alike at every error.

    Examples:
        >>> import jax.numpy as jnp
        >>> round(float(relative(jnp.log(0.22), jnp.log(0.2))), 4)
        0.0953
    """
    return log_prediction - log_error


def absolute(log_prediction: jax.Array, log_error: jax.Array) -> jax.Array:
    """Residual `prediction - error`, in units of the curve's geometric mean error.

    Examples:
        >>> import jax.numpy as jnp
        >>> round(float(absolute(jnp.log(1.1), jnp.log(1.0))), 4)
        0.1
    """
    return jnp.exp(log_prediction) - jnp.exp(log_error)


def huber(log_prediction: jax.Array, log_error: jax.Array) -> jax.Array:
    """Residual whose square is Huber's function of `relative` with its corner at 0.1, so that outliers count less.

    Examples:
        >>> import jax.numpy as jnp
        >>> [round(float(huber(jnp.array(r), jnp.array(0.0))), 4) for r in (0.05, 0.5)]
        [0.05, 0.3]
    """
    r, corner = log_prediction - log_error, 0.1
    size = jnp.abs(r)
    outside = size > corner
    # The inner argument is kept positive where it is not used, because its derivative would be nan there.
    root = jnp.sqrt(jnp.where(outside, 2 * corner * size - corner**2, 1.0))
    return jnp.where(outside, jnp.sign(r) * root, r)


@record
class ExponentPrior:
    """What is known of a curve's exponent before it is measured, for curves of a few points.

    Attributes:
        exponent: expected exponent, negative, `()` or `(*b,)`; `-1 / d` for nearest neighbours in d effective
            dimensions (Bisla et al. 2021, Eq. 7).
        log_standard_deviation: standard deviation of `log(-exponent)`, alike.

    Examples:
        >>> ExponentPrior(-1 / 4, 0.3).exponent
        -0.25
    """

    exponent: Float[Array, "..."] | float
    log_standard_deviation: Float[Array, "..."] | float = 0.3


@record
class FitFlags:
    """What is doubtful about a fit, each `(*b,)`.

    Attributes:
        at_bound: a parameter lies at its bound: an offset of 0 or at the smallest error, for instance.
        ill_conditioned: some parameter or combination of parameters is not determined by the curve.
        too_few_sizes: not more distinct sizes than parameters, so nothing is left to judge the fit by.
        starts_disagree: two starts ended within 1 % in the sum of squares, but more than 5 % apart at
            4 x the largest size; forms of one shape parameter have one start, the best of a line.
        not_monotone: the error rises by more than 5 % and four standard errors of a difference, with the smaller of
            the form's noise and that about the lines through neighbours, which no rise inflates.
        break_suspected: neighbouring residuals agree in sign, as with a form that misses a bend.
        changed: zero errors were raised to a floor, or negative ones left out.
    """

    at_bound: Bool[Array, "*b"]
    ill_conditioned: Bool[Array, "*b"]
    too_few_sizes: Bool[Array, "*b"]
    starts_disagree: Bool[Array, "*b"]
    not_monotone: Bool[Array, "*b"]
    break_suspected: Bool[Array, "*b"]
    changed: Bool[Array, "*b"]


@record
class CurveFit:
    """A form fitted to one curve or to each of a batch.

    Attributes:
        coordinates: the fit in the form's internal coordinates, `(*b, p)`.
        reference: logarithm of the size at which `z = 0`, `(*b,)`.
        unit: logarithm of the error that counts as 1 inside, `(*b,)`.
        residual_sum: weighted sum of squared residuals, `(*b,)`.
        noise: standard deviation of a residual, `(*b,)`; for the relative loss a relative error.
        converged: `(*b,)`.
        flags: what is doubtful, a `FitFlags`.
        draws: coordinates of bootstrap fits, `(*b, k, p)`, or `None`.
        guess: error of guessing, an upper limit of every prediction, `(*b,)` or `()`, or `None`.
        form: the form.

    Examples:
        >>> import jax.numpy as jnp
        >>> from lcjax.curves.forms import power_law
        >>> size = jnp.array([100.0, 200.0, 400.0, 800.0, 1600.0])
        >>> fit = fit_curve(LearningCurve(size, 2.0 * size**-0.5), power_law)
        >>> round(float(fit.parameters["exponent"]), 3), round(float(fit.predict(jnp.array([1e4]))[0]), 3)
        (-0.5, 0.02)
    """

    coordinates: Float[Array, "*b p"]
    reference: Float[Array, "*b"]
    unit: Float[Array, "*b"]
    residual_sum: Float[Array, "*b"]
    noise: Float[Array, "*b"]
    converged: Bool[Array, "*b"]
    flags: FitFlags
    draws: Float[Array, "*b k p"] | None = None
    guess: Float[Array, "..."] | None = None
    form: Form = jax.tree.static(default=power_law_offset)

    @property
    def parameters(self) -> dict[str, jax.Array]:
        """Named parameters in the units of the data, each `(*b,)`."""
        return self._natural(self.coordinates, self.reference, self.unit)

    @property
    def parameter_draws(self) -> dict[str, jax.Array]:
        """Named parameters of the bootstrap fits, each `(*b, k)`."""
        draws, reference, unit = self._drawn()
        return self._natural(draws, reference, unit)

    def predict(self, size: Num[Array, "..."]) -> Float[jax.Array, "..."]:
        """Fitted error, `(*b, s)`.

        Args:
            size: training examples, `(s,)` for all curves or `(*b, s)`.
        """
        return self._errors(self.coordinates, self.reference, self.unit, size)

    def predict_draws(self, size: Num[Array, "..."]) -> Float[jax.Array, "..."]:
        """Error of every bootstrap fit, `(*b, k, s)`; `size` is `(s,)` or `(*b, s)`."""
        draws, reference, unit = self._drawn()
        size = jnp.asarray(size)
        return self._errors(draws, reference, unit, size[..., None, :] if size.ndim > 1 else size)

    def interval(self, size: Num[Array, "..."], level: float = 0.9) -> tuple[jax.Array, jax.Array]:
        """Central interval of the fitted curve at `level`, from the bootstrap: low and high, each `(*b, s)`.

        It holds what noise does to this form; `forecast` adds what the choice of the form does.
        """
        low, high = jnp.quantile(self.predict_draws(size), jnp.array([0.5 - level / 2, 0.5 + level / 2]), axis=-2)
        return low, high

    def size_for_error(self, error: Num[Array, "..."] | float) -> Float[jax.Array, "..."]:
        """Training examples at which the fit falls to `error` (`()` or `(*b,)`); inf where it never does."""
        return self._sizes(self.coordinates, self.reference, self.unit, error)

    def size_for_error_draws(self, error: Num[Array, "..."] | float) -> Float[jax.Array, "..."]:
        """`size_for_error` of every bootstrap fit, `(*b, k)`."""
        draws, reference, unit = self._drawn()
        return self._sizes(draws, reference, unit, jnp.asarray(error)[..., None])

    def _drawn(self) -> tuple[jax.Array, jax.Array, jax.Array]:
        if self.draws is None:
            raise ValueError("This fit has no bootstrap draws: call fit_curve(..., key=key, draws=200).")
        reference, unit = jnp.asarray(self.reference)[..., None], jnp.asarray(self.unit)[..., None]
        return jnp.asarray(self.draws), reference, unit

    def _natural(self, coordinates: Array, reference: Array, unit: Array) -> dict[str, jax.Array]:
        offset, log_scale, shape = unpack(self.form, tuple(jnp.moveaxis(jnp.asarray(coordinates), -1, 0)), reference)
        values = self.form.natural(offset * jnp.exp(unit), log_scale + unit, shape, reference)
        return dict(zip(self.form.parameters, values, strict=True))

    def _errors(self, coordinates: Array, reference: Array, unit: Array, size: Num[Array, "..."]) -> jax.Array:
        columns = tuple(jnp.moveaxis(jnp.asarray(coordinates)[..., None], -2, 0))
        reference, unit = jnp.asarray(reference)[..., None], jnp.asarray(unit)[..., None]
        offset, log_scale, shape = unpack(self.form, columns, reference)
        z = jnp.log(jnp.asarray(size, reference.dtype)) - reference
        error = jnp.exp(self.form.log_error(z, offset, log_scale, shape, reference) + unit)
        if self.guess is None:
            return error
        guess = jnp.asarray(self.guess, error.dtype)
        return jnp.minimum(
            error, guess.reshape(guess.shape + (1,) * (error.ndim - guess.ndim)) if guess.ndim else guess
        )

    def _sizes(self, coordinates: Array, reference: Array, unit: Array, error: Any) -> jax.Array:
        offset, log_scale, shape = unpack(self.form, tuple(jnp.moveaxis(jnp.asarray(coordinates), -1, 0)), reference)
        inside = jnp.asarray(error, jnp.asarray(reference).dtype) * jnp.exp(-unit)
        z = self.form.log_size(jnp.broadcast_to(inside, log_scale.shape), offset, log_scale, shape, reference)
        return jnp.exp(z + reference)


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
    fit = functools.partial(_fit, form=form, loss=loss, draws=draws)
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


@functools.partial(jax.jit, static_argnames=("form", "loss", "draws"))
def _fit(
    curve: LearningCurve, keys: Any, weight: Any, guess: Any, prior: Any, *, form: Form, loss: Loss, draws: int
) -> CurveFit:
    """Sizes in order on the first axis, curves on the last, in the working precision."""
    size, error = jnp.asarray(curve.size), jnp.asarray(curve.error)
    dtype, inside = error.dtype, jnp.result_type(float)
    batch, points = error.shape[:-1], error.shape[-1]
    order = jnp.argsort(size if size.ndim == 1 else jnp.where(jnp.isnan(error), jnp.inf, size), axis=-1)

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
        weight = _repeat_weights(size, error, replicates, present) if replicates is not None else jnp.ones_like(z)
    if form.last_only:
        last = present & (log_size >= high)
        weight = jnp.where(last, weight, 0.0)
        weight = jnp.where(jnp.sum(weight, axis=0) > 0, weight, last)
        present = last
    weight = jnp.where(present, weight, 0.0)
    weight = weight * jnp.sum(present, axis=0) / jnp.sum(weight, axis=0)
    data = CurveData(z, y, weight, reference, None if guess is None else jnp.log(guess) - unit)

    lower, upper = box(form, y, present, half)
    penalty = _penalty(form, prior, lower)
    found, best = _search(form, loss, data, lower, upper, half, penalty)
    p, count = lower.shape[0], jnp.sum(present, axis=0)
    degrees = jnp.maximum(count - p, 0) + _NOISE_PRIOR_COUNT
    noise = jnp.sqrt((2 * best.value + _NOISE_PRIOR_COUNT * _NOISE_PRIOR**2) / degrees)
    nothing = count == 0

    everything = jax.lax.stop_gradient((best.parameters, best.free, data, present))

    def look(index: jax.Array) -> tuple[InOrder, jax.Array]:
        u, free, part, there = _at(everything, index)
        seen = in_order(part.z, part.log_error, residuals(form, loss, u, part), there)
        return seen, ill_conditioned(lambda v: residuals(form, loss, v, part), u, free)

    seen, undetermined = _in_blocks(look, count.shape[0], _BLOCK)
    flags = FitFlags(
        at_bound=jnp.any(~best.free | (jnp.abs(best.parameters - lower) < 1e-6), axis=0),
        ill_conditioned=undetermined,
        too_few_sizes=seen.distinct <= p,
        starts_disagree=_disagree(form, found, best, reference, half),
        # A rise is the difference of two observations: four of its standard errors.
        not_monotone=seen.rise > jnp.maximum(0.05, 4 * 2**0.5 * jnp.minimum(noise, seen.noise)),
        break_suspected=(count >= 8) & (seen.correlation * jnp.sqrt(count) > 2.5),
        changed=changed,
    )
    drawn = None
    if draws:
        drawn = _draw(keys, form, loss, best, data, replicates, noise, degrees, unit, lower, upper, penalty, draws)
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


def _in_blocks(function: Callable[[jax.Array], Any], count: int, size: int) -> Any:
    """`function` of the numbers of some curves, curves on the last axis of what it returns, for all of `count`."""
    if count <= size:
        return function(jnp.arange(count))
    blocks = -(-count // size)
    index = jnp.minimum(jnp.arange(blocks * size), count - 1).reshape(blocks, size)
    out = jax.lax.map(function, index)
    return jax.tree.map(lambda a: jnp.moveaxis(a, 0, -2).reshape(*a.shape[1:-1], blocks * size)[..., :count], out)


def _at(tree: Any, index: jax.Array) -> Any:
    return jax.tree.map(lambda a: jnp.take(a, index, axis=-1), tree)


def _penalty(form: Form, prior: Any, lower: jax.Array) -> tuple[jax.Array, jax.Array] | tuple[None, None]:
    """Center and precision of the coordinates under the prior, in units of squared residuals, each `(p, n)`."""
    if prior is None or "exponent" not in form.parameters:
        return None, None
    exponent, deviation = prior
    # The logarithm of the exponent is the first or the last of the shape's coordinates, as it is named.
    place = form.exponent_place + form.offset + 1
    chosen = jnp.arange(lower.shape[0])[:, None] == place
    return jnp.where(chosen, jnp.log(-exponent), 0.0), jnp.where(chosen, (_NOISE_PRIOR / deviation) ** 2, 0.0)


def _search(
    form: Form, loss: Loss, data: CurveData, lower: jax.Array, upper: jax.Array, half: jax.Array, penalty: Any
) -> tuple[LeastSquares, LeastSquares]:
    """The minima from every start, each field `(..., k, n)`, and the best of them, `(..., n)`."""
    p, count = lower.shape

    def some(index: jax.Array) -> jax.Array:
        part, low, high, width = _at(jax.lax.stop_gradient((data, lower, upper, half)), index)
        return starts(form, part, low, high, width, form.starts)

    first = _in_blocks(some, count, _BLOCK)
    k = first.shape[1]

    def repeated(tree: Any) -> Any:
        return jax.tree.map(lambda a: jnp.concatenate([a] * k, axis=-1), tree)

    found = least_squares(
        None,
        first.reshape(p, k * count),
        repeated(data),
        *repeated((lower, upper, *penalty)),
        steps=_STEPS,
        expand=expansion(form, loss),
    )
    found = jax.tree.map(lambda a: a.reshape(*a.shape[:-1], k, count), found)
    chosen = jnp.argmin(jnp.where(jnp.isfinite(found.value), found.value, jnp.inf), axis=0)

    def pick(values: jax.Array) -> jax.Array:
        place = jnp.broadcast_to(chosen, (*values.shape[:-2], 1, count))
        return jnp.take_along_axis(values, place, axis=-2)[..., 0, :]

    return found, jax.tree.map(pick, found)


def _repeat_weights(size: jax.Array, error: jax.Array, replicates: jax.Array, present: jax.Array) -> jax.Array:
    """Inverse relative variance of the mean at each size: the repeats' variance smoothed as `v0 + v1 / size`."""
    here = ~jnp.isnan(replicates)
    count = jnp.sum(here, axis=0)
    mean = jnp.sum(jnp.where(here, replicates, 0), axis=0) / jnp.maximum(count, 1)
    squares = jnp.sum(jnp.where(here, (replicates - mean) ** 2, 0), axis=0)
    known = present & (count > 1) & (error > 0)
    variance = jnp.where(known, squares / jnp.maximum(count - 1, 1) / jnp.where(known, error, 1) ** 2, 0)
    smallest = jnp.min(jnp.where(present, size, jnp.inf), axis=0)
    inverse = jnp.where(present, smallest / jnp.where(present, size, 1), 0)
    trust = jnp.where(known, count - 1, 0)
    s0, s1, s2 = (jnp.sum(trust * inverse**k, axis=0) for k in (0, 1, 2))
    t0, t1 = jnp.sum(trust * variance, axis=0), jnp.sum(trust * variance * inverse, axis=0)
    determinant = s0 * s2 - s1**2
    v1 = jnp.where(determinant > 1e-12 * s0 * s2, (s0 * t1 - s1 * t0) / jnp.where(determinant > 0, determinant, 1), 0)
    v0 = (t0 - v1 * s1) / jnp.maximum(s0, 1)
    v1 = jnp.where(v0 < 0, t1 / jnp.where(s2 > 0, s2, 1), v1)
    v0 = jnp.where(v1 < 0, t0 / jnp.maximum(s0, 1), v0)
    v0, v1 = jnp.maximum(v0, 0), jnp.maximum(v1, 0)
    # A form is never exact: a hundredth of the noise prior keeps a lucky size from ruling the fit.
    smooth = (v0 + v1 * inverse) / jnp.maximum(count, 1) + (0.1 * _NOISE_PRIOR) ** 2
    return jnp.where(jnp.sum(trust, axis=0) > 0, 1 / smooth, 1.0)


def _disagree(form: Form, found: LeastSquares, best: LeastSquares, reference: jax.Array, half: jax.Array) -> jax.Array:
    def beyond(u: Array) -> jax.Array:
        offset, log_scale, shape = unpack(form, u, reference)
        return form.log_error(half + jnp.log(4.0), offset, log_scale, shape, reference)

    apart = jnp.abs(beyond(found.parameters) - beyond(best.parameters)) > 0.05
    # Residuals of 1e-4 of the error are as good as none.
    return jnp.any(apart & (found.value <= 1.01 * best.value + 1e-8), axis=0)


def _draw(
    keys: Any,
    form: Form,
    loss: Loss,
    best: LeastSquares,
    data: CurveData,
    replicates: jax.Array | None,
    noise: jax.Array,
    degrees: jax.Array,
    unit: jax.Array,
    lower: jax.Array,
    upper: jax.Array,
    penalty: Any,
    draws: int,
) -> jax.Array:
    """Coordinates of bootstrap fits, `(draws, p, n)`."""
    p, count = lower.shape
    everything = (best.parameters, data, replicates, noise, degrees, unit, lower, upper, penalty)

    def some(index: jax.Array) -> jax.Array:
        u, part, rows, scale, freedom, shift, low, high, weak = _at(everything, index)
        center = log_prediction(form, u, part)
        scatter = scale / jnp.sqrt(jnp.where(part.weight > 0, part.weight, 1))
        each = (0, -1, -1, 0, 0, None if rows is None else -1)
        one = functools.partial(_drawn_errors, draws=draws)
        curves = jax.vmap(one, in_axes=each, out_axes=-1)(keys[index], center, scatter, freedom, shift, rows)

        # A draw needs no more digits than its noise leaves.
        def repeated(tree: Any) -> Any:
            return jax.tree.map(lambda a: jnp.concatenate([a.astype(jnp.float32)] * draws, axis=-1), tree)

        drawn_y = jnp.moveaxis(curves, 0, 1).reshape(part.z.shape[0], -1).astype(jnp.float32)
        tiled = repeated(part)
        found = least_squares(
            None,
            repeated(u),
            CurveData(tiled.z, drawn_y, tiled.weight, tiled.reference, tiled.log_guess),
            *repeated((low, high, *weak)),
            steps=_DRAW_STEPS,
            expand=expansion(form, loss),
        )
        return jnp.moveaxis(found.parameters.reshape(p, draws, -1), 0, 1).astype(lower.dtype)

    return _in_blocks(some, count, max(1, _BLOCK // draws))


def _drawn_errors(
    key: Any,
    center: jax.Array,
    scatter: jax.Array,
    degrees: jax.Array,
    unit: jax.Array,
    replicates: jax.Array | None,
    *,
    draws: int,
) -> jax.Array:
    """Bootstrap curves of one curve, logarithms of errors in its unit, `(draws, s)`."""
    noise_key, row_key = jax.random.split(key)
    around = center + scatter * student_noise(noise_key, degrees, draws=draws, size=center.shape[0])
    if replicates is None or replicates.shape[0] < 2:
        return around
    means = jnp.log(jnp.maximum(resample_rows(row_key, replicates, draws=draws), 1e-12)) - unit
    several = jnp.sum(~jnp.isnan(replicates), axis=0) > 1
    return jnp.where(several & jnp.isfinite(means), means, around)
