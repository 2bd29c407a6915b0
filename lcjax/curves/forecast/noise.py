"""Noise of learning curves: white noise of several shapes, and correlated departures from the family."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Float, Int

from lcjax.curves.forecast.condensed import CondensedCurve
from lcjax.records import record
from lcjax.typing import Array

__all__ = [
    "NOISE",
    "SHAPE",
    "Kriging",
    "NoiseModels",
    "krige",
    "log_likelihood",
    "models_of",
    "prior_of_variance",
    "quadratic_forms",
    "repeat_squares",
    "white_scale",
]


@record
class NoiseModels:
    """Models of the residuals of log errors, with covariance `s^2 K`; a priori all models are equally likely.

        K_ij = exp(-2 power v_i + discount |t_i|) / count_i [i = j] + ratio k(|t_i - t_j| / length)

    where k is the exponential kernel, k(a) = exp(-a), or the Matern kernel k(a) = (1 + 3^0.5 a) exp(-3^0.5 a), whose
    curves are smooth, and v_i is the log error minus the last log error. The variance s^2 of a measurement at the
    largest size has an inverse gamma prior of shape 1 and scale `scale^2`, for each of the scales.

    Attributes:
        ratio: variance of the correlated part relative to the white part, `(j,)`.
        length: correlation length of the correlated part in t, `(j,)`.
        power: the white noise of the log error is proportional to `error^-power`, `(j,)`: 0 for noise proportional to
            the error, 0.5 for counts of mistakes, 1 for noise that does not depend on the error.
        discount: growth of the white variance towards small sizes, `(j,)`; with 1, `largest / size` measurements at a
            size count as one at the largest size.
        smooth: 1 for the Matern kernel, 0 for the exponential one, `(j,)`.
        scale: scales of the prior of s, `(q,)`.
    """

    ratio: Float[Array, " j"]
    length: Float[Array, " j"]
    power: Float[Array, " j"]
    discount: Float[Array, " j"]
    smooth: Float[Array, " j"]
    scale: Float[Array, " q"]


def _models() -> NoiseModels:
    # ratio, length, power, smooth, discount
    table = [
        (0, 1, 0, 0, 0),
        (0, 1, 0.5, 0, 0),
        (0, 1, 1, 0, 0),
        (0, 1, 0.5, 0, 1),
        (0, 1, 0.5, 0, 2),
        (1, 0.3, 0, 0, 0),
        (5, 1, 0.5, 0, 0),
        (5, 1, 0, 0, 1),
        (30, 2, 0, 0, 0),
        (30, 1, 0, 1, 0),
        (30, 1, 0.5, 1, 1),
        (300, 3, 0, 1, 0),
    ]
    ratio, length, power, smooth, discount = np.array(table, np.float32).T
    return NoiseModels(ratio, length, power, discount, smooth, np.array([0.0006, 0.002, 0.006, 0.02], np.float32))


NOISE = _models()
"""Default noise models of a forecast, averaged by their likelihood."""

SHAPE = 1.0  # of the inverse gamma prior of s^2, the least informative whose mean of s is finite


# Scales of s at which known variances are compared with s^2, a factor of two apart, and the shape of the inverse gamma
# prior about each of them, which fills the gaps.
_SCALES, _NARROW = 2.5e-4 * 2.0 ** np.arange(12), 2.0


@record
class ScaledModels(NoiseModels):
    """Noise models of a curve with known variances: each model at each of several scales of s.

        K_ij = (white_i / count_i + known_i / scale^2) [i = j] + ratio k(|t_i - t_j| / length)

    A known variance is not in units of s^2, which is integrated out. Given the scale, s^2 has a narrow prior about
    `scale^2`, so that the ratio of the two variances is known; the prior weights of the scales make their mixture that
    of `NoiseModels`.

    Attributes:
        scale: scale of each model, `(j,)`.
        log_weight: log prior weight of each model, `(j,)`.
    """

    log_weight: Float[Array, " j"]


def models_of(noise: NoiseModels, curve: CondensedCurve) -> NoiseModels:
    """Return the noise models of a curve: `noise` itself, or `ScaledModels` if the curve has known variances."""
    if curve.known is None:
        return noise
    count, scales = len(noise.ratio), len(_SCALES)
    rows = {
        name: np.repeat(getattr(noise, name), scales) for name in ("ratio", "length", "power", "discount", "smooth")
    }
    relative = (np.asarray(noise.scale, float)[:, None] / _SCALES) ** 2
    density = np.sum(relative * np.exp(-relative), axis=0)
    log_weight = np.log(density / density.sum() / count)
    return ScaledModels(**rows, scale=np.tile(_SCALES, count), log_weight=np.tile(log_weight, count))


def prior_of_variance(noise: NoiseModels, dtype: DTypeLike) -> tuple[float, Float[jax.Array, "j q"]]:
    """Return shape and squared scale of the inverse gamma priors of s^2, for each model and scale."""
    scale = jnp.asarray(noise.scale, dtype)
    if isinstance(noise, ScaledModels):
        return _NARROW, scale[:, None] ** 2
    return SHAPE, jnp.broadcast_to(scale**2, (len(noise.ratio), scale.shape[0]))


@record
class Kriging:
    """Conditional distribution of a curve given its residuals, for each noise model.

    Attributes:
        gain: weights of the residuals in the mean at each new size, `(j, m, n)`.
        spread: variance at each new size in units of s^2, without white noise, `(j, m)`.
    """

    gain: Float[jax.Array, "j m n"]
    spread: Float[jax.Array, "j m"]


def _correlation(noise: NoiseModels, distance: Float[jax.Array, "m n"]) -> Float[jax.Array, "j m n"]:
    """Return the covariance of the correlated part, in units of s^2, between sizes at some distances in t."""
    ratio, length, smooth = (
        jnp.asarray(a, distance.dtype)[:, None, None] for a in (noise.ratio, noise.length, noise.smooth)
    )
    a = distance / length
    wide = np.sqrt(3.0).astype(distance.dtype) * a
    return ratio * jnp.where(smooth > 0, (1 + wide) * jnp.exp(-wide), jnp.exp(-a))


def white_scale(
    noise: NoiseModels, model: Int[jax.Array, " k"], time: Float[jax.Array, " m"], log_error: Float[jax.Array, "k m"]
) -> Float[jax.Array, "k m"]:
    """Return the scale of the white noise of one measurement at new sizes, in units of s; s beyond the data.

    Args:
        noise: noise models.
        model: noise model of each draw.
        time: `log(size / largest)`.
        log_error: log error of each draw minus the last log error.
    """
    power, discount = (jnp.asarray(a, time.dtype)[model][:, None] for a in (noise.power, noise.discount))
    inside = jnp.exp(-power * jnp.clip(log_error, -1.5, 2.0) + 0.5 * discount * jnp.abs(time))
    return jnp.where(time > 0, 1.0, inside)


def _white(noise: NoiseModels, curve: CondensedCurve) -> Float[jax.Array, "j n"]:
    """Return the white variance of one measurement at each size, in units of s^2."""
    power, discount = (jnp.asarray(a, curve.time.dtype)[:, None] for a in (noise.power, noise.discount))
    return jnp.exp(-2 * power * jnp.clip(curve.log_error, -1.5, 2.0) + discount * jnp.abs(curve.time))


def _precision(noise: NoiseModels, curve: CondensedCurve) -> tuple[Float[jax.Array, "j n n"], Float[jax.Array, " j"]]:
    """Return the inverse of K, 0 where a size is absent, and its log determinant."""
    t, present = curve.time, curve.present
    both = present[:, None] & present
    correlated = _correlation(noise, jnp.abs(t[:, None] - t))
    white = _white(noise, curve) / curve.count
    if curve.known is not None:
        white = white + curve.known / jnp.asarray(noise.scale, t.dtype)[:, None] ** 2
    diagonal = jnp.where(present, white, 1.0)
    covariance = jnp.where(both, correlated, 0.0) + diagonal[..., None] * jnp.eye(t.shape[0], dtype=t.dtype)
    inverse, log_determinant = _invert(covariance)
    return jnp.where(both, inverse, 0.0), log_determinant


def repeat_squares(
    noise: NoiseModels, curve: CondensedCurve
) -> tuple[Float[jax.Array, " j"], Float[jax.Array, " j"], Float[jax.Array, ""]]:
    """Return the contribution of repeats to the likelihood of s^2: squares, log determinants, degrees of freedom."""
    white = _white(noise, curve)
    square = jnp.sum(curve.within / white, axis=1)
    return square, jnp.sum(curve.freedom * jnp.log(white), axis=1), jnp.sum(curve.freedom)


def _invert(matrices: Float[jax.Array, "j n n"]) -> tuple[Float[jax.Array, "j n n"], Float[jax.Array, " j"]]:
    """Invert small positive definite matrices by the sweep operator, and return their log determinants.

    This avoids LAPACK, which is slow for many small matrices and whose calls block each other when several threads run
    programs on a CPU.
    """
    count = matrices.shape[1]

    def sweep(i: jax.Array, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        a, log_determinant = state
        row = jax.lax.dynamic_index_in_dim(a, i, axis=1, keepdims=False)
        pivot = jax.lax.dynamic_index_in_dim(row, i, axis=1)
        here = jnp.arange(count) == i
        scaled = row / pivot
        swept = a - row[:, :, None] * scaled[:, None, :]
        swept = jnp.where(here[:, None], scaled[:, None, :], jnp.where(here, scaled[:, :, None], swept))
        swept = jnp.where(here[:, None] & here, -1 / pivot[:, :, None], swept)
        return swept, log_determinant + jnp.log(pivot[:, 0])

    zero = jnp.zeros(matrices.shape[:1], matrices.dtype)
    swept, log_determinant = jax.lax.fori_loop(0, count, sweep, (matrices, zero))
    return -swept, log_determinant


def quadratic_forms(
    noise: NoiseModels, curve: CondensedCurve
) -> tuple[Float[jax.Array, "j n n"], Float[jax.Array, " j"]]:
    """Return quadratic forms of the residuals and their log determinants, integrated over a level with a flat prior."""
    inverse, log_determinant = _precision(noise, curve)
    total = jnp.sum(inverse, axis=1)
    sums = jnp.sum(total, axis=1)
    form = inverse - total[:, :, None] * total[:, None, :] / sums[:, None, None]
    return form, log_determinant + jnp.log(sums)


def log_likelihood(
    noise: NoiseModels,
    log_determinant: Float[jax.Array, " j"],
    square: Float[jax.Array, "p j"],
    degrees: Float[jax.Array, ""],
) -> Float[jax.Array, "p jq"]:
    """Return log likelihoods with level and variance integrated out, for each noise model and prior scale.

    The residuals have Student's distribution with `degrees` degrees of freedom; `square` contains their quadratic
    forms. The logarithm of the number of models and scales is subtracted, so that the likelihoods sum to the total one.
    """
    if isinstance(noise, ScaledModels):
        shape, scale = prior_of_variance(noise, square.dtype)
        prior, log_weight = shape * scale, jnp.asarray(noise.log_weight, square.dtype)[:, None]
    else:
        shape, prior = SHAPE, SHAPE * jnp.asarray(noise.scale, square.dtype) ** 2
        log_weight = -np.log(len(noise.ratio) * len(noise.scale))
    each = shape * jnp.log(prior) - 0.5 * degrees * jnp.log(prior + square[..., None] / 2)
    each = each - 0.5 * log_determinant[:, None] + log_weight
    return jnp.where(jnp.isfinite(each), each, -1e9).reshape(square.shape[0], -1)


def krige(noise: NoiseModels, curve: CondensedCurve, time: Float[jax.Array, " m"]) -> Kriging:
    """Return the conditional distribution of the curve at new values of t, with a flat prior of the level."""
    inverse, _ = _precision(noise, curve)
    cross = jnp.where(curve.present, _correlation(noise, jnp.abs(time[:, None] - curve.time)), 0.0)
    weight = jnp.einsum("jmn,jnk->jmk", cross, inverse, precision="highest")
    total = jnp.sum(inverse, axis=1)
    share = total / jnp.sum(total, axis=1, keepdims=True)
    rest = 1.0 - jnp.sum(weight, axis=2)
    ratio = jnp.asarray(noise.ratio, time.dtype)[:, None]
    spread = ratio - jnp.sum(weight * cross, axis=2) + rest**2 / jnp.sum(total, axis=1)[:, None]
    return Kriging(weight + rest[..., None] * share[:, None, :], jnp.maximum(spread, 0.0))
