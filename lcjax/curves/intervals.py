"""Central intervals of draws."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from lcjax.typing import Array

__all__ = ["central_interval"]


def central_interval(
    draws: Float[Array, "..."], level: float, *, axis: int = -1, interpolate: bool = True
) -> tuple[Float[jax.Array, "..."], Float[jax.Array, "..."]]:
    """Return the lower and upper limits between which the central share `level` of draws lies.

    Args:
        draws: equally likely values.
        level: nominal coverage, in (0, 1).
        axis: axis of the draws, which is reduced.
        interpolate: interpolate linearly between draws; False for the next draw outwards, where draws may be infinite.

    Examples:
        >>> import jax.numpy as jnp
        >>> low, high = central_interval(jnp.array([1.0, 2.0, 3.0, jnp.inf]), 0.5, interpolate=False)
        >>> float(low), float(high)
        (1.0, inf)
    """
    tails = 0.5 - level / 2, 0.5 + level / 2
    if interpolate:
        low, high = jnp.quantile(draws, jnp.array(tails), axis=axis)
    else:
        low = jnp.quantile(draws, tails[0], axis=axis, method="lower")
        high = jnp.quantile(draws, tails[1], axis=axis, method="higher")
    return low, high
