"""Fitting one form to one learning curve or to a ragged batch of them, in one compiled call."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Key, Num

from lcjax.curves.forms import Form, power_law_offset
from lcjax.curves.learning_curve import LearningCurve
from lcjax.kernels.least_squares import LeastSquares, least_squares
from lcjax.kernels.resampling import resample_rows, student_noise
from lcjax.records import record

__all__ = ["CurveFit", "ExponentPrior", "FitFlags", "absolute", "fit_curve", "huber", "relative"]

Array = jax.Array | np.ndarray
Loss = Callable[[jax.Array, jax.Array], jax.Array]

# Curves a block: its arrays stay in the cache, and it stops iterating when the last of its curves has converged.
_BLOCK = 1024
_SEARCH_STEPS, _POLISH_STEPS, _DRAW_STEPS = 12, 60, 12
_SEARCHED, _POLISHED = 5, 2
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
        ill_conditioned: some combination of parameters is not determined by the curve.
        too_few_sizes: not more distinct sizes than parameters, so nothing is left to judge the fit by.
        starts_disagree: two starts ended within 1 % in the sum of squares, but more than 5 % apart at
            4 x the largest size.
        not_monotone: the error rises by more than 5 % and four times the noise.
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
        offset, log_scale, shape = _unpack(self.form, tuple(jnp.moveaxis(jnp.asarray(coordinates), -1, 0)), reference)
        values = self.form.natural(offset * jnp.exp(unit), log_scale + unit, shape, reference)
        return dict(zip(self.form.parameters, values, strict=True))

    def _errors(self, coordinates: Array, reference: Array, unit: Array, size: Num[Array, "..."]) -> jax.Array:
        columns = tuple(jnp.moveaxis(jnp.asarray(coordinates)[..., None], -2, 0))
        reference, unit = jnp.asarray(reference)[..., None], jnp.asarray(unit)[..., None]
        offset, log_scale, shape = _unpack(self.form, columns, reference)
        z = jnp.log(jnp.asarray(size, reference.dtype)) - reference
        error = jnp.exp(self.form.log_error(z, offset, log_scale, shape, reference) + unit)
        if self.guess is None:
            return error
        guess = jnp.asarray(self.guess, error.dtype)
        return jnp.minimum(
            error, guess.reshape(guess.shape + (1,) * (error.ndim - guess.ndim)) if guess.ndim else guess
        )

    def _sizes(self, coordinates: Array, reference: Array, unit: Array, error: Any) -> jax.Array:
        offset, log_scale, shape = _unpack(self.form, tuple(jnp.moveaxis(jnp.asarray(coordinates), -1, 0)), reference)
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
    return _fit(curve, key, weight, guess, prior, form=form, loss=loss, draws=draws)


@functools.partial(jax.jit, static_argnames=("form", "loss", "draws"))
def _fit(
    curve: LearningCurve, key: Any, weight: Any, guess: Any, prior: Any, *, form: Form, loss: Loss, draws: int
) -> CurveFit:
    """Rows of a batch, sizes in order, in the working precision; then every row by itself."""
    size, error = jnp.asarray(curve.size), jnp.asarray(curve.error)
    dtype = error.dtype
    inside = jnp.result_type(float)
    batch, points = error.shape[:-1], error.shape[-1]
    order = jnp.argsort(size if size.ndim == 1 else jnp.where(jnp.isnan(error), jnp.inf, size), axis=-1)

    def rows(values: Any, shape: tuple[int, ...]) -> jax.Array | None:
        if values is None:
            return None
        return jnp.broadcast_to(jnp.asarray(values, inside), batch + shape).reshape(-1, *shape)

    def ordered(values: Any) -> jax.Array | None:
        if values is None:
            return None
        values = jnp.asarray(values, inside)
        if order.ndim == 1 or values.ndim == 1 == order.ndim:
            return values[..., order]
        return jnp.take_along_axis(jnp.broadcast_to(values, error.shape), order, axis=-1)

    replicates = curve.replicates if draws or weight is None else None
    if replicates is not None:
        replicates = jnp.asarray(replicates, inside)
        moved = order if order.ndim == 1 else jnp.broadcast_to(order[..., None, :], replicates.shape)
        replicates = replicates[..., order] if order.ndim == 1 else jnp.take_along_axis(replicates, moved, axis=-1)
        replicates = rows(replicates, replicates.shape[-2:])
    count = int(np.prod(batch, dtype=int))
    keys = jax.random.split(key, count) if draws else None
    curves = (
        rows(ordered(size), (points,)),
        rows(ordered(error), (points,)),
        rows(ordered(weight), (points,)),
        replicates,
        rows(curve.test_count, ()),
        rows(guess, ()),
        None if prior is None else (rows(prior.exponent, ()), rows(prior.log_standard_deviation, ())),
        keys,
    )
    one = functools.partial(_fit_one, form=form, loss=loss, draws=draws)
    block = max(1, _BLOCK // max(1, draws // 16))
    fit = jax.vmap(one)(curves) if count <= block else jax.lax.map(one, curves, batch_size=block)
    return jax.tree.map(
        lambda a: (a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a).reshape(batch + a.shape[1:]), fit
    )


def _unpack(form: Form, u: tuple[Any, ...], reference: Any) -> tuple[Any, Any, tuple[Any, ...]]:
    """Offset, logarithm of the scale, shape; the coordinate is the scale at `z = 0`, which correlates least."""
    offset, level, shape = (u[0], u[1], u[2:]) if form.offset else (jnp.zeros_like(u[0]), u[0], u[1:])
    return offset, level - form.log_basis(jnp.zeros_like(level), reference, *shape), tuple(shape)


@functools.cache
def _residuals(form: Form, loss: Loss) -> Callable[[tuple[jax.Array, ...], Any], jax.Array]:
    """One function per form and loss, so that compiled code is found again."""

    def residuals(u: tuple[jax.Array, ...], data: Any) -> jax.Array:
        z, log_error, root_weight, reference, log_guess = data
        offset, log_scale, shape = _unpack(form, u, reference)
        prediction = form.log_error(z, offset, log_scale, shape, reference)
        if log_guess is not None:
            prediction = jnp.minimum(prediction, log_guess)
        return root_weight * loss(prediction, log_error)

    return residuals


def _fit_one(curve: tuple[Any, ...], *, form: Form, loss: Loss, draws: int) -> CurveFit:
    size, error, weight, replicates, test_count, guess, prior, key = curve
    present = jnp.isfinite(error) & jnp.isfinite(size) & (size > 0) & (error >= 0)
    changed = jnp.any((error < 0) | (present & (error <= 0)))
    smallest = jnp.min(jnp.where(present & (error > 0), error, jnp.inf))
    floor = 0.5 / test_count if test_count is not None else 0.5 * jnp.where(jnp.isfinite(smallest), smallest, 1e-6)
    log_error = jnp.log(jnp.where(present, jnp.where(error > 0, error, floor), 1.0))
    log_size = jnp.log(jnp.where(present, size, 1.0))
    low = jnp.min(jnp.where(present, log_size, jnp.inf))
    high = jnp.max(jnp.where(present, log_size, -jnp.inf))
    reference = jax.lax.stop_gradient(0.5 * (low + high))
    half = jnp.maximum(0.5 * (high - low), 1e-3)
    unit = jax.lax.stop_gradient(jnp.sum(log_error) / jnp.sum(present))
    z = jnp.where(present, log_size - reference, 0.0)
    y = jnp.where(present, log_error - unit, 0.0)
    if weight is None:
        weight = _repeat_weights(size, error, replicates, present) if replicates is not None else jnp.ones_like(z)
    if form.last_only:
        last = present & (log_size >= high)
        weight = jnp.where(last, weight, 0.0)
        weight = jnp.where(jnp.sum(weight) > 0, weight, last)
        present = last
    weight = jnp.where(present, weight, 0.0)
    root_weight = jnp.sqrt(weight * jnp.sum(present) / jnp.sum(weight))
    log_guess = None if guess is None else jnp.log(guess) - unit
    data = (z, y, root_weight, reference, log_guess)
    residuals = _residuals(form, loss)
    lower, upper = _box(form, y, present, half)
    starts = _starts(form, data, lower, upper, half)

    p = lower.shape[0]
    penalty = _penalty(form, prior, p)

    best, polished = _search(residuals, starts, data, lower, upper, penalty)
    count = jnp.sum(present)
    distinct = jnp.sum(present & (jnp.concatenate([jnp.ones(1, bool), jnp.diff(log_size) > 1e-9]) | ~present))
    degrees = jnp.maximum(count - p, 0) + _NOISE_PRIOR_COUNT
    noise = jnp.sqrt((2 * best.value + _NOISE_PRIOR_COUNT * _NOISE_PRIOR**2) / degrees)
    nothing = count == 0
    coordinates = jnp.where(nothing, jnp.nan, best.parameters)

    r = residuals(tuple(best.parameters), data)
    flags = FitFlags(
        at_bound=jnp.any(~best.free | (jnp.abs(best.parameters - lower) < 1e-6)),
        ill_conditioned=_ill_conditioned(best, residuals, data),
        too_few_sizes=distinct <= p,
        starts_disagree=_disagree(form, polished, best, reference, half),
        not_monotone=_rises(y, present, noise),
        break_suspected=_runs(r, present),
        changed=changed,
    )
    drawn = None
    if draws:
        drawn_y = _draw_curves(key, form, best, data, replicates, noise, degrees, unit, draws)
        drawn = _refit(residuals, best, data, drawn_y, lower, upper, penalty)
        drawn = jnp.where(nothing, jnp.nan, drawn)
    return CurveFit(
        coordinates, reference, unit, 2 * best.value, noise, best.converged & ~nothing, flags, drawn, guess, form
    )


def _box(form: Form, y: jax.Array, present: jax.Array, half: jax.Array) -> tuple[jax.Array, jax.Array]:
    smallest = jnp.exp(jnp.min(jnp.where(present, y, jnp.inf)))
    pairs: list[tuple[Any, Any]] = [(0.0, smallest)] if form.offset else []
    pairs += [(-40.0, 40.0), *form.bounds(-half, half)]
    return tuple(jnp.stack([jnp.asarray(pair[i], y.dtype) for pair in pairs]) for i in (0, 1))  # type: ignore[return-value]


def _starts(form: Form, data: Any, lower: jax.Array, upper: jax.Array, half: jax.Array) -> jax.Array:
    """Coordinates of the best points of the form's grid, offset and scale solved at each of them."""
    z, y, root_weight, reference, _ = data
    seeds = [jnp.stack([jnp.asarray(v, z.dtype) for v in axis]) for axis in zip(*form.seeds(-half, half), strict=True)]
    seeds_count = seeds[0].shape[0] if seeds else 1
    columns = tuple(s[:, None] for s in seeds)
    basis = form.log_basis(z[None, :], reference, *columns) - form.log_basis(
        jnp.zeros((seeds_count, 1), z.dtype), reference, *columns
    )
    basis = jnp.broadcast_to(basis, (seeds_count, z.shape[0]))
    square = root_weight**2
    if not form.offset:
        level = jnp.sum(square * (y - basis), axis=-1) / jnp.sum(square)
        cost = jnp.sum(square * (y - basis - level[:, None]) ** 2, axis=-1)
        linear: list[jax.Array] = [level]
    else:
        error = jnp.exp(y)
        phi = jnp.exp(jnp.minimum(basis, 60.0))
        v = square / error**2
        s0, s1, s2 = jnp.sum(v), jnp.sum(v * phi, axis=-1), jnp.sum(v * phi**2, axis=-1)
        t0, t1 = jnp.sum(v * error), jnp.sum(v * error * phi, axis=-1)
        offset = (s2 * t0 - s1 * t1) / (s0 * s2 - s1**2)
        offset = jnp.clip(jnp.where(jnp.isfinite(offset), offset, 0.0), lower[0], 0.98 * upper[0])
        scale = jnp.maximum((t1 - offset * s1) / s2, 1e-4)
        level = jnp.log(jnp.where(jnp.isfinite(scale), scale, 1e-4))
        cost = jnp.sum(square * (jnp.log(offset[:, None] + scale[:, None] * phi) - y) ** 2, axis=-1)
        linear = [offset, level]
    cost = jnp.where(jnp.isfinite(cost), cost, jnp.inf)
    _, best = jax.lax.top_k(-cost, min(_SEARCHED, seeds_count))
    return jnp.stack([*linear, *seeds], axis=-1)[best]


def _penalty(form: Form, prior: Any, p: int) -> tuple[jax.Array, jax.Array] | tuple[None, None]:
    """Center and precision of the coordinates under the prior, in units of squared residuals."""
    if prior is None or "exponent" not in form.parameters:
        return None, None
    exponent, deviation = prior
    # The logarithm of the exponent is the first or the last of the shape's coordinates, as it is named.
    place = form.exponent_place + form.offset + 1
    chosen = jnp.arange(p) == place
    return jnp.where(chosen, jnp.log(-exponent), 0.0), jnp.where(chosen, (_NOISE_PRIOR / deviation) ** 2, 0.0)


def _search(
    residuals: Any, starts: jax.Array, data: Any, lower: jax.Array, upper: jax.Array, penalty: Any
) -> tuple[LeastSquares, LeastSquares]:
    """The best minimum, and the minima from the best two starts. Coarse in float32, polished in full precision."""
    coarse_data, starts, low, high, weak = jax.tree.map(
        lambda a: jax.lax.stop_gradient(a).astype(jnp.float32), (data, starts, lower, upper, penalty)
    )
    coarse = jax.vmap(lambda s: least_squares(residuals, s, coarse_data, low, high, *weak, steps=_SEARCH_STEPS))(starts)
    value = jnp.where(jnp.isfinite(coarse.value), coarse.value, jnp.inf)
    _, kept = jax.lax.top_k(-value, min(_POLISHED, starts.shape[0]))
    again = coarse.parameters[kept].astype(lower.dtype)
    polished = jax.vmap(
        lambda s: least_squares(residuals, s, data, lower, upper, *penalty, steps=_POLISH_STEPS, newton=True)
    )(again)
    value = jnp.where(jnp.isfinite(polished.value), polished.value, jnp.inf)
    first = jnp.argmin(value)
    return jax.tree.map(lambda a: a[first], polished), polished


def _repeat_weights(size: jax.Array, error: jax.Array, replicates: jax.Array, present: jax.Array) -> jax.Array:
    """Inverse relative variance of the mean at each size: the repeats' variance smoothed as `v0 + v1 / size`."""
    here = ~jnp.isnan(replicates)
    count = jnp.sum(here, axis=0)
    mean = jnp.sum(jnp.where(here, replicates, 0), axis=0) / jnp.maximum(count, 1)
    squares = jnp.sum(jnp.where(here, (replicates - mean) ** 2, 0), axis=0)
    known = present & (count > 1) & (error > 0)
    variance = jnp.where(known, squares / jnp.maximum(count - 1, 1) / jnp.where(known, error, 1) ** 2, 0)
    inverse = jnp.where(present, jnp.min(jnp.where(present, size, jnp.inf)) / jnp.where(present, size, 1), 0)
    trust = jnp.where(known, count - 1, 0)
    s0, s1, s2 = (jnp.sum(trust * inverse**k) for k in (0, 1, 2))
    t0, t1 = jnp.sum(trust * variance), jnp.sum(trust * variance * inverse)
    determinant = s0 * s2 - s1**2
    v1 = jnp.where(determinant > 1e-12 * s0 * s2, (s0 * t1 - s1 * t0) / jnp.where(determinant > 0, determinant, 1), 0)
    v0 = (t0 - v1 * s1) / jnp.maximum(s0, 1)
    v1 = jnp.where(v0 < 0, t1 / jnp.where(s2 > 0, s2, 1), v1)
    v0 = jnp.where(v1 < 0, t0 / jnp.maximum(s0, 1), v0)
    v0, v1 = jnp.maximum(v0, 0), jnp.maximum(v1, 0)
    # A form is never exact: a hundredth of the noise prior keeps a lucky size from ruling the fit.
    smooth = (v0 + v1 * inverse) / jnp.maximum(count, 1) + (0.1 * _NOISE_PRIOR) ** 2
    return jnp.where(jnp.sum(trust) > 0, 1 / smooth, 1.0)


def _ill_conditioned(best: LeastSquares, residuals: Any, data: Any) -> jax.Array:
    jacobian = jax.jacfwd(lambda u: residuals(tuple(u), data))(best.parameters)
    norm = jnp.sqrt(jnp.sum(jacobian**2, axis=0))
    unit = jnp.where(best.free, jacobian / jnp.where(norm > 0, norm, 1), 0)
    lowest = jnp.asarray(1.0, jacobian.dtype)
    # Gram-Schmidt: what remains of a column beside the ones before it.
    done: list[jax.Array] = []
    for i in range(unit.shape[1]):
        column = unit[:, i]
        for q in [*done, *done]:
            column = column - q * jnp.sum(q * column)
        length = jnp.sqrt(jnp.sum(column**2))
        lowest = jnp.where(best.free[i], jnp.minimum(lowest, length), lowest)
        done.append(column / jnp.where(length > 0, length, 1))
    return lowest < 1e-3


def _disagree(
    form: Form, polished: LeastSquares, best: LeastSquares, reference: jax.Array, half: jax.Array
) -> jax.Array:
    def beyond(u: Array) -> jax.Array:
        offset, log_scale, shape = _unpack(form, tuple(u), reference)
        return form.log_error(half + jnp.log(4.0), offset, log_scale, shape, reference)

    apart = jnp.abs(jax.vmap(beyond)(polished.parameters) - beyond(best.parameters)) > 0.05
    return jnp.any(apart & (polished.value <= 1.01 * best.value))


def _rises(y: jax.Array, present: jax.Array, noise: jax.Array) -> jax.Array:
    lowest = jax.lax.cummin(jnp.where(present, y, jnp.inf))
    return jnp.any(present & (y - lowest > jnp.maximum(0.05, 4 * noise)))


def _runs(r: jax.Array, present: jax.Array) -> jax.Array:
    count = jnp.sum(present)
    # Absent sizes are skipped: each residual is compared with the present one before it.
    position = jnp.cumsum(present) - 1
    packed = jnp.zeros_like(r).at[jnp.where(present, position, r.shape[0])].set(r, mode="drop")
    correlation = jnp.sum(packed[1:] * packed[:-1]) / jnp.maximum(jnp.sum(packed**2), jnp.finfo(r.dtype).tiny)
    return (count >= 8) & (correlation * jnp.sqrt(count) > 2.5)


def _draw_curves(
    key: Any,
    form: Form,
    best: LeastSquares,
    data: Any,
    replicates: jax.Array | None,
    noise: jax.Array,
    degrees: jax.Array,
    unit: jax.Array,
    draws: int,
) -> jax.Array:
    z, _, root_weight, reference, _ = data
    noise_key, row_key = jax.random.split(key)
    offset, log_scale, shape = _unpack(form, tuple(best.parameters), reference)
    center = form.log_error(z, offset, log_scale, shape, reference)
    scatter = noise / jnp.where(root_weight > 0, root_weight, 1)
    around = center + scatter * student_noise(noise_key, degrees, draws=draws, size=z.shape[0])
    if replicates is None or replicates.shape[0] < 2:
        return around
    means = jnp.log(jnp.maximum(resample_rows(row_key, replicates, draws=draws), 1e-12)) - unit
    several = jnp.sum(~jnp.isnan(replicates), axis=0) > 1
    return jnp.where(several & jnp.isfinite(means), means, around)


def _refit(
    residuals: Any, best: LeastSquares, data: Any, drawn_y: jax.Array, lower: jax.Array, upper: jax.Array, penalty: Any
) -> jax.Array:
    z, _, root_weight, reference, log_guess = data
    # A draw needs no more digits than its noise leaves.
    z, drawn_y, root_weight, reference, log_guess, start, low, high, penalty = jax.tree.map(
        lambda a: a.astype(jnp.float32),
        (z, drawn_y, root_weight, reference, log_guess, best.parameters, lower, upper, penalty),
    )

    def one(y: jax.Array) -> jax.Array:
        return least_squares(
            residuals, start, (z, y, root_weight, reference, log_guess), low, high, *penalty, steps=_DRAW_STEPS
        ).parameters

    return jax.vmap(one)(drawn_y).astype(lower.dtype)
