"""Laws of the distance R from a test point to the nearest of N training points.

A local law depends on the training density f at the test point only: `law(log_intensity, *, d, power)` is a function of
`ln(N f delta^d)`, the logarithm of the expected number of training points in a cube of side delta, and returns the
expected error `E[min(1, (R/delta)^power)]` of that test point.
"""

import functools
import math
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from lcjax.kernels.compilation import jit
from lcjax.typing import Array

__all__ = [
    "LocalLaw",
    "check_dimension",
    "check_power",
    "hypercube",
    "log_ball_volume",
    "mean_uniform_norm",
    "poisson",
    "saturation_log_intensity",
]


@runtime_checkable
class LocalLaw(Protocol):
    """Expected error of a test point as a function of `ln(N f delta^d)`, elementwise."""

    def __call__(self, log_intensity: Float[Array, "*m"], /, *, d: int, power: int) -> Float[Array, "*m"]:
        """Return errors in [0, 1]; `d` and `power` are static."""


@functools.cache
def mean_uniform_norm(d: int) -> float:
    """Return the mean Euclidean norm `c_d` of a point drawn uniformly from the unit cube `[0, 1]^d`.

    From `sqrt(y) = 1/(2 sqrt(pi)) int_0^inf (1 - exp(-t y)) t^(-3/2) dt` with `t = tau^2`,

        c_d = 1/sqrt(pi) int_0^inf (1 - g(tau)^d) / tau^2 dtau,    g(tau) = sqrt(pi) erf(tau) / (2 tau)

    which is a one-dimensional integral for every d. It is the constant of Bisla et al. (2021), Eq. (5): 1/2 at d = 1,
    `(sqrt 2 + asinh 1)/3` at d = 2, near `sqrt(d/3)` at large d. The relative accuracy is about 1e-15.

    Raises:
        ValueError: `d` is below 1.

    Examples:
        >>> print(round(mean_uniform_norm(2), 12))
        0.765195716464
    """
    check_dimension(d)
    # Beyond tau = 6, erf is 1 in double precision and the rest is elementary; panels halve towards 0, where g bends.
    nodes, weights = np.polynomial.legendre.leggauss(24)
    total = 0.0
    for j in range(40):
        high = 6.0 * 0.5**j
        low = high / 2 if j < 39 else 0.0
        tau = low + (high - low) * (nodes + 1) / 2
        integrand = [-math.expm1(d * _log_mean_gaussian(t)) / (t * t) for t in tau]
        total += (high - low) / 2 * float(weights @ integrand)
    total += 1 / 6 - (math.sqrt(math.pi) / 12) ** d / (6 * (d + 1))
    return total / math.sqrt(math.pi)


def _log_mean_gaussian(tau: float) -> float:
    """Return `ln int_0^1 exp(-tau^2 u^2) du` without cancellation at small tau."""
    if tau > 0.5:
        return math.log(math.sqrt(math.pi) * math.erf(tau) / (2 * tau))
    return math.log1p(math.fsum((-tau * tau) ** k / (math.factorial(k) * (2 * k + 1)) for k in range(1, 16)))


def log_ball_volume(d: int) -> float:
    """Return the natural logarithm of the unit ball's volume in d dimensions, `V_d = pi^(d/2) / Gamma(d/2 + 1)`.

    Raises:
        ValueError: `d` is below 1.

    Examples:
        >>> import math
        >>> print(round(math.exp(log_ball_volume(3)), 6))
        4.18879
    """
    check_dimension(d)
    return d / 2 * math.log(math.pi) - math.lgamma(d / 2 + 1)


def saturation_log_intensity(d: int, *, power: int = 1) -> float:
    """Return the `ln(N f delta^d)` at which the hypercube law's error reaches 1.

    With `psi^power = kappa (N f)^(-power/d)` the mean (squared) distance, it is `(d/power) ln kappa`:

        power 1:  kappa = c_d / 2 for d > 1 (Bisla et al., 2021, Eq. (5)-(7)),  1/2 for d = 1 (Eq. (4))
        power 2:  kappa = d / 12 for d > 1,  1/3 for d = 1

    For power 2 the mean squared distance from the nearest vertex replaces the mean distance of Eq. (5): `E|x|^2` for x
    uniform in `[0, a/2]^d` is `d a^2 / 12`. At d = 1 the interval has the corrected length `rho' = 2/(N f)` of Eq. (3),
    which gives `rho'^2 / 12 = 1 / (3 N^2 f^2)`.

    Raises:
        ValueError: `d` is below 1 or `power` is neither 1 nor 2.

    Examples:
        >>> print(round(saturation_log_intensity(1), 6))  # N f delta = 1/2
        -0.693147
    """
    check_power(power)
    check_dimension(d)
    if d == 1:
        return math.log(1 / 2 if power == 1 else 1 / 3) / power
    return d / power * math.log(mean_uniform_norm(d) / 2 if power == 1 else d / 12)


@jit(static_argnames=("d", "power"))
def hypercube(log_intensity: Float[Array, "*m"], *, d: int, power: int = 1) -> Float[jax.Array, "*m"]:
    """Evaluate the law of Bisla et al. (2021), in which the neighbors are the vertices of a cube.

        min(1, psi / delta),    psi = c_d / 2 (N f)^(-1/d)  (Eq. (5)-(7)),    psi = 1 / (2 N f) at d = 1  (Eq. (4))

    The minimum is taken of the mean distance; it is not the mean of the minimum. With `power=2` the mean squared
    distance replaces the mean distance, `min(1, E|x|^2 / delta^2)`; see `saturation_log_intensity`.

    Args:
        log_intensity: `ln(N f delta^d)`, dimensionless.
        d: dimension of the feature space, static.
        power: 1 for the distance, 2 for its square (footnote 1 of the paper), static.

    Returns:
        Error in [0, 1], in the dtype of the input; exactly 1 up to saturation.

    Raises:
        ValueError: `d` is below 1 or `power` is neither 1 nor 2.

    Examples:
        >>> import jax.numpy as jnp
        >>> print(hypercube(jnp.log(jnp.array([0.1, 4.0])), d=1))  # 1, 1 / (2 * 4)
        [1.    0.125]
    """
    excess = log_intensity - saturation_log_intensity(d, power=power)
    return jnp.exp(-jnp.maximum(excess, 0) * power / d)


@jit(static_argnames=("d", "power"))
def poisson(log_intensity: Float[Array, "*m"], *, d: int, power: int = 1) -> Float[jax.Array, "*m"]:
    """Evaluate the local law of independent samples, `P(R > r) = exp(-N f V_d r^d)`.

        E[min(1, (R/delta)^p)] = int_0^1 exp(-L u^(d/p)) du = Gamma(1 + p/d) P(p/d, L) L^(-p/d),    L = N f V_d delta^d

    with P the regularized lower incomplete gamma function. It is exact where the density is constant over the ball of
    radius delta, and the limit of large N for every other density.

    Args:
        log_intensity: `ln(N f delta^d)`, dimensionless.
        d: dimension of the feature space, static.
        power: 1 for the distance, 2 for its square, static.

    Returns:
        Error in [0, 1], in the dtype of the input.

    Raises:
        ValueError: `d` is below 1 or `power` is neither 1 nor 2.

    Examples:
        >>> import jax.numpy as jnp
        >>> print(f"{poisson(jnp.zeros(()), d=1):.5f}")  # (1 - exp(-2)) / 2
        0.43233
    """
    check_power(power)
    log_count = log_intensity + log_ball_volume(d)
    shape = power / d
    # L^(-a) P(a, L) is 0 * inf at small L; a power series replaces it, accurate to double precision for L <= 1.
    small = log_count < 0
    few = jnp.exp(jnp.where(small, log_count, 0.0))
    series, term = jnp.ones_like(few), jnp.ones_like(few)
    for k in range(1, 19):
        term = -term * few / k
        series = series + term * (shape / (k + shape))
    log_many = jnp.where(small, 0.0, log_count)
    mass = jax.scipy.special.gammainc(jnp.full_like(log_many, shape), jnp.exp(log_many))
    return jnp.where(small, series, math.gamma(1 + shape) * mass * jnp.exp(-shape * log_many))


def check_power(power: int) -> None:
    """Raise ValueError unless `power` is 1 or 2."""
    if power not in (1, 2):
        raise ValueError(f"power must be 1 or 2, got {power}.")


def check_dimension(d: int) -> None:
    """Raise ValueError if the dimension is below 1."""
    if d < 1:
        raise ValueError(f"The dimension must be at least 1, got d={d}.")
