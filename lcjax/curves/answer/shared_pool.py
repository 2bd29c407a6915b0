"""Correction of repeats whose training sets come from one pool to the spread of independent training sets."""

import numpy as np
from jaxtyping import Float, Num

from lcjax.curves.learning_curve import LearningCurve
from lcjax.typing import Array

__all__ = ["independent_curve", "independent_repeats"]

# Up to this share of the pool the training sets of repeats differ enough to estimate their spread.
_SHARE = 0.5


def independent_repeats(
    size: Num[Array, "*b s"], replicates: Float[Array, "*b r s"], pool: float
) -> Float[np.ndarray, "*b r s"]:
    """Correct repeats on subsets of one pool to the spread of repeats on independent training sets.

    Subsets of n of N examples overlap, so they show only the part `1 - n / N` of the variance between independent
    training sets (as for the mean of a sample without replacement), and none at n = N, where repeats differ only by
    their seeds. Deviations of log errors from their mean are multiplied by `(1 - n / N)^-1/2` up to half of the pool.
    This also enlarges the part due to seeds, so the spread is too wide rather than too narrow. Beyond half of the pool
    the repeats are replaced by their mean, which counts as a single measurement.

    Args:
        size: numbers of training examples.
        replicates: error of each repeat; nan where absent.
        pool: number N of examples from which the training sets are drawn.

    Returns:
        Repeats of the same mean log error; beyond half of the pool, the first one is the geometric mean and the others
        are nan.

    Raises:
        ValueError: a size exceeds the pool.

    Examples:
        >>> import numpy as np
        >>> repeats = np.array([[0.40, 0.20], [0.36, 0.21]])
        >>> print(independent_repeats(np.array([50.0, 100.0]), repeats, 100).round(4))
        [[0.4088 0.2049]
         [0.3522    nan]]
    """
    size, errors = np.asarray(size, float), np.asarray(replicates, float)
    if np.nanmax(size) > pool * (1 + 1e-9):
        raise ValueError(f"A size of {np.nanmax(size):g} exceeds the pool of {pool:g} examples.")
    share = np.broadcast_to((size / pool)[..., None, :], errors.shape)
    positive = errors > 0
    logs = np.where(positive, np.log(np.where(positive, errors, 1.0)), 0.0)
    count = np.maximum(positive.sum(axis=-2, keepdims=True), 1)
    mean = logs.sum(axis=-2, keepdims=True) / count
    spread = np.exp(mean + (logs - mean) / np.sqrt(np.maximum(1 - share, 1 - _SHARE)))
    spread = np.where(positive, spread, errors)
    first = np.zeros(errors.shape, bool)
    first[..., 0, :] = True
    together = np.where(first & positive.any(axis=-2, keepdims=True), np.exp(mean), np.nan)
    return np.where(share <= _SHARE, spread, together)


def independent_curve(curve: LearningCurve, pool: float) -> LearningCurve:
    """Return a measured curve with repeats corrected to independent training sets, for a forecast.

    Args:
        curve: curve whose repeats are trained on subsets of one pool.
        pool: number of examples in the pool.

    Raises:
        ValueError: a size exceeds the pool.

    Examples:
        >>> import numpy as np
        >>> curve = LearningCurve(np.array([50.0]), np.array([0.3]), replicates=np.array([[0.31], [0.29]]))
        >>> independent_curve(curve, 1e9).replicates.round(2).ravel().tolist()
        [0.31, 0.29]
    """
    if curve.replicates is None:
        return curve
    repeats = independent_repeats(curve.size, curve.replicates, pool)
    return LearningCurve(curve.size, curve.error, None, repeats, None, curve.test_count, curve.sampling_error)
