"""Error bars from per-example mistakes of repeated trainings.

Repeats of a training share their test examples, so neither repeats nor examples alone give the error of a mean: a hard
example is hard for every repeat, and a bad seed is bad on every example. Both are counted here.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Key, Num

from lcjax.curves.learning_curve import LearningCurve
from lcjax.kernels.compilation import jit

__all__ = ["bootstrap_error", "curve_from_mistakes", "mean_and_standard_error"]

Array = jax.Array | np.ndarray


def mean_and_standard_error(
    value: Num[Array, "*b r m"] | Bool[Array, "*b r m"],
) -> tuple[Float[Array, "*b"], Float[Array, "*b"]]:
    """Mean over repeats and examples, and its standard error from both.

    The variance is the sum of that of the mean over repeats, `s_r^2 / r`, and that of the mean over examples,
    `s_m^2 / m`, with `s_r` the spread of the repeats' means and `s_m` that of the examples' means. The part that is
    peculiar to a repeat and an example is counted in both: the estimate errs on the large side, by at most sqrt(2).

    Args:
        value: mistakes (0 or 1), or differences of mistakes of two models on the same examples, `(*b, r, m)`.

    Returns:
        Mean and standard error, `(*b,)`. With one repeat only the examples count.

    Examples:
        >>> import numpy as np
        >>> wrong = np.zeros((3, 100), bool)
        >>> wrong[:, :10] = True
        >>> mean, standard_error = mean_and_standard_error(wrong)
        >>> round(float(mean), 6), round(float(standard_error), 4)
        (0.1, 0.0302)
    """
    value = jnp.asarray(value, jnp.result_type(float))
    *_, r, m = value.shape
    variance = _variance_of_mean(value.mean(axis=-2), m) + (_variance_of_mean(value.mean(axis=-1), r) if r > 1 else 0)
    return value.mean(axis=(-2, -1)), jnp.sqrt(variance)


def curve_from_mistakes(
    size: Num[Array, " s"], wrong: Bool[Array, "r s m"], *, train_error: Float[Array, " s"] | None = None
) -> LearningCurve:
    """Learning curve of repeated trainings scored on the same examples.

    Args:
        size: numbers of training examples, `(s,)`.
        wrong: which of `m` examples each of `r` repeats gets wrong at each size, `(r, s, m)`.
        train_error: mean training error, `(s,)`, passed through.

    Returns:
        Curve with `replicates` `(r, s)` and standard errors from both repeats and examples.

    Examples:
        >>> import numpy as np
        >>> curve_from_mistakes(np.array([10, 20]), np.zeros((2, 2, 50), bool)).error.tolist()
        [0.0, 0.0]
    """
    error, standard_error = mean_and_standard_error(jnp.swapaxes(jnp.asarray(wrong), 0, 1))
    replicates = jnp.mean(jnp.asarray(wrong, error.dtype), axis=-1)
    return LearningCurve(size, error, standard_error, replicates, train_error, np.asarray(wrong.shape[-1]))


@jit(static_argnames="draws")
def bootstrap_error(key: Key[Array, ""], wrong: Bool[Array, "r s m"], *, draws: int) -> Float[Array, "draws s"]:
    """Bootstrap draws of the mean error at each size, resampling repeats and examples.

    Repeats are resampled whole, because a repeat's nested shards are correlated over sizes; examples are resampled
    alike for all repeats and sizes, because they are the same examples (a two-way, "pigeonhole" bootstrap, Owen 2007,
    which errs on the large side: where mistakes are independent of repeat and example, by sqrt(3)).

    Args:
        key: a typed PRNG key.
        wrong: which examples are wrong, `(r, s, m)`.
        draws: number of draws, static.

    Returns:
        Mean errors, `(draws, s)`.

    Examples:
        >>> import jax, numpy as np
        >>> bootstrap_error(jax.random.key(0), np.ones((3, 2, 50), bool), draws=4).shape
        (4, 2)
    """
    r, _, m = wrong.shape
    key_repeat, key_example = jax.random.split(key)
    repeats = jax.random.randint(key_repeat, (draws, r), 0, r)
    examples = jax.random.randint(key_example, (draws, m), 0, m)
    dtype = jnp.result_type(float)
    counts = jax.vmap(lambda index: jnp.zeros(m, dtype).at[index].add(1))(examples)
    by_repeat = jnp.einsum("bm,rsm->brs", counts / m, wrong.astype(dtype), precision=jax.lax.Precision.HIGHEST)
    return jnp.take_along_axis(by_repeat, repeats[:, :, None], axis=1).mean(axis=1)


def _variance_of_mean(value: Float[Array, "*b n"], n: int) -> Float[Array, "*b"]:
    return jnp.var(value, axis=-1, ddof=1) / n
