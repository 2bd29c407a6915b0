"""Subsets of a data set: nested orders, splits, blocks of a recording, shard sizes."""

import dataclasses
import heapq
import itertools
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Int, Integer, UInt32

from lcjax.kernels.compilation import jit_by_size
from lcjax.typing import Array, KeyArray

__all__ = [
    "HoldOut",
    "contiguous_blocks",
    "held_out_count",
    "random_order",
    "rotated_order",
    "shard_sizes",
    "stratified_order",
    "stratified_split",
]

_MANY_CLASSES = 10  # more of them than a shard has examples may be quantities


@dataclasses.dataclass(frozen=True)
class HoldOut:
    """Random splits of a data set that comes without them.

    Attributes:
        seed: seed of every random split.
        validation_fraction: share of the examples left after the test split that goes to validation, in (0, 1).
        test_fraction: share of the examples that goes to the test split, in (0, 1).

    Raises:
        ValueError: a share is outside (0, 1).
    """

    seed: int = 0
    validation_fraction: float = 1 / 6
    test_fraction: float = 0.2

    def __post_init__(self) -> None:
        for name in ("validation_fraction", "test_fraction"):
            fraction = getattr(self, name)
            if not 0 < fraction < 1:
                raise ValueError(f"{name} must lie between 0 and 1, got {fraction}.")


def random_order(key: KeyArray, n: int) -> Int[np.ndarray, " n"]:
    """Return a uniformly random permutation of `0 .. n-1`, int32, on the host; it is the same in both precisions.

    Examples:
        >>> sorted(random_order(jax.random.key(0), 4).tolist())
        [0, 1, 2, 3]
    """
    high, low = np.asarray(_random_words(key, n))
    return np.lexsort((low, high)).astype(np.int32)


@jit_by_size(static_argnames="n")
def _random_words(key: KeyArray, n: int) -> UInt32[jax.Array, "2 {n}"]:
    return jax.random.bits(key, (2, n), "uint32")


def rotated_order(key: KeyArray, n: int) -> Int[np.ndarray, " n"]:
    """Return `0 .. n-1` rotated to a random start, int32, on the host: the order of a continuously read text.

    Examples:
        >>> rotated_order(jax.random.key(1), 5).tolist()
        [1, 2, 3, 4, 0]
    """
    first = int(jax.random.randint(key, (), 0, n))
    return ((np.arange(n) + first) % n).astype(np.int32)


def stratified_order(key: KeyArray, labels: Integer[Array, " n"]) -> Int[np.ndarray, " n"]:
    """Return an order in which every prefix has every class at its share, to within one example.

    A prefix of t examples holds between `t n_c / n - 1` and `t n_c / n + 1` (both excluded) of a class with n_c of the
    n examples. Sorting by `(rank within class) / n_c` does not ensure this if there are many classes. This is the
    chairman assignment problem; Tijdeman (1980, Discrete Mathematics 32, 323-330) proved that its bound
    `1 - 1/(2 c - 2)` is attainable and the best possible. His rule gives each example of each class a first and a last
    admissible place; filling each place with the admissible example whose last place is nearest meets them all. Within
    a class the order is uniformly random, and so is the choice between examples that are due at the same place. The
    result is a permutation of `0 .. n-1`, `(n,)` int32, on the host.

    Args:
        key: typed JAX key.
        labels: class of each example, `(n,)`, any integers.

    Examples:
        >>> labels = np.array([0, 0, 0, 0, 1, 1])
        >>> order = stratified_order(jax.random.key(0), labels)
        >>> sorted(labels[order[:3]].tolist()), sorted(order.tolist())
        ([0, 0, 1], [0, 1, 2, 3, 4, 5])
    """
    labels = np.asarray(labels)
    n = labels.size
    shuffled = random_order(key, n)
    _, member, count = np.unique(labels[shuffled], return_inverse=True, return_counts=True)
    classes = count.size
    if classes <= 1:
        return shuffled

    # With s = 2 c - 2, the m-th example (m = 1, 2, ...) of a class of n_c is admissible at place t (from 1) once
    # t n_c / n - (m - 1) >= 1/s, and due when that exceeds 1 - 1/s. Integers throughout: no rounding.
    by_class = np.argsort(member, kind="stable")
    place_in_class = np.empty(n, np.int64)
    place_in_class[by_class] = np.arange(n) - np.repeat(np.cumsum(count) - count, count)
    s, size = 2 * classes - 2, count[member].astype(np.int64)
    release = -(-((place_in_class * s + 1) * n) // (s * size))
    deadline = (((place_in_class + 1) * s - 1) * n) // (s * size) + 1

    by_release = np.argsort(release, kind="stable").tolist()
    releases, deadlines = release.tolist(), deadline.tolist()
    admissible: list[tuple[int, int]] = []
    order = np.empty(n, np.int64)
    waiting = 0
    for t in range(n):
        while waiting < n and releases[by_release[waiting]] <= t + 1:
            position = by_release[waiting]
            heapq.heappush(admissible, (deadlines[position], position))  # positions are random: fair ties
            waiting += 1
        order[t] = heapq.heappop(admissible)[1]
    return shuffled[order]


def stratified_split(
    key: KeyArray, labels: Integer[Array, " n"], fraction: float
) -> tuple[Int[np.ndarray, " rest"], Int[np.ndarray, " held_out"]]:
    """Hold out a random part in which every class has its share, to within one example.

    Args:
        key: typed JAX key.
        labels: class of each example, `(n,)`.
        fraction: share of the examples to hold out, in (0, 1); rounded to the nearest number of examples.

    Returns:
        Indices that remain and indices held out, each ascending, int32.

    Raises:
        ValueError: `fraction` is outside (0, 1) or leaves one part empty.

    Examples:
        >>> rest, held_out = stratified_split(jax.random.key(0), np.repeat([0, 1], 50), 0.2)
        >>> rest.size, np.bincount(np.repeat([0, 1], 50)[held_out]).tolist()
        (80, [10, 10])
    """
    count = held_out_count(np.asarray(labels).size, fraction)
    order = stratified_order(key, labels)
    return np.sort(order[count:]), np.sort(order[:count])


def held_out_count(n: int, fraction: float) -> int:
    """Return the number of examples in a share of n, rounded.

    Raises:
        ValueError: `fraction` is outside (0, 1) or leaves one part empty.

    Examples:
        >>> held_out_count(1797, 0.2)
        359
    """
    if not 0 < fraction < 1:
        raise ValueError(f"The share to hold out must lie between 0 and 1, got {fraction}.")
    count = round(n * fraction)
    if not 0 < count < n:
        raise ValueError(f"Holding out {fraction} of {n} examples leaves one part empty.")
    return count


def contiguous_blocks(
    key: KeyArray, n: int, fractions: Sequence[float], *, periods: int, gap: int
) -> tuple[Int[np.ndarray, " _"], ...]:
    """Split a recording into contiguous stretches, so that near-equal neighbors do not fall into different parts.

    The recording is cut into equal periods. Each period contributes one stretch to every part, in an order drawn for
    that period, and `gap` examples are dropped between neighboring stretches.

    Args:
        key: typed JAX key, for the order of the parts within a period.
        n: examples in the recording, in time order.
        fractions: share of each part; they sum to one.
        periods: number of stretches of every part.
        gap: examples dropped between stretches.

    Returns:
        Ascending indices of each part, int32.

    Raises:
        ValueError: `fractions` are not positive or do not sum to one, or a stretch would be empty.

    Examples:
        >>> train, test = contiguous_blocks(jax.random.key(1), 20, (0.75, 0.25), periods=1, gap=2)
        >>> train.size + test.size
        18
    """
    share = np.asarray(fractions, float)
    if share.size == 0 or not np.all(share > 0) or abs(share.sum() - 1) > 1e-9:
        raise ValueError(f"Shares of the parts must be positive and sum to one, got {tuple(fractions)}.")
    if periods < 1 or gap < 0:
        raise ValueError(f"Need at least one period and no negative gap, got periods={periods}, gap={gap}.")
    parts: list[list[np.ndarray]] = [[] for _ in share]
    edges = np.round(np.linspace(0, n, periods + 1)).astype(int)
    for period, (start, stop) in enumerate(itertools.pairwise(edges)):
        order = random_order(jax.random.fold_in(key, period), share.size)
        stop = stop - gap if period < periods - 1 else stop
        room = stop - start - gap * (share.size - 1)
        cuts = np.round(np.concatenate([[0.0], np.cumsum(share[order])]) * room).astype(int)
        for position, part in enumerate(order):
            first, last = start + cuts[position] + position * gap, start + cuts[position + 1] + position * gap
            if last <= first:
                raise ValueError(
                    f"{n} examples are too few for {periods} periods of {share.size} stretches with gaps of {gap}."
                )
            parts[part].append(np.arange(first, last, dtype=np.int32))
    return tuple(np.concatenate(part) for part in parts)


def shard_sizes(n: int, fractions: Sequence[float], *, classes: int = 0) -> Int[np.ndarray, " s"]:
    """Return the sizes of shards that are given as shares of the training set.

    Args:
        n: examples in the training set.
        fractions: shares, each in (0, 1].
        classes: number of classes, 0 for regression; a shard needs at least one example of each.

    Returns:
        Ascending sizes, int32, rounded to the nearest example.

    Raises:
        ValueError: there are no shares, a share is outside (0, 1], two shares give the same size, or a shard has fewer
            examples than there are classes.

    Examples:
        >>> shard_sizes(1000, (0.03125, 0.5, 1.0)).tolist()
        [31, 500, 1000]
    """
    outside = [fraction for fraction in fractions if not 0 < fraction <= 1]
    if outside or len(fractions) == 0:
        raise ValueError(f"Fractions of the training set must lie in (0, 1], got {outside if outside else 'none'}.")
    ascending = sorted(fractions)
    sizes = np.array([round(n * fraction) for fraction in ascending], np.int32)
    if sizes[0] < max(classes, 1):
        reason = f"there are {classes} classes" if classes else "it must not be empty"
        remedy = f"Train on larger fractions (--fractions), from {max(classes, 1) / n:.2g}."
        if classes > _MANY_CLASSES:
            remedy += f" If the {classes} whole numbers are quantities, pass --regression."
        raise ValueError(f"A share of {ascending[0]} of {n} examples is {sizes[0]} examples, but {reason}. {remedy}")
    if np.any(np.diff(sizes) == 0):
        raise ValueError(f"Two shares give the same size: {sizes.tolist()} from {ascending} of {n} examples.")
    return sizes
