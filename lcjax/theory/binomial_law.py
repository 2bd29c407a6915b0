"""The exact law of independent samples at finite N, for isotropic Gaussians."""

import functools
import math
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from lcjax.kernels.compilation import jit
from lcjax.theory.laws import check_dimension, check_power
from lcjax.typing import Array, Scalar

__all__ = ["BinomialLaw", "ball_mass", "binomial", "mean_binomial_error"]

_TERMS = 512
_LARGEST_RADIUS = 20.0
_LARGEST_DISTANCE = 26.0


@runtime_checkable
class BinomialLaw(Protocol):
    """Signature of `binomial`, the one law that is not a function of the density at the test point."""

    def __call__(
        self, size: Num[Array, "*s"], distance: Float[Array, " m"], radius: Scalar, *, d: int, power: int = 1
    ) -> Float[Array, "*s m"]:
        """Return errors in [0, 1]; `d` and `power` are static."""


@jit(static_argnames="d")
def ball_mass(radius: Float[Array, " k"], distance: Float[Array, " m"], *, d: int) -> Float[jax.Array, "k m"]:
    """Return the standard normal probability of balls, a non-central chi-square distribution function.

    With `y = radius^2 / 2` and `l = distance^2 / 2`,

        P(|z| <= radius) = sum_i y^(d/2+i) exp(-y) / Gamma(d/2+i+1) * sum_(j<=i) l^j exp(-l) / j!

    follows from the mixture of central distributions by partial summation. All terms are positive, so that small masses
    keep their relative accuracy, and the sum separates, so that a table of masses is one matrix product.

    Args:
        radius: of the balls, in standard deviations; up to 20.
        distance: of their centres from the mean, in standard deviations; up to 26.
        d: dimension, static.

    Returns:
        Mass of each ball about each centre, in [0, 1].

    Examples:
        >>> import jax.numpy as jnp
        >>> print(f"{ball_mass(jnp.array([1.0]), jnp.zeros(1), d=1)[0, 0]:.5f}")
        0.68269
    """
    inner = _poisson_terms(jnp.asarray(radius) ** 2 / 2, d / 2)
    outer = jnp.cumsum(_poisson_terms(jnp.asarray(distance) ** 2 / 2, 0.0), axis=-1)
    return jnp.minimum(jnp.matmul(inner, outer.T, precision=jax.lax.Precision.HIGHEST), 1.0)


@jit(static_argnames=("d", "power"))
def binomial(
    size: Num[Array, "*s"], distance: Float[Array, " m"], radius: Scalar, *, d: int, power: int = 1
) -> Float[jax.Array, "*s m"]:
    """Evaluate the exact expected error of test points among N independent standard normal training points.

        E[min(1, (R/delta)^p)] = int_0^1 P(R > delta v) p v^(p-1) dv,    P(R > r) = (1 - mass of the ball)^N

    This is the error model of Bisla et al. (2021), Eq. (1), without their approximations. The integral is computed by
    Gauss-Legendre quadrature on panels that shrink towards 0, for N up to about 1e12.

    Args:
        size: numbers of training examples N.
        distance: from test points to the training mean in training standard deviations, up to 26 (negligible beyond).
        radius: delta in training standard deviations, up to 20.
        d: dimension, static.
        power: 1 for the distance, 2 for its square, static.

    Returns:
        Errors in [0, 1]; nan for a radius outside its range.

    Raises:
        ValueError: `d` is below 1 or `power` is neither 1 nor 2.

    Examples:
        >>> import jax.numpy as jnp
        >>> print(f"{binomial(jnp.array([100.0]), jnp.zeros(1), 0.1, d=1)[0, 0]:.5f}")
        0.12408
    """
    check_power(power)
    check_dimension(d)
    dtype = jnp.result_type(size, jnp.asarray(distance).dtype, radius, jnp.float32)
    size, distance, radius = jnp.asarray(size, dtype), jnp.asarray(distance, dtype), jnp.asarray(radius, dtype)
    fraction, weight = _panels_towards_zero(d)
    below_one = 1 - float(np.finfo(dtype).epsneg)
    log_empty = jnp.log1p(-jnp.minimum(ball_mass(radius * fraction.astype(dtype), distance, d=d), below_one))
    weights = jnp.asarray(weight * power * fraction ** (power - 1), dtype)

    def errors(n: Float[jax.Array, ""]) -> Float[jax.Array, " m"]:
        return jnp.matmul(weights, jnp.exp(n * log_empty), precision=jax.lax.Precision.HIGHEST)

    value = jnp.minimum(jax.lax.map(errors, size.reshape(-1)), 1.0).reshape(*size.shape, *distance.shape)
    return jnp.where((radius > 0) & (radius <= _LARGEST_RADIUS), value, jnp.nan)


def mean_binomial_error(
    size: Num[Array, "*s"], spread: Scalar, square_shift: Scalar, radius: Scalar, *, d: int, power: int = 1
) -> Float[jax.Array, "*s"]:
    """Average `binomial` over isotropic Gaussian test points.

    `spread` is their standard deviation in training standard deviations, `square_shift` the squared distance between
    the two means in training variances; the other arguments are those of `binomial`.
    """
    dtype = jnp.result_type(size, spread, square_shift, radius, jnp.float32)
    spread, square_shift = jnp.asarray(spread, dtype), jnp.asarray(square_shift, dtype)
    # The distance from the training mean is `spread` times a non-central chi variable u; 9 deviations hold its mass.
    noncentrality = square_shift / spread**2
    middle = jnp.sqrt(jax.lax.stop_gradient(noncentrality))
    low, high = jnp.maximum(middle - 9, 0), middle + 9 + math.sqrt(d)
    nodes, weights = np.polynomial.legendre.leggauss(32)
    start = np.arange(8)[:, None]
    u = low + (high - low) * jnp.asarray((start + (nodes + 1) / 2).ravel() / 8, dtype)
    width = (high - low) * jnp.asarray(np.tile(weights / 16, 8), dtype)
    shape = jnp.asarray(d / 2 + np.arange(_TERMS), dtype)
    mixture = _poisson_terms(noncentrality[None] / 2, 0.0)[0]
    density = jnp.matmul(_poisson_terms(u**2 / 2, d / 2), mixture * shape, precision=jax.lax.Precision.HIGHEST) * 2 / u
    errors = binomial(size, jnp.minimum(spread * u, _LARGEST_DISTANCE), radius, d=d, power=power)
    value = jnp.minimum(jnp.matmul(errors, density * width, precision=jax.lax.Precision.HIGHEST), 1.0)
    return jnp.where(middle <= _LARGEST_DISTANCE - 9, value, jnp.nan)


def _poisson_terms(mean: Float[jax.Array, "*m"], first: float) -> Float[jax.Array, "*m terms"]:
    """Evaluate `mean^a exp(-mean) / Gamma(a + 1)` for `a = first, first + 1, ...`.

    Loader's (2000) form `exp(-a phi(mean/a) - e(a)) / sqrt(2 pi a)`, with phi(t) = t - 1 - ln t and e the error of
    Stirling's formula, does not lose digits to large exponents.
    """
    a = first + np.arange(_TERMS)
    zero = a == 0
    a = np.where(zero, 1.0, a)
    stirling = [math.lgamma(v + 1) - ((v + 0.5) * math.log(v) - v + 0.5 * math.log(2 * math.pi)) for v in a]
    constant = jnp.asarray(-np.array(stirling) - 0.5 * np.log(2 * math.pi * a), mean.dtype)
    shape = jnp.asarray(a, mean.dtype)
    mean = jnp.maximum(mean, np.finfo(mean.dtype).tiny)[..., None]
    excess = mean / shape - 1
    near = jnp.abs(excess) < 0.5
    logarithm = jnp.where(near, jnp.log1p(jnp.where(near, excess, 0)), jnp.log(mean) - jnp.log(shape))
    return jnp.exp(jnp.where(zero, -mean, constant - shape * (excess - logarithm)))


@functools.cache
def _panels_towards_zero(d: int) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, " q"]]:
    """Return nodes and weights on [0, 1], in panels that shrink geometrically to the smallest distances that occur."""
    nodes, weights = np.polynomial.legendre.leggauss(14)
    count = math.ceil(45 if d == 1 else 15 * max(3, d) / 2)
    edges = np.concatenate([[0.0], np.exp(np.linspace(-30 / d, 0, count + 1))])
    length = np.diff(edges)[:, None]
    return (edges[:-1, None] + length * (nodes + 1) / 2).ravel(), (length * weights / 2).ravel()
