"""Posterior of a learning curve: families weighted by their evidence, and joint draws of family, shape and noise."""

import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from lcjax.curves.forecast.condensed import TYPICAL_NOISE, CondensedCurve
from lcjax.curves.forecast.families import Curve, Family, Shape, flat_curve
from lcjax.curves.forecast.noise import (
    NoiseModels,
    log_likelihood,
    models_of,
    prior_of_variance,
    quadratic_forms,
    repeat_squares,
)
from lcjax.kernels.sampling.tempering import temper
from lcjax.records import record
from lcjax.typing import Array, KeyArray

__all__ = ["SLOPES", "Posterior", "SlopeLimits", "condition", "coprime", "evaluate_curves", "log_prior_of_slopes"]

# Power of the evidence in the weights of families: below 1, because no family is exact.
_EVIDENCE_POWER = 0.5
# Slopes d log(error) / d log(size) over the last tenth of a log unit and over a factor of two beyond the data: those
# steeper than -1.3 and -1.2 are penalized by normal tails of this width. Without the penalty, a stretched exponential
# falls off a cliff right after the data on one curve in a hundred.
_NOW, _THEN = 0.1, 0.7
_STEEP_NOW, _STEEP_THEN, _WIDE = 1.3, 1.2, 0.25
# A curve with a given chance error levels off within 10 % of it, at sizes far below the data.
_FAR, _CHANCE = -30.0, 0.1


@record
class SlopeLimits:
    """Limits of the rise of a curve beyond its data, in d log(error) / d log(size).

    Attributes:
        rise: largest mean slope over a factor of two beyond the data without a penalty, which is a normal tail.
        width: standard deviation of that tail.
        steepest: slope of the line, from 0.5 above the last log error, that limits every draw.
    """

    rise: float = jax.tree.static(default=0.3)
    width: float = jax.tree.static(default=0.15)
    steepest: float = jax.tree.static(default=0.7)


SLOPES = SlopeLimits()
"""Default limits of a forecast: learning curves over sizes hardly rise."""


@record
class Posterior:
    """Joint draws from the posterior of one curve.

    Attributes:
        weight: posterior weight of each family, `(f,)`.
        log_evidence: log evidence of each family, `(f,)`.
        family: index of each draw's family, `(k,)`.
        parameters: latent parameters of each draw, `(k, d)`.
        noise: index of each draw's noise model among `models_of(noise, curve)`, `(k,)`.
        variance: scale of s^2, the variance of a measurement at the largest size, `(k,)`: residuals have Student's
            distribution with this squared scale.
        degrees: degrees of freedom of that distribution, `()`.
    """

    weight: Float[jax.Array, "*b f"]
    log_evidence: Float[jax.Array, "*b f"]
    family: Int[jax.Array, "*b k"]
    parameters: Float[jax.Array, "*b k d"]
    noise: Int[jax.Array, "*b k"]
    variance: Float[jax.Array, "*b k"]
    degrees: Float[jax.Array, "*b"]


def condition(
    key: KeyArray,
    curve: CondensedCurve,
    families: Sequence[Family],
    noise: NoiseModels,
    chance: Float[Array, ""],
    *,
    limits: SlopeLimits = SLOPES,
    draws: int,
    chains: int,
    moves: int,
) -> Posterior:
    """Condition the families on one curve.

    The families are sampled together by `lcjax.kernels.sampling.tempering.temper`. The level is integrated out under a
    flat prior, the noise over `noise`.

    Args:
        key: a typed key.
        curve: one curve.
        families: `f` families.
        noise: noise models.
        chance: chance error; nan if it is not known.
        limits: limits of the rise beyond the data, static.
        draws: number of joint draws, static.
        chains: number of chains of each family, static.
        moves: moves of each chain at each stage of the sampler, static.

    Returns:
        `Posterior` with `draws` joint draws.
    """
    time = curve.time
    dtype = time.dtype
    widest = max(family.dimension for family in families)

    def stack(arrays: Sequence[Array], fill: float) -> Float[jax.Array, "f d"]:
        rows = [jnp.pad(jnp.asarray(a, dtype), (0, widest - a.shape[0]), constant_values=fill) for a in arrays]
        return jnp.stack(rows)

    location = stack([family.location for family in families], 0.0)
    scale = stack([family.scale for family in families], 1.0)
    used = jnp.asarray(np.arange(widest) < np.array([[family.dimension] for family in families]))
    from_chance = jnp.asarray([family.from_chance for family in families])
    curves = tuple(family.curve for family in families)
    noise = models_of(noise, curve)
    prior_shape, prior_scale = prior_of_variance(noise, dtype)
    form, log_determinant = quadratic_forms(noise, curve)
    models, points = form.shape[0], time.shape[0]
    # All quadratic forms are one product of residuals with a matrix of j n columns.
    wide = jnp.moveaxis(form, 0, 1).reshape(points, models * points)
    repeats, repeats_determinant, freedom = repeat_squares(noise, curve)
    log_determinant = log_determinant + repeats_determinant
    degrees = 2 * prior_shape + jnp.sum(curve.present, dtype=dtype) - 1 + freedom
    extra = jnp.asarray([-_NOW, _THEN, 0.0, _FAR], dtype)
    at = jnp.concatenate([time, extra])
    if curve.known is not None:
        precision = jnp.where(curve.present, 1 / (1 + curve.known / TYPICAL_NOISE**2), 0.0)
        share_of_points = precision / jnp.maximum(jnp.sum(precision), 1e-30)
    log_chance = jnp.log(jnp.asarray(chance, dtype)) - curve.last

    def sample(index: jax.Array, key: KeyArray) -> tuple[jax.Array, ...]:
        smc_key, noise_key = jax.random.split(key)

        def evaluate(z: Float[jax.Array, "p d"]) -> tuple[jax.Array, jax.Array, jax.Array]:
            u = location[index] + scale[index] * z
            log_error = evaluate_curves(curves, index, u, at, curve.span)
            residual = jnp.where(curve.present, curve.log_error - log_error[:, :points], 0.0)
            product = jnp.matmul(residual, wide, precision="highest").reshape(-1, models, points)
            square = jnp.maximum(jnp.einsum("pjn,pn->pj", product, residual, precision="highest"), 0.0) + repeats
            each = log_likelihood(noise, log_determinant, square, degrees)
            ends = log_error[:, points:]
            if curve.known is None:
                level = jnp.sum(residual, axis=1) / jnp.maximum(jnp.sum(curve.present), 1)
            else:
                level = residual @ share_of_points
            top = level + ends[:, 3]
            known = from_chance[index] & jnp.isfinite(log_chance)
            apart = jnp.where(known, (top - jnp.where(known, log_chance, 0.0)) / _CHANCE, 0.0)
            value = jax.nn.logsumexp(each, axis=1) + _log_prior_of_end(ends, limits) - 0.5 * jnp.minimum(apart**2, 1e4)
            return jnp.where(jnp.isfinite(value), value, -1e9), each, square

        result = temper(smc_key, lambda z: evaluate(z)[0], used[index], chains=chains, moves=moves, dtype=dtype)
        _, each, square = evaluate(result.particles)
        share = jnp.cumsum(jax.nn.softmax(each, axis=1), axis=1)
        place = jax.random.uniform(noise_key, (each.shape[0], 1), dtype)
        choice = jnp.sum(place * share[:, -1:] > share[:, :-1], axis=1)
        model, prior = choice // prior_scale.shape[1], choice % prior_scale.shape[1]
        square = jnp.take_along_axis(square, model[:, None], axis=1)[:, 0]
        variance = (prior_shape * prior_scale[model, prior] + square / 2) / (degrees / 2)
        u = location[index] + scale[index] * result.particles
        return u, model, variance, result.log_evidence

    sample_key, draw_key = jax.random.split(key)
    count = len(families)
    # Sampled together, the families fill the vector units; their curves share one formula, so no branch is wasted.
    parameters, model, variance, log_evidence = jax.vmap(sample)(jnp.arange(count), jax.random.split(sample_key, count))
    prior = jnp.asarray([jnp.asarray(family.log_weight, dtype) for family in families])
    weight = jax.nn.softmax(prior + _EVIDENCE_POWER * log_evidence)
    family, particle = _stratify(draw_key, weight, chains * moves, draws)
    return Posterior(
        weight, log_evidence, family, parameters[family, particle], model[family, particle], variance[family, particle],
        degrees,
    )  # fmt: skip


def evaluate_curves(
    curves: Sequence[Curve],
    index: Int[jax.Array, "..."],
    parameters: Float[jax.Array, "p d"],
    time: Float[jax.Array, " s"],
    span: Float[jax.Array, ""],
) -> Float[jax.Array, "p s"]:
    """Evaluate particles that all belong to one family, or each to its own.

    Args:
        curves: functions of the families.
        index: index of the family, `()` or `(p,)`.
        parameters: latent parameters.
        time: values of t.
        span: log range of the data.
    """
    shapes, others = [], []
    zero = jnp.zeros((), time.dtype)
    for curve in curves:
        result = jax.eval_shape(lambda u, curve=curve: curve(u, time, span), parameters[0])
        is_shape = isinstance(result, Shape)
        shapes.append(curve if is_shape else flat_curve)
        if not is_shape:
            others.append(curve)

    def coefficients(u: jax.Array, curve: Curve) -> Float[jax.Array, " c"]:
        return jnp.stack([jnp.asarray(a, time.dtype) + zero for a in jax.tree.leaves(curve(u, time, span))])

    def choose(branches: list[Callable[[jax.Array], jax.Array]], index: jax.Array) -> jax.Array:
        if index.ndim == 0:
            return jnp.asarray(jax.lax.switch(index, [jax.vmap(branch) for branch in branches], parameters))
        value: jax.Array = jax.vmap(lambda i, u: jax.lax.switch(i, branches, u))(index, parameters)
        return value

    rows = choose([functools.partial(coefficients, curve=curve) for curve in shapes], index)
    structure = jax.tree.structure(Shape())
    log_error: jax.Array = jax.vmap(lambda row: jax.tree.unflatten(structure, list(row)).log_error(time))(rows)
    if not others:
        return log_error
    # Functions that do not return a `Shape` have a branch each; the first branch stands for all shapes.
    kind = jnp.asarray([1 + others.index(curve) if curve in others else 0 for curve in curves])[index]
    own = choose(
        [lambda u: jnp.zeros_like(time), *(lambda u, f=f: jnp.asarray(f(u, time, span), time.dtype) for f in others)],
        kind,
    )
    return jnp.where(kind.reshape(*kind.shape, *(1,) * (2 - kind.ndim)) == 0, log_error, own)


def log_prior_of_slopes(
    curves: Sequence[Curve],
    index: Int[jax.Array, " p"],
    parameters: Float[jax.Array, "p d"],
    span: Float[jax.Array, ""],
    limits: SlopeLimits,
) -> Float[jax.Array, " p"]:
    """Return the log prior of the slopes of particles at the end of the data and beyond it.

    Args:
        curves: functions of the families.
        index: index of each particle's family.
        parameters: latent parameters.
        span: log range of the data.
        limits: limits of the rise beyond the data.
    """
    time = jnp.asarray([-_NOW, _THEN, 0.0], parameters.dtype)
    return _log_prior_of_end(evaluate_curves(curves, index, parameters, time, span), limits)


def _log_prior_of_end(ends: Float[jax.Array, "p e"], limits: SlopeLimits) -> Float[jax.Array, " p"]:
    """Return the log prior of the slopes at the end of the data and beyond it."""
    now = (ends[:, 2] - ends[:, 0]) / _NOW
    then = (ends[:, 1] - ends[:, 2]) / _THEN

    def tail(excess: jax.Array, width: float) -> jax.Array:
        return -0.5 * jnp.minimum(jnp.maximum(excess, 0.0) / width, 1e3) ** 2

    falls = tail(-now - _STEEP_NOW, _WIDE) + tail(-then - _STEEP_THEN, _WIDE)
    return falls + tail(then - limits.rise, limits.width)


def _stratify(
    key: KeyArray, weight: Float[jax.Array, " f"], particles: int, draws: int
) -> tuple[Int[jax.Array, " k"], Int[jax.Array, " k"]]:
    """Draw families in proportion to their weights, and particles of each evenly."""
    offset, start = jax.random.uniform(key, (2,), weight.dtype)
    family = jnp.searchsorted(jnp.cumsum(weight), (jnp.arange(draws) + offset) / draws, method="compare_all")
    family = jnp.minimum(family, weight.shape[0] - 1)
    # Neighboring particles are often copies of each other, so particles are selected with a large stride.
    first = jnp.searchsorted(family, jnp.arange(weight.shape[0]), method="compare_all")
    turn = jnp.arange(draws) - first[family]
    return family, (turn * coprime(particles) + (start * particles).astype(jnp.int32)) % particles


def coprime(count: int) -> int:
    """Return a number near 0.618 * count that is coprime to count, so that its multiples modulo count are spread out.

    Examples:
        >>> coprime(384), coprime(1)
        (239, 1)
    """
    stride = max(1, round(0.6180339887 * count))
    while math.gcd(stride, count) > 1:
        stride += 1
    return stride
