"""Subsets of the training examples of a collection, by size and repeat."""

import dataclasses
from typing import TypeAlias

import jax
import numpy as np
from jaxtyping import Int, Shaped

from lcjax.data.examples import fingerprint
from lcjax.data.groups import check_groups
from lcjax.data.shards import Shards, nested_shards
from lcjax.data.subsets import random_order, stratified_order
from lcjax.training.execution.step import ORDER, stream
from lcjax.typing import KeyArray

__all__ = ["ORDERS", "Subsets", "Task"]

Task: TypeAlias = tuple[int, int]  # size and repeat

ORDERS = ("random", "recent", "first")
"""Orders in which examples enter the subsets."""


@dataclasses.dataclass
class Subsets:
    """Nested subsets of the training examples.

    Repeat r has its own order, that of seed r in a sweep with the key of `seed`. The subset of n examples is the first
    n in this order: random, and with labels every class has its share in all of them. With groups, such as patients, a
    size counts groups, and all examples of a group enter together. "recent" and "first" take the last or first n
    examples by their numbers, in every repeat.

    Args:
        seed: seed of the orders.
        count: number of training examples, or None for a trainer that chooses by itself.
        labels: class or another label of each example, `(n,)`, or None.
        groups: group of each example, `(n,)`, or None.
        order: one of `ORDERS`.
        shards: one order for all sizes of a repeat, or an independent one for each.

    Raises:
        ValueError: labels or groups do not fit the number of examples, the order is not known, or an order by number is
            combined with labels or groups.
    """

    seed: int
    count: int | None
    labels: Shaped[np.ndarray, " n"] | None = None
    groups: Shaped[np.ndarray, " n"] | None = None
    order: str = "random"
    shards: Shards = nested_shards

    def __post_init__(self) -> None:
        if self.labels is not None and self.labels.shape != (self.count,):
            raise ValueError(
                f"labels must have shape ({self.count},), one for each training example, got {self.labels.shape}."
            )
        if self.order not in ORDERS:
            raise ValueError(f"order must be one of {', '.join(ORDERS)}, got {self.order!r}.")
        if self.order != "random" and not (self.labels is None and self.groups is None):
            named = "labels" if self.groups is None else "groups"
            raise ValueError(f"The order {self.order!r} is by number alone: leave out the {named}, or order at random.")
        self._numbers = None if self.labels is None else np.unique(self.labels, return_inverse=True)[1]
        self._member = None
        if self.groups is not None:
            assert self.count is not None
            check_groups(self.groups, self.count, parts=1)
            self._member = np.unique(self.groups, return_inverse=True)[1]
        self._last: tuple[bytes, np.ndarray, np.ndarray | None] | None = None

    @property
    def largest(self) -> int | None:
        """Largest possible size: the number of examples or groups, or None if it is not known."""
        return self.count if self._member is None else int(self._member.max()) + 1

    @property
    def classes(self) -> int:
        """Number of different labels; 0 without labels."""
        return 0 if self._numbers is None else int(self._numbers.max()) + 1

    @property
    def unit(self) -> str:
        """Unit of a size."""
        return "training examples" if self._member is None else "groups"

    def identity(self) -> dict[str, object]:
        """Return what the subsets depend on, as plain data."""
        given = {"labels": self._numbers, "groups": self._member}
        hashes = {name: None if value is None else fingerprint(value) for name, value in given.items()}
        return {
            "seed": self.seed, "examples": self.count, **hashes, "order": self.order, "shards": self.shards.__name__,
        }  # fmt: skip

    def indices(self, task: Task) -> Int[np.ndarray, " n"]:
        """Return the numbers of the training examples of one size and repeat."""
        size, repeat = task
        if self.count is None:
            return np.arange(size)
        if self.order != "random":
            return np.arange(self.count - size, self.count) if self.order == "recent" else np.arange(size)
        key = self.shards(stream(jax.random.key(self.seed), repeat, ORDER), size)
        name = np.asarray(jax.random.key_data(key)).tobytes()
        if self._last is None or self._last[0] != name:
            self._last = name, *self._draw(key)
        _, order, ends = self._last
        return order[: size if ends is None else ends[size - 1]]

    def _draw(self, key: KeyArray) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " g"] | None]:
        """Return an order of the examples, and the number of examples in its first 1, 2, ... groups."""
        assert self.count is not None
        if self._member is None:
            return self._shuffle(key, self.count, self._numbers), None
        counts = np.bincount(self._member)
        labels = None if self._numbers is None else _common_labels(self._member, self._numbers)
        order = self._shuffle(key, len(counts), labels)
        place = np.empty(len(counts), np.int64)
        place[order] = np.arange(len(counts))
        return np.argsort(place[self._member], kind="stable"), np.cumsum(counts[order])

    @staticmethod
    def _shuffle(key: KeyArray, count: int, labels: Int[np.ndarray, " n"] | None) -> Int[np.ndarray, " n"]:
        return random_order(key, count) if labels is None else stratified_order(key, labels)


def _common_labels(member: Int[np.ndarray, " n"], labels: Int[np.ndarray, " n"]) -> Int[np.ndarray, " g"]:
    """Return the most common label of each group."""
    pairs, counts = np.unique(np.stack([member, labels]), axis=1, return_counts=True)
    by_count = np.lexsort((counts, pairs[0]))
    last = np.append(np.flatnonzero(np.diff(pairs[0][by_count])), len(counts) - 1)
    return np.asarray(pairs[1][by_count][last])
