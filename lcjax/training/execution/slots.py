"""Slots: the states of runs between steps, stacked in chunks that advance together."""

import jax
import jax.numpy as jnp
from jaxtyping import Int, Key

from lcjax.kernels.compilation import jit
from lcjax.records import record
from lcjax.training.program import Columns
from lcjax.typing import ArrayTree, Variables

__all__ = ["Slot", "broadcast", "join", "pick", "put", "take"]


@record
class Slot:
    """State of a run between steps; in a chunk every leaf has the slots as leading axis.

    Attributes:
        variables: parameters and other state of the model.
        optimizer_state: Optax's.
        mask: multiplies the parameters after each step, or `None`.
        columns: the run's row of the table.
        order: row of the orders of which the run's shard is a prefix.
        minibatches: key of the stream of that name; `noise` and `corruption` likewise.
        budget: steps of the whole run.
        step: steps so far.
        failed: first step at which the loss was not finite, or -1.
    """

    variables: Variables
    optimizer_state: ArrayTree
    mask: ArrayTree | None
    columns: Columns
    order: Int[jax.Array, "*slots"]
    minibatches: Key[jax.Array, "*slots"]
    noise: Key[jax.Array, "*slots"]
    corruption: Key[jax.Array, "*slots"]
    budget: Int[jax.Array, "*slots"]
    step: Int[jax.Array, "*slots"]
    failed: Int[jax.Array, "*slots"]


@jit(static_argnames="width")
def broadcast(slot: Slot, *, width: int) -> Slot:
    """Make a chunk of `width` copies of one slot."""
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (width, *leaf.shape)), slot)


@jit(donate_argnames="slots")
def put(slots: Slot, slot: Slot, place: Int[jax.Array, ""]) -> Slot:
    """Replace the slot at `place` of a chunk."""
    return jax.tree.map(lambda stack, leaf: stack.at[place].set(leaf), slots, slot)


@jit
def take(slots: Slot, places: Int[jax.Array, " width"]) -> Slot:
    """Make a chunk of the slots at `places`."""
    return jax.tree.map(lambda leaf: leaf[places], slots)


@jit
def join(parts: list[Slot]) -> Slot:
    """Concatenate chunks."""
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)


@jit
def pick(slots: Slot, place: Int[jax.Array, ""]) -> Slot:
    """Return one slot of a chunk."""
    return jax.tree.map(lambda leaf: leaf[place], slots)
