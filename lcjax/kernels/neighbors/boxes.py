"""Few dimensions: points sorted into tiles, boxes around tiles of tiles, and a pruned walk for each query."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Bool, Float, Int, Num

from lcjax.kernels.compilation import jit
from lcjax.kernels.neighbors.distance import ABSENT, Neighbors, search_rows, smallest, varying
from lcjax.kernels.neighbors.order import rough_order

__all__ = ["tiles_neighbors", "tiles_search"]

Array = jax.Array | np.ndarray
Pair = tuple[jax.Array, jax.Array]

MAX_BRANCHES = 32  # the children that a walk has yet to visit are the bits of one word


@dataclass(frozen=True)
class Plan:
    """How points are cut into cells of equal count.

    Attributes:
        cell: points in each of the smallest cells.
        cuts: times that every cell is cut, across its widest side.
        levels: of boxes around the smallest cells; several levels may lie in one cut.
        branches: boxes in a box.
    """

    cell: int
    cuts: int
    levels: int
    branches: int

    @property
    def slabs(self) -> int:
        """Parts that a cut makes."""
        return self.branches ** (self.levels // self.cuts)

    @property
    def size(self) -> int:
        """Points for which there is room."""
        return int(self.cell * self.branches**self.levels)


def plan(n: int, d: int, cell: int) -> Plan:
    """The plan with the fewest levels that cuts every dimension alike, once each where that suffices."""
    cells = -(-n // cell)
    levels = 1
    while True:
        branches = max(2, math.ceil(cells ** (1 / levels) - 1e-9))
        if branches <= MAX_BRANCHES and (levels % d == 0 or branches <= 4):
            return Plan(cell, d if levels % d == 0 else levels, levels, branches)
        levels += 1


def partition(points: Float[Array, "n d"], live: Bool[Array, "n"], plan: Plan) -> Int[jax.Array, " size"]:
    """Rows of the points, cell by cell; rows that are not live come last, then n, which stands for none."""
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


def build(points: Float[Array, "n d"], number: Int[Array, "n"], plan: Plan) -> Pair:
    """Table of all nodes, level by level: bounds of the children and their lowest index.

    Of shapes `(nodes, 2 d, cell)` and `(nodes, cell)`. The children of a smallest cell, a tile, are its points, as
    boxes without extent.
    """
    d = points.shape[1]
    order = partition(points, number != ABSENT, plan).reshape(-1, plan.cell)
    points = jnp.concatenate([points, jnp.zeros((1, d), points.dtype)])
    name = jnp.concatenate([number, jnp.full(1, ABSENT)])[order]
    x, live = jnp.swapaxes(points[order], 1, 2), (name != ABSENT)[:, None, :]
    low, high = jnp.where(live, x, jnp.inf), jnp.where(live, x, -jnp.inf)
    boxes, names = [jnp.concatenate([low, high], axis=1)], [name]
    for _ in range(plan.levels):
        low = jnp.swapaxes(jnp.min(low, axis=2).reshape(-1, plan.branches, d), 1, 2)
        high = jnp.swapaxes(jnp.max(high, axis=2).reshape(-1, plan.branches, d), 1, 2)
        name = jnp.min(name, axis=1).reshape(-1, plan.branches)
        fill = plan.cell - plan.branches
        low = jnp.pad(low, ((0, 0), (0, 0), (0, fill)), constant_values=jnp.inf)
        high = jnp.pad(high, ((0, 0), (0, 0), (0, fill)), constant_values=-jnp.inf)
        name = jnp.pad(name, ((0, 0), (0, fill)), constant_values=ABSENT)
        boxes.append(jnp.concatenate([low, high], axis=1))
        names.append(name)
    return jnp.concatenate(boxes[::-1]), jnp.concatenate(names[::-1])


def lower_bound(query: Float[Array, "l d g"], box: Float[Array, "l e t"]) -> Float[jax.Array, "l t g"]:
    """Squared distance from each query of a group to each box, `(l, t, g)`.

    Rounded as `squared_distance` rounds, operation by operation; rounding is monotone, so this is never above the
    squared distance of any point in the box, and equals it for a point.
    """
    d = query.shape[1]
    zero = jnp.zeros((), query.dtype)

    def square(j: int) -> jax.Array:
        q = query[:, j, None, :]
        gap = lax.max(lax.max(box[:, j, :, None] - q, q - box[:, d + j, :, None]), zero)
        return lax.max(gap * gap, zero)

    total = square(0)
    for j in range(1, d):
        total = total + square(j)
    return total


def tiles_search(
    queries: Float[Array, "m d"],
    points: Float[Array, "n d"],
    number: Int[Array, "n"],
    exclude: Int[Array, "m"],
    *,
    k: int,
    memory: int,
) -> Pair:
    """Squared distance and index of the k nearest by box-pruned tiles; arguments and result as for `scan_search`.

    Queries are grouped as points are. Each lane walks the tree for one group, depth first, and takes the next group
    when it is done. It first descends to the tile nearest to the group's middle for a first bound, then visits what
    the bound leaves: boxes nearer than the k-th neighbour so far of some query in the group, or as near with a lower
    index in them.
    """
    m, d = queries.shape
    tree = plan(points.shape[0], d, max(MAX_BRANCHES, 1 << (2 * k - 1).bit_length()))
    tile, levels, branches = tree.cell, tree.levels, tree.branches
    box, name = build(points, number, tree)
    first_row = np.concatenate([[0], np.cumsum([branches**level for level in range(levels)])]).astype(np.int32)

    width = min(m, 16 if 4 * m >= points.shape[0] else 4)  # queries that are sparse lie too far apart to walk together
    groups = -(-m // width)
    order = partition(queries, jnp.ones(m, bool), plan(m, d, width))[: groups * width].reshape(groups, width)
    member = jnp.minimum(order, m - 1)
    member = jnp.where(order < m, order, member[:, :1])  # a group that is not full repeats its first query
    group = jnp.swapaxes(queries[member], 1, 2)
    banned = exclude[member]

    most = (128 if width == 16 else 256) if jax.default_backend() == "cpu" else 1 << 14
    lanes = max(1, min(most, groups, memory // (queries.dtype.itemsize * tile * (2 * d + 4 * width))))
    lane_bits = jnp.where(jnp.arange(tile) < MAX_BRANCHES, np.uint32(1) << (np.arange(tile, dtype=np.uint32) % 32), 0)
    lane_bits = lane_bits.astype(jnp.uint32)
    start = jnp.uint32(1)

    def unfinished(state: dict) -> jax.Array:
        return jnp.any(jnp.stack(state["todo"]) != 0)

    def step(state: dict) -> dict:
        todo, node = list(state["todo"]), list(state["node"])
        value, index, mine, descending = state["value"], state["index"], state["group"], state["descending"]
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
        children, label = box[row], name[row]

        bound = lower_bound(group[mine], children)
        fresh = at_tile & (row != state["home"])  # the tile of the first descent counts once
        found = jnp.where(fresh[:, None], label, ABSENT)[:, :, None]
        found = jnp.where(found == banned[mine][:, None, :], ABSENT, found)
        value, index = merge((value, index), (jnp.where(found == ABSENT, jnp.inf, bound), found), k)

        last, latest = value[:, None, -1], index[:, None, -1]
        nearer = (bound < last) | ((bound == last) & (label[:, :, None] < latest))
        wanted = jnp.sum(jnp.where(nearer, lane_bits[:, None], 0), axis=1, dtype=jnp.uint32)
        word = lax.reduce(wanted, np.uint32(0), lax.bitwise_or, (1,))
        middle = jnp.where(lane_bits == 0, jnp.inf, bound[:, :, width // 2])
        least = middle == jnp.min(middle, axis=1, keepdims=True)
        nearest = jnp.sum(jnp.where(least, lane_bits, 0), axis=1, dtype=jnp.uint32)
        word = jnp.where(descending, nearest & (~nearest + 1), word)
        for depth in range(1, levels + 1):
            enter = active & ~at_tile & (level + 1 == depth)
            todo[depth] = jnp.where(enter, word, todo[depth])
            node[depth] = jnp.where(enter, here, node[depth])
        landed = descending & at_tile
        todo[0] = jnp.where(landed, start, todo[0])
        home = jnp.where(landed, row, state["home"])
        descending = descending & ~landed

        done = active & jnp.all(jnp.stack(todo) == 0, axis=0)
        place = jnp.where(done, mine, groups)
        following = state["next"] + jnp.cumsum(done, dtype=jnp.int32) - 1
        again = done & (following < groups)
        todo[0] = jnp.where(again, start, todo[0])
        return {
            "values": state["values"].at[place].set(value, mode="drop"),
            "indices": state["indices"].at[place].set(index, mode="drop"),
            "next": state["next"] + jnp.sum(done, dtype=jnp.int32),
            "group": jnp.where(again, following, mine),
            "descending": descending | again,
            "home": jnp.where(again, -1, home),
            "todo": tuple(todo),
            "node": tuple(node),
            "value": jnp.where(again[:, None, None], jnp.inf, value),
            "index": jnp.where(again[:, None, None], ABSENT, index),
        }

    state = {
        "values": jnp.full((groups, k, width), jnp.inf, queries.dtype),
        "indices": jnp.full((groups, k, width), ABSENT),
        "next": jnp.int32(lanes),
        "group": jnp.arange(lanes, dtype=jnp.int32),
        "descending": jnp.ones(lanes, bool),
        "home": jnp.full(lanes, -1, jnp.int32),
        "todo": tuple(jnp.full(lanes, int(depth == 0), jnp.uint32) for depth in range(levels + 1)),
        "node": tuple(jnp.zeros(lanes, jnp.int32) for _ in range(levels + 1)),
        "value": jnp.full((lanes, k, width), jnp.inf, queries.dtype),
        "index": jnp.full((lanes, k, width), ABSENT),
    }
    state = lax.while_loop(unfinished, step, varying(state, queries, points, number, exclude))

    def restore(found: Num[Array, "groups k width"], nothing: Num[Array, "m k"]) -> jax.Array:
        rows = jnp.swapaxes(found, 1, 2).reshape(-1, k)
        return jnp.asarray(nothing).at[order.ravel()].set(rows, mode="drop", unique_indices=True)

    value = restore(state["values"], jnp.full((m, k), jnp.inf, queries.dtype))
    return value, restore(state["indices"], jnp.full((m, k), ABSENT))


def merge(best: Pair, new: Pair, k: int) -> Pair:
    """The k smallest by (value, index), along axis 1, of k that are in order and some that are not."""
    if k > 1:
        return smallest(jnp.concatenate([best[0], new[0]], 1), jnp.concatenate([best[1], new[1]], 1), k, axis=1)
    value, index = smallest(*new, 1, axis=1)
    better = (value < best[0]) | ((value == best[0]) & (index < best[1]))
    return jnp.where(better, value, best[0]), jnp.where(better, index, best[1])


@jit(static_argnames=("k", "exclude_self", "squared", "memory"))
def tiles_neighbors(
    queries: Num[Array, "m d"],
    points: Num[Array, "n _"],
    k: int = 1,
    *,
    exclude_self: bool = False,
    squared: bool = False,
    memory: int = 2**28,
) -> Neighbors:
    """Nearest neighbours by box-pruned tiles, with the arguments and the result of `nearest_neighbors`.

    Takes O(log n) steps for a group of queries in few dimensions; sorting takes most of the time where they are few.

    Examples:
        >>> import jax.numpy as jnp
        >>> tiles_neighbors(jnp.array([[0.0, 1.0]]), jnp.array([[2.0, 2.0], [-1.0, 0.0]])).index
        Array([[1]], dtype=int32)
    """
    return search_rows(
        tiles_search, queries, points, k, exclude_self=exclude_self, squared=squared, memory=memory, method="tiles"
    )
