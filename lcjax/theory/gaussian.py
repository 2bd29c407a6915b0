"""Densities of the feature space: Gaussians, and the principal components that lead to it."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Key

from lcjax.kernels.compilation import jit
from lcjax.records import record

__all__ = ["Gaussian", "PrincipalComponents", "fit_gaussian", "fit_pca", "is_full_rank"]

Array = jax.Array | np.ndarray


@record
class Gaussian:
    """Normal density in d dimensions.

    A batch of Gaussians is one record with leading axes; its methods are for one Gaussian and batch by `vmap`.
    A covariance that is not positive definite gives nan, never an exception: see `is_full_rank`.

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
        """Natural logarithm of the density at each point.

        Args:
            points: `(*m, d)`.

        Returns:
            `(*m,)`; nan where the covariance is not positive definite.
        """
        factor = jnp.linalg.cholesky(jnp.asarray(self.covariance))
        squares = jnp.sum(self.whiten(points) ** 2, axis=-1)
        d = factor.shape[-1]
        return -0.5 * squares - jnp.sum(jnp.log(jnp.diagonal(factor))) - 0.5 * d * math.log(2 * math.pi)

    def whiten(self, points: Float[Array, "*m d"]) -> Float[jax.Array, "*m d"]:
        """Coordinates in which this Gaussian is standard normal: `C^(-1) (x - mean)` with `C C^T = covariance`.

        `C` is the lower Cholesky factor, because the derivative of a symmetric square root is nan where
        eigenvalues coincide.
        """
        factor = jnp.linalg.cholesky(jnp.asarray(self.covariance))
        centred = jnp.asarray(points) - jnp.asarray(self.mean)
        flat = centred.reshape(-1, centred.shape[-1])
        return jax.scipy.linalg.solve_triangular(factor, flat.T, lower=True).T.reshape(centred.shape)

    def unwhiten(self, points: Float[Array, "*m d"]) -> Float[jax.Array, "*m d"]:
        """Inverse of `whiten`: `mean + C z`."""
        factor = jnp.linalg.cholesky(jnp.asarray(self.covariance))
        spread = jnp.einsum("...j,ij->...i", jnp.asarray(points), factor, precision=jax.lax.Precision.HIGHEST)
        return jnp.asarray(self.mean) + spread

    def sample(self, key: Key[Array, ""], count: int) -> Float[jax.Array, "count d"]:
        """Independent draws.

        Args:
            key: typed JAX key.
            count: number of draws, static.

        Returns:
            `(count, d)`, in the dtype of the covariance.
        """
        mean, covariance = jnp.asarray(self.mean), jnp.asarray(self.covariance)
        dtype = jnp.result_type(mean.dtype, covariance.dtype)
        return self.unwhiten(jax.random.normal(key, (count, mean.shape[-1]), dtype))


@record
class PrincipalComponents:
    """Directions of largest variance.

    Attributes:
        mean: `(D,)`.
        components: `(d, D)`, orthonormal rows; the entry of largest magnitude in each is positive.
        variance: of the features along each component, `(d,)`, descending, maximum likelihood (divided by n).
    """

    mean: Float[Array, "*b D"]
    components: Float[Array, "*b d D"]
    variance: Float[Array, "*b d"]

    def project(self, features: Float[Array, "*m D"]) -> Float[jax.Array, "*m d"]:
        """Coordinates along the components: `(x - mean) components^T`."""
        centred = jnp.asarray(features) - jnp.asarray(self.mean)
        return jnp.einsum("...j,ij->...i", centred, jnp.asarray(self.components), precision=jax.lax.Precision.HIGHEST)


@jit
def fit_gaussian(features: Float[Array, "n d"]) -> Gaussian:
    """Maximum-likelihood Gaussian of a point cloud.

        mean = 1/n sum x_i,    covariance = 1/n sum (x_i - mean) (x_i - mean)^T

    the estimate of Bisla et al. (2021), section 4.2.2.

    Args:
        features: n points of dimension d.

    Returns:
        The `Gaussian`, in the dtype of the features; its covariance is singular for n <= d.

    Raises:
        ValueError: there are no points.

    Examples:
        >>> import jax.numpy as jnp
        >>> fit_gaussian(jnp.array([[0.0], [2.0]])).covariance
        Array([[1.]], dtype=float32)
    """
    n = features.shape[0]
    if n == 0:
        raise ValueError(f"a Gaussian needs at least one point, got features of shape {features.shape}.")
    mean = jnp.mean(features, axis=0)
    centred = features - mean
    return Gaussian(mean, jnp.matmul(centred.T, centred, precision=jax.lax.Precision.HIGHEST) / n)


@jit(static_argnames="d")
def fit_pca(features: Float[Array, "n D"], d: int) -> PrincipalComponents:
    """First d principal components of a point cloud.

    Args:
        features: n points of dimension D; n may be smaller than D.
        d: components to keep, static, `1 <= d <= min(n, D)`.

    Returns:
        The `PrincipalComponents`, in the dtype of the features, with a sign that does not depend on the platform.

    Raises:
        ValueError: `d` is outside its range.

    Examples:
        >>> import jax.numpy as jnp
        >>> line = jnp.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
        >>> print(fit_pca(line, 1).project(line).round(4))
        [[-5.]
         [ 0.]
         [ 5.]]
    """
    n, width = features.shape
    if not 1 <= d <= width:
        raise ValueError(f"d must satisfy 1 <= d <= D, got d={d} for features of dimension D={width}.")
    if d > n:
        raise ValueError(f"{n} points span fewer than d={d} principal components.")
    mean = jnp.mean(features, axis=0)
    centred = features - mean
    if n >= width:
        covariance = jnp.matmul(centred.T, centred, precision=jax.lax.Precision.HIGHEST) / n
        variance, vectors = jnp.linalg.eigh(covariance)
        variance, components = variance[::-1][:d], vectors.T[::-1][:d]
    else:
        _, singular, components = jnp.linalg.svd(centred, full_matrices=False)
        variance, components = singular[:d] ** 2 / n, components[:d]
    largest = jnp.take_along_axis(components, jnp.argmax(jnp.abs(components), axis=1, keepdims=True), axis=1)
    components = jnp.where(largest < 0, -components, components)
    return PrincipalComponents(mean, components, jnp.maximum(variance, 0))


def is_full_rank(gaussian: Gaussian) -> Bool[np.ndarray, "*b"]:
    """Whether each covariance is finite and numerically positive definite; for checks outside of compiled code.

    The test is on the correlation matrix, so that it does not depend on the units of the features: its smallest
    eigenvalue must exceed `d` times the machine epsilon of the covariance's dtype.

    Args:
        gaussian: concrete values, with any batch axes.

    Returns:
        NumPy booleans, `(*b,)`.

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
