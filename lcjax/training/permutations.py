"""The orders of the training set that the shards of a table are prefixes of."""

import jax
import numpy as np
from jaxtyping import Int, Key

from lcjax.data.examples import Data
from lcjax.data.subsets import random_order, rotated_order, stratified_order
from lcjax.training.execution import step as steps
from lcjax.training.runs import Runs

__all__ = ["order_keys", "orders_of"]


def order_keys(key: Key[jax.Array, ""], runs: Runs) -> tuple[list[Key[jax.Array, ""]], Int[np.ndarray, " w"]]:
    """The key of each distinct order, by seed and then size, ascending; and each run's place among them.

    Nested shards need one order a seed, independent ones one for each seed and size.
    """
    pairs = [(int(s), int(n)) for s, n in zip(runs.columns["seed"], runs.columns["size"], strict=True)]
    streams = {seed: steps.stream(key, seed, steps.ORDER) for seed, _ in set(pairs)}
    keys: list[Key[jax.Array, ""]] = []
    known: dict[bytes, int] = {}
    place = {}
    for seed, size in sorted(set(pairs)):
        own = runs.shards(streams[seed], size)
        place[seed, size] = known.setdefault(np.asarray(jax.random.key_data(own)).tobytes(), len(keys))
        if len(known) > len(keys):
            keys.append(own)
    return keys, np.array([place[pair] for pair in pairs])


def orders_of(key: Key[jax.Array, ""], data: Data, runs: Runs) -> tuple[Int[np.ndarray, "r n"], Int[np.ndarray, " w"]]:
    """The distinct orders of the training set, and each run's row among them.

    Balanced (`stratified_order`) for classes, uniform for regression and sequences, and consecutive windows from a
    place of the order's own on for programs that carry a state from window to window.
    """
    keys, row = order_keys(key, runs)
    labels = np.asarray(data.train.targets)
    if runs.programs[int(runs.program[0])].continuous:
        orders = [rotated_order(own, len(labels)) for own in keys]
    elif data.classes and labels.ndim == 1:
        orders = [stratified_order(own, labels) for own in keys]
    else:
        orders = [random_order(own, len(labels)) for own in keys]
    return np.stack([np.asarray(order, np.int32) for order in orders]), row
