"""What a sparse net costs to store, and how many of its neurons are live."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from lcjax.compression.selection import chosen, layer_of

__all__ = ["STORAGES", "compression_ratio", "live_neurons", "stored_bits", "surviving"]

Array = jax.Array | np.ndarray

STORAGES = ("dense", "bit mask", "CSR")


def surviving(params: Any) -> dict[str, Int[Array, ""]]:
    """Parameters that are not zero, biases included, in each layer.

    Examples:
        >>> surviving({"head": {"bias": np.array([0.0, 1.0]), "kernel": np.array([[0.0, 2.0], [0.0, 3.0]])}})
        {'head': Array(3, dtype=int32)}
    """
    counts: dict[str, Any] = {}
    for layer, leaf in _floating(params):
        counts[layer] = counts.get(layer, jnp.int32(0)) + jnp.count_nonzero(leaf).astype(jnp.int32)
    return counts


def compression_ratio(before: Int[Array, "*b"], after: Int[Array, "*b"]) -> Float[jax.Array, "*b"]:
    """Ratio of Sharma et al. (section 5.2.4): non-zero parameters before pruning, by those after, biases included.

    Args:
        before: non-zero parameters of the net as trained.
        after: those that are left.

    Returns:
        At least 1 where pruning has only removed; inf where nothing is left, 1 where there was nothing before.

    Examples:
        >>> compression_ratio(jnp.array([20252, 20252, 0]), jnp.array([4, 0, 0])).tolist()
        [5063.0, inf, 1.0]
    """
    dtype = jnp.result_type(float)
    before, after = jnp.asarray(before, dtype), jnp.asarray(after, dtype)
    return jnp.where(before == after, 1.0, before / after)


def live_neurons(params: Any) -> dict[str, Int[Array, ""]]:
    """Outputs of each layer that depend on its input: those with a weight that is not zero.

    Weights are leaves of two axes or more, the outputs last, as Flax has them; an output with a bias alone is a
    constant. What a later layer does with an output is not looked at.

    Examples:
        >>> live_neurons({"head": {"bias": np.array([0.0, 1.0, 1.0]), "kernel": np.array([[0.0, 2.0, 0.0]])}})
        {'head': Array(1, dtype=int32)}
    """
    counts: dict[str, Any] = {}
    for layer, leaf in _floating(params):
        if leaf.ndim > 1:
            live = jnp.any(leaf != 0, axis=tuple(range(leaf.ndim - 1)))
            counts[layer] = counts.get(layer, jnp.int32(0)) + jnp.sum(live, dtype=jnp.int32)
    return counts


def stored_bits(params: Any, *, value_bits: int | None = None) -> dict[str, Float[Array, ""]]:
    """Bits that a net takes in three ways of storing it, and so what a compression ratio is worth.

    - "dense": every parameter.
    - "bit mask": one bit a parameter, then those that are not zero.
    - "CSR": those that are not zero, each with its column, and where each row starts. Rows are outputs (the last
      axis), a vector is one row; columns and starts take the fewest bits that can hold the largest of the leaf.

    Args:
        params: any pytree of arrays.
        value_bits: of one parameter, of its dtype by default: 8 for a net quantized to 8 bits.

    Returns:
        Bits, by the names in `STORAGES`, floating: their number may exceed what 32-bit integers hold.

    Examples:
        >>> {name: int(bits) for name, bits in stored_bits({"kernel": np.eye(64, dtype="float32")}).items()}
        {'dense': 131072, 'bit mask': 6144, 'CSR': 3277}
    """
    total: dict[str, Any] = dict.fromkeys(STORAGES, jnp.zeros((), jnp.result_type(float)))
    for _, leaf in _floating(params):
        bits = value_bits or 8 * leaf.dtype.itemsize
        rows = leaf.shape[-1] if leaf.ndim > 1 else 1
        column = max((leaf.size // max(rows, 1)) - 1, 1).bit_length()
        left = jnp.count_nonzero(leaf).astype(jnp.result_type(float))
        total["dense"] += float(leaf.size * bits)
        total["bit mask"] += float(leaf.size) + left * bits
        total["CSR"] += left * (bits + column) + float((rows + 1) * leaf.size.bit_length())
    return total


def _floating(params: Any) -> Iterator[tuple[str, Any]]:
    """Layer and leaf of all that are weights; counters and the like are none."""
    paths = chosen(params, lambda path, leaf: jnp.issubdtype(leaf.dtype, jnp.floating))
    for (path, floating), leaf in zip(paths.items(), jax.tree.leaves(params), strict=True):
        if floating:
            yield layer_of(path), leaf
