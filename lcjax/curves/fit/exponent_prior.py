"""What is known of a curve's exponent before it is measured."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from lcjax.curves.forms import Form
from lcjax.records import record

__all__ = ["NOISE", "ExponentPrior", "penalty"]

Array = jax.Array | np.ndarray
NOISE = 0.03
"""A typical relative standard deviation of one measured error."""


@record
class ExponentPrior:
    """What is known of a curve's exponent before it is measured, for curves of a few points.

    Attributes:
        exponent: expected exponent, negative, `()` or `(*b,)`; `-1 / d` for nearest neighbours in d effective
            dimensions (Bisla et al. 2021, Eq. 7).
        log_standard_deviation: standard deviation of `log(-exponent)`, alike.

    Examples:
        >>> ExponentPrior(-1 / 4, 0.3).exponent
        -0.25
    """

    exponent: Float[Array, "..."] | float
    log_standard_deviation: Float[Array, "..."] | float = 0.3


def penalty(form: Form, prior: Any, lower: jax.Array) -> tuple[jax.Array, jax.Array] | tuple[None, None]:
    """Center and precision of the coordinates under the prior, in units of squared residuals, each `(p, n)`."""
    if prior is None or "exponent" not in form.parameters:
        return None, None
    exponent, deviation = prior
    # The logarithm of the exponent is the first or the last of the shape's coordinates, as it is named.
    place = form.exponent_place + form.offset + 1
    chosen = jnp.arange(lower.shape[0])[:, None] == place
    return jnp.where(chosen, jnp.log(-exponent), 0.0), jnp.where(chosen, (NOISE / deviation) ** 2, 0.0)
