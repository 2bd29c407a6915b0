"""Principal components of a point cloud, which lead from features to the space of the densities.

NumPy arrays are computed by NumPy, which needs no compilation.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from lcjax.kernels.compilation import jit, namespace
from lcjax.records import record
from lcjax.typing import Array

__all__ = ["PrincipalComponents", "fit_pca"]


@record
class PrincipalComponents:
    """Directions of largest variance.

    Attributes:
        mean: `(D,)`.
        components: `(d, D)`, orthonormal rows; the entry of largest magnitude in each row is positive.
        variance: of the features along each component, `(d,)`, descending, maximum likelihood (divided by n).
    """

    mean: Float[Array, "*b D"]
    components: Float[Array, "*b d D"]
    variance: Float[Array, "*b d"]

    def project(self, features: Float[Array, "*m D"]) -> Float[Array, "*m d"]:
        """Return coordinates along the components: `(x - mean) components^T`."""
        if namespace(features, self.mean) is np:
            coordinates: Array = (features - self.mean) @ np.swapaxes(self.components, -1, -2)
            return coordinates
        centred = jnp.asarray(features) - jnp.asarray(self.mean)
        return jnp.einsum("...j,ij->...i", centred, jnp.asarray(self.components), precision=jax.lax.Precision.HIGHEST)


def fit_pca(features: Float[Array, "n D"], d: int) -> PrincipalComponents:
    """Compute the first d principal components of a point cloud, with signs that do not depend on the platform.

    Args:
        features: n points of dimension D, in the dtype of the result; n may be smaller than D.
        d: number of components, static, `1 <= d <= min(n, D)`.

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
    return (_fit_pca if isinstance(features, np.ndarray) else _fit_pca_compiled)(features, d)


def _fit_pca(features: Float[Array, "n D"], d: int) -> PrincipalComponents:
    xp = namespace(features)
    n, width = features.shape
    if not 1 <= d <= width:
        raise ValueError(f"d must satisfy 1 <= d <= D, got d={d} for features of dimension D={width}.")
    if d > n:
        raise ValueError(f"{n} points span fewer than d={d} principal components.")
    mean = xp.mean(features, axis=0)
    centred = features - mean
    if n >= width:
        variance, vectors = xp.linalg.eigh(_square(centred) / n)
        variance, components = variance[::-1][:d], vectors.T[::-1][:d]
    else:
        _, singular, components = xp.linalg.svd(centred, full_matrices=False)
        variance, components = singular[:d] ** 2 / n, components[:d]
    largest = xp.take_along_axis(components, xp.argmax(xp.abs(components), axis=1, keepdims=True), axis=1)
    components = xp.where(largest < 0, -components, components)
    return PrincipalComponents(mean, components, xp.maximum(variance, 0))


_fit_pca_compiled = jit(static_argnames="d")(_fit_pca)


def _square(centred: Float[Array, "n D"]) -> Float[Array, "D D"]:
    if isinstance(centred, np.ndarray):
        return np.asarray(centred.T @ centred)
    return jnp.matmul(centred.T, centred, precision=jax.lax.Precision.HIGHEST)
