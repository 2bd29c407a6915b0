"""Spread of the error between trainings on independent training sets, estimated from shards of one pool."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Num

__all__ = ["TrainingSpread", "estimate_spread"]

# Prior of the spread: relative standard deviation of 5 %, uncertain by a factor of e, nearly constant in the size.
_USUAL, _FACTOR, _SLOPE = 0.05, 1.0, 0.2
_SCALES, _SLOPES, _SEEDS = 61, 21, 9  # points of the posterior's grid


class TrainingSpread(NamedTuple):
    """Posterior draws of the standard deviation of one training's expected error, relative to the mean over trainings.

    Attributes:
        scale: standard deviation at `size`, `(k,)`.
        slope: exponent of the size in the standard deviation, `(k,)`.
        size: geometric mean of the measured sizes.
    """

    scale: Float[np.ndarray, " k"]
    slope: Float[np.ndarray, " k"]
    size: float

    def at(self, size: Num[np.ndarray, " s"], count: int) -> Float[np.ndarray, "{count} s"]:
        """Return `count` draws of the standard deviation at the given sizes, at most 2."""
        place = np.arange(count) % len(self.scale)
        spread = self.scale[place, None] * (np.asarray(size, float) / self.size) ** self.slope[place, None]
        return np.asarray(np.minimum(spread, 2.0))


def estimate_spread(
    size: Num[np.ndarray, " s"],
    wrong: Bool[np.ndarray, "r s m"],
    pool: float,
    rng: np.random.Generator,
    *,
    count: int = 1000,
) -> TrainingSpread:
    """Estimate the spread of the expected error over independent training sets and seeds, as a power of the size.

    Networks of r seeds are trained on shards of one pool of N examples and tested on the same m examples. The variance
    of their measured errors at size n, relative to the square of the mean error, has the expectation

        v(n) (s + (1 - s) (1 - n / N)) + noise(n),    v(n) = scale^2 (n / n_0)^(2 slope),

    where s is the share of v that is due to seeds; the part due to training sets is hidden to the extent that shards
    share examples, completely at n = N. The noise comes from the m test examples, on which the networks disagree. The
    sample variance, divided by this expectation, is modeled as chi-squared with r - 1 degrees of freedom over r - 1.
    The posterior of scale, slope and s is computed on a grid. Their priors are log-normal with median 5 %, normal with
    mean 0 and standard deviation 0.2, and uniform.

    Args:
        size: numbers of training examples.
        wrong: True where the network of a seed at a size is wrong on one of the m examples.
        pool: number N of examples from which the shards are drawn.
        rng: generator of the draws.
        count: number of draws.

    Returns:
        Draws from the posterior; from the prior if there is only one seed.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> expected = 0.2 * np.exp(0.1 * rng.normal(size=(40, 3, 1)))
        >>> spread = estimate_spread(np.array([10, 20, 40]), rng.random((40, 3, 5000)) < expected, 1e6, rng)
        >>> bool(0.085 < np.median(spread.scale) < 0.115)
        True
    """
    size = np.asarray(size, float)
    seeds, _, m = wrong.shape
    replicates = wrong.mean(axis=2)
    error = np.maximum(replicates.mean(axis=0), 0.5 / m)
    center = float(np.exp(np.log(size).mean()))
    log_scale = np.log(_USUAL) + _FACTOR * np.linspace(-4, 3, _SCALES)
    slope = _SLOPE * np.linspace(-2.5, 2.5, _SLOPES)
    of_seeds = (np.arange(_SEEDS) + 0.5) / _SEEDS
    a, b, s = np.meshgrid(log_scale, slope, of_seeds, indexing="ij")
    log_posterior = -0.5 * ((a - np.log(_USUAL)) / _FACTOR) ** 2 - 0.5 * (b / _SLOPE) ** 2
    if seeds > 1:
        observed = replicates.var(axis=0, ddof=1) / error**2
        share = wrong.mean(axis=0)  # of the seeds that are wrong, by example
        noise = (share * (1 - share)).mean(axis=1) * seeds / (seeds - 1) / m / error**2
        hidden = np.clip(size / pool, 0.0, 1.0)
        for i in range(len(size)):
            variance = np.exp(2 * a) * (size[i] / center) ** (2 * b) * (s + (1 - s) * (1 - hidden[i])) + noise[i]
            variance = np.maximum(variance, 1e-12)
            log_posterior -= 0.5 * (seeds - 1) * (np.log(variance) + observed[i] / variance)
    weight = np.exp(log_posterior - log_posterior.max()).ravel()
    chosen = rng.choice(weight.size, size=count, p=weight / weight.sum())
    within = rng.uniform(-0.5, 0.5, (2, count))  # a cell of the grid
    log_scale = a.ravel()[chosen] + within[0] * (log_scale[1] - log_scale[0])
    return TrainingSpread(np.exp(log_scale), b.ravel()[chosen] + within[1] * (slope[1] - slope[0]), center)
