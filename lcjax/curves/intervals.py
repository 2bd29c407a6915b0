"""Central intervals of draws."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from lcjax.typing import Array

__all__ = ["central_interval"]


def central_interval(
    draws: Float[Array, "..."], level: float, *, axis: int = -1, interpolate: bool = True
) -> tuple[Float[jax.Array, "..."], Float[jax.Array, "..."]]:
    """Return the limits between which the central share `level` of draws lies.

    Args:
        draws: equally likely values.
        level: nominal coverage, in (0, 1).
        axis: axis of the draws, which is reduced.
        interpolate: interpolate linearly between draws; otherwise each limit is the next draw outwards, as required
            where draws may be infinite.

    Returns:
        Lower and upper limit.

    Examples:
        >>> import jax.numpy as jnp
        >>> low, high = central_interval(jnp.array([1.0, 2.0, 3.0, jnp.inf]), 0.5, interpolate=False)
        >>> float(low), float(high)
        (1.0, inf)
    """
    tails = 0.5 - level / 2, 0.5 + level / 2
    if interpolate:
        low, high = jnp.quantile(draws, jnp.array(tails), axis=axis)
        return low, high
    low, high = (
        jnp.quantile(draws, q, axis=axis, method=method) for q, method in zip(tails, ("lower", "higher"), strict=True)
    )
    return low, high
