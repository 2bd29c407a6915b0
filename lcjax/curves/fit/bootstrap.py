"""Bootstrap fits: replicates of a curve drawn around its fit, or from its repeats, and refitted from there."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int, Key

from lcjax.curves.fit.exponent_prior import Penalty
from lcjax.curves.fit.global_search import BLOCK, map_blocks, take_curves, tile_curves
from lcjax.curves.fit.objective import CurveData, expansion, log_prediction
from lcjax.curves.fit.residual_losses import Loss
from lcjax.curves.forms import Form
from lcjax.kernels.least_squares import LeastSquares, least_squares
from lcjax.kernels.sampling.resampling import resample_rows, student_noise
from lcjax.typing import KeyArray

__all__ = ["bootstrap_fits"]

_STEPS = 12


def bootstrap_fits(
    keys: Key[jax.Array, " n"],
    form: Form,
    loss: Loss,
    best: LeastSquares,
    data: CurveData,
    replicates: Float[jax.Array, "r s n"] | None,
    least: Float[jax.Array, "s n"],
    noise: Float[jax.Array, " n"],
    degrees: Float[jax.Array, " n"],
    unit: Float[jax.Array, " n"],
    lower: Float[jax.Array, "p n"],
    upper: Float[jax.Array, "p n"],
    penalty: Penalty,
    draws: int,
) -> Float[jax.Array, "{draws} p n"]:
    """Return the coordinates of bootstrap fits, from the fit's minimum, noise and degrees of freedom.

    Resampled means below `exp(least)` are raised to it, as the fit raises errors of zero.
    """
    p, count = lower.shape
    everything = (jnp.asarray(best.parameters), data, replicates, least, noise, degrees, unit, lower, upper, penalty)

    def refit(index: Int[jax.Array, " m"]) -> Float[jax.Array, "k p m"]:
        u, block, rows, least, scale, freedom, shift, low, high, prior = take_curves(everything, index)
        center = log_prediction(form, u, block)
        scatter = scale / jnp.sqrt(jnp.where(block.weight > 0, block.weight, 1))
        in_axes = (0, -1, -1, 0, 0, None if rows is None else -1, -1)
        draw = jax.vmap(functools.partial(_draw_curves, draws=draws), in_axes=in_axes, out_axes=-1)
        curves = draw(keys[index], center, scatter, freedom, shift, rows, least)

        # Single precision: rounding is negligible beside the noise of a draw.
        single = jax.tree.map(lambda a: a.astype(jnp.float32), (u, block, low, high, *prior))
        start, tiled, *box_and_prior = tile_curves(single, draws)
        y = jnp.moveaxis(curves, 0, 1).reshape(block.z.shape[0], -1).astype(jnp.float32)
        minima: LeastSquares = least_squares(
            None,
            start,
            CurveData(tiled.z, y, tiled.weight, tiled.reference, tiled.log_guess),
            *box_and_prior,
            steps=_STEPS,
            expand=expansion(form, loss),
        )
        return jnp.moveaxis(minima.parameters.reshape(p, draws, -1), 0, 1).astype(lower.dtype)

    return map_blocks(refit, count, max(1, BLOCK // draws))


def _draw_curves(
    key: KeyArray,
    center: Float[jax.Array, " s"],
    scatter: Float[jax.Array, " s"],
    degrees: Float[jax.Array, ""],
    unit: Float[jax.Array, ""],
    replicates: Float[jax.Array, "r s"] | None,
    least: Float[jax.Array, " s"],
    *,
    draws: int,
) -> Float[jax.Array, "{draws} s"]:
    """Draw bootstrap replicates of one curve, logarithms of errors in its unit."""
    noise_key, row_key = jax.random.split(key)
    size = center.shape[0]
    around = center + scatter * student_noise(noise_key, degrees, draws=draws, size=size, most=size)
    if replicates is None or replicates.shape[0] < 2:
        return around
    means = resample_rows(row_key, replicates, draws=draws)
    means = jnp.log(jnp.maximum(means, jnp.exp(least))) - unit
    has_repeats = jnp.sum(~jnp.isnan(replicates), axis=0) > 1
    return jnp.where(has_repeats & jnp.isfinite(means), means, around)
