"""Storage of a sparse network in bits, and the number of its live neurons."""

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from lcjax.compression.selection import leaves_by_layer
from lcjax.typing import Array, ArrayTree

__all__ = ["STORAGES", "compression_ratio", "live_neurons", "nonzero_counts", "stored_bits"]

STORAGES = ("dense", "bit mask", "CSR")


def nonzero_counts(params: ArrayTree) -> dict[str, Int[Array, ""]]:
    """Count the nonzero parameters of each layer, biases included.

    Examples:
        >>> nonzero_counts({"head": {"bias": jnp.array([0.0, 1.0]), "kernel": jnp.array([[0.0, 2.0], [0.0, 3.0]])}})
        {'head': Array(3, dtype=int32)}
    """
    counts: dict[str, Array] = {}
    for layer, leaf in leaves_by_layer(params):
        counts[layer] = counts.get(layer, jnp.int32(0)) + jnp.count_nonzero(leaf).astype(jnp.int32)
    return counts


def compression_ratio(before: Int[Array, "*b"], after: Int[Array, "*b"]) -> Float[jax.Array, "*b"]:
    """Compute the ratio of nonzero parameters before and after pruning (Sharma et al., 2019, section 5.2.4).

    Biases are included. The ratio is at least 1 if pruning has only removed parameters, inf if none is left, and 1 if
    there was none before.

    Examples:
        >>> compression_ratio(jnp.array([20252, 20252, 0]), jnp.array([4, 0, 0])).tolist()
        [5063.0, inf, 1.0]
    """
    dtype = jnp.result_type(float)
    before, after = jnp.asarray(before, dtype), jnp.asarray(after, dtype)
    return jnp.where(before == after, 1.0, before / after)


def live_neurons(params: ArrayTree) -> dict[str, Int[Array, ""]]:
    """Count the outputs of each layer that depend on its input: those with a nonzero weight.

    Weights are leaves of two axes or more with the outputs last, as in Flax; an output with only a bias is constant.
    The use of an output by later layers is ignored.

    Examples:
        >>> live_neurons({"head": {"bias": jnp.array([0.0, 1.0, 1.0]), "kernel": jnp.array([[0.0, 2.0, 0.0]])}})
        {'head': Array(1, dtype=int32)}
    """
    counts: dict[str, Array] = {}
    for layer, leaf in leaves_by_layer(params):
        if leaf.ndim > 1:
            live = jnp.any(leaf != 0, axis=tuple(range(leaf.ndim - 1)))
            counts[layer] = counts.get(layer, jnp.int32(0)) + jnp.sum(live, dtype=jnp.int32)
    return counts


def stored_bits(params: ArrayTree, *, value_bits: int | None = None) -> dict[str, Float[Array, ""]]:
    """Count the bits of a network in three storage formats, which put a compression ratio into perspective.

    - "dense": every parameter.
    - "bit mask": one bit a parameter, then the nonzero parameters.
    - "CSR": the nonzero parameters, each with its column, and the start of each row. Rows are outputs (the last axis),
      a vector is one row; columns and starts take the fewest bits that hold the largest one of the leaf.

    Args:
        params: any pytree of arrays.
        value_bits: bits of one parameter, by default those of its dtype; 8 for a network quantized to 8 bits.

    Returns:
        Bits by the names in `STORAGES`, floating: they may exceed 32-bit integers.

    Examples:
        >>> {name: int(bits) for name, bits in stored_bits({"kernel": jnp.eye(64)}).items()}
        {'dense': 131072, 'bit mask': 6144, 'CSR': 3277}
    """
    total: dict[str, Array] = dict.fromkeys(STORAGES, jnp.zeros((), jnp.result_type(float)))
    for _, leaf in leaves_by_layer(params):
        bits = value_bits or 8 * leaf.dtype.itemsize
        rows = leaf.shape[-1] if leaf.ndim > 1 else 1
        column = max((leaf.size // max(rows, 1)) - 1, 1).bit_length()
        nonzero = jnp.count_nonzero(leaf).astype(jnp.result_type(float))
        total["dense"] += float(leaf.size * bits)
        total["bit mask"] += float(leaf.size) + nonzero * bits
        total["CSR"] += nonzero * (bits + column) + float((rows + 1) * leaf.size.bit_length())
    return total
