"""Standard errors from per-example mistakes of repeated trainings.

Repeats of a training share their test examples, so that neither repeats nor examples alone give the error of a mean: a
hard example is hard for every repeat, and a bad seed is bad on every example. These estimates include both effects.
NumPy arrays are computed by NumPy, which needs no compilation.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Num

from lcjax.curves.learning_curve import LearningCurve
from lcjax.kernels.compilation import is_tracing, jit_by_size, namespace
from lcjax.typing import Array, KeyArray, check_key

__all__ = [
    "bootstrap_error",
    "curve_from_mistakes",
    "draw_indices",
    "error_bars",
    "known_variance",
    "mean_and_standard_error",
]

_LARGEST_RELATIVE = 10.0  # standard errors this many times the error say nothing about it


def mean_and_standard_error(
    value: Num[Array, "*b r m"] | Bool[Array, "*b r m"],
) -> tuple[Float[Array, "*b"], Float[Array, "*b"]]:
    """Average over repeats and examples, with a standard error that includes both.

    The variance is the sum of the variance of the mean over repeats, `s_r^2 / r`, and of the mean over examples,
    `s_m^2 / m`, where `s_r` is the standard deviation of the repeats' means and `s_m` of the examples' means. Variation
    specific to one repeat and one example counts in both: the estimate is conservative, by a factor of at most sqrt(2).

    Args:
        value: mistakes (0 or 1), or differences between the mistakes of two models on the same examples, `(*b, r, m)`.

    Returns:
        Mean and standard error, `(*b,)`. With one repeat, only the examples contribute to the standard error.

    Examples:
        >>> import numpy as np
        >>> wrong = np.zeros((3, 100), bool)
        >>> wrong[:, :10] = True
        >>> mean, standard_error = mean_and_standard_error(wrong)
        >>> round(float(mean), 6), round(float(standard_error), 4)
        (0.1, 0.0302)
    """
    xp, dtype = namespace(value), jnp.result_type(float)
    value = xp.asarray(value, float)
    *_, r, m = value.shape
    variance = _variance_of_mean(value.mean(axis=-2), m) + (_variance_of_mean(value.mean(axis=-1), r) if r > 1 else 0)
    return xp.asarray(value.mean(axis=(-2, -1)), dtype), xp.asarray(xp.sqrt(variance), dtype)


def curve_from_mistakes(
    size: Num[Array, " s"], wrong: Bool[Array, "r s m"], *, train_error: Float[Array, " s"] | None = None
) -> LearningCurve:
    """Build the learning curve of repeated trainings evaluated on the same examples.

    Its `replicates` are `(r, s)`, and its standard errors include repeats and examples.

    Args:
        size: numbers of training examples, `(s,)`.
        wrong: mistakes of each of `r` repeats at each size on each of `m` examples, `(r, s, m)`.
        train_error: mean training error, `(s,)`, passed through.

    Examples:
        >>> import numpy as np
        >>> curve_from_mistakes(np.array([10, 20]), np.zeros((2, 2, 50), bool)).error.tolist()
        [0.0, 0.0]
    """
    xp = namespace(wrong)
    error, standard_error = mean_and_standard_error(xp.swapaxes(wrong, 0, 1))
    replicates = xp.mean(xp.asarray(wrong, float), axis=-1).astype(error.dtype)
    return LearningCurve(size, error, standard_error, replicates, train_error, np.asarray(wrong.shape[-1]))


def bootstrap_error(key: KeyArray, wrong: Bool[Array, "r s m"], *, draws: int) -> Float[Array, "{draws} s"]:
    """Draw bootstrap replicates of the mean error at each size, `(draws, s)`, resampling repeats and examples.

    Repeats are resampled whole, because the nested shards of a repeat are correlated across sizes. Examples are
    resampled identically for all repeats and sizes, which share them. This two-way ("pigeonhole") bootstrap of Owen
    (2007) is conservative: by a factor of sqrt(3) where mistakes are independent of repeat and example.

    Args:
        key: a typed key.
        wrong: mistakes of each repeat at each size on each example, `(r, s, m)`.
        draws: number of draws, static.

    Examples:
        >>> import jax, numpy as np
        >>> bootstrap_error(jax.random.key(0), np.ones((3, 2, 50), bool), draws=4).shape
        (4, 2)
    """
    check_key(key)
    r, _, m = wrong.shape
    repeats, examples = _resample(key, r, m, draws=draws)
    dtype = jnp.result_type(float)
    if isinstance(wrong, np.ndarray) and not is_tracing([repeats]):
        share = np.stack([np.bincount(row, minlength=m) for row in np.asarray(examples)]) / m
        by_repeat = np.einsum("bm,rsm->brs", share, wrong.astype(float), optimize=True)
        means: Array = np.take_along_axis(by_repeat, np.asarray(repeats)[:, :, None], axis=1).mean(axis=1)
        return means.astype(dtype)

    def count(index: Int[jax.Array, " m"]) -> Float[jax.Array, " m"]:
        return jnp.zeros(m, dtype).at[index].add(1)

    weight = jax.vmap(count)(examples) / m
    traced = jnp.einsum("bm,rsm->brs", weight, jnp.asarray(wrong, dtype), precision=jax.lax.Precision.HIGHEST)
    return jnp.take_along_axis(traced, repeats[:, :, None], axis=1).mean(axis=1)


def error_bars(curve: LearningCurve) -> Float[Array, "*b s"] | None:
    """Return the standard errors that a curve states: `sampling_error`, or without repeats `standard_error`.

    The standard error of repeats is not known beside them, because their number and spread have its information.

    Examples:
        >>> import numpy as np
        >>> error_bars(LearningCurve(np.array([10.0, 20.0]), np.array([0.4, 0.2]), np.array([0.04, 0.02])))
        array([0.04, 0.02])
    """
    if curve.sampling_error is None and curve.replicates is None:
        return curve.standard_error
    return curve.sampling_error


def known_variance(curve: LearningCurve) -> Float[Array, "*b s"] | None:
    """Return the known part of the variance of each log error, which adds to the unknown one of the trainings.

    It is the square of `error_bars(curve) / error`. The sampling error of a test set that all sizes share is the same
    for all of them, as far as larger training sets only remove mistakes. It shifts the curve as a whole and enters the
    answers for targets, so that its variance with `test_count` examples, `(1 - error) / (error test_count)`, is
    subtracted.

    Returns:
        Variances, `(*b, s)`, 0 where nothing is known; None if nothing is known of any point.

    Examples:
        >>> import numpy as np
        >>> error, stated = np.array([0.4, 0.2]), np.array([0.04, np.nan])
        >>> known_variance(LearningCurve(np.array([10.0, 20.0]), error, stated)).round(3).tolist()
        [0.01, 0.0]
        >>> binomial = np.sqrt(error * (1 - error) / 100)
        >>> curve = LearningCurve(np.array([10.0, 20.0]), error, binomial, test_count=np.array(100.0))
        >>> known_variance(curve).round(6).tolist()
        [0.0, 0.0]
    """
    stated = error_bars(curve)
    if stated is None:
        return None
    xp = namespace(curve.error, stated)
    error = xp.asarray(curve.error)
    there = (error > 0) & (xp.asarray(stated) >= 0)
    relative = xp.where(there, xp.asarray(stated, error.dtype), 0.0) / xp.where(there, error, 1.0)
    variance = xp.minimum(relative, _LARGEST_RELATIVE) ** 2
    if curve.test_count is not None:
        shared = (1 - error) / (xp.where(there, error, 1.0) * xp.asarray(curve.test_count, error.dtype)[..., None])
        variance = xp.maximum(variance - xp.where(shared > 0, shared, 0.0), 0.0)
    known: Array = xp.where(there, variance, 0.0)
    return known


@jit_by_size(static_argnames=("count", "end"))
def draw_indices(key: KeyArray, count: int, end: int) -> Int[jax.Array, " {count}"]:
    """Draw integers in [0, end) uniformly and with replacement, compiled without optimization.

    Args:
        key: a typed key.
        count: number of integers, static.
        end: number of possible values, static.

    Examples:
        >>> import jax
        >>> draw_indices(jax.random.key(0), 5, 1).tolist()
        [0, 0, 0, 0, 0]
    """
    return jax.random.randint(key, (count,), 0, end)


@jit_by_size(static_argnames=("r", "m", "draws"))
def _resample(
    key: KeyArray, r: int, m: int, *, draws: int
) -> tuple[Int[jax.Array, "{draws} {r}"], Int[jax.Array, "{draws} {m}"]]:
    """Draw repeats and examples with replacement."""
    key_repeat, key_example = jax.random.split(key)
    return jax.random.randint(key_repeat, (draws, r), 0, r), jax.random.randint(key_example, (draws, m), 0, m)


def _variance_of_mean(value: Float[Array, "*b n"], n: int) -> Float[Array, "*b"]:
    variance: Array = namespace(value).asarray(value.var(axis=-1, ddof=1) / n)
    return variance
