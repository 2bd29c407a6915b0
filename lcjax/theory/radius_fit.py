"""Fit of the error model's radius to a measured learning curve, and the size at which it reaches an error."""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Num

from lcjax.curves.answer.size_for_error import SizeForError
from lcjax.curves.learning_curve import LearningCurve
from lcjax.kernels.compilation import jit
from lcjax.records import record
from lcjax.theory.expected_error import error_of_ratio, expected_error, log_size_scale, whitened_moments
from lcjax.theory.gaussian import Gaussian
from lcjax.theory.laws import LocalLaw, hypercube
from lcjax.typing import Array

__all__ = ["RadiusFit", "fit_radius"]

# Logarithms of sizes and errors, and weights, `(s,)` each; zero weight marks an absent point.
Points: TypeAlias = tuple[Float[jax.Array, " s"], Float[jax.Array, " s"], Float[jax.Array, " s"]]
Moments: TypeAlias = tuple[Float[jax.Array, "d d"], Float[jax.Array, " d"]]  # covariance and shift, whitened
Scalars: TypeAlias = tuple[Float[jax.Array, ""], Float[jax.Array, ""], Float[jax.Array, ""]]


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
        law: of the distance to the nearest neighbour.
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
    points = _usable_points(curve, dtype)
    moments = whitened_moments(*densities)
    unit_scale = log_size_scale(train_density, 1.0, law, power=power).astype(dtype)  # ln N0 at radius 1

    fixed = jax.lax.stop_gradient((points, moments))
    start, reach, inside = _slide(*fixed, law, power / d)
    weight, used = points[2], jnp.sum(points[2] > 0)
    flat = 2 * jnp.finfo(dtype).eps * jnp.sum(weight)  # curvature of errors that change by less than rounding shows
    log_scale, step, misfit = _newton(start, reach, lambda u: _misfit(u, points, moments, law, power / d), flat)
    log_scale = jnp.where((used > 0) & ~jnp.any(jnp.asarray(curve.error) > 1), log_scale, jnp.nan)
    tolerance = 1e-3 if dtype == jnp.float32 else 1e-6
    converged = inside & jnp.isfinite(log_scale) & (jnp.abs(step) < tolerance)  # the step on a flat misfit is infinite
    residual = jnp.sqrt(jnp.where(jnp.isfinite(log_scale), misfit / jnp.sum(weight), jnp.nan))
    radius = jnp.exp((unit_scale - log_scale) / d)
    return RadiusFit(radius, log_scale, residual, used, converged, *densities, law, power)


@jit
def _size_for_error(fit: RadiusFit, target: Float[Array, "*t"] | float) -> Float[jax.Array, "*t"]:
    log_scale = jnp.asarray(fit.log_size_scale)
    dtype, d = log_scale.dtype, jnp.shape(fit.train_density.mean)[-1]
    target = jnp.asarray(target, dtype)
    covariance, shift = whitened_moments(fit.train_density, fit.test_density)

    highest = jnp.maximum(jnp.log(np.finfo(dtype).max) - jax.lax.stop_gradient(log_scale), -80.0)
    low, high = jnp.broadcast_to(jnp.asarray(-80.0, dtype), target.shape), jnp.broadcast_to(highest, target.shape)

    def improve(_: jax.Array, state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        at, low, high = jax.lax.stop_gradient(state)
        error, slope = error_of_ratio(at, covariance, shift, fit.law, exponent=fit.power / d, order=1).astype(dtype)
        excess = jnp.log(error) - jnp.log(target)
        low, high = jax.lax.stop_gradient((jnp.where(excess > 0, at, low), jnp.where(excess > 0, high, at)))
        falling = slope < 0
        newton = at - excess / jax.lax.stop_gradient(jnp.where(falling, slope / error, -1))
        inside = falling & (newton >= low) & (newton <= high)
        return jnp.where(inside, newton, (low + high) / 2), low, high

    x, _, high = jax.lax.fori_loop(0, 60, improve, ((low + high) / 2, low, high))
    reached = high < highest  # otherwise the error exceeds the target at every size of the dtype
    size = jnp.where(reached, jnp.exp(x + log_scale), jnp.inf)
    return jnp.where((target > 0) & (target < 1) & ~jnp.isnan(log_scale), size, jnp.nan)


def _usable_points(curve: LearningCurve, dtype: jnp.dtype) -> Points:
    size, error = jnp.asarray(curve.size, dtype), jnp.asarray(curve.error, dtype)
    zero = error == 0
    relative = jnp.zeros_like(error)
    if curve.standard_error is not None:
        relative = jnp.asarray(curve.standard_error, dtype) / jnp.where(error > 0, error, jnp.nan)
        known = jnp.isfinite(relative)
        mean = jnp.sum(jnp.where(known, relative, 0)) / jnp.maximum(jnp.sum(known), 1)
        relative = jnp.where(known, relative, mean)
    if curve.test_count is not None:
        error = jnp.where(zero, 0.5 / jnp.asarray(curve.test_count, dtype), error)
        relative = jnp.where(zero, 1.0, relative)
    present = jnp.isfinite(size) & (size > 0) & jnp.isfinite(error) & (error > 0)
    weight = jnp.where(present, 1 / (0.01**2 + relative**2), 0)
    return jnp.log(jnp.where(present, size, 1)), jnp.log(jnp.where(present, error, 1)), weight / jnp.max(weight)


def _misfit(log_scale: jax.Array, points: Points, moments: Moments, law: LocalLaw, exponent: float) -> Scalars:
    """Return the weighted squared distance of measured from expected log errors, and its derivatives by `ln N0`."""
    log_size, log_error, weight = points
    error, first, second = error_of_ratio(log_size - log_scale, *moments, law, exponent=exponent, order=2)
    slope = first / error
    bend = second / error - slope**2
    residual = log_error - jnp.log(error)
    value = jnp.sum(weight * residual**2)
    return value, 2 * jnp.sum(weight * residual * slope), 2 * jnp.sum(weight * (slope**2 - residual * bend))


def _slide(
    points: Points, moments: Moments, law: LocalLaw, exponent: float
) -> tuple[Float[jax.Array, ""], Float[jax.Array, ""], Bool[jax.Array, ""]]:
    """Return the best `ln N0` on a grid, a bound on its distance from the minimum, and if the table spans all points.

    The misfit of each point grows on both sides of the `ln N0` that fits it exactly, so that the minimum lies between
    the smallest and the largest of these.
    """
    log_size, log_error, weight = points
    covariance, shift = moments
    # ln error ultimately falls at the rate min(p/d, 1/largest variance); the table reaches errors of about 1e-12.
    end = 28 * jnp.maximum(1 / exponent, jnp.trace(covariance)) + jnp.trace(covariance) + jnp.sum(shift**2)
    start = 0.0 if law is hypercube else -12.0
    x = start + (end - start) * jnp.linspace(0, 1, 256, dtype=end.dtype) ** 2
    table = jnp.log(error_of_ratio(x, covariance, shift, law, exponent=exponent)[0])
    exact = jnp.interp(-log_error, -table, x)
    usable = weight > 0
    low = jnp.min(jnp.where(usable, log_size - exact, jnp.inf))
    high = jnp.max(jnp.where(usable, log_size - exact, -jnp.inf))
    candidates = low + (high - low) * jnp.linspace(0, 1, 256, dtype=x.dtype)
    misfit = jnp.interp(log_size - candidates[:, None], x, table) - log_error
    best = candidates[jnp.argmin(jnp.sum(weight * misfit**2, axis=1))]
    spacing = jnp.max(jnp.where(usable, jnp.interp(exact, x[1:], jnp.diff(x)), 0))
    return best, (high - low) / 255 + spacing, jnp.all(~usable | (log_error > table[-1]))


def _newton(start: jax.Array, reach: jax.Array, function: Callable[[jax.Array], Scalars], flat: jax.Array) -> Scalars:
    """Return the minimum within `reach` of `start`, the last step and the value, by Newton steps with bisection.

    Where the curvature is at most `flat`, the step is infinite and the interval is bisected. Each step starts from a
    constant, so that the derivative of the last one is that of the exact minimum.
    """

    def improve(_: jax.Array, state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        at, low, high, _, _ = jax.lax.stop_gradient(state)
        value, gradient, curvature = function(at)
        low, high = jax.lax.stop_gradient((jnp.where(gradient < 0, at, low), jnp.where(gradient > 0, at, high)))
        convex = curvature > flat
        step = jnp.where(convex, gradient / jax.lax.stop_gradient(jnp.where(convex, curvature, 1)), jnp.inf)
        inside = (at - step >= low) & (at - step <= high)
        return jnp.where(inside, at - jnp.where(inside, step, 0), (low + high) / 2), low, high, step, value

    zero = jnp.zeros_like(start)
    at, _, _, step, value = jax.lax.fori_loop(0, 12, improve, (start, start - reach, start + reach, zero, zero))
    return at, step, value
