"""Minibatches as positions in a run's shard: pure functions of key, step and a traced shard size."""

import jax
import jax.numpy as jnp
from jaxtyping import Int, UInt

from lcjax.typing import KeyArray

__all__ = ["consecutive", "epochs", "with_replacement"]

ROUNDS = 32


def with_replacement(
    key: KeyArray, step: Int[jax.Array, ""], size: Int[jax.Array, ""], *, batch: int
) -> Int[jax.Array, " batch"]:
    """Draw positions independently and uniformly; the batch may exceed the shard.

    Args:
        key: the run's stream of minibatches.
        step: optimizer step, from 0.
        size: examples in the shard.
        batch: batch size.

    Returns:
        Positions in [0, size).

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> with_replacement(jax.random.key(0), jnp.int32(0), jnp.int32(3), batch=8).shape
        (8,)
    """
    return jax.random.randint(jax.random.fold_in(key, step), (batch,), 0, size)


def epochs(
    key: KeyArray, step: Int[jax.Array, ""], size: Int[jax.Array, ""], *, batch: int
) -> Int[jax.Array, " batch"]:
    """Walk a fresh permutation of the shard in every epoch; a batch may span epochs.

    The permutation is never stored: a swap-or-not shuffle (Hoang, Morris and Rogaway, 2012, Fig. 1) maps a place in
    the epoch to a position for any traced size. In each round the partner of `x` is `k - x mod size`, and a
    hash of the larger of the two, keyed by round and epoch, decides for both whether they swap.

    The arguments and the result are those of `with_replacement`, but `(step + 1) * batch` must stay below 2^32, and the
    positions of one epoch are all different.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> sorted(epochs(jax.random.key(0), jnp.int32(0), jnp.int32(5), batch=5).tolist())
        [0, 1, 2, 3, 4]
    """
    size = size.astype(jnp.uint32)
    place = step.astype(jnp.uint32) * jnp.uint32(batch) + jnp.arange(batch, dtype=jnp.uint32)
    epoch = place // size
    salt = jax.random.bits(key, (ROUNDS, 2), jnp.uint32)

    def swap_or_not(position: UInt[jax.Array, " batch"], salt: UInt[jax.Array, "2"]) -> tuple[jax.Array, None]:
        partner = _hash(epoch ^ salt[0]) % size + size - position
        partner = jnp.where(partner >= size, partner - size, partner)
        swap = _hash(jnp.maximum(position, partner) ^ _hash(epoch ^ salt[1])) >> 31
        return jnp.where(swap == 1, partner, position), None

    position, _ = jax.lax.scan(swap_or_not, place % size, salt, unroll=8)
    return jnp.asarray(position, jnp.int32)


def consecutive(
    key: KeyArray, step: Int[jax.Array, ""], size: Int[jax.Array, ""], *, batch: int
) -> Int[jax.Array, " batch"]:
    """Read windows of one long sequence in order: each place in the batch repeats its own part from start to end.

    The continuous minibatches of language models (Hestness et al., 2019, section A.2.1). The sequence is cut into
    `batch` parts of `size // batch` windows, which are read concurrently; the remainder at the end is never read.

    The arguments and the result are those of `with_replacement`, but `key` is not used, and `size` counts windows and
    is at least `batch`. The positions of the next step follow those of this step, except where the parts start over.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> [consecutive(jax.random.key(0), jnp.int32(step), jnp.int32(7), batch=2).tolist() for step in range(4)]
        [[0, 3], [1, 4], [2, 5], [0, 3]]
    """
    length = jnp.maximum(size // batch, 1)
    return jnp.minimum(jnp.arange(batch, dtype=jnp.int32) * length + step % length, size - 1).astype(jnp.int32)


def _hash(value: UInt[jax.Array, " n"]) -> UInt[jax.Array, " n"]:
    """Apply the finalizer of MurmurHash3, a bijection of 32-bit words in which each input bit affects all output."""
    value = (value ^ (value >> 16)) * jnp.uint32(0x85EBCA6B)
    value = (value ^ (value >> 13)) * jnp.uint32(0xC2B2AE35)
    return value ^ (value >> 16)
