"""Bootstrap fits: curves drawn about a fit, or from its repeats, and fitted again from where it lies."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from lcjax.curves.fit.global_search import BLOCK, at, in_blocks
from lcjax.curves.fit.objective import CurveData, expansion, log_prediction
from lcjax.curves.fit.residual_losses import Loss
from lcjax.curves.forms import Form
from lcjax.kernels.least_squares import LeastSquares, least_squares
from lcjax.kernels.resampling import resample_rows, student_noise

__all__ = ["bootstrap_fits"]

_STEPS = 12


def bootstrap_fits(
    keys: Any,
    form: Form,
    loss: Loss,
    best: LeastSquares,
    data: CurveData,
    replicates: jax.Array | None,
    noise: jax.Array,
    degrees: jax.Array,
    unit: jax.Array,
    lower: jax.Array,
    upper: jax.Array,
    penalty: Any,
    draws: int,
) -> jax.Array:
    """Coordinates of bootstrap fits, `(draws, p, n)`."""
    p, count = lower.shape
    everything = (best.parameters, data, replicates, noise, degrees, unit, lower, upper, penalty)

    def some(index: jax.Array) -> jax.Array:
        u, part, rows, scale, freedom, shift, low, high, weak = at(everything, index)
        center = log_prediction(form, u, part)
        scatter = scale / jnp.sqrt(jnp.where(part.weight > 0, part.weight, 1))
        each = (0, -1, -1, 0, 0, None if rows is None else -1)
        one = functools.partial(_drawn_errors, draws=draws)
        curves = jax.vmap(one, in_axes=each, out_axes=-1)(keys[index], center, scatter, freedom, shift, rows)

        # A draw needs no more digits than its noise leaves.
        def repeated(tree: Any) -> Any:
            return jax.tree.map(lambda a: jnp.concatenate([a.astype(jnp.float32)] * draws, axis=-1), tree)

        drawn_y = jnp.moveaxis(curves, 0, 1).reshape(part.z.shape[0], -1).astype(jnp.float32)
        tiled = repeated(part)
        found = least_squares(
            None,
            repeated(u),
            CurveData(tiled.z, drawn_y, tiled.weight, tiled.reference, tiled.log_guess),
            *repeated((low, high, *weak)),
            steps=_STEPS,
            expand=expansion(form, loss),
        )
        return jnp.moveaxis(found.parameters.reshape(p, draws, -1), 0, 1).astype(lower.dtype)

    return in_blocks(some, count, max(1, BLOCK // draws))


def _drawn_errors(
    key: Any,
    center: jax.Array,
    scatter: jax.Array,
    degrees: jax.Array,
    unit: jax.Array,
    replicates: jax.Array | None,
    *,
    draws: int,
) -> jax.Array:
    """Bootstrap curves of one curve, logarithms of errors in its unit, `(draws, s)`."""
    noise_key, row_key = jax.random.split(key)
    size = center.shape[0]
    around = center + scatter * student_noise(noise_key, degrees, draws=draws, size=size, most=size)
    if replicates is None or replicates.shape[0] < 2:
        return around
    means = jnp.log(jnp.maximum(resample_rows(row_key, replicates, draws=draws), 1e-12)) - unit
    several = jnp.sum(~jnp.isnan(replicates), axis=0) > 1
    return jnp.where(several & jnp.isfinite(means), means, around)
