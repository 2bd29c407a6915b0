"""Orders of the training set, of which the shards of a table are prefixes."""

import jax
import numpy as np
from jaxtyping import Int

from lcjax.data.examples import Data
from lcjax.data.subsets import random_order, rotated_order, stratified_order
from lcjax.training.execution import step as steps
from lcjax.training.runs import Runs
from lcjax.typing import KeyArray

__all__ = ["order_keys", "orders_of"]


def order_keys(key: KeyArray, runs: Runs) -> tuple[list[KeyArray], Int[np.ndarray, " w"]]:
    """Return the key of each distinct order, by seed and then size, ascending, and each run's place among them.

    Nested shards need one order per seed, independent ones an order for each seed and size.
    """
    pairs = [(int(s), int(n)) for s, n in zip(runs.columns["seed"], runs.columns["size"], strict=True)]
    streams = {seed: steps.stream(key, seed, steps.ORDER) for seed, _ in set(pairs)}
    keys: list[KeyArray] = []
    known: dict[bytes, int] = {}
    place = {}
    for seed, size in sorted(set(pairs)):
        order_key = runs.shards(streams[seed], size)
        place[seed, size] = known.setdefault(np.asarray(jax.random.key_data(order_key)).tobytes(), len(keys))
        if len(known) > len(keys):
            keys.append(order_key)
    return keys, np.array([place[pair] for pair in pairs])


def orders_of(key: KeyArray, data: Data, runs: Runs) -> tuple[Int[np.ndarray, "r n"], Int[np.ndarray, " w"]]:
    """Return the distinct orders of the training set, and each run's row among them.

    Orders are balanced (`stratified_order`) for classes, uniform for regression and sequences, and for programs that
    carry a state from window to window, consecutive windows from a start of each order's own.
    """
    keys, row = order_keys(key, runs)
    labels = np.asarray(data.train.targets)
    if runs.programs[int(runs.program[0])].continuous:
        orders = [rotated_order(order_key, len(labels)) for order_key in keys]
    elif data.classes and labels.ndim == 1:
        orders = [stratified_order(order_key, labels) for order_key in keys]
    else:
        orders = [random_order(order_key, len(labels)) for order_key in keys]
    return np.stack([np.asarray(order, np.int32) for order in orders]), row
