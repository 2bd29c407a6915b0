"""Comparison of outputs with targets: mistakes, and the units that losses and errors are counted per."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int, Num

from lcjax.data.examples import Data

__all__ = [
    "Scoring", "ScoringByError", "is_wrong", "mistakes_of", "standardize_targets", "to_predictions", "training_loss",
    "units_of",
]  # fmt: skip

Targets: TypeAlias = Num[jax.Array, "b *_"]


@dataclasses.dataclass(frozen=True)
class Scoring:
    """Scoring of examples that hold many targets: tokens of a sentence, characters of an utterance.

    The objective of such a program returns the sum of an example's losses; losses and errors are reported per unit.

    Attributes:
        units: `targets (b, ...) -> (b,)`, the number of units in each example, a function at module level.
        mistakes: `(outputs, targets) -> (b,)`, the number of wrong units (of an edit distance possibly more than there
            are), a function at module level.
        per_example: minimize the mean over examples instead of units: the "per-sequence loss" of Hestness et al.
            (2019, section A.2.1). Reported numbers do not change.
    """

    units: Callable[[jax.Array], jax.Array]
    mistakes: Callable[..., jax.Array]
    per_example: bool = False

    def order(self, loss: float, error: float) -> tuple[float, float]:
        """Return the sort key of a run's recorded steps, of which `Budget.patience` keeps the lowest: loss first."""
        return loss, error


@dataclasses.dataclass(frozen=True)
class ScoringByError(Scoring):
    """Scoring under which early stopping compares errors first, then losses.

    On little data the loss of speech and translation rises from overconfidence long before mistakes become more.

    Examples:
        >>> from lcjax.models.sequence_losses import token_mistakes, tokens_of
        >>> ScoringByError(tokens_of, token_mistakes).order(2.0, 0.1)
        (0.1, 2.0)
    """

    def order(self, loss: float, error: float) -> tuple[float, float]:
        """Return the sort key of a run's recorded steps: error first."""
        return error, loss


def training_loss(scoring: Scoring | None, losses: Float[jax.Array, " b"], targets: Targets) -> Float[jax.Array, ""]:
    """Return the mean of a minibatch's losses over units, or over examples.

    Examples:
        >>> import jax.numpy as jnp
        >>> float(training_loss(None, jnp.array([1.0, 3.0]), jnp.array([0, 1])))
        2.0
    """
    if scoring is None or scoring.per_example:
        return jnp.mean(losses)
    return jnp.sum(losses) / jnp.maximum(jnp.sum(scoring.units(targets)), 1)


def units_of(scoring: Scoring | None, targets: Targets) -> Int[jax.Array, " b"]:
    """Return the units of each example; 1 where an example is a unit."""
    return jnp.ones(targets.shape[0], jnp.int32) if scoring is None else scoring.units(targets)


def mistakes_of(
    scoring: Scoring | None, data: Data, outputs: Any, targets: Targets, top: int = 1
) -> Int[jax.Array, " b"]:
    """Return the mistakes in each example; 0 or 1 where an example is a unit."""
    if scoring is None:
        return is_wrong(data, outputs, targets, top).astype(jnp.int32)
    return scoring.mistakes(outputs, targets)


def to_predictions(data: Data, outputs: Any) -> Any:
    """Return the predictions of a model in the unit of the targets; the outputs themselves for classes and sequences.

    Examples:
        >>> import jax.numpy as jnp, lcjax as lc
        >>> part = lc.Examples(jnp.zeros((1, 1)), jnp.zeros(1))
        >>> to_predictions(lc.Data(part, part, None, target_offset=10.0, target_scale=2.0), jnp.ones((1, 1))).tolist()
        [[12.0]]
    """
    is_standardized = (data.target_offset, data.target_scale) != (0.0, 1.0)
    return data.target_offset + data.target_scale * outputs if is_standardized else outputs


def standardize_targets(data: Data, targets: Targets) -> Targets:
    """Return the outputs that predict some targets exactly, the inverse of `to_predictions`."""
    is_standardized = (data.target_offset, data.target_scale) != (0.0, 1.0)
    return (targets - data.target_offset) / data.target_scale if is_standardized else targets


def is_wrong(
    data: Data, outputs: Float[jax.Array, "b c"], targets: Num[jax.Array, " b"], top: int = 1
) -> Bool[jax.Array, " b"]:
    """Return True where the target is not among the `top` largest outputs, or a real prediction is too far from it.

    Outputs that equal the target's count before it, and nan is wrong.
    """
    if data.classes and top > 1:
        target = jnp.arange(outputs.shape[-1]) == targets[:, None]
        output = jnp.sum(jnp.where(target, outputs, 0), axis=-1, keepdims=True)
        return (jnp.sum(~target & (outputs >= output), axis=-1) >= top) | jnp.isnan(outputs).any(axis=-1)
    if data.classes:
        return (jnp.argmax(outputs, axis=-1) != targets) | jnp.isnan(outputs).any(axis=-1)  # argmax may return a nan
    return ~(jnp.abs(outputs[:, 0] - targets) <= data.tolerance)  # written so that nan is wrong
