"""Measured errors with bootstrap draws, in logarithms, and the fits of a method to them."""

from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from lcjax.typing import Array

__all__ = ["Fit", "Points", "Used", "bootstrap_mistakes", "combine_splits", "resample_points"]

Used: TypeAlias = Bool[np.ndarray, " s"]
"""True at the sizes that a fit uses."""

_FLOOR = 0.01  # no error is known better than 1 %, so that no point dominates a fit (see `fit_radius`)


class Points(NamedTuple):
    """Measured errors of all sizes and bootstrap draws of them; those at `used` sizes enter a fit.

    The draws that methods are fitted to resample seeds, and examples as a common factor: the examples at hand are taken
    to be harder or easier than others by the same factor at all sizes.

    Attributes:
        size: numbers of training examples, `(s,)`.
        log_error: logarithm of the mean errors, `(s,)`; an error of 0 counts as half a mistake.
        relative: their relative standard errors, `(s,)`; 1 for an error of 0, and so the spread of its draws.
        draws: log errors of bootstrap draws over seeds, moved by `level`, `(k, s)`.
        level: logarithm of the factor of the examples in each draw, `(k,)`.
        joint: log errors of bootstrap draws over seeds and examples, `(k, s)`.
        examples: log errors of draws over the same examples with all seeds, `(k, s)`.
        replicates: error of each seed, `(r, s)`.
        share: share of each seed in each draw, `(k, r)`.
        seed: a seed for each draw, `(k,)`, whose features the draw uses.
    """

    size: Float[np.ndarray, " s"]
    log_error: Float[np.ndarray, " s"]
    relative: Float[np.ndarray, " s"]
    draws: Float[np.ndarray, "k s"]
    level: Float[np.ndarray, " k"]
    joint: Float[np.ndarray, "k s"]
    examples: Float[np.ndarray, "k s"]
    replicates: Float[np.ndarray, "r s"]
    share: Float[np.ndarray, "k r"]
    seed: Int[np.ndarray, " k"]

    @property
    def weight(self) -> Float[np.ndarray, " s"]:
        """Weights of the squared log residuals, those of `lcjax.fit_radius`."""
        return 1 / (_FLOOR**2 + self.relative**2)


class Fit(NamedTuple):
    """A method fitted to the sizes used: log errors at the sizes of a grid.

    Attributes:
        center: best estimate, `(t,)`.
        draws: draws of the mean error, `(k, t)`; draw j belongs to bootstrap draw j of the points, unless the draws
            are those of a posterior.
        parameters: as in `Method`.
        converged: True if every fit converged.
    """

    center: Float[np.ndarray, " t"]
    draws: Float[np.ndarray, "k t"]
    parameters: dict[str, Float[np.ndarray, "*r"]]
    converged: bool


def resample_points(
    size: Num[Array, " s"],
    wrong: Bool[np.ndarray, "r s m"],
    standard_error: Float[Array, " s"],
    rng: np.random.Generator,
    *,
    repeats: Int[Array, "k r"],
) -> Points:
    """Return the errors of repeated trainings with bootstrap draws of them.

    Args:
        size: numbers of training examples.
        wrong: mistakes of each of r seeds at each size on each of m examples.
        standard_error: of the mean errors.
        rng: generator of the draws.
        repeats: seeds of each draw.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> wrong = rng.random((5, 2, 400)) < np.array([0.2, 0.1])[:, None]
        >>> points = resample_points(
        ...     np.array([10.0, 20.0]), wrong, np.full(2, 0.02), rng, repeats=rng.integers(5, size=(8, 5))
        ... )
        >>> points.draws.shape
        (8, 2)
    """
    seeds, _, m = wrong.shape
    joint, examples = bootstrap_mistakes(wrong, rng, repeats=repeats)
    replicates = wrong.mean(axis=2)
    share = np.stack([np.bincount(row, minlength=seeds) for row in np.asarray(repeats)]) / seeds
    error = replicates.mean(axis=0)
    relative = np.where(error > 0, np.asarray(standard_error, float) / np.where(error > 0, error, 1), 1.0)
    log_error, draws, joint, examples = (
        np.log(np.maximum(values, 0.5 / m)) for values in (error, share @ replicates, joint, examples)
    )
    if np.any(none := error == 0):  # resampling shows no variation: the same unknown factor for all these sizes
        joint[:, none] = examples[:, none] = np.log(0.5 / m) + rng.normal(size=(len(share), 1))
    level, seed = _level(examples), rng.integers(seeds, size=len(share))
    draws = draws + level[:, None]
    return Points(np.asarray(size, float), log_error, relative, draws, level, joint, examples, replicates, share, seed)


def _level(examples: Float[np.ndarray, "k s"]) -> Float[np.ndarray, " k"]:
    """Return the common factor of each draw: the mean over sizes, weighted by the inverse variances."""
    difference = examples - examples.mean(axis=0)
    precision = 1 / np.maximum(difference.var(axis=0), 1e-12)
    return np.asarray(difference @ (precision / precision.sum()))


def bootstrap_mistakes(
    wrong: Bool[np.ndarray, "r s m"], rng: np.random.Generator, *, repeats: Int[Array, "k r"]
) -> tuple[Float[np.ndarray, "k s"], Float[np.ndarray, "k s"]]:
    """Draw bootstrap replicates of the mean error at each size, resampling examples with and without seeds.

    Seeds and examples are resampled identically for all sizes, as in `lcjax.curves.standard_errors.bootstrap_error`;
    two splits that are resampled with the same `repeats` have the same seeds.

    Args:
        wrong: mistakes of each of r seeds at each size on each of m examples.
        rng: generator of the examples.
        repeats: seeds of each draw.

    Returns:
        Draws over seeds and examples, and over the same examples with all seeds.
    """
    seeds, sizes, m = wrong.shape
    repeats = np.asarray(repeats)
    draws = len(repeats)
    counts = np.stack([np.bincount(row, minlength=seeds) for row in repeats]) / seeds
    flat = wrong.reshape(seeds * sizes, m).T.astype(np.float32)
    blocks = np.array_split(np.arange(draws), draws * m // 2**22 + 1)  # of 16 MB
    shares = (rng.multinomial(m, np.full(m, 1 / m), size=len(block)).astype(np.float32) for block in blocks)
    by_seed = np.concatenate([share @ flat / m for share in shares]).reshape(draws, seeds, sizes)
    return np.einsum("kr,krs->ks", counts, by_seed), by_seed.mean(axis=1)


def combine_splits(
    validation: Points, test: Points, counts: tuple[int, int], shift: float, shift_draws: Float[np.ndarray, " k"]
) -> Points:
    """Combine the errors on two splits to those on data like the second.

        error(N) = (m_v error_v(N) exp(shift) + m_t error_t(N)) / (m_v + m_t)

    for m_v and m_t examples. Each draw has its own shift. The shift is the same at all sizes.

    Args:
        validation: errors on the first split.
        test: errors on the second, with draws of the same seeds.
        counts: numbers of examples of both splits.
        shift: log ratio of test to validation error.
        shift_draws: its draws.
    """
    share = counts[0] / sum(counts)

    def mean(first: np.ndarray, second: np.ndarray, move: np.ndarray | float) -> np.ndarray:
        return np.asarray(np.logaddexp(np.log(share) + first + move, np.log(1 - share) + second))

    joint, examples = (
        mean(*pair, shift_draws[:, None])
        for pair in ((validation.joint, test.joint), (validation.examples, test.examples))
    )
    replicates = share * validation.replicates * np.exp(shift) + (1 - share) * test.replicates
    least = 0.5 / sum(counts)
    level = _level(examples)
    return validation._replace(
        log_error=mean(validation.log_error, test.log_error, shift),
        relative=joint.std(axis=0),
        draws=np.log(np.maximum(validation.share @ replicates, least)) + level[:, None],
        level=level,
        joint=joint,
        examples=examples,
        replicates=replicates,
    )
