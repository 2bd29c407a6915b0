"""Distributions of the required size: our forecast's, that of Mahmood et al. (2022), and the power law's estimate."""

from collections.abc import Sequence

import jax
import numpy as np
import scipy.special
from jaxtyping import Float

from benchmarks.planning.problems import Problem, batch_of
from lcjax.curves.forecast.forecast import forecast
from lcjax.planning.requirement import requirement_draws

__all__ = ["ATOMS", "fit_power_laws", "forecast_sizes", "recent", "resampled_sizes", "solve_power_law"]

ATOMS = 512
"""Equally likely sizes that stand for each distribution."""

BOOTSTRAP = 200  # resamples of the measured points
_EXPONENTS = -np.exp(np.linspace(np.log(0.01), np.log(4.0), 160))
_STRATA = 16  # equally likely values of the kernel

State = tuple[Problem, int]


def forecast_sizes(states: Sequence[State]) -> Float[np.ndarray, "b k"]:
    """Return required sizes from our forecast of the measurements up to each state, sorted; inf for never."""
    ahead = forecast(jax.random.key(0), batch_of(list(states)), allow_rising=True)
    target = np.array([problem.target for problem, _ in states])
    start = np.array([problem.size[index] for problem, index in states])
    return thin(requirement_draws(ahead, target, start))


def thin(sizes: Float[np.ndarray, "b k"]) -> Float[np.ndarray, "b k"]:
    """Return `ATOMS` quantiles of equally likely sizes."""
    order = np.sort(sizes, axis=-1)
    place = ((np.arange(ATOMS) + 0.5) / ATOMS * sizes.shape[-1]).astype(int)
    return order[..., place]


def resampled_sizes(states: Sequence[State], *, share: float, logarithmic: bool) -> Float[np.ndarray, "b k"]:
    """Return required sizes as Mahmood et al. (2022) estimate them, from their kernel density estimate.

    The measured points are resampled with replacement, a power law is fitted to each resample, and the sizes at which
    the fits meet the target are smoothed by a normal kernel with the bandwidth of Scott's rule. A fit that does not
    meet it asks for the whole data set.

    Args:
        states: problems, and the index of their largest measured size.
        share: smallest size to fit, as a share of the largest one; at least five sizes are fitted.
        logarithmic: True to smooth the logarithms of the sizes; the paper smooths the sizes.
    """
    rows = []
    for problem, index in states:
        size, error = recent(problem, index, share)
        rng = np.random.default_rng([index, *problem.name.encode()])
        weight = rng.multinomial(len(size), np.full(len(size), 1 / len(size)), size=BOOTSTRAP).astype(float)
        sizes = np.minimum(
            solve_power_law(*fit_power_laws(size, error, weight), problem.target, size[-1]), problem.pool
        )
        sizes = np.maximum(sizes, problem.size[index])
        values = np.log(sizes) if logarithmic else sizes
        width = np.std(values, ddof=1) * BOOTSTRAP**-0.2
        deviate = scipy.special.ndtri((np.arange(_STRATA) + 0.5) / _STRATA)
        spread = (values[:, None] + width * deviate).ravel()
        rows.append(np.exp(spread) if logarithmic else spread)
    return thin(np.stack(rows))


def recent(problem: Problem, index: int, share: float) -> tuple[Float[np.ndarray, " s"], Float[np.ndarray, " s"]]:
    """Return the sizes and errors from a share of the largest measured size on, at least five of them."""
    first = int(np.searchsorted(problem.size, share * problem.size[index]))
    part = slice(max(min(first, index - 4), 0), index + 1)
    return problem.size[part], problem.error[part]


def fit_power_laws(
    size: Float[np.ndarray, " s"], error: Float[np.ndarray, " s"], weight: Float[np.ndarray, "b s"]
) -> tuple[Float[np.ndarray, " b"], Float[np.ndarray, " b"], Float[np.ndarray, " b"]]:
    """Fit `offset + scale * size ** exponent` by weighted least squares of the error, with offset and scale >= 0.

    For each exponent of a grid the other two parameters are linear and solved exactly; the exponent is then refined by
    two finer grids.

    Returns:
        Offsets, scales (of size / largest size) and exponents; sizes are to be divided by the largest one.
    """
    relative = np.log(size / size[-1])
    exponents = np.broadcast_to(_EXPONENTS, (len(weight), len(_EXPONENTS)))
    step = np.log(_EXPONENTS[1] / _EXPONENTS[0])
    for _ in range(3):
        loss, offset, scale = _linear_fits(relative, error, weight, exponents)
        best = np.argmin(loss, axis=1)
        rows = np.arange(len(weight))
        found = offset[rows, best], scale[rows, best], exponents[rows, best]
        step = step / 8
        exponents = found[2][:, None] * np.exp(step * np.arange(-8, 9))
    return found


def _linear_fits(
    relative: Float[np.ndarray, " s"],
    error: Float[np.ndarray, " s"],
    weight: Float[np.ndarray, "b s"],
    exponents: Float[np.ndarray, "b e"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return loss, offset and scale of the best fit with each exponent, under the bounds."""
    if np.ptp(exponents, axis=0).max() == 0:  # the same grid for all: two matrix products
        x = np.exp(exponents[0][:, None] * relative)
        sx, sxx, sxy = weight @ x.T, weight @ (x**2).T, (weight * error) @ x.T
    else:
        x = np.exp(exponents[:, :, None] * relative)
        sx, sxx, sxy = (np.einsum("bs,bes->be", w, p) for w, p in ((weight, x), (weight, x**2), (weight * error, x)))
    total, sy, syy = (np.sum(weight * v, axis=1)[:, None] for v in (np.ones_like(error), error, error**2))
    spread = np.maximum(total * sxx - sx**2, 1e-12 * total * sxx)
    scale = (total * sxy - sx * sy) / spread
    offset = (sy - scale * sx) / total
    scale, offset = np.where(offset < 0, sxy / sxx, scale), np.maximum(offset, 0.0)
    offset, scale = np.where(scale < 0, sy / total, offset), np.maximum(scale, 0.0)
    loss = syy - 2 * (offset * sy + scale * sxy) + offset**2 * total + 2 * offset * scale * sx + scale**2 * sxx
    return loss, offset, scale


def solve_power_law(
    offset: Float[np.ndarray, " b"],
    scale: Float[np.ndarray, " b"],
    exponent: Float[np.ndarray, " b"],
    target: float,
    largest: float,
) -> Float[np.ndarray, " b"]:
    """Return the sizes at which fits of curves up to a largest size meet a target; inf for never."""
    reachable = (target > offset) & (scale > 0)
    ratio = np.where(reachable, (target - offset) / np.where(scale > 0, scale, 1.0), 1.0)
    exponents = np.clip(np.log(ratio) / exponent, -60, 60)
    return np.where(reachable, largest * np.exp(exponents), np.inf)
