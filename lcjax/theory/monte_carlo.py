"""Expected error for densities without a formula: from density values at test points, or by quasi-Monte Carlo."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Float, Num

from lcjax.kernels.compilation import jit
from lcjax.kernels.integration import Domain, Expectation, capped_mean, expectation, wide_gaussian
from lcjax.theory.binomial_law import BinomialLaw, binomial
from lcjax.theory.laws import LocalLaw, hypercube, saturation_log_intensity
from lcjax.typing import Array, KeyArray, Scalar, check_key

__all__ = ["expected_error_from_density", "expected_error_qmc"]


@jit(static_argnames=("d", "law", "power"))
def expected_error_from_density(
    size: Num[Array, "*s"],
    density: Float[Array, " m"],
    radius: Num[Array, "*#s"] | float,
    *,
    d: int,
    law: LocalLaw = hypercube,
    power: int = 1,
) -> Float[jax.Array, "*s"]:
    """Compute the expected test error from the train density's values at test points.

        error(N) = 1/m sum_j law(N f(x_j) delta^d)

    the empirical form of Bisla et al. (2021), Eq. (4) and (7). By the hypercube law it is a mean of
    `min(1, scale f^(-1/d))^power`: the values are sorted and summed once, and each size costs one binary search. By any
    other local law it is a direct mean, one size at a time, in memory for m values.

    Args:
        size: numbers of training examples N.
        density: train density f at m test points, not negative, in the unit of the features to the power -d.
        radius: delta, in the unit of the features; one for all sizes, or one each (a grid is two arrays of one shape).
        d: dimension of the feature space, static.
        law: `hypercube`, `poisson` or another local law, static.
        power: 1 for the distance, 2 for its square, static.

    Returns:
        Errors in [0, 1]; differentiable in sizes, radius and densities.

    Raises:
        ValueError: there are no density values, `d` is below 1, `power` is neither 1 nor 2, or `law` is not local.

    Examples:
        >>> import jax.numpy as jnp
        >>> uniform = jnp.ones(1000)  # the density of the unit interval
        >>> print(expected_error_from_density(jnp.array([2.0, 8.0]), uniform, 0.25, d=1))
        [1.   0.25]
    """
    _check_local(law)
    if density.shape[0] == 0:
        raise ValueError(f"At least one density value is needed, got shape {density.shape}.")
    dtype = jnp.result_type(jnp.asarray(density).dtype, size, radius, jnp.float32)
    density = jnp.asarray(density, dtype)
    log_cube = jnp.log(jnp.asarray(size, dtype)) + d * jnp.log(jnp.asarray(radius, dtype))  # ln(N delta^d)
    positive = density > 0
    log_density = jnp.where(positive, jnp.log(jnp.where(positive, density, 1)), -jnp.inf)
    log_density = jnp.where(jnp.isnan(density), jnp.nan, log_density)
    if law is hypercube:
        spacing = jnp.exp(-log_density / d)
        return capped_mean(spacing, jnp.exp((saturation_log_intensity(d, power=power) - log_cube) / d), power=power)
    means = jax.lax.map(lambda t: jnp.mean(law(log_density + t, d=d, power=power)), log_cube.reshape(-1))
    return jnp.asarray(means).reshape(log_cube.shape)


def expected_error_qmc(
    key: KeyArray,
    size: Num[Array, "*s"],
    log_density: Callable[[jax.Array], jax.Array],
    sampler: Callable[[jax.Array], jax.Array],
    radius: Scalar,
    *,
    d: int,
    law: LocalLaw = hypercube,
    power: int = 1,
    domain: Domain = wide_gaussian,
    points: int = 4096,
    randomizations: int = 16,
) -> Expectation:
    """Estimate the expected test error for densities given as functions, by randomized quasi-Monte Carlo.

        error(N) = E_g[law(N f(x) delta^d)],    x = sampler(z)

    Bisla et al. (2021), Eq. (4) and (7), with scrambled Sobol points in place of Monte Carlo. Normal points are mapped
    by radius and direction, wider than standard ones and weighted, because the error grows with the radius. To compile
    it, wrap the call in `jax.jit`; it works under `vmap` and `grad`.

    Args:
        key: typed JAX key of the randomizations.
        size: numbers of training examples N.
        log_density: ln f of the train density, points `(n, d)` to `(n,)`; -inf is allowed.
        sampler: map from standard normal points `(n, d)` to test points `(n, d)`, such as `Gaussian.unwhiten`; for
            another `domain`, from the points of that domain.
        radius: delta, in the unit of the features.
        d: dimension of the feature space, static.
        law: `hypercube`, `poisson` or another local law.
        power: 1 for the distance, 2 for its square.
        domain: input of `sampler`, from `lcjax.kernels.integration`: normal points (`wide_gaussian`, `gaussian`),
            uniform points of the unit cube (`cube`), or a function of those.
        points: number in each randomization, a power of two.
        randomizations: number of independent ones, at least 2; the standard error has one degree of freedom fewer.

    Returns:
        `Expectation`: `value` and `standard_error`, each of the shape of `size`.

    Raises:
        ValueError: `points` is not a power of two, there are fewer than 2 randomizations, `d` is below 1, `power` is
            neither 1 nor 2, or `law` is not local.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> from lcjax.theory.gaussian import Gaussian
        >>> density = Gaussian(jnp.zeros(2), jnp.eye(2))
        >>> estimate = expected_error_qmc(
        ...     jax.random.key(0), jnp.array([100.0]), density.log_density, density.unwhiten, 0.5, d=2
        ... )
        >>> print(f"{estimate.value[0]:.4f}", bool(estimate.standard_error[0] < 1e-4))
        0.3468 True
    """
    check_key(key)
    _check_local(law)
    dtype = jnp.result_type(size, radius, float)
    log_cube = jnp.log(jnp.asarray(size, dtype)) + d * jnp.log(jnp.asarray(radius, dtype))

    def errors(points: jax.Array) -> jax.Array:
        log_f = log_density(sampler(points))
        return jnp.asarray(law(log_f.reshape(-1, *(1,) * log_cube.ndim) + log_cube, d=d, power=power))

    return expectation(key, errors, d=d, domain=domain, n=points, randomizations=randomizations, dtype=dtype.name)


def _check_local(law: LocalLaw | BinomialLaw) -> None:
    if law is binomial:
        raise ValueError("The binomial law needs the mass of balls: it is not a function of the density at a point.")
