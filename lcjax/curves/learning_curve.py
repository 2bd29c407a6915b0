"""The learning curve: the record that everything produces and consumes."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Key, Num

from lcjax.records import record

__all__ = ["LearningCurve", "LowerEnvelope", "curve_from_replicates", "envelope_draws", "lower_envelope"]

Array = jax.Array | np.ndarray


@record
class LearningCurve:
    """Test error against training-set size; measured, predicted and simulated curves alike.

    Attributes:
        size: numbers of training examples, `(*b, s)`.
        error: mean error at each size, a fraction (or a loss in nats), `(*b, s)`; nan marks an absent size.
        standard_error: of `error`, `(*b, s)`, or `None` where it is not known.
        replicates: error of each repeat, `(*b, r, s)`, or `None`.
        train_error: mean training error at each size, `(*b, s)`, or `None`.
        test_count: examples that `error` was measured on, `(*b,)`, or `None`.

    Examples:
        >>> import lcjax as lc
        >>> lc.LearningCurve([100, 200], [0.2, 0.1]).error
        [0.2, 0.1]
    """

    size: Num[Array, "*b s"]
    error: Float[Array, "*b s"]
    standard_error: Float[Array, "*b s"] | None = None
    replicates: Float[Array, "*b r s"] | None = None
    train_error: Float[Array, "*b s"] | None = None
    test_count: Num[Array, "*b"] | None = None


def curve_from_replicates(
    size: Num[Array, "*b s"],
    replicates: Float[Array, "*b r s"],
    *,
    train_error: Float[Array, "*b s"] | None = None,
    test_count: Num[Array, "*b"] | None = None,
) -> LearningCurve:
    """Curve of means over repeats, nan repeats left out.

    The standard error is that of the mean over repeats; where fewer than two repeats are present it is nan.

    Args:
        size: numbers of training examples, `(*b, s)`.
        replicates: error of each repeat, `(*b, r, s)`; nan marks an absent one.
        train_error: mean training error, `(*b, s)`, passed through.
        test_count: examples that errors were measured on, `(*b,)`, passed through.

    Returns:
        A `LearningCurve` with `error` and `standard_error` of shape `(*b, s)`.

    Examples:
        >>> import jax.numpy as jnp
        >>> curve = curve_from_replicates(jnp.array([10.0]), jnp.array([[0.1], [0.3]]))
        >>> round(float(curve.error[0]), 6), round(float(curve.standard_error[0]), 6)
        (0.2, 0.1)
    """
    present = ~jnp.isnan(replicates)
    count = present.sum(axis=-2)
    mean = jnp.where(present, replicates, 0).sum(axis=-2) / jnp.where(count > 0, count, jnp.nan)
    squares = jnp.where(present, (replicates - mean[..., None, :]) ** 2, 0).sum(axis=-2)
    variance = squares / jnp.where(count > 1, count - 1, jnp.nan)
    standard_error = jnp.sqrt(variance / jnp.where(count > 0, count, 1))
    return LearningCurve(size, mean, standard_error, replicates, train_error, test_count)


@record
class LowerEnvelope:
    """The composite curve of a family: at each size the member that validates best.

    Attributes:
        curve: its test error, with the chosen members' repeats.
        choice: number of the member chosen at each size, `(s,)`; -1 where none was measured.
    """

    curve: LearningCurve
    choice: Int[Array, " s"]


def lower_envelope(
    size: Num[Array, " s"], validation_error: Float[Array, "_ _ _"], test_error: Float[Array, "_ _ _"]
) -> LowerEnvelope:
    """Lower envelope over model sizes and hyper-parameters (Hestness et al. 2017, section 3).

    At each size the member with the smallest validation error, averaged over repeats, is chosen, and its test error is
    reported: choosing by the test error itself would make the curve too low.

    Args:
        size: numbers of training examples, `(s,)`.
        validation_error: of each member, repeat and size, `(h, r, s)`; nan marks an absent one.
        test_error: alike.

    Returns:
        A `LowerEnvelope`; its error is nan at sizes where no member was measured.

    Raises:
        ValueError: shapes disagree.

    Examples:
        >>> import jax.numpy as jnp
        >>> validation = jnp.array([[[0.3, 0.2]], [[0.4, 0.1]]])
        >>> envelope = lower_envelope(jnp.array([10, 20]), validation, validation + 0.01)
        >>> envelope.choice.tolist(), envelope.curve.error.round(2).tolist()
        ([0, 1], [0.3100000023841858, 0.10999999940395355])
    """
    if validation_error.shape != test_error.shape or validation_error.shape[-1:] != size.shape:
        raise ValueError(
            f"validation_error and test_error must be (h, r, s) with s={size.shape}, got {validation_error.shape} and "
            f"{test_error.shape}."
        )
    choice, mean = _chosen(jnp.asarray(validation_error))
    rows = jnp.take_along_axis(jnp.asarray(test_error), jnp.maximum(choice, 0)[None, None, :], axis=0)[0]
    rows = jnp.where(jnp.isfinite(mean), rows, jnp.nan)
    return LowerEnvelope(curve_from_replicates(size, rows), choice)


def envelope_draws(
    key: Key[Array, ""], validation_error: Float[Array, "h r s"], test_error: Float[Array, "h r s"], *, draws: int
) -> Float[jax.Array, "{draws} s"]:
    """Bootstrap of the lower envelope in which the choice is made again: whole repeats are drawn, then members chosen.

    Args:
        key: a typed key.
        validation_error: of each member, repeat and size, `(h, r, s)`; nan marks an absent one.
        test_error: alike.
        draws: number of bootstrap curves, static.

    Returns:
        Mean test errors of the members chosen, a curve per draw.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> envelope_draws(jax.random.key(0), jnp.ones((2, 3, 4)), jnp.ones((2, 3, 4)), draws=5).shape
        (5, 4)
    """
    repeats = validation_error.shape[1]
    picked = jax.random.randint(key, (draws, repeats), 0, repeats)

    def one(rows: jax.Array) -> jax.Array:
        choice, mean = _chosen(jnp.asarray(validation_error)[:, rows])
        tested = jnp.take_along_axis(jnp.asarray(test_error)[:, rows], jnp.maximum(choice, 0)[None, None, :], axis=0)[0]
        return jnp.where(jnp.isfinite(mean), _mean_present(tested, axis=0), jnp.nan)

    return jax.vmap(one)(picked)


def _chosen(validation_error: jax.Array) -> tuple[jax.Array, jax.Array]:
    mean = _mean_present(validation_error, axis=1)
    best = jnp.min(jnp.where(jnp.isnan(mean), jnp.inf, mean), axis=0)
    choice = jnp.argmin(jnp.where(jnp.isnan(mean), jnp.inf, mean), axis=0)
    return jnp.where(jnp.isfinite(best), choice, -1), best


def _mean_present(values: jax.Array, axis: int) -> jax.Array:
    present = ~jnp.isnan(values)
    count = present.sum(axis=axis)
    return jnp.where(present, values, 0).sum(axis=axis) / jnp.where(count > 0, count, jnp.nan)
