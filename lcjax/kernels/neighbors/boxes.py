"""Few dimensions: points sorted into tiles, boxes around tiles of tiles, and a pruned walk for every group of them."""

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Bool, Float, Int, Num, UInt32

from lcjax.kernels.integer_sort import argsort, order_words
from lcjax.kernels.neighbors.distance import ABSENT, Problem, Ranked, mark_varying, smallest
from lcjax.typing import Array

__all__ = ["box_search"]

MAX_BRANCHES = 32  # the children that a walk has yet to visit are the bits of one word


@dataclass(frozen=True)
class Plan:
    """A partition of points into cells of equal count."""

    cell: int  # points in each of the smallest cells
    cuts: int  # number of times that every cell is cut, across its widest side
    levels: int  # levels of boxes around the smallest cells; several levels may lie in one cut
    branches: int  # boxes in a box

    @property
    def slabs(self) -> int:
        """Number of parts that a cut makes."""
        return int(self.branches ** (self.levels // self.cuts))

    @property
    def size(self) -> int:
        """Number of points for which there is room."""
        return int(self.cell * self.branches**self.levels)


def plan(n: int, d: int, cell: int) -> Plan:
    """Plan the fewest levels that cut every dimension equally often, once each where that suffices."""
    for levels in itertools.count(1):
        branches = max(2, math.ceil((-(-n // cell)) ** (1 / levels) - 1e-9))
        if branches <= MAX_BRANCHES and (levels % d == 0 or branches <= 4):
            break
    return Plan(cell, d if levels % d == 0 else levels, levels, branches)


def rough_order(value: Float[Array, "r w"], live: Bool[Array, "r w"]) -> Int[jax.Array, "r w"]:
    """Sort the indices of each row by its values in float32, with entries that are not live last.

    The order groups points for a search and need not be exact. Differences from a middle value of the row are rounded,
    so that an offset does not blur the bulk.
    """
    sample = jnp.sort(jnp.where(live, value, 0)[:, :: max(1, value.shape[1] // 64)], axis=1)
    centred = (value - sample[:, sample.shape[1] // 2 :][:, :1]).astype(jnp.float32)
    return argsort([jnp.where(live, order_words(centred)[0], np.uint32(2**32 - 1))])


def partition(points: Float[Array, "n d"], live: Bool[Array, "n"], plan: Plan) -> Int[jax.Array, " size"]:
    """List the rows of the points cell by cell; rows that are not live come last, followed by n as padding."""
    n, d = points.shape
    order = jnp.minimum(jnp.arange(plan.size, dtype=jnp.int32), n)
    points = jnp.concatenate([points, jnp.zeros((1, d), points.dtype)])
    live = jnp.concatenate([live, jnp.zeros(1, bool)])
    for cut in range(plan.cuts):
        order = order.reshape(plan.slabs**cut, -1)
        x, here = points[order], live[order]
        low = jnp.min(jnp.where(here[..., None], x, jnp.inf), axis=1)
        high = jnp.max(jnp.where(here[..., None], x, -jnp.inf), axis=1)
        widest = jnp.argmax(high - low, axis=1)[:, None, None]
        side = jnp.take_along_axis(x, widest, axis=2)[..., 0]
        order = jnp.take_along_axis(order, rough_order(side, here), axis=1)
    return order.ravel()


def build(
    points: Float[Array, "n d"], label: Int[Array, "n"], plan: Plan
) -> tuple[Float[jax.Array, "nodes two_d cell"], Int[jax.Array, "nodes cell"]]:
    """Build the table of all nodes, level by level: bounds of the children, and their lowest index.

    The children of a smallest cell, a tile, are its points, as boxes without extent.
    """
    d = points.shape[1]
    order = partition(points, label != ABSENT, plan).reshape(-1, plan.cell)
    points = jnp.concatenate([points, jnp.zeros((1, d), points.dtype)])
    first = jnp.concatenate([label, jnp.full(1, ABSENT)])[order]
    x, live = jnp.swapaxes(points[order], 1, 2), (first != ABSENT)[:, None, :]
    low, high = jnp.where(live, x, jnp.inf), jnp.where(live, x, -jnp.inf)
    boxes, labels = [jnp.concatenate([low, high], axis=1)], [first]
    for _ in range(plan.levels):
        low = jnp.swapaxes(jnp.min(low, axis=2).reshape(-1, plan.branches, d), 1, 2)
        high = jnp.swapaxes(jnp.max(high, axis=2).reshape(-1, plan.branches, d), 1, 2)
        first = jnp.min(first, axis=1).reshape(-1, plan.branches)
        fill = plan.cell - plan.branches
        low = jnp.pad(low, ((0, 0), (0, 0), (0, fill)), constant_values=jnp.inf)
        high = jnp.pad(high, ((0, 0), (0, 0), (0, fill)), constant_values=-jnp.inf)
        first = jnp.pad(first, ((0, 0), (0, fill)), constant_values=ABSENT)
        boxes.append(jnp.concatenate([low, high], axis=1))
        labels.append(first)
    return jnp.concatenate(boxes[::-1]), jnp.concatenate(labels[::-1])


def lower_bound(query: Float[Array, "l d g"], box: Float[Array, "l e t"]) -> Float[jax.Array, "l t g"]:
    """Bound the squared distance from each query of a group to each box from below, `(l, t, g)`.

    Every operation is rounded as in `squared_distance`. Rounding is monotone, so the bound is never above the squared
    distance of any point in the box, and equals it for a point.
    """
    d = query.shape[1]
    zero = jnp.zeros((), query.dtype)

    def square(j: int) -> jax.Array:
        q = query[:, j, None, :]
        gap = lax.max(lax.max(box[:, j, :, None] - q, q - box[:, d + j, :, None]), zero)
        return lax.max(gap * gap, zero)

    return sum((square(j) for j in range(1, d)), square(0))


class _Walks(NamedTuple):
    """Results of all groups, and the state of one depth-first walk per lane."""

    values: Float[jax.Array, "groups k width"]  # squared distances of the finished groups
    indices: Int[jax.Array, "groups k width"]
    following: Int[jax.Array, ""]  # the next group without a lane
    group: Int[jax.Array, " lanes"]
    descending: Bool[jax.Array, " lanes"]  # True in lanes that have not reached their first tile
    home: Int[jax.Array, " lanes"]  # row of that first tile; -1 before it is reached
    todo: tuple[UInt32[jax.Array, " lanes"], ...]  # for each level, bits of the children yet to visit
    node: tuple[Int[jax.Array, " lanes"], ...]  # for each level, the node whose children these are
    best: Ranked  # squared distances and indices so far, `(lanes, k, width)`


def box_search(problem: Problem, *, k: int, memory: int) -> Ranked:
    """Search by tiles and a pruned walk through boxes; see `Search` for arguments and result.

    Queries are grouped in the same way as points. Each lane walks the tree for one group, depth first, and then takes
    the next group. It first descends to the tile nearest to the group's middle for a first bound, then visits the boxes
    that are nearer than the k-th neighbor so far of some query in the group, or as near with a lower index in them:
    O(log n) steps for a group in few dimensions. With few queries, sorting takes most of the time.

    Examples:
        >>> import jax.numpy as jnp
        >>> from lcjax.kernels.neighbors import nearest_neighbors
        >>> points = jnp.array([[2.0, 2.0], [-1.0, 0.0]])
        >>> nearest_neighbors(jnp.array([[0.0, 1.0]]), points, search=box_search).index
        Array([[1]], dtype=int32)
    """
    queries, points, label, excluded = problem
    m, d = queries.shape
    tree = plan(points.shape[0], d, max(MAX_BRANCHES, 1 << (2 * k - 1).bit_length()))
    tile, levels, branches = tree.cell, tree.levels, tree.branches
    box, name = build(points, label, tree)
    first_row = np.concatenate([[0], np.cumsum([branches**level for level in range(levels)])]).astype(np.int32)

    width = min(m, 16 if 4 * m >= points.shape[0] else 4)  # sparse queries lie too far apart to walk together
    groups = -(-m // width)
    order = partition(queries, jnp.ones(m, bool), plan(m, d, width))[: groups * width].reshape(groups, width)
    member = jnp.minimum(order, m - 1)
    member = jnp.where(order < m, order, member[:, :1])  # a group that is not full repeats its first query
    members = jnp.swapaxes(queries[member], 1, 2)
    exclude = excluded[member]

    most = (128 if width == 16 else 256) if jax.default_backend() == "cpu" else 1 << 14
    lanes = max(1, min(most, groups, memory // (queries.dtype.itemsize * tile * (2 * d + 4 * width))))
    bit = jnp.where(jnp.arange(tile) < MAX_BRANCHES, np.uint32(1) << (np.arange(tile, dtype=np.uint32) % 32), 0)
    bit = bit.astype(jnp.uint32)
    root = jnp.uint32(1)

    def unfinished(walks: _Walks) -> jax.Array:
        return jnp.any(jnp.stack(walks.todo) != 0)

    def step(walks: _Walks) -> _Walks:
        todo, node = list(walks.todo), list(walks.node)
        # The next node of each lane: the lowest child yet to visit, at the deepest level that has one.
        active = jnp.zeros(lanes, bool)
        level, here = jnp.zeros(lanes, jnp.int32), jnp.zeros(lanes, jnp.int32)
        for depth in reversed(range(levels + 1)):
            bits = todo[depth]
            use = (bits != 0) & ~active
            child = 31 - lax.clz(bits & (~bits + 1)).astype(jnp.int32)
            here = jnp.where(use, node[depth] * branches + child, here)
            level = jnp.where(use, depth, level)
            todo[depth] = jnp.where(use, bits & (bits - 1), bits)
            active |= use
        row = jnp.where(active, jnp.asarray(first_row)[level] + here, 0)
        at_tile = active & (level == levels)
        children, first = box[row], name[row]

        bound = lower_bound(members[walks.group], children)
        fresh = at_tile & (row != walks.home)  # the tile of the first descent counts once
        which = jnp.where(fresh[:, None], first, ABSENT)[:, :, None]
        which = jnp.where(which == exclude[walks.group][:, None, :], ABSENT, which)
        value, index = merge(walks.best, (jnp.where(which == ABSENT, jnp.inf, bound), which), k)

        last, latest = value[:, None, -1], index[:, None, -1]
        nearer = (bound < last) | ((bound == last) & (first[:, :, None] < latest))
        word = jnp.sum(jnp.where(nearer, bit[:, None], 0), axis=1, dtype=jnp.uint32)
        word = lax.reduce(word, np.uint32(0), lax.bitwise_or, (1,))
        middle = jnp.where(bit == 0, jnp.inf, bound[:, :, width // 2])
        least = middle == jnp.min(middle, axis=1, keepdims=True)
        nearest = jnp.sum(jnp.where(least, bit, 0), axis=1, dtype=jnp.uint32)
        word = jnp.where(walks.descending, nearest & (~nearest + 1), word)
        for depth in range(1, levels + 1):
            enter = active & ~at_tile & (level + 1 == depth)
            todo[depth] = jnp.where(enter, word, todo[depth])
            node[depth] = jnp.where(enter, here, node[depth])
        landed = walks.descending & at_tile
        todo[0] = jnp.where(landed, root, todo[0])
        home = jnp.where(landed, row, walks.home)

        done = active & jnp.all(jnp.stack(todo) == 0, axis=0)
        place = jnp.where(done, walks.group, groups)
        following = walks.following + jnp.cumsum(done, dtype=jnp.int32) - 1
        again = done & (following < groups)
        todo[0] = jnp.where(again, root, todo[0])
        return _Walks(
            values=walks.values.at[place].set(value, mode="drop"),
            indices=walks.indices.at[place].set(index, mode="drop"),
            following=walks.following + jnp.sum(done, dtype=jnp.int32),
            group=jnp.where(again, following, walks.group),
            descending=walks.descending & ~landed | again,
            home=jnp.where(again, -1, home),
            todo=tuple(todo),
            node=tuple(node),
            best=(jnp.where(again[:, None, None], jnp.inf, value), jnp.where(again[:, None, None], ABSENT, index)),
        )

    start = _Walks(
        values=jnp.full((groups, k, width), jnp.inf, queries.dtype),
        indices=jnp.full((groups, k, width), ABSENT),
        following=jnp.int32(lanes),
        group=jnp.arange(lanes, dtype=jnp.int32),
        descending=jnp.ones(lanes, bool),
        home=jnp.full(lanes, -1, jnp.int32),
        todo=tuple(jnp.full(lanes, int(depth == 0), jnp.uint32) for depth in range(levels + 1)),
        node=tuple(jnp.zeros(lanes, jnp.int32) for _ in range(levels + 1)),
        best=(jnp.full((lanes, k, width), jnp.inf, queries.dtype), jnp.full((lanes, k, width), ABSENT)),
    )
    walks = lax.while_loop(unfinished, step, mark_varying(start, *problem))

    def restore(results: Num[Array, "groups k width"], nothing: Num[Array, "m k"]) -> jax.Array:
        rows = jnp.swapaxes(results, 1, 2).reshape(-1, k)
        return jnp.asarray(nothing).at[order.ravel()].set(rows, mode="drop", unique_indices=True)

    value = restore(walks.values, jnp.full((m, k), jnp.inf, queries.dtype))
    return value, restore(walks.indices, jnp.full((m, k), ABSENT))


def merge(best: Ranked, new: Ranked, k: int) -> Ranked:
    """Select the k smallest by (value, index), along axis 1, from k sorted entries and others in any order."""
    if k > 1:
        return smallest(jnp.concatenate([best[0], new[0]], 1), jnp.concatenate([best[1], new[1]], 1), k, axis=1)
    value, index = smallest(*new, 1, axis=1)
    better = (value < best[0]) | ((value == best[0]) & (index < best[1]))
    return jnp.where(better, value, best[0]), jnp.where(better, index, best[1])
