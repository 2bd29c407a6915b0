"""Expected error of the nearest-neighbor model at every training-set size, for Gaussian densities."""

import functools
import math
from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from lcjax.kernels.arguments import as_real
from lcjax.kernels.compilation import jit, namespace
from lcjax.theory.binomial_law import BinomialLaw, binomial, mean_binomial_error
from lcjax.theory.gaussian import Gaussian
from lcjax.theory.laws import LocalLaw, check_power, hypercube, log_ball_volume, poisson, saturation_log_intensity
from lcjax.theory.quadrature.mellin import expected_value, hypercube_transform, poisson_transform
from lcjax.theory.quadrature.polar import polar_mean
from lcjax.typing import Array, Scalar

__all__ = ["error_of_ratio", "expected_error", "log_size_scale", "saturation_size", "whitened_moments"]


@jit(static_argnames=("law", "power"))
def expected_error(
    size: Num[Array, "*s"],
    train_density: Gaussian,
    test_density: Gaussian,
    radius: Scalar,
    law: LocalLaw | BinomialLaw = hypercube,
    *,
    power: int = 1,
) -> Float[jax.Array, "*s"]:
    """Compute the expected test error at each training-set size, for Gaussian train and test densities.

        error(N) = E_g[Phi],    Phi = min(1, (R / delta)^power)

    Bisla et al. (2021), Eq. (1), (4) and (7), with R distributed by one of the neighbor laws. The result is
    deterministic, in any dimension, for every full-rank train covariance and every test covariance (the method:
    `theory.quadrature.mellin`). The relative accuracy by hypercube and poisson is about 1e-13 in float64 and 2e-6 in
    float32, also where the error is small.

    Args:
        size: numbers of training examples N.
        train_density: density f of the training points, dimension d.
        test_density: density g of the test points, dimension d.
        radius: delta, distance at which the error saturates, in the unit of the features; positive.
        law: `hypercube` (the paper's), `poisson` (independent samples, locally uniform) or `binomial` (independent
            samples at finite N, isotropic Gaussians only); or another local law `law(log_intensity, *, d, power)`,
            integrated by the rule of `theory.quadrature.polar` for d <= 3; static.
        power: 1 for the distance, 2 for its square, static.

    Returns:
        Errors in [0, 1], in the floating dtype of the arguments; by the hypercube law exactly 1 up to
        `saturation_size`. nan where the train covariance is not positive definite, and by the binomial law where a
        covariance is not a multiple of the identity or the radius exceeds 20 training standard deviations.

    Raises:
        ValueError: the densities differ in dimension, `radius` is an array (`vmap` over radii), `power` is neither 1
            nor 2, or d > 3 with a law other than these three.

    Examples:
        >>> import jax.numpy as jnp
        >>> density = Gaussian(jnp.zeros(2), jnp.eye(2))
        >>> print(*(f"{error:.4f}" for error in expected_error(jnp.array([3, 100, 10_000]), density, density, 0.5)))
        1.0000 0.3468 0.0380
    """
    d = _common_dimension(train_density, test_density)
    check_power(power)
    if jnp.ndim(radius):
        raise ValueError(f"radius must be one number, got shape {jnp.shape(radius)}: use jax.vmap over radii.")
    densities = train_density, test_density
    size = as_real(size, "size")
    dtype = jnp.result_type(*map(jnp.asarray, jax.tree.leaves(densities)), radius, size, jnp.float32)
    size = jnp.asarray(size, dtype)
    if law is binomial:
        return _binomial_error(size, *densities, jnp.asarray(radius, dtype), power)
    local_law = cast(LocalLaw, law)  # binomial is the only one that is not local
    if local_law not in (hypercube, poisson):
        return _polar_error(jnp.log(size), *densities, jnp.asarray(radius, dtype), local_law, power)
    log_ratio = jnp.log(size) - log_size_scale(train_density, radius, local_law, power=power).astype(dtype)
    return jnp.asarray(error_of_ratio(log_ratio, *whitened_moments(*densities), local_law, exponent=power / d)[0])


def log_size_scale(
    train_density: Gaussian, radius: Scalar, law: LocalLaw = hypercube, *, power: int = 1
) -> Float[Array, ""]:
    """Return `ln N0` of the size that sets the scale of a curve: by a local law the error depends on `N / N0` only.

    By the hypercube law `N0` is `saturation_size`; by the law of independent samples it is `1 / (max f V_d delta^d)`,
    at which the ball of radius delta at the densest point holds one training point on average. Radius and volume of the
    train density enter through `N0` alone: a curve cannot distinguish them. The result is nan where the covariance is
    not positive definite. NumPy arrays are computed by NumPy.

    Args:
        train_density: density of the training points.
        radius: delta, in the unit of the features.
        law: `hypercube` or `poisson`, static; by the binomial law size and radius do not combine into one scale.
        power: 1 for the distance, 2 for its square, static.

    Raises:
        ValueError: `power` is neither 1 nor 2, or `law` is neither of the two.

    Examples:
        >>> import jax.numpy as jnp
        >>> print(f"{log_size_scale(Gaussian(jnp.zeros(1), jnp.eye(1)), 0.1):.4f}")
        2.5284
    """
    xp = namespace(train_density.covariance, radius)
    factor = _cholesky(train_density.covariance)
    d: int = factor.shape[-1]
    if law is hypercube:
        intensity = saturation_log_intensity(d, power=power)
    elif law is poisson:
        intensity = -log_ball_volume(d)
    else:
        raise ValueError(f"law must be hypercube or poisson, got {law!r}.")
    log_volume = xp.sum(xp.log(xp.diagonal(factor))) + 0.5 * d * math.log(2 * math.pi)  # -ln max f
    scale: Array = xp.asarray(intensity + log_volume - d * xp.log(xp.asarray(radius)))
    return scale


def saturation_size(train_density: Gaussian, radius: Scalar, *, power: int = 1) -> Float[jax.Array, ""]:
    """Return the number of training examples `N0`, real-valued, up to which the hypercube law's error is exactly 1.

        N0 = (c_d / (2 delta))^d (2 pi)^(d/2) |S1|^(1/2)

    with `1/2` in place of `c_1 / 2` at d = 1 (Bisla et al., 2021, Eq. (4) and (7) at the peak of the train density).

    Args:
        train_density: density of the training points.
        radius: delta, in the unit of the features.
        power: 1 for the distance, 2 for its square.

    Raises:
        ValueError: `power` is neither 1 nor 2.

    Examples:
        >>> import jax.numpy as jnp
        >>> print(f"{saturation_size(Gaussian(jnp.zeros(1), jnp.eye(1)), 0.1):.4f}")
        12.5331
    """
    return jnp.exp(log_size_scale(train_density, radius, power=power))


def error_of_ratio(
    log_ratio: Float[Array, "*s"],
    covariance: Float[Array, "d d"],
    shift: Float[Array, " d"],
    law: LocalLaw,
    *,
    exponent: float,
    order: int = 0,
) -> Float[Array, "k *s"]:
    """Compute the error at `log_ratio`, `ln N - log_size_scale(...)`, and its first `order` derivatives, one row each.

    The covariance and the mean, `shift`, of the test points are those of `whitened_moments`, where the train density is
    standard normal. `law` is `hypercube` or `poisson`, `exponent` is power / d; both and `order` are static. NumPy
    arrays are computed by NumPy.
    """
    xp = namespace(log_ratio, covariance, shift)
    flat = (log_ratio <= 0) if law is hypercube else (log_ratio <= -80)  # at small N/N0 the error is 1
    transform = hypercube_transform if law is hypercube else poisson_transform
    inside = xp.where(flat, xp.ones_like(log_ratio), log_ratio)
    rows = expected_value(inside, covariance, shift, exponent=exponent, transform=transform, order=order)
    error = xp.where(flat, xp.ones_like(rows[0]), xp.minimum(rows[0], 1.0))
    value: Array = xp.concatenate([error[None], xp.where(flat, xp.zeros_like(rows[1:]), rows[1:])])
    return value


def whitened_moments(train_density: Gaussian, test_density: Gaussian) -> tuple[Float[Array, "d d"], Float[Array, " d"]]:
    """Return covariance and mean of the test points in coordinates where the train density is standard normal.

    NumPy arrays are computed by NumPy.
    """
    xp = namespace(*jax.tree.leaves((train_density, test_density)))
    factor = _cholesky(train_density.covariance)
    triangular = functools.partial(jax.scipy.linalg.solve_triangular, lower=True)
    solve: Callable[..., Any] = functools.partial(np.linalg.solve if xp is np else triangular, factor)
    covariance = solve(solve(xp.asarray(test_density.covariance)).T)
    shift = solve(xp.asarray(test_density.mean) - xp.asarray(train_density.mean))
    return (covariance + covariance.T) / 2, shift


def _cholesky(covariance: Float[Array, "d d"]) -> Float[Array, "d d"]:
    """Return the lower Cholesky factor; nan where the covariance is not positive definite."""
    if isinstance(covariance, jax.Array):
        return jnp.asarray(jnp.linalg.cholesky(covariance))
    try:
        factor: Array = np.asarray(np.linalg.cholesky(covariance))
    except np.linalg.LinAlgError:
        factor = np.full_like(covariance, np.nan)
    return factor


def _polar_error(
    log_size: Float[jax.Array, "*s"],
    train_density: Gaussian,
    test_density: Gaussian,
    radius: Float[jax.Array, ""],
    law: LocalLaw,
    power: int,
) -> Float[jax.Array, "*s"]:
    covariance, shift = whitened_moments(train_density, test_density)
    d = shift.shape[0]
    saturation = saturation_log_intensity(d, power=power)
    log_intensity = log_size + (saturation - log_size_scale(train_density, radius, power=power))  # ln(N max f delta^d)
    bend = 2 * (log_intensity - saturation)
    kink = jnp.sqrt(jnp.where(bend > 0, bend, 1)) * (bend > 0)

    def error(at: tuple[jax.Array, jax.Array]) -> Float[jax.Array, ""]:
        log_count, bend = at

        def value(r: Float[jax.Array, " q"]) -> Float[jax.Array, " q"]:
            return jnp.asarray(law(log_count - r**2 / 2, d=d, power=power))

        return jnp.minimum(polar_mean(value, bend, covariance, shift), 1.0)

    flat = log_intensity.reshape(-1), jax.lax.stop_gradient(kink).reshape(-1)
    return jnp.asarray(jax.lax.map(error, flat)).reshape(log_intensity.shape)


def _binomial_error(
    size: Float[jax.Array, "*s"],
    train_density: Gaussian,
    test_density: Gaussian,
    radius: Float[jax.Array, ""],
    power: int,
) -> Float[jax.Array, "*s"]:
    d = jnp.shape(train_density.mean)[-1]
    covariances = jnp.stack([jnp.asarray(v.covariance, size.dtype) for v in (train_density, test_density)])
    variance = jnp.trace(covariances, axis1=-2, axis2=-1) / d
    deviation = jnp.abs(covariances - variance[:, None, None] * jnp.eye(d, dtype=size.dtype)).max(axis=(-2, -1))
    isotropic = jnp.all((deviation <= 64 * np.finfo(size.dtype).eps * variance) & (variance > 0))
    deviations = jnp.sqrt(variance)
    square_shift = jnp.sum((jnp.asarray(test_density.mean) - jnp.asarray(train_density.mean)) ** 2) / variance[0]
    spread, delta = deviations[1] / deviations[0], radius / deviations[0]
    value = mean_binomial_error(size, spread, square_shift.astype(size.dtype), delta, d=d, power=power)
    return jnp.where(isotropic, value, jnp.nan)


def _common_dimension(train_density: Gaussian, test_density: Gaussian) -> int:
    shapes = [jnp.shape(v) for density in (train_density, test_density) for v in (density.mean, density.covariance)]
    d = shapes[0][-1] if shapes[0] else 0
    if d == 0 or shapes != [(d,), (d, d), (d,), (d, d)]:
        raise ValueError(
            f"Two Gaussians of one dimension are needed, got train mean {shapes[0]}, covariance {shapes[1]} and "
            f"test mean {shapes[2]}, covariance {shapes[3]}."
        )
    return d
