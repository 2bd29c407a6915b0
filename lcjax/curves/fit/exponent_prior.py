"""Prior knowledge of a curve's exponent."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from lcjax.curves.forms import Form
from lcjax.records import record
from lcjax.typing import Array

__all__ = ["NOISE", "ExponentPrior", "Penalty", "penalty"]

NOISE = 0.03
"""Typical relative standard deviation of one measured error."""

Penalty = tuple[Float[jax.Array, "p n"], Float[jax.Array, "p n"]] | tuple[None, None]
"""Center and precision of the coordinates of `n` fits, or no penalty."""


@record
class ExponentPrior:
    """Log-normal prior of a curve's negated exponent, for curves of few points.

    Attributes:
        exponent: expected exponent, negative, `()` or `(*b,)`; `-1 / d` in d effective dimensions by the
            nearest-neighbor model (Bisla et al., 2021, Eq. (7)).
        log_standard_deviation: standard deviation of `log(-exponent)`, `()` or `(*b,)`.

    Examples:
        >>> ExponentPrior(-1 / 4, 0.3).exponent
        -0.25
    """

    exponent: Float[Array, "..."] | float
    log_standard_deviation: Float[Array, "..."] | float = 0.3


def penalty(
    form: Form, prior: tuple[Float[jax.Array, " n"], Float[jax.Array, " n"]] | None, lower: Float[jax.Array, "p n"]
) -> Penalty:
    """Return center and precision of the coordinates, as many as `lower` has, in units of squared residuals.

    The prior is an exponent and the standard deviation of `log(-exponent)` for each curve; a form without an exponent
    has no penalty.
    """
    if prior is None or "exponent" not in form.parameters:
        return None, None
    exponent, deviation = prior
    is_exponent = jnp.arange(lower.shape[0])[:, None] == form.exponent_place + form.offset + 1
    return jnp.where(is_exponent, jnp.log(-exponent), 0.0), jnp.where(is_exponent, (NOISE / deviation) ** 2, 0.0)
