"""Scores of sizes for targets under censoring: log score, interval score, coverage, and probabilities beyond a size."""

import dataclasses

import numpy as np
from jaxtyping import Float

from benchmarks.target_size.truth import Truth

__all__ = ["CELL", "MULTIPLES", "SizeScores", "score_sizes"]

CELL = np.log(2.0) / 2
"""Width of the cells of log size in which a forecast's probability is scored: half an octave."""

MULTIPLES = (2, 4, 16)
"""Multiples of the largest fitted size beyond which the probability of the size is scored."""

_LEVEL = 0.9
_SHRUNK = 1.0  # number of draws as which a uniform distribution over the cells counts in the log score


@dataclasses.dataclass(frozen=True)
class SizeScores:
    """Scores of one method, each `(b, t)`; nan where a score cannot be decided.

    Attributes:
        log_score: log probability of the truth's cell; of all cells beyond the largest size if it is right-censored,
            of the atom at the smallest size if it is left-censored.
        interval_score: of the central 90 % interval of log size, clipped to the measured range, as is the truth.
        inside: expected indicator that the 90 % interval covers the truth. With u uniform on the range of the
            distribution function at a truth that is an atom or censored, it is the share of that range in (0.05, 0.95);
            so its mean is 0.9 for a calibrated forecast.
        value: median size.
        low: lower limit of the 90 % interval.
        high: upper limit.
        beyond: probability that the size exceeds `MULTIPLES` times the largest fitted one, `(b, t, 3)`.
        exceeded: whether it does, 0 or 1; nan where the curve is not measured so far, `(b, t, 3)`.
    """

    log_score: Float[np.ndarray, "b t"]
    interval_score: Float[np.ndarray, "b t"]
    inside: Float[np.ndarray, "b t"]
    value: Float[np.ndarray, "b t"]
    low: Float[np.ndarray, "b t"]
    high: Float[np.ndarray, "b t"]
    beyond: Float[np.ndarray, "b t 3"]
    exceeded: Float[np.ndarray, "b t 3"]


def score_sizes(
    draws: Float[np.ndarray, "b t k"], truth: Truth, *, limits: tuple[np.ndarray, np.ndarray] | None = None
) -> SizeScores:
    """Score equally likely sizes; inf for never.

    Args:
        draws: sizes for each target.
        truth: the sizes on the whole curves.
        limits: of the 90 % interval, `(b, t)`; quantiles of the draws by default.
    """
    smallest, largest, cut = (a[:, None] for a in (truth.smallest, truth.largest, truth.cut))
    draws = np.maximum(draws, smallest[..., None])
    at_smallest = draws <= smallest[..., None] * (1 + 1e-5)
    draws = np.where(at_smallest, smallest[..., None], draws)

    def below(size: Float[np.ndarray, "b t"], *, inclusive: bool) -> Float[np.ndarray, "b t"]:
        hit = draws <= size[..., None] if inclusive else draws < size[..., None]
        return hit.mean(axis=-1)

    size = truth.size
    first, last = below(size, inclusive=False), below(size, inclusive=True)
    lower = np.where(truth.at_smallest, 0.0, np.where(truth.unreached, last, first))
    upper = np.where(truth.unreached, 1.0, np.where(truth.at_smallest, at_smallest.mean(axis=-1), last))
    tail = (1 - _LEVEL) / 2
    low = np.quantile(draws, tail, axis=-1, method="lower")
    high = np.quantile(draws, 1 - tail, axis=-1, method="higher")
    if limits is not None:
        low, high = limits
    overlap = np.clip(np.minimum(upper, 1 - tail) - np.maximum(lower, tail), 0, None)
    point = (low <= size) & (size <= high)
    inside = np.where(upper - lower > 1e-9, overlap / np.maximum(upper - lower, 1e-9), point)

    value = np.quantile(draws, 0.5, axis=-1, method="lower")
    log_low, log_high, log_size = (np.log(np.clip(a, smallest, largest)) for a in (low, high, size))
    outside = np.maximum(log_low - log_size, 0) + np.maximum(log_size - log_high, 0)
    interval_score = (log_high - log_low) + 2 / (1 - _LEVEL) * outside

    cells = np.ceil(np.log(largest / smallest) / CELL) + 2  # with the atom at the smallest size and the largest cells
    cell = np.floor(np.log(size / smallest) / CELL)
    of_draws = np.floor(np.log(np.minimum(draws, 1e30) / smallest[..., None]) / CELL)
    measured = ~at_smallest & (draws <= largest[..., None])
    hit = measured & (of_draws == cell[..., None])
    hit = np.where(truth.at_smallest[..., None], at_smallest, hit)
    hit = np.where(truth.unreached[..., None], draws > largest[..., None], hit)
    count = draws.shape[-1]
    log_score = np.log((hit.sum(axis=-1) + _SHRUNK / cells) / (count + _SHRUNK))

    limits = cut[..., None] * np.array(MULTIPLES)
    beyond = np.stack([(draws > cut[..., None] * m).mean(axis=-1) for m in MULTIPLES], axis=-1)
    known = ~truth.unreached[..., None] | (limits <= largest[..., None] * (1 + 1e-6))
    exceeded = np.where(known, (truth.unreached[..., None] | (size[..., None] > limits)).astype(float), np.nan)
    return SizeScores(log_score, interval_score, inside, value, low, high, beyond, exceeded)
