"""The size of the best model as a power law of the number of training examples."""

import jax
import jax.numpy as jnp
from jaxtyping import Float, Num

from lcjax.kernels.compilation import jit
from lcjax.records import record
from lcjax.typing import Array

__all__ = ["ModelSizeLaw", "fit_model_size"]


@record
class ModelSizeLaw:
    """Power law `parameters = scale * size ** exponent` of the best model's number of parameters.

    Attributes:
        scale: parameters at one example, `(*b,)`.
        exponent: exponent, between 0.5 and 1 in Hestness et al. (2019), `(*b,)`.
        exponent_error: standard error of the exponent from the residuals, nan for two sizes, `(*b,)`.
    """

    scale: Float[Array, "*b"]
    exponent: Float[Array, "*b"]
    exponent_error: Float[Array, "*b"]

    def predict(self, size: Num[Array, "..."]) -> Float[jax.Array, "..."]:
        """Return the parameters of the best model for `size` examples, `(*b, s)`."""
        return jnp.asarray(self.scale)[..., None] * jnp.asarray(size) ** jnp.asarray(self.exponent)[..., None]


@jit
def fit_model_size(size: Num[Array, "*b s"], parameters: Num[Array, "*b s"]) -> ModelSizeLaw:
    """Fit `s(m) = alpha m^beta_p` (Hestness et al., 2019, section 2) by least squares of the logarithms.

    Args:
        size: numbers of training examples, `(*b, s)`; nan marks an absent size, and fewer than two give nan.
        parameters: parameters of the model with the smallest validation error at each size, `(*b, s)`.

    Examples:
        >>> import jax.numpy as jnp
        >>> law = fit_model_size(jnp.array([1e4, 1e5, 1e6]), 3 * jnp.array([1e4, 1e5, 1e6]) ** 0.7)
        >>> round(float(law.exponent), 4)
        0.7
    """
    x, y = jnp.log(jnp.asarray(size)), jnp.log(jnp.asarray(parameters))
    present = jnp.isfinite(x) & jnp.isfinite(y)
    count = present.sum(axis=-1)

    def total(values: Float[jax.Array, "*b s"]) -> Float[jax.Array, "*b"]:
        return jnp.sum(jnp.where(present, values, 0), axis=-1)

    mean_x, mean_y = (total(a) / jnp.where(count > 1, count, jnp.nan) for a in (x, y))
    dx, dy = x - mean_x[..., None], y - mean_y[..., None]
    exponent = total(dx * dy) / total(dx**2)
    residual = total((dy - exponent[..., None] * dx) ** 2) / jnp.where(count > 2, count - 2, jnp.nan)
    return ModelSizeLaw(jnp.exp(mean_y - exponent * mean_x), exponent, jnp.sqrt(residual / total(dx**2)))
