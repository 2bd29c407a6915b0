"""Dependence between the forecasts of several curves.

The errors of two forecasts are positively correlated if the curves are similar or share their noise, and curves keep
their order more often than separate forecasts suggest. All constants were chosen by hand on the even data sets of LCDB
1.1 by the log score of the order of two learners; docs/results/comparison compares them with those of a search.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Int

from lcjax.kernels.compilation import jit_lean
from lcjax.kernels.integer_sort import argsort, order_words
from lcjax.kernels.sobol import sobol
from lcjax.typing import Array, KeyArray

__all__ = ["correlate", "noise_correlation", "pair_draws", "pool_falls", "weigh_crossings"]

# Correlation of the forecasts of two curves: up to `_ALIKE` for curves of the same level and forecast fall, by normal
# kernels of these widths in log error, plus `_SHARED` times the correlation of their noise.
_ALIKE, _LEVEL, _FALL, _SHARED = 0.6, 0.5, 0.3, 0.4
# Forecast falls of close curves are pooled: two equal curves keep 70 % of the difference between their falls.
_POOLED, _CLOSE = 0.3, 0.3
# Reduction of the log weight of joint draws in which the present order is reversed.
_PERSISTENCE = 0.6
# Number of zero products added to those that estimate the correlation of noise, and the largest number of sizes used.
_SHRINKAGE, _RECENT = 4.0, 24


def noise_correlation(
    size: Float[np.ndarray, " s"], error: Float[np.ndarray, "c s"], replicates: Float[np.ndarray, "c r s"] | None = None
) -> Float[np.ndarray, "c c"]:
    """Estimate the correlation of the noise of several curves.

    The noise of a log error is its deviation from the line between its neighbors in log size, at the last 24 sizes of
    all curves. Repeats that correspond to each other add their deviations from the mean of their size. Products of
    deviations, divided by the root mean square of each curve, are averaged and shrunk to 0.

    Args:
        size: sizes in ascending order.
        error: errors of the curves; nan where absent.
        replicates: errors of repeats that correspond to each other, or None.

    Examples:
        >>> size = 2.0 ** np.arange(10)
        >>> noise = np.exp(0.01 * np.random.default_rng(0).normal(size=10))
        >>> error = np.stack([size**-0.5 * noise, size**-0.3 * noise, size**-0.3 / noise])
        >>> noise_correlation(size, error).round(2).tolist()
        [[1.0, 0.67, -0.67], [0.67, 1.0, -0.67], [-0.67, -0.67, 1.0]]
    """
    with np.errstate(invalid="ignore"):
        logs = np.log(np.where(error > 0, error, np.nan))
    everywhere = ~np.isnan(logs).any(axis=0)
    x, y = np.log(size[everywhere]), logs[:, everywhere]
    parts = [np.zeros((len(error), 0))]
    if len(x) > 2:
        share = (x[1:-1] - x[:-2]) / (x[2:] - x[:-2])
        parts.append((y[:, 1:-1] - y[:, :-2] * (1 - share) - y[:, 2:] * share)[:, -_RECENT:])
    if replicates is not None:
        with np.errstate(invalid="ignore"):
            repeats = np.log(np.where(replicates > 0, replicates, np.nan))
        there = ~np.isnan(repeats).any(axis=0)
        count = there.sum(axis=0)
        mean = np.where(there, repeats, 0.0).sum(axis=1) / np.maximum(count, 1)
        parts.append((repeats - mean[:, None])[:, there & (count > 1)])
    scaled = [
        part / np.maximum(np.sqrt(np.mean(part**2, axis=1, keepdims=True)), 1e-12) for part in parts if part.shape[1]
    ]
    total = sum((part @ part.T for part in scaled), np.zeros((len(error), len(error))))
    correlation = total / (sum(part.shape[1] for part in scaled) + _SHRINKAGE)
    np.fill_diagonal(correlation, 1.0)
    return np.asarray(correlation)


def correlate(
    level: Float[np.ndarray, " c"], fall: Float[np.ndarray, " c"], noise: Float[np.ndarray, "c c"]
) -> Float[np.ndarray, "c c"]:
    """Return the correlation of the forecasts of several curves, a positive definite matrix.

    Args:
        level: log error of each curve at the largest common size.
        fall: forecast change of the log error from there to four times the data.
        noise: correlation of the noise, from `noise_correlation`.

    Examples:
        >>> correlate(np.zeros(2), np.zeros(2), np.array([[1.0, 0.5], [0.5, 1.0]])).round(2).tolist()
        [[1.0, 0.8], [0.8, 1.0]]
        >>> correlate(np.array([0.0, 3.0]), np.zeros(2), np.eye(2)).round(2).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    alike = _kernel(level, _LEVEL) * _kernel(fall, _FALL)
    matrix = _ALIKE * alike + _SHARED * noise
    np.fill_diagonal(matrix, 1.0)
    value, vector = np.linalg.eigh(matrix)
    matrix = (vector * np.maximum(value, 1e-4)) @ vector.T
    scale = np.sqrt(np.diag(matrix))
    return np.asarray(matrix / scale[:, None] / scale)


def pool_falls(level: Float[np.ndarray, " c"]) -> Float[np.ndarray, "c c"]:
    """Return the weights with which the forecast falls of other curves enter that of each curve.

    With weights w, the fall f_i becomes `f_i + sum_j w_ij (f_j - f_i)`.

    Args:
        level: log error of each curve at the largest common size.

    Examples:
        >>> pool_falls(np.array([0.0, 0.0, 5.0])).round(3).tolist()
        [[0.0, 0.15, 0.0], [0.15, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    near = _kernel(level, _CLOSE)
    weight = _POOLED * near / near.sum(axis=1, keepdims=True)
    np.fill_diagonal(weight, 0.0)
    return np.asarray(weight)


def weigh_crossings(errors: Float[np.ndarray, "c n s"], order: Float[np.ndarray, "c c"]) -> Float[np.ndarray, "c c n"]:
    """Return the weight of every joint draw for each pair of curves: smaller where their order is reversed.

    Curves keep their order more often than forecasts of each one alone suggest. The weight is `exp(-0.6 r)`, where r is
    the share of the sizes at which the order differs from the present one.

    Args:
        errors: errors of c curves in n joint draws at s sizes beyond the data.
        order: present order, 1 where a curve (row) is better than another one (column), -1 where it is worse, else 0.

    Examples:
        >>> errors = np.array([[[0.1, 0.1], [0.1, 0.3]], [[0.2, 0.2], [0.2, 0.2]]])
        >>> weigh_crossings(errors, np.array([[0.0, 1.0], [-1.0, 0.0]]))[0, 1].round(2).tolist()
        [1.0, 0.74]
    """
    rows = []
    for one, now in zip(errors, order, strict=True):
        reversed_share = np.mean(np.sign(errors - one) * now[:, None, None] < 0, axis=-1)
        rows.append(np.exp(-_PERSISTENCE * reversed_share))
    return np.stack(rows).astype(errors.dtype)


def pair_draws(
    key: KeyArray, score: Float[Array, "c k"], correlation: Float[Array, "c c"], *, rounds: int
) -> Int[np.ndarray, "c n"]:
    """Pair the draws of several forecasts by a normal copula of their ranks.

    Every draw of a curve occurs `rounds` times, so that the distribution of each curve stays the same.

    Args:
        key: a typed key.
        score: number by which the draws of each curve are ranked.
        correlation: correlation of the curves, positive definite.
        rounds: number of joint draws for each draw of a curve, static.

    Returns:
        Index of the draw of each curve in every joint draw, with n = k * rounds.

    Examples:
        >>> import jax
        >>> score = np.arange(8.0) * np.ones((2, 1))
        >>> place = pair_draws(jax.random.key(0), score, np.array([[1.0, 0.9999], [0.9999, 1.0]]), rounds=1)
        >>> sorted(place[0].tolist()) == list(range(8)), bool(np.all(abs(place[0] - place[1]) <= 1))
        (True, True)
    """
    value, vector = np.linalg.eigh(np.asarray(correlation, float))
    root = (vector * np.sqrt(np.maximum(value, 0.0))) @ vector.T
    points = sobol(key, score.shape[1] * rounds, score.shape[0])
    return np.asarray(_pair(points, jnp.asarray(score, points.dtype), jnp.asarray(root, points.dtype)))


@jit_lean()
def _pair(
    points: Float[jax.Array, "n c"], score: Float[jax.Array, "c k"], root: Float[jax.Array, "c c"]
) -> Int[jax.Array, "c n"]:
    tiny = jnp.finfo(points.dtype).eps
    normal = jax.scipy.special.ndtri(jnp.clip(points, tiny, 1 - tiny)) @ root.T
    order = argsort(order_words(normal.T))
    place = lax.broadcasted_iota(jnp.int32, order.shape, 1)
    rank = jnp.zeros_like(order).at[jnp.arange(len(order))[:, None], order].set(place, unique_indices=True)
    return jnp.take_along_axis(argsort(order_words(score)), rank // (points.shape[0] // score.shape[1]), axis=1)


def _kernel(value: Float[np.ndarray, " c"], width: float) -> Float[np.ndarray, "c c"]:
    return np.asarray(np.exp(-0.5 * ((value[:, None] - value) / width) ** 2))
