"""Expectations: randomized quasi-Monte Carlo with a standard error, and means of capped samples at many scales."""

import math
from collections.abc import Callable
from typing import SupportsIndex, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Int, Key, Num

from lcjax.kernels.arguments import Nested, as_count, as_floating, check_sizes
from lcjax.kernels.compilation import is_hashable, is_tracing, jit
from lcjax.kernels.integer_sort import ascending
from lcjax.kernels.sobol import gaussian_coordinates, gaussian_map, sobol_block
from lcjax.records import record
from lcjax.typing import Array, KeyArray, Scalar, check_key

__all__ = [
    "Domain",
    "Expectation",
    "Integrand",
    "capped_mean",
    "cube",
    "expectation",
    "gaussian",
    "replicate_means",
    "wide_gaussian",
]

Integrand: TypeAlias = Callable[[jax.Array], jax.Array]  # points (n, d) to values (n, *v), the same for every n
Domain: TypeAlias = Callable[[jax.Array, int], jax.Array | tuple[jax.Array, jax.Array]]


@record
class Expectation:
    """Expected value from independent randomizations of one point set.

    Attributes:
        value: mean over the randomizations, `(*b, *v)`, in the unit of the integrand.
        standard_error: of `value`, `(*b, *v)`; over r randomizations it has r - 1 degrees of freedom.
        replicates: mean of each randomization, `(*b, r, *v)`.
        evaluations: number of evaluations of the integrand, `(*b,)`.
    """

    value: Float[Array, "..."]
    standard_error: Float[Array, "..."]
    replicates: Float[Array, "..."]
    evaluations: Int[Array, "*b"]


def cube(uniform: Float[Array, "n d"] | Nested, d: int) -> Float[jax.Array, "n d"]:
    """Return the uniform points of the unit cube unchanged: a domain for `expectation`.

    Examples:
        >>> cube(jnp.array([[0.25, 0.5]]), 2).tolist()
        [[0.25, 0.5]]
    """
    return as_floating(uniform, "uniform")


def gaussian(uniform: Float[Array, "n c"] | Nested, d: int) -> Float[jax.Array, "n d"]:
    """Map uniform to standard normal points, as `sobol_gaussian` does: a domain for `expectation`.

    Examples:
        >>> gaussian(jnp.array([[0.5]]), 1).tolist()
        [[0.0]]
    """
    return gaussian_map(as_floating(uniform, "uniform"), d)


def wide_gaussian(
    uniform: Float[Array, "n c"] | Nested, d: int
) -> tuple[Float[jax.Array, "n d"], Float[jax.Array, " n"]]:
    """Map uniform points to normal points of variance `1 + 3 / d` with weights: a domain for `expectation`.

    For integrands that grow with the radius, such as the error model of Bisla et al. (2021): few standard normal points
    lie in the tail, so that the error falls slowly and its estimate is too small. The weights,
    `(1 + 3/d)^(d/2) exp(-3 r^2 / (2 d))` at the radius r of the standard point, have variance below 0.6 in every
    dimension; a constant is no longer integrated exactly.

    Examples:
        >>> points, weight = wide_gaussian(jnp.array([[0.5]]), 1)
        >>> points.tolist(), weight.tolist()
        ([[0.0]], [2.0])
    """
    variance = 1 + 3 / d
    z = gaussian_map(as_floating(uniform, "uniform"), d)
    weight = variance ** (d / 2) * jnp.exp(-(variance - 1) / 2 * jnp.sum(z**2, axis=1))
    return math.sqrt(variance) * z, weight


def expectation(
    key: KeyArray,
    f: Integrand,
    *,
    d: SupportsIndex,
    domain: Domain = gaussian,
    n: SupportsIndex = 1024,
    randomizations: SupportsIndex = 16,
    rtol: float | None = None,
    max_n: SupportsIndex = 2**20,
    dtype: str | None = None,
) -> Expectation:
    """Estimate the expected value of a function of a normal or uniform variable, with an honest standard error.

    The mean of `f` over n scrambled Sobol points is averaged over independent randomizations. The standard error is
    that of the average (Owen, 1997: `sd / sqrt(r)`), and an interval takes Student's t with r - 1 degrees of freedom.

    A function is compiled once, for all keys, and like one given to `jax.jit` it must not depend on values that change.
    Works under `jit` (with `f` closed over), `vmap`, `grad` (with the default `rtol=None`) and `shard_map`; inside the
    last, pass each device's own keys to `replicate_means` and gather the results.

    Args:
        key: typed key of the scrambling.
        f: points `(n, d)` to values `(n, *v)`, the same for every n.
        d: dimension, static.
        domain: `gaussian`, `wide_gaussian`, `cube`, or a function from uniform points `(n, c)` and d to points, or to
            points and their weights `(n,)`; if c differs from d, it has a function `coordinates(d)` as attribute.
        n: points of each randomization, a power of two.
        randomizations: number of randomizations, at least 2.
        rtol: double n until the standard error is at most `rtol * |value|` in every component; None to keep n.
        max_n: largest n with `rtol`; if it does not suffice, the standard error is still too large.
        dtype: dtype of the points; None for JAX's default.

    Returns:
        `Expectation`: value and standard error `(*v,)`, like one value of `f`, and the mean of each randomization.

    Raises:
        ValueError: `n` or `max_n` is not a power of two, `max_n` is below `n` with `rtol`, there are fewer than 2
            randomizations, `d` or `rtol` is out of range, the dtype is not float32 or float64, or `f` does not return
            one row of values for each point.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> square = expectation(jax.random.key(0), lambda x: jnp.sum(x**2, axis=1), d=3)
        >>> bool(jnp.abs(square.value - 3) < 5 * square.standard_error)
        True
    """
    check_key(key)
    number, most, points = (
        as_count(value, name) for value, name in ((randomizations, "randomizations"), (max_n, "max_n"), (n, "n"))
    )
    if number < 2:
        raise ValueError(f"A standard error needs at least 2 randomizations, got randomizations={number}.")
    if points & (points - 1) or most & (most - 1) or (rtol is not None and most < points):
        raise ValueError(f"n and max_n must be powers of two with n <= max_n, got n={points}, max_n={most}.")
    if rtol is not None and not rtol >= 0:
        raise ValueError(f"rtol must be a nonnegative fraction, got {rtol}.")
    run = _compiled_expectation if is_hashable(f, domain) and not is_tracing([key]) else _expectation
    return run(key, rtol, f, domain, d=as_count(d, "d"), n=points, randomizations=number, most=most, dtype=dtype)


def _expectation(
    key: KeyArray,
    rtol: jax.Array | float | None,
    f: Integrand,
    domain: Domain,
    *,
    d: int,
    n: int,
    randomizations: int,
    most: int,
    dtype: str | None,
) -> Expectation:
    keys = jax.random.split(key, randomizations)

    def means_from(start: Int[Array, ""] | int) -> jax.Array:
        return _replicate_means(keys, start, f, domain, d=d, n=n, dtype=dtype)

    means = means_from(0)
    if rtol is None:
        return _summary(means, jnp.asarray(n * randomizations))

    def unfinished(state: tuple[jax.Array, jax.Array]) -> jax.Array:
        count, means = state
        now = _summary(means, count)
        return (count < most // n) & jnp.any(now.standard_error > rtol * jnp.abs(now.value))

    def double(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        count, means = state
        total = lax.fori_loop(count, 2 * count, lambda i, sum: sum + means_from(i * n), jnp.zeros_like(means))
        return 2 * count, (means + total / count) / 2

    count, means = lax.while_loop(unfinished, double, (jnp.asarray(1), means))
    return _summary(means, count * n * randomizations)


_compiled_expectation = jit(static_argnames=("f", "domain", "d", "n", "randomizations", "most", "dtype"))(_expectation)


def replicate_means(
    keys: Key[jax.Array, "r"],
    f: Integrand,
    *,
    d: SupportsIndex,
    domain: Domain = gaussian,
    n: SupportsIndex = 1024,
    start: Int[Array, ""] | int = 0,
    dtype: str | None = None,
) -> Float[jax.Array, "r *v"]:
    """Average a function over n points of each randomization, `(r, *v)`, one randomization after the other.

    Each entry depends only on its own key, so that the axis can be sharded over devices, with the same result.

    Args:
        keys: one typed key for each of r randomizations.
        f: points `(n, d)` to values `(n, *v)`.
        d: dimension, static.
        domain: as for `expectation`.
        n: points, a power of two.
        start: number of the first point, a multiple of n.
        dtype: dtype of the points; None for JAX's default.

    Examples:
        >>> import jax
        >>> keys = jax.random.split(jax.random.key(0), 4)
        >>> replicate_means(keys, lambda x: x[:, 0], d=2, domain=cube).shape
        (4,)
    """
    if keys.ndim != 1:
        raise ValueError(f"keys must be (r,), one typed key for each randomization, got shape {keys.shape}.")
    run = _compiled_means if is_hashable(f, domain) and not is_tracing([keys, start]) else _replicate_means
    return run(keys, start, f, domain, d=as_count(d, "d"), n=as_count(n, "n"), dtype=dtype)


def _replicate_means(
    keys: Key[jax.Array, "r"],
    start: Int[Array, ""] | int,
    f: Integrand,
    domain: Domain,
    *,
    d: int,
    n: int,
    dtype: str | None,
) -> Float[jax.Array, "r *v"]:
    normal = domain in (gaussian, wide_gaussian)
    coordinates = gaussian_coordinates(d) if normal else getattr(domain, "coordinates", lambda d: d)(d)

    def mean(key: KeyArray) -> jax.Array:
        points = domain(sobol_block(key, start, n, coordinates, dtype=dtype), d)
        points, weight = points if isinstance(points, tuple) else (points, None)
        values = jnp.asarray(f(points))
        if values.ndim == 0 or len(values) != n:
            raise ValueError(f"f must return one row of values for each of {n} points, got shape {values.shape}.")
        if weight is not None:
            values = values * weight.reshape(-1, *(1,) * (values.ndim - 1))
        return jnp.mean(values, axis=0)

    return jnp.asarray(lax.map(mean, keys))


_compiled_means = jit(static_argnames=("f", "domain", "d", "n", "dtype"))(_replicate_means)


def _summary(means: Float[Array, "r *v"], evaluations: Int[Array, ""]) -> Expectation:
    r, value = means.shape[0], jnp.mean(means, axis=0)
    standard_error = jnp.sqrt(jnp.sum((means - value) ** 2, axis=0) / (r * (r - 1)))
    return Expectation(value, standard_error, means, evaluations)


def capped_mean(
    sample: Num[Array, "*b m"] | Nested, scale: Num[Array, "*s"] | Nested | Scalar, *, power: SupportsIndex = 1
) -> Float[jax.Array, "..."]:
    """Average `min(1, scale * sample)^power` over the sample, at every scale, by one sort.

    The samples are sorted and their powers summed once, and each scale is one binary search: a grid of training sizes
    and radii costs no more than its own size. For the error model of Bisla et al. (2021), Eq. (7), the sample is
    `f^(-1/d)` at test points and `scale = c_d / (2 N^(1/d) delta)`. The variance of the mean is
    `(capped_mean(power=2 * power) - capped_mean(power=power)^2) / m`.

    Args:
        sample: m non-negative values, in any unit; inf counts as 1 after the cap, nan or a negative value makes the
            result nan. Half precision is computed in float32.
        scale: positive factors, in the inverse of that unit; the result is nan for negative ones.
        power: exponent, a whole number, static.

    Returns:
        Means, `(*b, *s)`, between 0 and 1; differentiable in sample and scale.

    Raises:
        ValueError: the sample is empty or of symbolic size, or the power is not a positive whole number.

    Examples:
        >>> import jax.numpy as jnp
        >>> capped_mean(jnp.array([1.0, 2.0, 3.0, 4.0]), jnp.array([0.25, 1.0])).tolist()
        [0.625, 1.0]
    """
    sample, scale = as_floating(sample, "sample"), as_floating(scale, "scale")
    if sample.ndim == 0 or sample.shape[-1] == 0:
        raise ValueError(f"capped_mean needs at least one sample, got shape {sample.shape}.")
    check_sizes("sample", sample)
    return _capped_mean(sample, scale, as_count(power, "power"))


@jit(static_argnames="power")
def _capped_mean(sample: Float[jax.Array, "*b m"], scale: Float[jax.Array, "*s"], power: int) -> jax.Array:
    if sample.ndim > 1:
        return jax.vmap(lambda one: _capped_mean(one, scale, power))(sample)
    m, dtype = sample.shape[-1], jnp.result_type(sample, scale)
    sample, scale = (values.astype(jnp.promote_types(dtype, jnp.float32)) for values in (sample, scale))
    ordered = ascending(sample)
    present = jnp.isfinite(ordered) & (ordered > 0)
    # Sums of powers in the power of two next to the last value: none overflows, and a change of unit is exact.
    exponent = jnp.frexp(lax.stop_gradient(jnp.where(present, ordered, 1)))[1]
    most = -int(np.finfo(ordered.dtype).minexp) - 1
    unit = jnp.ldexp(jnp.ones((), ordered.dtype), jnp.clip(exponent, -most, most))
    powers = (jnp.where(present, ordered, 0) / unit) ** power
    change = (jnp.concatenate([unit[:1], unit[:-1]]) / unit) ** power

    def join(left: tuple[jax.Array, jax.Array], right: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        return left[0] * right[0], left[1] * right[0] + right[1]

    total = lax.associative_scan(join, (change, powers))[1]
    below = jnp.searchsorted(lax.stop_gradient(ordered), 1 / lax.stop_gradient(scale))
    last = jnp.maximum(below - 1, 0)
    share = jnp.where(below > 0, (scale * unit[last]) ** power * total[last], 0) + (m - below)
    valid = (ordered[0] >= 0) & ~jnp.isnan(ordered[-1]) & (scale >= 0)
    return jnp.where(valid, share / m, jnp.nan).astype(dtype)
