"""Orders of the training set whose prefixes are shards: one order for all sizes, or an independent order for each.

Hestness et al. (2019, section 3) "divide a training set into independent shards of different sizes". Nested shards are
prefixes of one order: errors at neighboring sizes are correlated, and a larger shard only adds examples. Independent
shards scatter freely; shards larger than half the set still overlap.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax
import numpy as np
from jaxtyping import Int, Integer

from lcjax.data.subsets import random_order
from lcjax.typing import Array, KeyArray

__all__ = ["Shards", "independent_orders", "independent_shards", "nested_shards"]

Shards: TypeAlias = Callable[[KeyArray, int], KeyArray]  # (key of a seed's orders, shard size) -> key of the order


def nested_shards(key: KeyArray, size: int) -> KeyArray:
    """Return the key of one order for all sizes, so that the shards of a seed are nested; the default of `Runs.shards`.

    Args:
        key: key of the seed's orders.
        size: number of examples in the shard.

    Examples:
        >>> key = jax.random.key(0)
        >>> bool(nested_shards(key, 10) == nested_shards(key, 20))
        True
    """
    return key


def independent_shards(key: KeyArray, size: int) -> KeyArray:
    """Return the key of an order for this size alone, whatever other sizes there are; arguments as `nested_shards`.

    Examples:
        >>> key = jax.random.key(0)
        >>> bool(independent_shards(key, 10) == independent_shards(key, 20))
        False
    """
    return jax.random.fold_in(key, size)


def independent_orders(
    key: KeyArray,
    n: int | Integer[Array, " n"],
    sizes: Sequence[int] | Int[np.ndarray, " s"],
    *,
    order: Callable[..., Int[np.ndarray, " n"]] = random_order,
) -> Int[np.ndarray, "s n"]:
    """Draw an order of the training set for each shard size independently, as a sweep with `independent_shards` does.

    Args:
        key: typed JAX key; the order of a size does not depend on the other sizes.
        n: argument of `order` after the key: the number of examples, or the labels for `stratified_order`.
        sizes: distinct numbers of examples.
        order: `random_order`, `stratified_order`, or `rotated_order` for windows of a continuous text.

    Returns:
        The order of each size, int32, on the host; a shard is a prefix of its own order.

    Raises:
        ValueError: a size is not a whole number in [1, n] or occurs twice.

    Examples:
        >>> orders = independent_orders(jax.random.key(0), 100, [10, 20])
        >>> orders.shape, len(set(orders[0, :10]) & set(orders[1, :10])) < 10
        ((2, 100), True)
    """
    count = n if isinstance(n, int) else len(n)
    outside = [size for size in sizes if not 1 <= size <= count or size != int(size)]
    if outside or len(sizes) == 0:
        raise ValueError(f"Shard sizes must be whole numbers in [1, {count}], got {outside if outside else 'none'}.")
    counts = [int(size) for size in sizes]
    if len(set(counts)) < len(counts):
        raise ValueError(f"Shard sizes must differ, got {counts}.")
    return np.stack([order(independent_shards(key, size), n) for size in counts])
