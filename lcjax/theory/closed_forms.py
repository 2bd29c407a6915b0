"""Closed forms of the hypercube law's expected error, for a test covariance proportional to the train covariance.

They depend on `ratio = N / N0` with `N0 = saturation_size(train_density, radius)`. With `K = ratio^(-1/d)` and
`Q = 2 ln ratio`, the error saturates on the sphere of radius `sqrt(Q)` train standard deviations about the common mean.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erfc, gammainc, gammaincc
from jaxtyping import Float

from lcjax.kernels.compilation import jit
from lcjax.theory.laws import check_dimension, check_power
from lcjax.typing import Array, Scalar

__all__ = ["equal_gaussians_error", "scaled_gaussian_error"]


@jit(static_argnames="d")
def equal_gaussians_error(ratio: Float[Array, "*s"], *, d: int) -> Float[jax.Array, "*s"]:
    """Return the hypercube law's expected error where the train and test densities are the same Gaussian.

        d = 1:   erfc(sqrt(-ln K)) + 2 K sqrt(-ln K / pi)
        d = 2:   1 - (1 - K)^2
        d >= 2:  Q(d/2, Q/2) + K (1 - 1/d)^(-d/2) P(d/2, (1 - 1/d) Q/2)

    from Bisla et al. (2021), Eq. (4) and (7), with P and Q(a, x) the regularized incomplete gamma functions.

    Args:
        ratio: `N / N0`, positive.
        d: dimension, static.

    Returns:
        Errors, exactly 1 for `ratio <= 1`.

    Raises:
        ValueError: `d` is below 1.

    Examples:
        >>> import jax.numpy as jnp
        >>> print(equal_gaussians_error(jnp.array([1.0, 4.0]), d=2))
        [1.   0.75]
    """
    check_dimension(d)
    saturated = ratio <= 1
    ratio = jnp.where(saturated, 2.0, ratio)
    log_ratio = jnp.log(ratio)
    scale = jnp.exp(-log_ratio / d)
    if d == 1:
        error = erfc(jnp.sqrt(log_ratio)) + 2 * scale * jnp.sqrt(log_ratio / math.pi)
    elif d == 2:
        error = scale * (2 - scale)
    else:
        half, less = jnp.full_like(log_ratio, d / 2), 1 - 1 / d
        error = gammaincc(half, log_ratio) + scale * less ** (-d / 2) * gammainc(half, less * log_ratio)
    return jnp.where(saturated, 1.0, error)


@jit(static_argnames=("d", "power"))
def scaled_gaussian_error(
    ratio: Float[Array, "*s"], spread: Scalar, *, d: int, power: int = 1
) -> Float[jax.Array, "*s"]:
    """Return the hypercube law's expected error where the test covariance is `spread^2` times the train covariance.

        error = Q(d/2, X) + K^power X^(d/2) / Gamma(d/2 + 1) 1F1(d/2; d/2 + 1; -(1 - power spread^2 / d) X)

    with `X = ln(ratio) / spread^2`, for equal means and every spread. At large N it falls as
    `N^(-min(power/d, 1/spread^2))`: a test density much wider than the train density changes the exponent.

    Args:
        ratio: `N / N0`, positive.
        spread: ratio of test to train standard deviation, positive.
        d: dimension, static.
        power: 1 for the distance, 2 for its square, static.

    Returns:
        Errors, exactly 1 for `ratio <= 1`.

    Raises:
        ValueError: `d` is below 1 or `power` is neither 1 nor 2.

    Examples:
        >>> import jax.numpy as jnp
        >>> print(scaled_gaussian_error(jnp.array([1.0, 4.0]), 1.0, d=2).round(5))
        [1.   0.75]
    """
    check_power(power)
    check_dimension(d)
    saturated = ratio <= 1
    log_ratio = jnp.log(jnp.where(saturated, 2.0, ratio))
    half, x = d / 2, log_ratio / jnp.asarray(spread) ** 2
    outside = gammaincc(jnp.full_like(x, half), x)
    rate = x - log_ratio * (power / d)
    # ln K^power + ln X^(d/2) / Gamma(d/2 + 1) + ln 1F1
    inside = jnp.exp(-log_ratio * (power / d) + half * jnp.log(x) - math.lgamma(half + 1)) * _kummer(rate, d)
    return jnp.where(saturated, 1.0, outside + inside)


def _kummer(rate: Float[jax.Array, "*s"], d: int) -> Float[jax.Array, "*s"]:
    """Evaluate `1F1(d/2; d/2 + 1; -rate) = d int_0^1 v^(d-1) exp(-rate v^2) dv`, with its negligible tail cut off."""
    nodes, weights = np.polynomial.legendre.leggauss(48)
    length = jnp.sqrt(jnp.minimum(1, (40 + 2 * d) / jnp.maximum(rate, 1)))[..., None]
    v = length * jnp.asarray((nodes + 1) / 2, rate.dtype)
    integrand = v ** (d - 1) * jnp.exp(-rate[..., None] * v**2) * jnp.asarray(weights / 2, rate.dtype)
    return d * jnp.sum(length * integrand, axis=-1)
