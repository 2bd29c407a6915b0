"""Gaussian densities in the feature space: evaluation, sampling and maximum likelihood."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from lcjax.kernels.compilation import jit, namespace
from lcjax.records import record
from lcjax.typing import Array, KeyArray

__all__ = ["Gaussian", "fit_gaussian", "is_full_rank"]


@record
class Gaussian:
    """Normal density in d dimensions.

    A batch of Gaussians is one record with leading axes; the methods are those of a single Gaussian, to be batched by
    `vmap`. A covariance that is not positive definite gives nan, never an exception: see `is_full_rank`.

    Attributes:
        mean: `(*b, d)`, in the unit of the features.
        covariance: `(*b, d, d)`, symmetric positive definite, in the unit of the features squared.

    Examples:
        >>> import jax.numpy as jnp
        >>> standard = Gaussian(jnp.zeros(2), jnp.eye(2))
        >>> print(round(float(standard.log_density(jnp.zeros(2))), 5))
        -1.83788
    """

    mean: Float[Array, "*b d"]
    covariance: Float[Array, "*b d d"]

    def log_density(self, points: Float[Array, "*m d"]) -> Float[jax.Array, "*m"]:
        """Return the natural logarithm of the density, `(*m,)`, at points `(*m, d)`."""
        factor = jnp.linalg.cholesky(jnp.asarray(self.covariance))
        squares = jnp.sum(self.whiten(points) ** 2, axis=-1)
        d: int = factor.shape[-1]
        return -0.5 * squares - jnp.sum(jnp.log(jnp.diagonal(factor))) - 0.5 * d * math.log(2 * math.pi)

    def whiten(self, points: Float[Array, "*m d"]) -> Float[jax.Array, "*m d"]:
        """Map points to coordinates in which this Gaussian is standard normal: `C^(-1) (x - mean)`.

        `C` is the lower Cholesky factor of the covariance, because the derivative of a symmetric square root is nan
        where eigenvalues coincide.
        """
        factor = jnp.linalg.cholesky(jnp.asarray(self.covariance))
        centred = jnp.asarray(points) - jnp.asarray(self.mean)
        flat = centred.reshape(-1, centred.shape[-1])
        white: jax.Array = jax.scipy.linalg.solve_triangular(factor, flat.T, lower=True)
        return white.T.reshape(centred.shape)

    def unwhiten(self, points: Float[Array, "*m d"]) -> Float[jax.Array, "*m d"]:
        """Map standard normal coordinates to the feature space, the inverse of `whiten`: `mean + C z`."""
        factor = jnp.linalg.cholesky(jnp.asarray(self.covariance))
        spread = jnp.einsum("...j,ij->...i", jnp.asarray(points), factor, precision=jax.lax.Precision.HIGHEST)
        return jnp.asarray(self.mean) + spread

    def sample(self, key: KeyArray, count: int) -> Float[jax.Array, "count d"]:
        """Draw independent points, `(count, d)` with a static count, in the dtype of mean and covariance."""
        mean, covariance = jnp.asarray(self.mean), jnp.asarray(self.covariance)
        dtype = jnp.result_type(mean.dtype, covariance.dtype)
        return self.unwhiten(jax.random.normal(key, (count, mean.shape[-1]), dtype))


def fit_gaussian(features: Float[Array, "n d"]) -> Gaussian:
    """Fit a Gaussian to a point cloud by maximum likelihood.

        mean = 1/n sum x_i,    covariance = 1/n sum (x_i - mean) (x_i - mean)^T

    the estimate of Bisla et al. (2021), section 4.2.2, in the dtype of the features. NumPy arrays are
    computed by NumPy, which needs no compilation.

    Args:
        features: n points of dimension d; the covariance is singular for n <= d.

    Returns:
        `Gaussian` with mean `(d,)` and covariance `(d, d)`, in the unit of the features and its square.

    Raises:
        ValueError: there are no points.

    Examples:
        >>> import jax.numpy as jnp
        >>> fit_gaussian(jnp.array([[0.0], [2.0]])).covariance
        Array([[1.]], dtype=float32)
    """
    return (_fit_gaussian if isinstance(features, np.ndarray) else _fit_gaussian_compiled)(features)


def _fit_gaussian(features: Float[Array, "n d"]) -> Gaussian:
    n = features.shape[0]
    if n == 0:
        raise ValueError(f"A Gaussian needs at least one point, got features of shape {features.shape}.")
    xp = namespace(features)
    mean = xp.mean(features, axis=0)
    centred = features - mean
    if xp is np:
        return Gaussian(mean, np.asarray(centred.T @ centred) / n)
    return Gaussian(mean, jnp.matmul(centred.T, centred, precision=jax.lax.Precision.HIGHEST) / n)


_fit_gaussian_compiled = jit(_fit_gaussian)


def is_full_rank(gaussian: Gaussian) -> Bool[np.ndarray, "*b"]:
    """Check that each covariance is finite and numerically positive definite, outside of compiled code.

    The test is on the correlation matrix, so that it does not depend on the units of the features: its smallest
    eigenvalue must exceed `d` times the machine epsilon of the covariance's dtype.

    Args:
        gaussian: concrete values, with any batch axes `*b`.

    Examples:
        >>> import jax.numpy as jnp
        >>> print(is_full_rank(Gaussian(jnp.zeros(2), jnp.ones((2, 2)))))
        False
    """
    covariance = np.asarray(gaussian.covariance)
    d, epsilon = covariance.shape[-1], np.finfo(covariance.dtype).eps
    covariance = covariance.astype(np.float64)
    variance = np.diagonal(covariance, axis1=-2, axis2=-1)
    usable = np.isfinite(covariance).all(axis=(-2, -1)) & (variance > 0).all(axis=-1)
    usable &= np.isfinite(np.asarray(gaussian.mean)).all(axis=-1)
    scale = np.sqrt(np.where(usable[..., None], variance, 1))
    correlation = np.where(usable[..., None, None], covariance, np.eye(d)) / (scale[..., :, None] * scale[..., None, :])
    return np.asarray(usable & (np.linalg.eigvalsh(correlation)[..., 0] > d * epsilon))
