"""The lower envelope of a family of learning curves: the best model and hyper-parameters at each size."""

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int, Num

from lcjax.curves.learning_curve import LearningCurve, curve_from_replicates, mean_of_present
from lcjax.records import record
from lcjax.typing import Array, KeyArray, check_key

__all__ = ["LowerEnvelope", "envelope_draws", "lower_envelope"]


@record
class LowerEnvelope:
    """The composite curve of a family: at each size the member with the smallest validation error.

    Attributes:
        curve: test error of the selected members, with their repeats; nan at sizes where no member was measured.
        choice: index of the selected member at each size, `(s,)`; -1 where there is none.
    """

    curve: LearningCurve
    choice: Int[Array, " s"]


def lower_envelope(
    size: Num[Array, " s"], validation_error: Float[Array, "_ _ _"], test_error: Float[Array, "_ _ _"]
) -> LowerEnvelope:
    """Select the best member of a family at each size (Hestness et al., 2019, section 3).

    Members are, for example, model sizes and hyper-parameters. The one with the smallest mean validation error over the
    repeats is selected and its test error reported; selecting by test error would bias the curve downwards.

    Args:
        size: numbers of training examples, `(s,)`.
        validation_error: error of each member, repeat and size, `(h, r, s)`; nan marks an absent one.
        test_error: test errors in the same layout.

    Returns:
        `LowerEnvelope`; its curve has errors `(s,)`, replicates `(r, s)` and the standard error of their mean.

    Raises:
        ValueError: the shapes disagree.

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
    choice, rows = _select(validation_error, test_error)
    return LowerEnvelope(curve_from_replicates(size, rows), choice)


def envelope_draws(
    key: KeyArray, validation_error: Float[Array, "h r s"], test_error: Float[Array, "h r s"], *, draws: int
) -> Float[jax.Array, "{draws} s"]:
    """Draw bootstrap curves of the lower envelope's mean test error: resample whole repeats and select members again.

    Args:
        key: a typed key.
        validation_error: error of each member, repeat and size, `(h, r, s)`; nan marks an absent one.
        test_error: test errors in the same layout.
        draws: number of bootstrap curves, static.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> envelope_draws(jax.random.key(0), jnp.ones((2, 3, 4)), jnp.ones((2, 3, 4)), draws=5).shape
        (5, 4)
    """
    check_key(key)
    repeats = validation_error.shape[1]

    def draw(index: Int[jax.Array, " r"]) -> Float[jax.Array, " s"]:
        _, rows = _select(jnp.asarray(validation_error)[:, index], jnp.asarray(test_error)[:, index])
        return mean_of_present(rows, axis=0)

    return jax.vmap(draw)(jax.random.randint(key, (draws, repeats), 0, repeats))


def _select(
    validation_error: Float[Array, "h r s"], test_error: Float[Array, "h r s"]
) -> tuple[Int[jax.Array, " s"], Float[jax.Array, "r s"]]:
    """Return the best member at each size (-1 for none) and its test errors, nan where there is none."""
    mean = mean_of_present(validation_error, axis=1)
    mean = jnp.where(jnp.isnan(mean), jnp.inf, mean)
    measured = jnp.isfinite(jnp.min(mean, axis=0))
    choice = jnp.argmin(mean, axis=0)
    rows = jnp.take_along_axis(jnp.asarray(test_error), choice[None, None, :], axis=0)[0]
    return jnp.where(measured, choice, -1), jnp.where(measured, rows, jnp.nan)
