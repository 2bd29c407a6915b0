"""Functional form of the loss in model size and data size: an irreducible part and two power laws.

    error = offset + model_scale * model_size ** model_exponent + data_scale * data_size ** data_exponent

(Hoffmann et al., 2022, Eq. (2)). A fit works in coordinates `u`, in units of the geometric means of the data:
logarithms of the offset, of both terms at the mean sizes, and of both negated exponents.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Float

__all__ = ["log_error", "natural_parameters"]


def log_error(
    u: tuple[Float[jax.Array, "*b"], ...],
    log_model_size: Float[jax.Array, "..."],
    log_data_size: Float[jax.Array, "..."],
) -> Float[jax.Array, "..."]:
    """Evaluate the logarithm of the error at the five coordinates `u`, in units of the geometric means."""
    model, data = u[1] - jnp.exp(u[3]) * log_model_size, u[2] - jnp.exp(u[4]) * log_data_size
    return jnp.log(jnp.exp(u[0]) + jnp.exp(model) + jnp.exp(data))


def natural_parameters(u: Float[jax.Array, "5 *b"], reference: Float[jax.Array, "3"]) -> dict[str, jax.Array]:
    """Convert coordinates to named parameters in the units of the data.

    The reference holds the logarithms of the geometric mean model size, data size and error.
    """
    offset, model, data, a, b = u
    n, m, unit = reference
    a, b = jnp.exp(a), jnp.exp(b)
    return {
        "offset": jnp.exp(offset + unit),
        "model_scale": jnp.exp(model + unit + a * n),
        "model_exponent": -a,
        "data_scale": jnp.exp(data + unit + b * m),
        "data_exponent": -b,
    }
