"""Independent draws of a training set, beside the nested prefixes of one order that sweeps take by default."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Int, Key

from lcjax.data.subsets import random_order

__all__ = ["independent_orders"]


def independent_orders(
    key: Key[jax.Array, ""],
    n: Any,
    sizes: Sequence[int] | np.ndarray,
    *,
    order: Callable[..., np.ndarray] = random_order,
) -> Int[np.ndarray, "s n"]:
    """One order of the training set for each shard size, each drawn for itself; shards are prefixes of their own order.

    Hestness et al. (2018, section 3) "divide a training set into independent shards of different sizes". With nested
    shards, the prefixes of one order, errors at neighbouring sizes rise and fall together; independent ones scatter
    freely, which is what confidence intervals of a fit assume. Shards larger than half the set overlap all the same.

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
    return np.stack([order(jax.random.fold_in(key, size), n) for size in chosen])
