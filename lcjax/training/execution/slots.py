"""Slots: the states of runs between steps, stacked in chunks that advance together."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, Key

from lcjax.kernels.compilation import jit_by_size
from lcjax.records import record
from lcjax.training.program import Columns
from lcjax.typing import Array, ArrayTree, Variables

__all__ = [
    "Slot",
    "broadcast",
    "broadcast_program",
    "is_copied_on_host",
    "join",
    "join_program",
    "pick",
    "pick_program",
    "put",
    "put_program",
    "take",
    "take_program",
]

COPIED = 2**20  # largest count of numbers for which optimizing a compiled copy takes longer than it saves


@record
class Slot:
    """State of a run between steps; in a chunk, the leading axis of every leaf indexes the slots."""

    variables: Variables  # parameters and other state of the model
    optimizer_state: ArrayTree  # Optax's
    mask: ArrayTree | None  # multiplies the parameters after each step
    columns: Columns  # the run's row of the table
    order: Int[jax.Array, "*slots"]  # index of the order whose prefix is the run's shard
    minibatches: Key[jax.Array, "*slots"]  # key of the random stream of minibatches; likewise below
    noise: Key[jax.Array, "*slots"]
    corruption: Key[jax.Array, "*slots"]
    budget: Int[jax.Array, "*slots"]  # steps of the whole run
    step: Int[jax.Array, "*slots"]  # steps done
    failed: Int[jax.Array, "*slots"]  # first step at which the loss was not finite, or -1


def is_copied_on_host(*trees: object) -> bool:
    """Return True if NumPy copies slots of these shapes: small slots on a CPU, for which compiling a copy takes longer.

    Args:
        trees: slots, chunks or their shapes.
    """
    leaves = jax.tree.leaves(trees)
    is_small = sum(math.prod(leaf.shape) for leaf in leaves) <= COPIED
    return is_small and jax.default_backend() == "cpu" and not any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)


def broadcast(slot: Slot, *, width: int) -> Slot:
    """Make a chunk of `width` copies of one slot."""
    if is_copied_on_host(slot):
        return _copy(lambda leaf: np.broadcast_to(leaf, (width, *leaf.shape)), slot)
    return broadcast_program(slot, width=width)


def put(slots: Slot, slot: Slot, place: Int[jax.Array, ""]) -> Slot:
    """Replace the slot at `place` of a chunk, whose buffers may be donated."""

    def replace(stack: np.ndarray, leaf: np.ndarray) -> np.ndarray:
        stack = stack.copy()
        stack[int(place)] = leaf
        return stack

    return _copy(replace, slots, slot) if is_copied_on_host(slots) else put_program(slots, slot, place)


def take(slots: Slot, places: Int[Array, " width"]) -> Slot:
    """Make a chunk of the slots at `places`."""
    if is_copied_on_host(slots, places):
        return _copy(lambda leaf: leaf[np.asarray(places)], slots)
    return take_program(slots, places)


def join(parts: list[Slot]) -> Slot:
    """Concatenate chunks."""
    return _copy(lambda *leaves: np.concatenate(leaves), *parts) if is_copied_on_host(parts) else join_program(parts)


def pick(slots: Slot, place: Int[jax.Array, ""]) -> Slot:
    """Return one slot of a chunk."""
    if is_copied_on_host(slots, place):
        return _copy(lambda leaf: leaf[int(place)], slots)
    return pick_program(slots, place)


@jit_by_size(static_argnames="width", most=COPIED)
def broadcast_program(slot: Slot, *, width: int) -> Slot:
    """Make a chunk of `width` copies of one slot."""
    return _map(lambda leaf: jnp.broadcast_to(leaf, (width, *leaf.shape)), slot)


@jit_by_size(donate_argnames="slots", most=COPIED)
def put_program(slots: Slot, slot: Slot, place: Int[jax.Array, ""]) -> Slot:
    """Replace the slot at `place` of a chunk."""
    return _map(lambda stack, leaf: stack.at[place].set(leaf), slots, slot)


@jit_by_size(most=COPIED)
def take_program(slots: Slot, places: Int[Array, " width"]) -> Slot:
    """Make a chunk of the slots at `places`."""
    return _map(lambda leaf: leaf[places], slots)


@jit_by_size(most=COPIED)
def join_program(parts: list[Slot]) -> Slot:
    """Concatenate chunks."""
    return _map(lambda *leaves: jnp.concatenate(leaves), *parts)


@jit_by_size(most=COPIED)
def pick_program(slots: Slot, place: Int[jax.Array, ""]) -> Slot:
    """Return one slot of a chunk."""
    return _map(lambda leaf: leaf[place], slots)


def _map(function: Callable[..., jax.Array], *slots: Slot) -> Slot:
    chunk: Slot = jax.tree.map(function, *slots)
    return chunk


def _copy(function: Callable[..., np.ndarray], *slots: Slot) -> Slot:
    """Apply a NumPy function to all leaves (to the key data of keys), and put the results on the same device."""

    def on_host(*leaves: Any) -> jax.Array:
        if not jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
            return jnp.asarray(function(*map(np.asarray, leaves)))
        words = function(*(np.asarray(jax.random.key_data(jnp.asarray(leaf))) for leaf in leaves))
        key: jax.Array = jax.random.wrap_key_data(jnp.asarray(words), impl=jax.random.key_impl(jnp.asarray(leaves[0])))
        return key

    copied = _map(on_host, *slots)
    step = slots[0].step  # a NumPy array if it was restored from a checkpoint
    device = next(iter(step.devices())) if isinstance(step, jax.Array) else jax.devices()[0]
    # On the default device arrays stay uncommitted, so that programs are not compiled again for committed ones.
    return copied if device == jax.devices()[0] else jax.device_put(copied, device)
