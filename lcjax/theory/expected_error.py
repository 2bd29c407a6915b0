"""Expected error of the nearest-neighbour model at every training-set size, for Gaussian densities."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from lcjax.kernels.compilation import jit
from lcjax.theory.binomial_law import binomial, mean_binomial_error
from lcjax.theory.gaussian import Gaussian
from lcjax.theory.laws import check_power, hypercube, log_ball_volume, poisson, saturation_log_intensity
from lcjax.theory.mellin import expected_value, hypercube_transform, poisson_transform
from lcjax.theory.polar_quadrature import polar_mean

__all__ = ["error_of_ratio", "expected_error", "log_size_scale", "saturation_size", "whitened"]

Array = jax.Array | np.ndarray
Scalar = Num[Array, ""] | float


@jit(static_argnames=("law", "power"))
def expected_error(
    size: Num[Array, "*s"],
    train: Gaussian,
    test: Gaussian,
    radius: Scalar,
    law: Callable[..., Array] = hypercube,
    *,
    power: int = 1,
) -> Float[jax.Array, "*s"]:
    """Expected test error at each training-set size, for Gaussian train and test densities.

        error(N) = E_g[Phi],    Phi = min(1, (R / delta)^power)

    Bisla et al. (2021), Eq. (1), (4) and (7), with R by one of the neighbour laws. Deterministic, in any dimension, for
    every full-rank train covariance and every test covariance; `contour` has the method. Relative accuracy by hypercube
    and poisson is about 1e-13 in float64 and 2e-6 in float32, at small errors too.

    Args:
        size: numbers of training examples N.
        train: density f of the training points, dimension d.
        test: density g of the test points, dimension d.
        radius: delta, distance at which the error saturates, in the unit of the features; positive.
        law: `hypercube` (the paper's), `poisson` (independent samples, locally uniform) or `binomial` (independent
            samples at finite N, isotropic Gaussians only); or another local law `law(log_intensity, *, d, power)`, for
            which the rule of `polar` is taken, d <= 3; static.
        power: 1 for the distance, 2 for its square, static.

    Returns:
        Errors in [0, 1], in the floating dtype of the arguments; by the hypercube law exactly 1 up to
        `saturation_size`. nan where the train covariance is not positive definite, and by the binomial law where a
        covariance is not a multiple of the identity or the radius exceeds 20 training standard deviations.

    Raises:
        ValueError: the densities differ in dimension, `radius` is an array (`vmap` over radii), `power` is neither 1
            nor 2, or `law` is another one and d > 3.

    Examples:
        >>> import jax.numpy as jnp
        >>> density = Gaussian(jnp.zeros(2), jnp.eye(2))
        >>> print(*(f"{error:.4f}" for error in expected_error(jnp.array([3, 100, 10_000]), density, density, 0.5)))
        1.0000 0.3468 0.0380
    """
    d = _common_dimension(train, test)
    check_power(power)
    if jnp.ndim(radius):
        raise ValueError(f"radius must be one number, got shape {jnp.shape(radius)}: use jax.vmap over radii.")
    dtype = jnp.result_type(*map(jnp.asarray, jax.tree.leaves((train, test))), radius, size, jnp.float32)
    size = jnp.asarray(size, dtype)
    if law is binomial:
        return _binomial_error(size, train, test, jnp.asarray(radius, dtype), power)
    if law not in (hypercube, poisson):
        return _polar_error(jnp.log(size), train, test, jnp.asarray(radius, dtype), law, power)
    log_ratio = jnp.log(size) - log_size_scale(train, radius, law, power=power).astype(dtype)
    return error_of_ratio(log_ratio, *whitened(train, test), law, exponent=power / d)[0]


def log_size_scale(
    train: Gaussian, radius: Scalar, law: Callable[..., Array] = hypercube, *, power: int = 1
) -> Float[jax.Array, ""]:
    """`ln N0`, of the size that sets the scale of a curve: by a local law the error depends on `N / N0` only.

    By the hypercube law `N0` is `saturation_size`; by the law of independent samples it is `1 / (max f V_d delta^d)`,
    where the ball of radius delta at the densest point holds one training point on average. Radius and volume of the
    train density enter through `N0` alone: a curve cannot tell them apart.

    Args:
        train: density of the training points.
        radius: delta, in the unit of the features.
        law: `hypercube` or `poisson`, static.
        power: 1 for the distance, 2 for its square, static.

    Returns:
        `ln N0`; nan where the covariance is not positive definite.

    Raises:
        ValueError: `power` is neither 1 nor 2, or `law` is neither of the two (by the binomial law size and radius do
            not combine into one scale).

    Examples:
        >>> import jax.numpy as jnp
        >>> print(f"{log_size_scale(Gaussian(jnp.zeros(1), jnp.eye(1)), 0.1):.4f}")
        2.5284
    """
    factor = jnp.linalg.cholesky(jnp.asarray(train.covariance))
    d = factor.shape[-1]
    if law is hypercube:
        intensity = saturation_log_intensity(d, power=power)
    elif law is poisson:
        intensity = -log_ball_volume(d)
    else:
        raise ValueError(f"law must be hypercube or poisson, got {law!r}.")
    log_volume = jnp.sum(jnp.log(jnp.diagonal(factor))) + 0.5 * d * math.log(2 * math.pi)  # -ln max f
    return intensity + log_volume - d * jnp.log(radius)


def saturation_size(train: Gaussian, radius: Scalar, *, power: int = 1) -> Float[jax.Array, ""]:
    """Number of training examples `N0` up to which the hypercube law's error is exactly 1.

        N0 = (c_d / (2 delta))^d (2 pi)^(d/2) |S1|^(1/2)

    with `1/2` in place of `c_1 / 2` at d = 1 (Bisla et al. (2021), Eq. (4) and (7) at the peak of the train density).

    Args:
        train: density of the training points.
        radius: delta, in the unit of the features.
        power: 1 for the distance, 2 for its square.

    Returns:
        `N0`, real-valued.

    Raises:
        ValueError: `power` is neither 1 nor 2.

    Examples:
        >>> import jax.numpy as jnp
        >>> print(f"{saturation_size(Gaussian(jnp.zeros(1), jnp.eye(1)), 0.1):.4f}")
        12.5331
    """
    return jnp.exp(log_size_scale(train, radius, power=power))


def error_of_ratio(
    log_ratio: Float[Array, "*s"],
    covariance: Float[Array, "d d"],
    shift: Float[Array, " d"],
    law: Callable[..., Array],
    *,
    exponent: float,
    order: int = 0,
) -> Float[jax.Array, "k *s"]:
    """Expected error at `ln(N / N0)` and its derivatives there, where the train density is standard normal.

    Args:
        log_ratio: `ln N - log_size_scale(...)`.
        covariance: of the test points, from `whitened`.
        shift: their mean, from `whitened`.
        law: `hypercube` or `poisson`, static.
        exponent: power / d, static.
        order: of the highest derivative by `log_ratio`, static.

    Returns:
        The error and its first `order` derivatives, one row each.
    """
    flat = (log_ratio <= 0) if law is hypercube else (log_ratio <= -80)  # at small N/N0 the error is 1
    transform = hypercube_transform if law is hypercube else poisson_transform
    inside = jnp.where(flat, 1.0, log_ratio)
    rows = expected_value(inside, covariance, shift, exponent=exponent, transform=transform, order=order)
    rows = jnp.where(flat, 0.0, rows)
    return rows.at[0].set(jnp.where(flat, 1.0, jnp.minimum(rows[0], 1.0)))


def whitened(train: Gaussian, test: Gaussian) -> tuple[Float[jax.Array, "d d"], Float[jax.Array, " d"]]:
    """Covariance and mean of the test points in the coordinates where the train density is standard normal."""
    factor = jnp.linalg.cholesky(jnp.asarray(train.covariance))
    solve = functools.partial(jax.scipy.linalg.solve_triangular, factor, lower=True)
    covariance = solve(solve(jnp.asarray(test.covariance)).T)
    return (covariance + covariance.T) / 2, solve(jnp.asarray(test.mean) - jnp.asarray(train.mean))


def _polar_error(
    log_size: jax.Array, train: Gaussian, test: Gaussian, radius: jax.Array, law: Callable[..., Array], power: int
) -> jax.Array:
    covariance, shift = whitened(train, test)
    d = shift.shape[0]
    log_peak = saturation_log_intensity(d, power=power) - log_size_scale(train, radius, power=power)
    log_intensity = log_size + log_peak  # ln(N max f delta^d)
    bend = 2 * (log_intensity - saturation_log_intensity(d, power=power))
    kink = jnp.sqrt(jnp.where(bend > 0, bend, 1)) * (bend > 0)

    def error(at: tuple[jax.Array, jax.Array]) -> jax.Array:
        log_count, bend = at

        def value(r: jax.Array) -> jax.Array:
            return jnp.asarray(law(log_count - r**2 / 2, d=d, power=power))

        return jnp.minimum(polar_mean(value, bend, covariance, shift), 1.0)

    flat = log_intensity.reshape(-1), jax.lax.stop_gradient(kink).reshape(-1)
    return jax.lax.map(error, flat).reshape(log_intensity.shape)


def _binomial_error(size: jax.Array, train: Gaussian, test: Gaussian, radius: jax.Array, power: int) -> jax.Array:
    d = jnp.shape(train.mean)[-1]
    covariances = jnp.stack([jnp.asarray(train.covariance, size.dtype), jnp.asarray(test.covariance, size.dtype)])
    variance = jnp.trace(covariances, axis1=-2, axis2=-1) / d
    deviation = jnp.abs(covariances - variance[:, None, None] * jnp.eye(d, dtype=size.dtype)).max(axis=(-2, -1))
    isotropic = jnp.all((deviation <= 64 * jnp.finfo(size.dtype).eps * variance) & (variance > 0))
    deviations = jnp.sqrt(variance)
    square_shift = jnp.sum((jnp.asarray(test.mean) - jnp.asarray(train.mean)) ** 2) / variance[0]
    spread, delta = deviations[1] / deviations[0], radius / deviations[0]
    value = mean_binomial_error(size, spread, square_shift.astype(size.dtype), delta, d=d, power=power)
    return jnp.where(isotropic, value, jnp.nan)


def _common_dimension(train: Gaussian, test: Gaussian) -> int:
    shapes = [jnp.shape(v) for v in (train.mean, train.covariance, test.mean, test.covariance)]
    d = shapes[0][-1] if shapes[0] else 0
    if d == 0 or shapes != [(d,), (d, d), (d,), (d, d)]:
        raise ValueError(
            f"two Gaussians of one dimension are needed, got train mean {shapes[0]}, covariance {shapes[1]} and "
            f"test mean {shapes[2]}, covariance {shapes[3]}."
        )
    return d
