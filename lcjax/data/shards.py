"""Which order of the training set a shard is a prefix of: one for all sizes, or an independent draw for each.

Hestness et al. (2018, section 3) "divide a training set into independent shards of different sizes". With nested
shards, the prefixes of one order, errors at neighbouring sizes rise and fall together, and more data never are other
data; independent ones scatter freely. Shards larger than half the set overlap all the same.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Int, Key

from lcjax.data.subsets import random_order

__all__ = ["Shards", "independent_orders", "independent_shards", "nested_shards"]

Shards = Callable[[jax.Array, int], jax.Array]  # (key of a seed's orders, size) -> key of the order


def nested_shards(key: Key[jax.Array, ""], size: int) -> Key[jax.Array, ""]:
    """All shards of a seed are prefixes of one order: the choice of `Runs.shards` by default.

    Args:
        key: of the seed's orders.
        size: examples of the shard.

    Returns:
        Key of the order that the shard is a prefix of: the same for every size.

    Examples:
        >>> key = jax.random.key(0)
        >>> bool(nested_shards(key, 10) == nested_shards(key, 20))
        True
    """
    return key


def independent_shards(key: Key[jax.Array, ""], size: int) -> Key[jax.Array, ""]:
    """Each size has an order of its own, which does not depend on which other sizes there are.

    Args:
        key: of the seed's orders.
        size: examples of the shard.

    Returns:
        Key of the order that the shard is a prefix of.

    Examples:
        >>> key = jax.random.key(0)
        >>> bool(independent_shards(key, 10) == independent_shards(key, 20))
        False
    """
    return jax.random.fold_in(key, size)


def independent_orders(
    key: Key[jax.Array, ""],
    n: Any,
    sizes: Sequence[int] | np.ndarray,
    *,
    order: Callable[..., np.ndarray] = random_order,
) -> Int[np.ndarray, "s n"]:
    """One order of the training set for each shard size, each drawn for itself; shards are prefixes of their own order.

    The orders that a sweep with `independent_shards` takes.

    Args:
        key: typed JAX key; the order of a size does not depend on which others are asked for.
        n: what `order` takes behind the key: the number of examples, or the labels for `stratified_order`.
        sizes: numbers of examples, no two equal.
        order: `random_order`, `stratified_order`, or `rotated_order` for windows of a continuous text.

    Returns:
        The order of each size, int32, on the host.

    Raises:
        ValueError: a size is not in [1, n], or given twice.

    Examples:
        >>> orders = independent_orders(jax.random.key(0), 100, [10, 20])
        >>> orders.shape, len(set(orders[0, :10]) & set(orders[1, :10])) < 10
        ((2, 100), True)
    """
    count = n if isinstance(n, int) else len(n)
    chosen = [int(size) for size in sizes]
    outside = [size for size in chosen if not 1 <= size <= count]
    if outside or not chosen:
        raise ValueError(f"Shard sizes must lie in [1, {count}], got {outside if outside else 'none'}.")
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"Shard sizes must differ, got {chosen}.")
    return np.stack([order(independent_shards(key, size), n) for size in chosen])
