"""Statistics of a point cloud behind the estimators of its intrinsic dimension: each a value and a standard error.

NumPy arrays are computed by NumPy, JAX arrays by JAX; see `lcjax.theory.dimension` for the definitions.
"""

from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from lcjax.kernels.compilation import namespace
from lcjax.kernels.integer_sort import ascending
from lcjax.typing import Array

__all__ = ["Estimate", "explain_variance", "invert_mean", "mean_log_ratio", "slope_of_ratios"]

Estimate: TypeAlias = tuple[Any, Any]  # numbers: arrays of JAX, or of NumPy


def slope_of_ratios(distance: Float[Array, "n 2"], fraction: float) -> Estimate:
    """Fit the slope of the distribution of ratios of two neighbor distances: `two_nn`."""
    xp, sort = (np, np.sort) if isinstance(distance, np.ndarray) else (jnp, ascending)
    distinct = distance[:, 0] > 0
    n = distinct.sum().astype(distance.dtype)
    ratio = sort(xp.where(distinct, xp.log(distance[:, 1] / xp.where(distinct, distance[:, 0], 1)), xp.inf))
    rank = xp.arange(1, ratio.size + 1, dtype=distance.dtype)
    used = rank <= xp.floor(fraction * n)
    x = xp.where(used, ratio, 0)
    y = xp.where(used, -xp.log1p(-xp.where(used, rank / n, 0)), 0)
    influence = xp.cumsum(y[::-1])[::-1] / xp.sum(y**2) / xp.where(used, n - rank + 1, xp.inf)
    value = xp.sum(x * y) / xp.sum(x**2)
    return value, value * xp.sqrt(2 * xp.sum(influence**2))


def mean_log_ratio(distance: Float[Array, "n k"]) -> Float[Array, " n"]:
    """Average the logarithm of the distance to the last neighbor over that to each other one."""
    xp = namespace(distance)
    mean: Array = xp.mean(xp.log(distance[:, -1:] / distance[:, :-1]), axis=-1)
    return mean


def invert_mean(inverse: Float[Array, " n"]) -> Estimate:
    """Invert the mean of inverse local dimensions: `levina_bickel`."""
    xp = namespace(inverse)
    distinct = xp.isfinite(inverse)
    n = distinct.sum()
    mean = xp.sum(xp.where(distinct, inverse, 0)) / n
    variance = xp.sum(xp.where(distinct, inverse - mean, 0) ** 2) / (n - 1)
    return 1 / mean, xp.sqrt(2 * variance / n) / mean**2


def explain_variance(points: Float[Array, "n d"], share: float) -> Estimate:
    """Count the principal directions that explain a share of the variance: `spectral_dimension`."""
    xp = namespace(points)
    n = points.shape[0]
    centred = points - xp.mean(points, axis=0)
    variance, directions = xp.linalg.eigh(_product(centred.T, centred) / n)
    variance, directions = xp.maximum(variance[::-1], 0), directions[:, ::-1]
    # The count, interpolated linearly between directions, and its derivatives by the variances.
    places, total = xp.arange(len(variance)), xp.sum(variance)
    whole = xp.argmax(xp.cumsum(variance) / total >= share)  # directions before the one that reaches the share
    last = variance[whole]
    part = (share * total - xp.sum(xp.where(places < whole, variance, 0))) / last
    slope = (share - (places < whole) - xp.where(places == whole, part, 0)) / last
    influence = (_product(centred, directions) ** 2 - variance) @ slope
    value = xp.where(variance[0] > 0, xp.ceil(whole + part), xp.nan)
    return value, xp.sqrt(xp.mean(influence**2) / n)


def _product(a: Float[Array, "m k"], b: Float[Array, "k n"]) -> Float[Array, "m n"]:
    product: Array = a @ b if isinstance(a, np.ndarray) else jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
    return product
