"""Bootstrap tables of runs: residuals with effects of budgets and of models, or whole runs and groups of runs."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from lcjax.typing import Array, KeyArray

__all__ = ["draw_residuals", "draw_weights", "group_effects"]

_CLIP = 3.0  # robust standard deviations beyond which a residual does not enter the effects of groups
_MAD = 1.4826  # standard deviations per median absolute deviation, of a normal distribution


def group_effects(
    residual: Float[jax.Array, " n"], index: Int[Array, " n"]
) -> tuple[Float[jax.Array, ""], Float[jax.Array, ""]]:
    """Estimate the variance of the effects of groups, and that within groups, by moments.

    Residuals are clipped at three robust standard deviations.

    Args:
        residual: residuals of the runs.
        index: group of each run, from 0.

    Examples:
        >>> import jax.numpy as jnp
        >>> between, within = group_effects(jnp.array([1.0, 1.1, -1.0, -1.1]), jnp.array([0, 0, 1, 1]))
        >>> round(float(between), 2), round(float(within), 3)
        (2.2, 0.005)
    """
    n = len(residual)
    count = jax.ops.segment_sum(jnp.ones_like(residual), index, n)  # 0 from the number of groups on
    groups = jnp.sum(count > 0)
    scale = _MAD * jnp.median(jnp.abs(residual))
    clipped = jnp.clip(residual, -_CLIP * scale, _CLIP * scale)
    centered = clipped - jnp.mean(clipped)
    mean = jax.ops.segment_sum(centered, index, n) / jnp.maximum(count, 1)
    within = jnp.sum((centered - mean[index]) ** 2) / jnp.maximum(1, n - groups)
    spare = jnp.maximum(1, groups - 1)
    between = jnp.sum(count * mean**2) / spare
    size = (n - jnp.sum(count**2) / n) / spare
    return jnp.where(size > 0, jnp.maximum(0.0, between - within) / jnp.where(size > 0, size, 1), 0.0), within


def draw_residuals(
    key: KeyArray, residual: Float[jax.Array, " n"], parameters: int, groups: Mapping[str, Int[Array, " n"]], draws: int
) -> Float[jax.Array, "n k"]:
    """Draw residuals of tables like the one at hand: effects of groups that are common to their runs, and the rest.

    A fit of p parameters by absolute residuals passes through p runs: the p smallest residuals are left out of the pool
    (McKean & Schrader, 1987), which would promise too much otherwise. Runs of one budget or of one model share what
    makes them better or worse than the law: such effects are normal, with the variance that the residuals show.

    Args:
        key: a typed key.
        residual: residuals of the fit, `(n,)`.
        parameters: number of parameters of the law.
        groups: groups of the runs by name, each an index from 0, `(n,)`.
        draws: number of draws.
    """
    n = len(residual)
    kept = max(1, n - parameters)
    pool = residual[jnp.argsort(-jnp.abs(residual))[:kept]]
    variance = jnp.mean(pool**2)
    keys = jax.random.split(key, len(groups) + 1)
    row = pool[jax.random.randint(keys[-1], (n, draws), 0, kept)]
    effect, share = jnp.zeros((n, draws), residual.dtype), jnp.zeros((), residual.dtype)
    for own, index in zip(keys, groups.values(), strict=False):
        between, _ = group_effects(residual, index)
        normal = jax.random.normal(own, (n, draws), residual.dtype)
        effect = effect + jnp.sqrt(between) * normal[index]
        share = share + between / variance
    return effect + jnp.sqrt(jnp.maximum(0.0, 1 - share)) * row


def draw_weights(key: KeyArray, index: Int[Array, " n"], draws: int) -> Float[jax.Array, "n k"]:
    """Draw groups of runs with replacement; return how often each run is drawn.

    Args:
        key: a typed key.
        index: group of each run, from 0, `(n,)`.
        draws: number of draws.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> draw_weights(jax.random.key(0), jnp.array([0, 0, 1]), 50).mean(axis=1).round().tolist()
        [1.0, 1.0, 1.0]
    """
    n = len(index)
    groups = jnp.max(index) + 1
    chosen = jax.random.randint(key, (n, draws), 0, groups)
    once = jnp.where(jnp.arange(n)[:, None] < groups, 1.0, 0.0)  # as many as there are groups
    count = jnp.zeros((n, draws)).at[chosen, jnp.arange(draws)].add(once)
    return count[index]
