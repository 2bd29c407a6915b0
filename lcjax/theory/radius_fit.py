"""Fit of the error model's radius to a measured learning curve, and the size at which it reaches an error."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Bool, Float, Int, Num

from lcjax.curves.answer.size_for_error import SizeForError
from lcjax.curves.learning_curve import LearningCurve
from lcjax.kernels.compilation import jit, namespace, repeat
from lcjax.records import record
from lcjax.theory.expected_error import error_of_ratio, expected_error, log_size_scale, whitened_moments
from lcjax.theory.gaussian import Gaussian
from lcjax.theory.laws import LocalLaw, hypercube
from lcjax.typing import Array

__all__ = ["Points", "RadiusFit", "find_size", "find_size_scale", "fit_radius", "usable_points"]

# Logarithms of sizes, `(s,)`, of errors, and weights, `(*b, s)`; zero weight marks an absent point. NumPy arrays may
# have batch axes, JAX arrays get them from `vmap`.
Points: TypeAlias = tuple[Float[Array, "*#b s"], Float[Array, "*b s"], Float[Array, "*b s"]]
Moments: TypeAlias = tuple[Float[Array, "d d"], Float[Array, " d"]]  # covariance and shift, whitened
Scalars: TypeAlias = tuple[Float[Array, "*b"], Float[Array, "*b"], Float[Array, "*b"]]


@record
class RadiusFit:
    """The error model fitted to a learning curve, in the dtype of the Gaussians and errors.

    Attributes:
        radius: delta, `()`, in the unit of the features; nan where no point of the curve could be used.
        log_size_scale: `ln N0`, `()`, which the curve determines: radius and train density enter through it alone.
        residual: weighted root mean square of `ln measured - ln predicted` over the points used, `()`.
        used: number of points used, `()`.
        converged: True if the minimum was found inside the search interval, `()`.
        train_density: density of the training points.
        test_density: density of the test points.
        law: of the distance to the nearest neighbor.
        power: 1 for the distance, 2 for its square.
    """

    radius: Float[Array, "*b"]
    log_size_scale: Float[Array, "*b"]
    residual: Float[Array, "*b"]
    used: Int[Array, "*b"]
    converged: Bool[Array, "*b"]
    train_density: Gaussian
    test_density: Gaussian
    law: LocalLaw = jax.tree.static(default=hypercube)
    power: int = jax.tree.static(default=1)

    def predict(self, size: Num[Array, "*s"]) -> Float[jax.Array, "*s"]:
        """Return the expected error at each training-set size: `expected_error` with the fitted radius."""
        return expected_error(size, self.train_density, self.test_density, self.radius, self.law, power=self.power)

    def size_for_error(self, target: Float[Array, "*t"] | float) -> SizeForError:
        """Return the number of training examples at which the fitted error reaches a target, the inverse of `predict`.

        It is `N0 exp(x)` with x the zero of `ln error - ln target`, which falls with x: Newton steps, safeguarded by
        bisection in a bracket that initially spans all sizes of the dtype. Each step starts from a constant, so that
        the derivative of the last one is that of the exact size.

        Args:
            target: errors to reach, fractions in (0, 1).

        Returns:
            Sizes without an interval, real-valued and not rounded, in the dtype of the fit; inf where the target lies
            beyond the largest finite size, nan where it is outside (0, 1) or the fit is nan.

        Examples:
            >>> import jax.numpy as jnp
            >>> density = Gaussian(jnp.zeros(2), jnp.eye(2))
            >>> size = jnp.array([50.0, 100.0, 200.0])
            >>> fit = fit_radius(LearningCurve(size, expected_error(size, density, density, 0.3)), density, density)
            >>> print(f"{fit.size_for_error(fit.predict(size)[1]).value:.2f}")
            100.00
        """
        return SizeForError.without_interval(_size_for_error(self, target))


@jit(static_argnames=("law", "power"))
def fit_radius(
    curve: LearningCurve, train_density: Gaussian, test_density: Gaussian, law: LocalLaw = hypercube, *, power: int = 1
) -> RadiusFit:
    """Fit the radius by least squares between measured and expected errors, on the logarithmic scale.

        sum_i w_i (ln e_i - ln error(N_i; delta))^2,    w_i = 1 / (0.01^2 + (standard_error_i / e_i)^2)

    Bisla et al. (2021), section 4.2.2. By a local law the expected error depends on `N / N0` only, so that the search
    over `ln N0` is one-dimensional and global: a table of the expected curve is slid over the measured points, then
    refined by Newton steps on the exact errors. Deterministic; derivatives are those of the exact minimum. The radius
    absorbs a constant factor of the law, so radii are comparable only for one law and dimension (docs/laws.md).

    Points with a nan error or size are absent. Without a `standard_error` all weights are equal; points without one
    take the mean of the others. The 1 % prevents one point of small standard error from dominating. A measured error of
    zero counts as half a mistake, `0.5 / test_count`, with a relative standard error of 1; without a `test_count` it is
    excluded. With an error above 1 (a percentage, perhaps) the fit is nan.

    Args:
        curve: measured errors, sizes `(s,)`.
        train_density: density of the training points.
        test_density: density of the test points.
        law: `hypercube` or `poisson`, static.
        power: 1 for the distance, 2 for its square, static.

    Returns:
        `RadiusFit`; `converged` is False where the search failed, and the radius nan if no point is usable.

    Raises:
        ValueError: the curve is a batch (use `vmap`), sizes and errors differ in length, or the law is neither of the
            two; see also `expected_error`.

    Examples:
        >>> import jax.numpy as jnp
        >>> density = Gaussian(jnp.zeros(2), jnp.eye(2))
        >>> size = jnp.array([50.0, 100.0, 200.0])
        >>> measured = LearningCurve(size, expected_error(size, density, density, 0.3))
        >>> fit = fit_radius(measured, density, density)
        >>> print(f"{fit.radius:.4f}", bool(fit.converged))
        0.3000 True
    """
    shapes = jnp.shape(curve.size), jnp.shape(curve.error)
    if len(shapes[0]) != 1 or shapes[0] != shapes[1]:
        raise ValueError(f"One curve of sizes (s,) and errors (s,) is needed, got {shapes[0]} and {shapes[1]}.")
    densities = train_density, test_density
    d = jnp.shape(train_density.mean)[-1]
    dtype = jnp.result_type(*map(jnp.asarray, jax.tree.leaves(densities)), jnp.asarray(curve.error).dtype)
    points = usable_points(curve, dtype)
    moments = whitened_moments(*densities)
    unit_scale = log_size_scale(train_density, 1.0, law, power=power).astype(dtype)  # ln N0 at radius 1

    log_scale, residual, used, converged = (jnp.asarray(v) for v in find_size_scale(points, moments, law, power / d))
    percent = jnp.any(jnp.asarray(curve.error) > 1)
    log_scale, residual = (jnp.where(percent, jnp.nan, value) for value in (log_scale, residual))
    converged = converged & ~percent
    radius = jnp.exp((unit_scale - log_scale) / d)
    return RadiusFit(radius, log_scale, residual, used, converged, *densities, law, power)


@jit
def _size_for_error(fit: RadiusFit, target: Float[Array, "*t"] | float) -> Float[jax.Array, "*t"]:
    log_scale = jnp.asarray(fit.log_size_scale)
    target = jnp.asarray(target, log_scale.dtype)
    d = jnp.shape(fit.train_density.mean)[-1]
    moments = whitened_moments(fit.train_density, fit.test_density)
    return jnp.asarray(find_size(log_scale, target, moments, fit.law, fit.power / d))


def usable_points(curve: LearningCurve, dtype: DTypeLike) -> Points:
    """Return the points of a curve with their weights, as `fit_radius` counts them."""
    xp = namespace(curve.error)
    size, error = xp.asarray(curve.size, dtype), xp.asarray(curve.error, dtype)
    zero = error == 0
    relative = xp.zeros_like(error)
    if curve.standard_error is not None:
        relative = xp.asarray(curve.standard_error, dtype) / xp.where(error > 0, error, xp.nan)
        known = xp.isfinite(relative)
        mean = xp.sum(xp.where(known, relative, 0), -1) / xp.maximum(xp.sum(known, -1), 1)
        relative = xp.where(known, relative, mean[..., None])
    if curve.test_count is not None:
        error = xp.where(zero, 0.5 / xp.asarray(curve.test_count, dtype), error)
        relative = xp.where(zero, 1.0, relative)
    present = xp.isfinite(size) & (size > 0) & xp.isfinite(error) & (error > 0)
    weight = xp.where(present, 1 / (0.01**2 + relative**2), 0)
    highest = xp.max(weight, axis=-1, keepdims=True)
    log_size, log_error = xp.log(xp.where(present, size, 1)), xp.log(xp.where(present, error, 1))
    return log_size.astype(dtype), log_error.astype(dtype), (weight / highest).astype(dtype)


def find_size_scale(
    points: Points, moments: Moments, law: LocalLaw, exponent: float
) -> tuple[Float[Array, "*b"], Float[Array, "*b"], Int[Array, "*b"], Bool[Array, "*b"]]:
    """Return the best `ln N0`, the residual, the number of points used, and True where the search converged."""
    xp, weight = namespace(points[1]), points[2]
    dtype = weight.dtype
    fixed = (points, moments) if xp is np else jax.lax.stop_gradient((points, moments))
    start, reach, inside = _slide(*fixed, law, exponent)
    total, used = xp.sum(weight, axis=-1), xp.sum(weight > 0, axis=-1)
    flat = 2 * np.finfo(dtype).eps * total  # curvature of errors that change by less than rounding shows
    log_scale, step, misfit = _newton(start, reach, lambda u: _misfit(u, points, moments, law, exponent), flat)
    log_scale = xp.where(used > 0, log_scale, xp.nan)
    tolerance = 1e-3 if dtype == np.float32 else 1e-6
    converged = inside & xp.isfinite(log_scale) & (xp.abs(step) < tolerance)  # the step on a flat misfit is infinite
    residual = xp.sqrt(xp.where(xp.isfinite(log_scale), misfit / total, xp.nan))
    return log_scale, residual, used, converged


def find_size(
    log_scale: Float[Array, "*#b"], target: Float[Array, "*b"], moments: Moments, law: LocalLaw, exponent: float
) -> Float[Array, "*b"]:
    """Return the size at which the error with this `ln N0` reaches a target; see `RadiusFit.size_for_error`."""
    xp, dtype = namespace(log_scale, target), log_scale.dtype
    constant: Callable[..., Any] = jax.lax.stop_gradient if xp is jnp else lambda value: value
    highest = xp.maximum(xp.log(np.finfo(dtype).max) - constant(log_scale), -80.0).astype(dtype)
    shape = np.broadcast_shapes(log_scale.shape, target.shape)
    low, high = xp.full(shape, -80.0, dtype), xp.broadcast_to(highest, shape)

    def improve(state: tuple[Array, ...]) -> tuple[Array, ...]:
        at, low, high = constant(state)
        error, slope = error_of_ratio(at, *moments, law, exponent=exponent, order=1).astype(dtype)
        excess = xp.log(error) - xp.log(target)
        low, high = constant((xp.where(excess > 0, at, low), xp.where(excess > 0, high, at)))
        falling = slope < 0
        newton = at - excess / constant(xp.where(falling, slope / error, -1))
        inside = falling & (newton >= low) & (newton <= high)
        return xp.where(inside, newton, (low + high) / 2), low, high

    state: tuple[Array, ...] = ((low + high) / 2, low, high)
    x, _, high = repeat(60, improve, state, settled=_is_settled)
    # Otherwise the error exceeds the target at every size of the dtype, and bisection has led to the highest.
    reached = (high < highest) | (x < highest - 0.01)
    size = xp.where(reached, xp.exp(x + log_scale), xp.inf)
    answer: Array = xp.where((target > 0) & (target < 1) & ~xp.isnan(log_scale), size, xp.nan)
    return answer


def _misfit(log_scale: Array, points: Points, moments: Moments, law: LocalLaw, exponent: float) -> Scalars:
    """Return the weighted squared distance of measured from expected log errors, and its derivatives by `ln N0`."""
    log_size, log_error, weight = points
    xp = namespace(log_error)
    error, first, second = error_of_ratio(log_size - log_scale[..., None], *moments, law, exponent=exponent, order=2)
    slope = first / error
    bend = second / error - slope**2
    residual = log_error - xp.log(error)
    value = xp.sum(weight * residual**2, axis=-1)
    gradient, curvature = weight * residual * slope, weight * (slope**2 - residual * bend)
    return value, 2 * xp.sum(gradient, axis=-1), 2 * xp.sum(curvature, axis=-1)


def _slide(
    points: Points, moments: Moments, law: LocalLaw, exponent: float
) -> tuple[Float[Array, "*b"], Float[Array, "*b"], Bool[Array, "*b"]]:
    """Return the best `ln N0` on a grid, a bound on its distance from the minimum, and if the table spans all points.

    The misfit of each point grows on both sides of the `ln N0` that fits it exactly, so that the minimum lies between
    the smallest and the largest of these.
    """
    log_size, log_error, weight = points
    covariance, shift = moments
    xp, dtype = namespace(log_error), log_error.dtype
    # ln error ultimately falls at the rate min(p/d, 1/largest variance); the table reaches errors of about 1e-12.
    end = 28 * xp.maximum(1 / exponent, xp.trace(covariance)) + xp.trace(covariance) + xp.sum(shift**2)
    start = 0.0 if law is hypercube else -12.0
    x = start + (end - start) * xp.linspace(0, 1, 256, dtype=dtype) ** 2
    table = xp.log(error_of_ratio(x, covariance, shift, law, exponent=exponent)[0])
    exact = xp.interp(-log_error, -table, x).astype(dtype)
    usable = weight > 0
    low = xp.min(xp.where(usable, log_size - exact, xp.inf), axis=-1)
    high = xp.max(xp.where(usable, log_size - exact, -xp.inf), axis=-1)
    candidates = low[..., None] + (high - low)[..., None] * xp.linspace(0, 1, 256, dtype=dtype)
    misfit = xp.interp(log_size[..., None, :] - candidates[..., None], x, table) - log_error[..., None, :]
    misfit = xp.sum(weight[..., None, :] * misfit**2, axis=-1)
    best = xp.take_along_axis(candidates, xp.argmin(misfit, axis=-1)[..., None], axis=-1)[..., 0]
    spacing = xp.max(xp.where(usable, xp.interp(exact, x[1:], xp.diff(x)), 0), axis=-1).astype(dtype)
    return best, (high - low) / 255 + spacing, xp.all(~usable | (log_error > table[-1]), axis=-1)


def _newton(start: Array, reach: Array, function: Callable[[Array], Scalars], flat: Array) -> Scalars:
    """Return the minimum within `reach` of `start`, the last step and the value, by Newton steps with bisection.

    Where the curvature is at most `flat`, the step is infinite and the interval is bisected. Each step starts from a
    constant, so that the derivative of the last one is that of the exact minimum.
    """
    xp = namespace(start)
    constant: Callable[..., Any] = jax.lax.stop_gradient if xp is jnp else lambda value: value

    def improve(state: tuple[Array, ...]) -> tuple[Array, ...]:
        at, low, high, _, _ = constant(state)
        value, gradient, curvature = function(at)
        low, high = constant((xp.where(gradient < 0, at, low), xp.where(gradient > 0, at, high)))
        convex = curvature > flat
        step = xp.where(convex, gradient / constant(xp.where(convex, curvature, 1)), xp.inf)
        inside = (at - step >= low) & (at - step <= high)
        return xp.where(inside, at - xp.where(inside, step, 0), (low + high) / 2), low, high, step, value

    zero = xp.zeros_like(start)
    state: tuple[Array, ...] = (start, start - reach, start + reach, zero, zero)
    at, _, _, step, value = repeat(12, improve, state, settled=_is_settled)
    return at, step, value


def _is_settled(before: tuple[Array, ...], after: tuple[Array, ...]) -> bool:
    """Return True if the first part of two successive states differs by rounding only."""
    change, scale = np.abs(after[0] - before[0]), np.maximum(np.abs(after[0]), 1)
    return not np.any(change > 4 * np.finfo(change.dtype).eps * scale)
