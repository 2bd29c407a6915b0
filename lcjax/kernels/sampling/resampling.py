"""Resampling: whole rows of replicates, and noise whose scale is itself uncertain."""

from typing import SupportsIndex

import jax
import jax.numpy as jnp
from jaxtyping import Float, Num

from lcjax.kernels.arguments import Nested, as_count, as_floating
from lcjax.typing import Array, KeyArray, Scalar

__all__ = ["resample_rows", "student_noise"]


def resample_rows(
    key: KeyArray, replicates: Num[Array, "r s"] | Nested, *, draws: SupportsIndex
) -> Float[jax.Array, "{draws} s"]:
    """Draw bootstrap means of replicates, resampling whole rows.

    Subsets of one seed are nested, so its errors at different sizes are correlated and stay together. The deviation
    from the mean of `r` present values is multiplied by `sqrt(r / (r - 1))`, without which the variance of bootstrap
    means is too small by the factor `(r - 1) / r` (Davison and Hinkley, 1997, section 2.3).

    Args:
        key: typed key.
        replicates: error of each repeat (row) at each size (column); nan where absent.
        draws: number of bootstrap means, static.

    Returns:
        Means, one row per draw: nan where no resampled row has a size, the plain mean where only one row has it.

    Raises:
        ValueError: `draws` is not positive, or there are no rows.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> means = resample_rows(jax.random.key(0), jnp.array([[0.1, 0.2], [0.3, 0.4]]), draws=4)
        >>> bool(jnp.allclose(means[:, 1] - means[:, 0], 0.1))
        True
    """
    replicates, count = as_floating(replicates, "replicates"), as_count(draws, "draws")
    if replicates.ndim != 2 or replicates.shape[0] == 0:
        raise ValueError(f"replicates must be (r, s) with r >= 1, got shape {replicates.shape}.")
    rows = replicates.shape[0]
    picks = jax.random.randint(key, (count, rows), 0, rows)
    counts = jnp.sum(picks[:, :, None] == jnp.arange(rows), axis=1).astype(replicates.dtype)
    present = ~jnp.isnan(replicates)
    weight = present.astype(replicates.dtype)
    highest = jax.lax.Precision.HIGHEST
    denominator = jnp.matmul(counts, weight, precision=highest)
    total = weight.sum(axis=0)
    mean = jnp.where(present, replicates, 0).sum(axis=0) / jnp.where(total > 0, total, jnp.nan)
    # Deviations are small compared with the mean: sum them, not the values.
    deviation = jnp.matmul(counts, jnp.where(present, replicates - mean, 0), precision=highest)
    deviation = deviation / jnp.where(denominator > 0, denominator, jnp.nan)
    return mean + jnp.sqrt(total / jnp.maximum(total - 1, 1)) * deviation


def student_noise(
    key: KeyArray, degrees: Scalar, *, draws: SupportsIndex, size: SupportsIndex, most: SupportsIndex
) -> Float[jax.Array, "{draws} {size}"]:
    """Draw normal noise with a scale of its own for every row, for a scale estimated with few degrees of freedom.

    Row k is `sqrt(degrees / chi2_k) * normal`: a sample from the posterior predictive distribution of residuals whose
    estimated standard deviation is 1, under the prior `1 / sigma`.

    Args:
        key: typed key.
        degrees: degrees of freedom of the estimated scale, a whole number from 1 to `most`.
        draws: rows, static.
        size: columns, static.
        most: upper limit of `degrees`, static.

    Returns:
        Noise, one row per draw; each entry has Student's t distribution, or is nan if `degrees` is out of range.

    Raises:
        ValueError: `draws`, `size` or `most` is not positive.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> student_noise(jax.random.key(0), jnp.array(3.0), draws=2, size=5, most=4).shape
        (2, 5)
    """
    rows, columns, limit = as_count(draws, "draws"), as_count(size, "size"), as_count(most, "most")
    degrees = as_floating(degrees, "degrees")
    normal = jax.random.normal(key, (rows, columns + limit), degrees.dtype)
    # A sum of squares, because a general gamma variate takes longer to compile than the rest of a small fit.
    chi2 = jnp.sum(jnp.where(jnp.arange(limit) < degrees, normal[:, columns:] ** 2, 0), axis=1, keepdims=True)
    valid = (degrees >= 1) & (degrees <= limit)
    return jnp.sqrt(jnp.where(valid, degrees, jnp.nan) / chi2) * normal[:, :columns]
