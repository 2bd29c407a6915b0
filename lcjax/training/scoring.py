"""How a net's outputs are held against the targets: what is a mistake, and what losses and errors are counted per."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int, Num

from lcjax.data.examples import Data

__all__ = ["Scoring", "ScoringByError", "is_wrong", "mistakes_of", "training_loss", "units_of"]


@dataclasses.dataclass(frozen=True)
class Scoring:
    """What is counted where an example holds many targets: tokens of a sentence, characters of an utterance.

    The objective of such a program gives the sum of an example's losses; losses and errors are reported per unit.

    Attributes:
        units: `targets (b, ...) -> (b,)`, how many units each example holds, a module-level function.
        mistakes: `(outputs, targets) -> (b,)`, how many of them are wrong (for edit distances perhaps more than there
            are), a module-level function.
        per_example: a step minimizes the mean over examples instead of that over units: the "per-sequence loss" of
            Hestness et al. (2017), A.2.1. What is reported does not change.
    """

    units: Callable[[Any], Any]
    mistakes: Callable[[Any, Any], Any]
    per_example: bool = False

    def order(self, loss: float, error: float) -> tuple[float, float]:
        """By which the best of a run's recorded steps is found, see `Budget.patience`: loss, then error."""
        return loss, error


@dataclasses.dataclass(frozen=True)
class ScoringByError(Scoring):
    """The same where the error is what counts: the recorded step with the lowest error is the best, then the loss.

    On little data the loss of speech and of translation rises, for being sure, long before the mistakes become more.

    Examples:
        >>> from lcjax.models.sequence_losses import token_mistakes, tokens_of
        >>> ScoringByError(tokens_of, token_mistakes).order(2.0, 0.1)
        (0.1, 2.0)
    """

    def order(self, loss: float, error: float) -> tuple[float, float]:
        """Error, then loss."""
        return error, loss


def training_loss(scoring: Scoring | None, losses: Float[jax.Array, " b"], targets: Any) -> Float[jax.Array, ""]:
    """What a step minimizes: mean of the losses over units, or over examples.

    Examples:
        >>> import jax.numpy as jnp
        >>> float(training_loss(None, jnp.array([1.0, 3.0]), jnp.array([0, 1])))
        2.0
    """
    if scoring is None or scoring.per_example:
        return jnp.mean(losses)
    return jnp.sum(losses) / jnp.maximum(jnp.sum(scoring.units(targets)), 1)


def units_of(scoring: Scoring | None, targets: Any) -> Int[jax.Array, " b"]:
    """Units of each example; 1 where an example is a unit."""
    return jnp.ones(targets.shape[0], jnp.int32) if scoring is None else scoring.units(targets)


def mistakes_of(scoring: Scoring | None, data: Data, outputs: Any, targets: Any, top: int = 1) -> Int[jax.Array, " b"]:
    """Mistakes in each example; 0 or 1 where an example is a unit."""
    if scoring is None:
        return is_wrong(data, outputs, targets, top).astype(jnp.int32)
    return scoring.mistakes(outputs, targets)


def is_wrong(
    data: Data, outputs: Float[jax.Array, "b c"], targets: Num[jax.Array, " b"], top: int = 1
) -> Bool[jax.Array, " b"]:
    """Whether the target is not among the `top` largest outputs, or a real output is too far from it."""
    if data.classes and top > 1:
        right = jnp.arange(outputs.shape[-1]) == targets[:, None]
        own = jnp.sum(jnp.where(right, outputs, 0), axis=-1, keepdims=True)
        return (jnp.sum(~right & (outputs >= own), axis=-1) >= top) | jnp.isnan(outputs).any(axis=-1)
    if data.classes:
        return (jnp.argmax(outputs, axis=-1) != targets) | jnp.isnan(outputs).any(axis=-1)  # argmax may point at a nan
    return ~(jnp.abs(outputs[:, 0] - targets) <= data.tolerance)  # so written, nan counts as wrong
