"""Which examples: balanced nested orders, splits, blocks of a recording, shard sizes."""

import heapq
import itertools
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Int, Integer, Key

__all__ = ["contiguous_blocks", "random_order", "rotated_order", "shard_sizes", "stratified_order", "stratified_split"]

Array = jax.Array | np.ndarray


def random_order(key: Key[jax.Array, ""], n: int) -> Int[np.ndarray, " n"]:
    """Uniformly random permutation of `0 .. n-1`, the same in either floating precision.

    Args:
        key: typed JAX key.
        n: how many.

    Returns:
        The permutation, `(n,)` int32, on the host.

    Examples:
        >>> import jax
        >>> sorted(random_order(jax.random.key(0), 4).tolist())
        [0, 1, 2, 3]
    """
    high, low = np.asarray(jax.random.bits(key, (2, n), "uint32"))
    return np.lexsort((low, high)).astype(np.int32)


def rotated_order(key: Key[jax.Array, ""], n: int) -> Int[np.ndarray, " n"]:
    """`0 .. n-1` from a random place on and round to it again: the order of a text that is read in one go.

    Args:
        key: typed JAX key.
        n: how many.

    Returns:
        The order, `(n,)` int32, on the host.

    Examples:
        >>> import jax
        >>> rotated_order(jax.random.key(1), 5).tolist()
        [1, 2, 3, 4, 0]
    """
    first = int(jax.random.randint(key, (), 0, n))
    return ((np.arange(n) + first) % n).astype(np.int32)


def stratified_order(key: Key[jax.Array, ""], labels: Integer[Array, " n"]) -> Int[np.ndarray, " n"]:
    """Order in which every prefix has every class at its share, to within one example.

    A prefix of t examples holds between `t n_c / n - 1` and `t n_c / n + 1` (both excluded) of a class with n_c of the
    n examples. Sorting by `(rank within class) / n_c` does not ensure this once there are many classes; this is the
    chairman assignment problem, whose bound `1 - 1/(2 c - 2)` Tijdeman (Discrete Mathematics 32, 1980, 323-330) proved
    to be reachable and the best possible. His rule gives each example of each class a first and a last admissible
    place; taking at each place the admissible example whose last place is nearest meets them all. Within a class the
    order is uniformly random, and so is the choice between examples that are due at the same place.

    Args:
        key: typed JAX key.
        labels: class of each example, `(n,)`, any integers.

    Returns:
        Permutation of `0 .. n-1`, `(n,)` int32, on the host.

    Examples:
        >>> import jax, numpy as np
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

    # With s = 2 c - 2, the m-th example (m = 1, 2, ...) of a class of n_c may come at place t (from 1) once
    # t n_c / n - (m - 1) >= 1/s, and must have come when that exceeds 1 - 1/s. Integers throughout: no rounding.
    by_class = np.argsort(member, kind="stable")
    place_in_class = np.empty(n, np.int64)
    place_in_class[by_class] = np.arange(n) - np.repeat(np.cumsum(count) - count, count)
    s, size = 2 * classes - 2, count[member].astype(np.int64)
    release = -(-((place_in_class * s + 1) * n) // (s * size))
    deadline = (((place_in_class + 1) * s - 1) * n) // (s * size) + 1

    by_release = np.argsort(release, kind="stable").tolist()
    releases, deadlines = release.tolist(), deadline.tolist()
    admissible: list[tuple[int, int]] = []
    chosen = np.empty(n, np.int64)
    waiting = 0
    for t in range(n):
        while waiting < n and releases[by_release[waiting]] <= t + 1:
            position = by_release[waiting]
            heapq.heappush(admissible, (deadlines[position], position))  # positions are random: fair ties
            waiting += 1
        chosen[t] = heapq.heappop(admissible)[1]
    return shuffled[chosen]


def stratified_split(
    key: Key[jax.Array, ""], labels: Integer[Array, " n"], fraction: float
) -> tuple[Int[np.ndarray, " kept"], Int[np.ndarray, " held_out"]]:
    """Split off a random part in which every class has its share, to within one example.

    Args:
        key: typed JAX key.
        labels: class of each example, `(n,)`.
        fraction: share of the examples to hold out, in (0, 1); rounded to the nearest number of examples.

    Returns:
        Indices that stay and indices held out, each ascending, int32.

    Raises:
        ValueError: `fraction` is outside (0, 1) or leaves one part empty.

    Examples:
        >>> import jax, numpy as np
        >>> kept, held_out = stratified_split(jax.random.key(0), np.repeat([0, 1], 50), 0.2)
        >>> kept.size, np.bincount(np.repeat([0, 1], 50)[held_out]).tolist()
        (80, [10, 10])
    """
    count = held_out_count(np.asarray(labels).size, fraction)
    order = stratified_order(key, labels)
    return np.sort(order[count:]), np.sort(order[:count])


def held_out_count(n: int, fraction: float) -> int:
    """Number of examples that a share of n amounts to.

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
    key: Key[jax.Array, ""], n: int, fractions: Sequence[float], *, periods: int, gap: int
) -> tuple[Int[np.ndarray, " part"], ...]:
    """Split a recording into unbroken stretches, so that near-equal neighbours do not fall on both sides.

    The recording is cut into equal periods; each period gives one stretch to every part, in an order drawn anew for
    each period, and `gap` examples are dropped between any two neighbouring stretches.

    Args:
        key: typed JAX key, for the order of the parts within a period.
        n: examples in the recording, in time order.
        fractions: share of each part; they sum to one.
        periods: how many times every part recurs.
        gap: examples dropped between stretches.

    Returns:
        Ascending indices of each part, int32.

    Raises:
        ValueError: `fractions` are not positive or do not sum to one, or a stretch would be empty.

    Examples:
        >>> import jax
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
    """Numbers of examples of the shards that given shares of the training set amount to.

    Args:
        n: examples in the training set.
        fractions: shares, each in (0, 1].
        classes: number of classes, 0 for regression; a shard needs at least one example of each.

    Returns:
        Ascending sizes, int32, rounded to the nearest example.

    Raises:
        ValueError: no shares, a share outside (0, 1], two shares that give the same size, or a shard with fewer
            examples than classes.

    Examples:
        >>> shard_sizes(1000, (0.03125, 0.5, 1.0)).tolist()
        [31, 500, 1000]
    """
    outside = [fraction for fraction in fractions if not 0 < fraction <= 1]
    if outside or not fractions:
        raise ValueError(f"Shares of the training set must lie in (0, 1], got {outside if outside else 'none'}.")
    ordered = sorted(fractions)
    sizes = np.array([round(n * fraction) for fraction in ordered], np.int32)
    if sizes[0] < max(classes, 1):
        needed = f"there are {classes} classes" if classes else "it must not be empty"
        raise ValueError(f"A share of {ordered[0]} of {n} examples is {sizes[0]} examples, but {needed}.")
    if np.any(np.diff(sizes) == 0):
        raise ValueError(f"Two shares give the same size: {sizes.tolist()} from {ordered} of {n} examples.")
    return sizes
