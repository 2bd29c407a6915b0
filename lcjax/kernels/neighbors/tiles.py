"""Few dimensions: points sorted into tiles, boxes around tiles of tiles, and a pruned walk for each query."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Int, Num

from lcjax.kernels.neighbors.exact import ABSENT, Neighbors, search_rows, smallest, varying
from lcjax.kernels.neighbors.order import rough_order

__all__ = ["tiles_neighbors", "tiles_search"]

Array = jax.Array | np.ndarray
Pair = tuple[jax.Array, jax.Array]

MAX_BRANCHES = 32  # the children that a walk has yet to visit are the bits of one word


def plan(n: int, d: int, k: int) -> tuple[int, int, int]:
    """Points per tile, levels of boxes, and branches of each, chosen to cut every dimension alike."""
    tile = max(MAX_BRANCHES, 1 << (2 * k - 1).bit_length())
    tiles = -(-n // tile)
    levels = 1
    while True:
        branches = max(2, math.ceil(tiles ** (1 / levels) - 1e-9))
        if branches <= MAX_BRANCHES and (levels % d == 0 or branches <= 4):
            return tile, levels, branches
        levels += 1


def build(points: Float[Array, "n d"], number: Int[Array, "n"], plan: tuple[int, int, int]) -> Pair:
    """Table of all nodes, level by level: bounds of the children and their lowest index.

    Of shapes `(nodes, 2 d, tile)` and `(nodes, tile)`. Every level cuts each cell across its widest side into parts
    of equal count. The children of a tile are its points, as boxes without extent.
    """
    n, d = points.shape
    tile, levels, branches = plan
    size = tile * branches**levels
    order = jnp.minimum(jnp.arange(size, dtype=jnp.int32), n)
    points = jnp.concatenate([points, jnp.zeros((1, d), points.dtype)])
    number = jnp.concatenate([number, jnp.full(1, ABSENT)])
    for level in range(levels):
        order = order.reshape(branches**level, -1)
        x, live = points[order], number[order] != ABSENT
        low = jnp.min(jnp.where(live[..., None], x, jnp.inf), axis=1)
        high = jnp.max(jnp.where(live[..., None], x, -jnp.inf), axis=1)
        widest = jnp.argmax(high - low, axis=1)[:, None, None]
        side = jnp.take_along_axis(x, widest, axis=2)[..., 0]
        order = jnp.take_along_axis(order, rough_order(side, live), axis=1)
    order = order.reshape(-1, tile)
    name = number[order]
    x, live = jnp.swapaxes(points[order], 1, 2), (name != ABSENT)[:, None, :]
    low, high = jnp.where(live, x, jnp.inf), jnp.where(live, x, -jnp.inf)
    boxes, names = [jnp.concatenate([low, high], axis=1)], [name]
    for _ in range(levels):
        low = jnp.swapaxes(jnp.min(low, axis=2).reshape(-1, branches, d), 1, 2)
        high = jnp.swapaxes(jnp.max(high, axis=2).reshape(-1, branches, d), 1, 2)
        name = jnp.min(name, axis=1).reshape(-1, branches)
        fill = tile - branches
        low = jnp.pad(low, ((0, 0), (0, 0), (0, fill)), constant_values=jnp.inf)
        high = jnp.pad(high, ((0, 0), (0, 0), (0, fill)), constant_values=-jnp.inf)
        name = jnp.pad(name, ((0, 0), (0, fill)), constant_values=ABSENT)
        boxes.append(jnp.concatenate([low, high], axis=1))
        names.append(name)
    return jnp.concatenate(boxes[::-1]), jnp.concatenate(names[::-1])


def lower_bound(query: Float[Array, "l d"], box: Float[Array, "l e t"]) -> jax.Array:
    """Squared distance from each query to each box, `(l, t)`.

    Rounded as `squared_distance` rounds, operation by operation; rounding is monotone, so this is never above the
    squared distance of any point in the box, and equals it for a point.
    """
    d = query.shape[1]
    zero = jnp.zeros((), query.dtype)

    def square(j: int) -> jax.Array:
        q = query[:, j, None]
        gap = lax.max(lax.max(box[:, j] - q, q - box[:, d + j]), zero)
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

    Each lane walks the tree for one query, depth first, and takes the next query when it is done. It first descends
    to the nearest tile for a first bound, then visits what the bound leaves: boxes that are nearer than the k-th
    neighbour so far, or as near with a lower index in them.
    """
    m, d = queries.shape
    shape = tile, levels, branches = plan(points.shape[0], d, k)
    box, name = build(points, number, shape)
    first_row = np.concatenate([[0], np.cumsum([branches**level for level in range(levels)])]).astype(np.int32)
    most = 2048 if jax.default_backend() == "cpu" else 1 << 17
    lanes = max(1, min(most, m, memory // (queries.dtype.itemsize * tile * (2 * d + 4))))
    lane_bits = jnp.where(jnp.arange(tile) < MAX_BRANCHES, np.uint32(1) << (np.arange(tile, dtype=np.uint32) % 32), 0)
    lane_bits = lane_bits.astype(jnp.uint32)
    start = jnp.uint32(1)

    def unfinished(state: dict) -> jax.Array:
        return jnp.any(jnp.stack(state["todo"]) != 0)

    def step(state: dict) -> dict:
        todo, node = list(state["todo"]), list(state["node"])
        value, index, query_id, descending = state["value"], state["index"], state["query"], state["descending"]
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

        bound, label = lax.optimization_barrier((lower_bound(queries[query_id], box[row]), name[row]))
        fresh = at_tile & (row != state["home"])  # the tile of the first descent counts once
        banned = label == exclude[query_id][:, None]
        label_here = jnp.where(fresh[:, None] & ~banned, label, ABSENT)
        bound_here = jnp.where(label_here == ABSENT, jnp.inf, bound)
        value, index = merge((value, index), (bound_here, label_here), k)

        nearer = (bound < value[:, -1:]) | ((bound == value[:, -1:]) & (label < index[:, -1:]))
        word = jnp.sum(jnp.where(nearer, lane_bits, 0), axis=1, dtype=jnp.uint32)
        least = bound == jnp.min(jnp.where(lane_bits == 0, jnp.inf, bound), axis=1, keepdims=True)
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
        place = jnp.where(done, query_id, m)
        following = state["next"] + jnp.cumsum(done, dtype=jnp.int32) - 1
        again = done & (following < m)
        todo[0] = jnp.where(again, start, todo[0])
        return {
            "values": state["values"].at[place].set(value, mode="drop"),
            "indices": state["indices"].at[place].set(index, mode="drop"),
            "next": state["next"] + jnp.sum(done, dtype=jnp.int32),
            "query": jnp.where(again, following, query_id),
            "descending": descending | again,
            "home": jnp.where(again, -1, home),
            "todo": tuple(todo),
            "node": tuple(node),
            "value": jnp.where(again[:, None], jnp.inf, value),
            "index": jnp.where(again[:, None], ABSENT, index),
        }

    state = {
        "values": jnp.full((m, k), jnp.inf, queries.dtype),
        "indices": jnp.full((m, k), ABSENT),
        "next": jnp.int32(lanes),
        "query": jnp.arange(lanes, dtype=jnp.int32),
        "descending": jnp.ones(lanes, bool),
        "home": jnp.full(lanes, -1, jnp.int32),
        "todo": tuple(jnp.full(lanes, int(depth == 0), jnp.uint32) for depth in range(levels + 1)),
        "node": tuple(jnp.zeros(lanes, jnp.int32) for _ in range(levels + 1)),
        "value": jnp.full((lanes, k), jnp.inf, queries.dtype),
        "index": jnp.full((lanes, k), ABSENT),
    }
    state = lax.while_loop(unfinished, step, varying(state, queries, points, number, exclude))
    return state["values"], state["indices"]


def merge(best: Pair, new: Pair, k: int) -> Pair:
    """The k smallest by (value, index) of k that are in order and some that are not."""
    if k > 1:
        return smallest(jnp.concatenate([best[0], new[0]], 1), jnp.concatenate([best[1], new[1]], 1), k)
    value, index = smallest(*new, 1)
    better = (value < best[0]) | ((value == best[0]) & (index < best[1]))
    return jnp.where(better, value, best[0]), jnp.where(better, index, best[1])


@partial(jax.jit, static_argnames=("k", "exclude_self", "squared", "memory"))
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

    Takes O(log n) steps for a query in few dimensions; sorting takes most of the time where queries are few.

    Examples:
        >>> import jax.numpy as jnp
        >>> tiles_neighbors(jnp.array([[0.0, 1.0]]), jnp.array([[2.0, 2.0], [-1.0, 0.0]])).index
        Array([[1]], dtype=int32)
    """
    return search_rows(
        tiles_search, queries, points, k, exclude_self=exclude_self, squared=squared, memory=memory, method="tiles"
    )
