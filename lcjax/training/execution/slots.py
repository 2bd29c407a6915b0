"""Slots: the states of runs between steps, stacked in chunks that advance together."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Int, Key

from lcjax.kernels.compilation import jit_by_size
from lcjax.records import record
from lcjax.training.program import Columns
from lcjax.typing import Array, ArrayTree, Variables

__all__ = ["Slot", "broadcast", "join", "pick", "put", "take"]

COPIED = 2**20  # numbers up to which compiling a copy with optimization takes longer than it saves


@record
class Slot:
    """State of a run between steps; in a chunk every leaf has the slots as leading axis."""

    variables: Variables  # parameters and other state of the model
    optimizer_state: ArrayTree  # Optax's
    mask: ArrayTree | None  # multiplies the parameters after each step
    columns: Columns  # the run's row of the table
    order: Int[jax.Array, "*slots"]  # row of the orders of which the run's shard is a prefix
    minibatches: Key[jax.Array, "*slots"]  # key of the stream of that name; `noise` and `corruption` likewise
    noise: Key[jax.Array, "*slots"]
    corruption: Key[jax.Array, "*slots"]
    budget: Int[jax.Array, "*slots"]  # steps of the whole run
    step: Int[jax.Array, "*slots"]  # steps so far
    failed: Int[jax.Array, "*slots"]  # first step at which the loss was not finite, or -1


@jit_by_size(static_argnames="width", most=COPIED)
def broadcast(slot: Slot, *, width: int) -> Slot:
    """Make a chunk of `width` copies of one slot."""
    return _map(lambda leaf: jnp.broadcast_to(leaf, (width, *leaf.shape)), slot)


@jit_by_size(donate_argnames="slots", most=COPIED)
def put(slots: Slot, slot: Slot, place: Int[jax.Array, ""]) -> Slot:
    """Replace the slot at `place` of a chunk."""
    return _map(lambda stack, leaf: stack.at[place].set(leaf), slots, slot)


@jit_by_size(most=COPIED)
def take(slots: Slot, places: Int[Array, " width"]) -> Slot:
    """Make a chunk of the slots at `places`."""
    return _map(lambda leaf: leaf[places], slots)


@jit_by_size(most=COPIED)
def join(parts: list[Slot]) -> Slot:
    """Concatenate chunks."""
    return _map(lambda *leaves: jnp.concatenate(leaves), *parts)


@jit_by_size(most=COPIED)
def pick(slots: Slot, place: Int[jax.Array, ""]) -> Slot:
    """Return one slot of a chunk."""
    return _map(lambda leaf: leaf[place], slots)


def _map(function: Callable[..., jax.Array], *slots: Slot) -> Slot:
    chunk: Slot = jax.tree.map(function, *slots)
    return chunk
