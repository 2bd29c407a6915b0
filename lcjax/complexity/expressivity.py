"""Finite-sample expressivity: a ReLU network of 2n + d weights that fits any n targets, and its deep form."""

import math
from collections.abc import Mapping
from typing import NoReturn, SupportsIndex, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Num

from lcjax.kernels.arguments import Nested, as_count, as_floating, as_real, check_precision, check_sizes, concrete
from lcjax.kernels.compilation import jit
from lcjax.records import record
from lcjax.typing import Array, KeyArray, check_key

__all__ = ["MemorizingNetwork", "memorizing_network"]

Params: TypeAlias = Mapping[str, Float[Array, "..."]]
Layers: TypeAlias = list[tuple[Float[np.ndarray, "i o"], Float[np.ndarray, " o"]]]

_HIGHEST = jax.lax.Precision.HIGHEST


@record
class MemorizingNetwork:
    """A network that interpolates its training targets.

    Attributes:
        params: at depth 2, "projection" `(d,)`, "threshold" `(n,)` and "weight" `(n,)`, together 2n + d numbers. At
            depth k, "threshold" and "weight" `(k - 2, m)`, the "end" of each block `(k - 2,)`, and two numbers "start"
            and "shift" beside the projection.
        condition: sum of the magnitudes of the terms that add up to an output, over the largest target. Where the terms
            are added in another order (by a matrix product, or on another device), the error at a training input may
            reach the machine epsilon times this, relative to the largest target. Rounding of the projection adds to it.
        depth: number of layers with weights.
    """

    params: dict[str, Float[Array, "..."]]
    condition: Float[Array, ""]
    depth: int = jax.tree.static()

    def apply(
        self, params: Params | Num[Array, "m *shape"] | Nested, inputs: Num[Array, "m *shape"] | Nested | None = None
    ) -> Float[jax.Array, " m"]:
        """Evaluate the network: `apply(params, inputs)`, or `apply(inputs)` with its own parameters.

        The units are added in order, in memory for m numbers.

        Raises:
            ValueError: parameters are given without inputs, or an input has another number of features.
        """
        if not isinstance(params, Mapping):
            return _apply(self.params, self._check(params), depth=self.depth)
        if inputs is None:
            raise ValueError("apply needs inputs after the parameters, got the parameters only.")
        return _apply(params, self._check(inputs), depth=self.depth)

    def _check(self, inputs: Num[Array, "m *shape"] | Nested) -> jax.Array:
        x, d = as_floating(inputs, "inputs"), len(self.params["projection"])
        if x.ndim == 0 or math.prod(x.shape[1:]) != d:
            raise ValueError(f"inputs need {d} numbers each, got shape {x.shape}.")
        return x.reshape(len(x), d)

    def layers(self) -> Layers:
        """Return kernel and bias of each layer as dense arrays: `relu(h @ kernel + bias)`, the last layer linear.

        For counting and inspection: most entries are zero from the second layer on, and at depth 2 the columns of the
        first kernel all equal the one projection, which the theorem counts once.
        """
        params = {name: np.asarray(value) for name, value in self.params.items()}
        return _dense_two(params) if self.depth == 2 else _dense_deep(params)


def memorizing_network(
    key: KeyArray,
    inputs: Num[Array, "n *shape"] | Nested,
    targets: Num[Array, "..."] | Nested,
    *,
    depth: SupportsIndex = 2,
    candidates: SupportsIndex = 256,
) -> MemorizingNetwork:
    """Construct a ReLU network that fits any targets, without training, in the inputs' dtype (float32 for integers).

        C(x) = sum_j w_j relu(a.x - b_j)

    Zhang et al. (2017), Theorem 1: `2n + d` weights. The projections `z_i = a.x_i`, in ascending order, are the knots
    of a piecewise linear function. With each threshold at the preceding projection, `b_j = z_(j-1)` (the proof only
    requires it to lie between), the system for w is lower triangular with diagonal `z_j - z_(j-1)`, and w_j is the
    change of slope at a knot, `(y_j - y_(j-1)) / (z_j - z_(j-1))` minus the previous slope: linear time after sorting.
    Of many random projections, half of them orthogonal to the mean input, the one that magnifies rounding errors least
    is used. A forward substitution in the arithmetic of `apply` then absorbs the rounding, at the cost of one
    evaluation.

    `depth=k` is Corollary 1 of the paper: the first layer projects, and each of `k - 2` further layers holds the knots
    of one block of `ceil(n / (k - 2))` neighboring projections, beside three units that carry the projection, cut it
    at the end of the block, and carry the sum. That is O(n / k) units and non-zero weights per layer after the first,
    which has 2 d, and O(n + d) in all. A block ends flat, so that only the terms of one block cancel.

    Args:
        key: typed key of the projections.
        inputs: n inputs of any shape, d numbers each.
        targets: `(n,)`, real numbers or class numbers; `jnp.round` of the output recovers a class.
        depth: number of layers with weights, from 2 to n + 2.
        candidates: number of random projections to try.

    Returns:
        `MemorizingNetwork`, whose `apply(inputs)` is `(m,)`. Traced values are not checked: a `condition` that is not
        finite then shows that inputs with different targets could not be distinguished.

    Raises:
        ValueError: equal inputs have different targets (the message names the rows), different inputs cannot be
            distinguished in this dtype, there are no inputs, a number is not finite, or `depth`, `candidates` or the
            shape of the targets is wrong.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> inputs = jax.random.normal(jax.random.key(1), (50, 3))
        >>> labels = jax.random.randint(jax.random.key(2), (50,), 0, 10)
        >>> network = memorizing_network(jax.random.key(0), inputs, labels)
        >>> sum(leaf.size for leaf in jax.tree.leaves(network.params))
        103
        >>> print(jnp.all(jnp.round(network.apply(inputs)) == labels))
        True
    """
    check_key(key)
    x, y = as_floating(inputs, "inputs"), as_real(targets, "targets")
    check_sizes("inputs", x)
    n = len(x) if x.ndim else 0
    if 0 in x.shape or x.ndim == 0 or x.dtype.itemsize < 4:
        raise ValueError(f"A memorizing network needs inputs in float32 or float64, got shape {x.shape} in {x.dtype}.")
    if y.shape != (n,):
        raise ValueError(f"targets must be one number for each of {n} inputs, got shape {y.shape}.")
    layers, trials = as_count(depth, "depth"), as_count(candidates, "candidates")
    if not 2 <= layers <= n + 2:
        raise ValueError(f"depth must satisfy 2 <= depth <= n + 2, got depth={layers} with n={n} inputs.")
    check_precision("inputs", as_real(inputs, "inputs"), x.dtype)
    x = x.reshape(n, -1)
    if concrete(x) and concrete(y):
        _check(np.asarray(x), np.asarray(y))
    params, condition, order = _build(
        key, x, jnp.asarray(as_floating(y, "targets"), x.dtype), depth=layers, candidates=trials
    )
    if concrete(condition) and not np.isfinite(condition):
        _raise_collision(params, x, jnp.asarray(y), np.asarray(order))
    return MemorizingNetwork(params, condition, layers)


@jit(static_argnames=("depth", "candidates"))
def _build(
    key: KeyArray, inputs: Float[jax.Array, "n d"], targets: Float[jax.Array, " n"], *, depth: int, candidates: int
) -> tuple[dict[str, Array], Float[jax.Array, ""], Int[jax.Array, " n"]]:
    d, blocks = inputs.shape[1], max(depth - 2, 1)
    directions = jax.random.normal(key, (candidates, d), inputs.dtype)
    directions = directions / jnp.linalg.norm(directions, axis=1, keepdims=True)
    mean = jnp.mean(inputs, axis=0)
    along = jnp.matmul(directions, mean, precision=_HIGHEST) / jnp.maximum(jnp.sum(mean**2), 1e-30)
    centred = directions - along[:, None] * mean  # projections about zero lose fewer digits
    directions = jnp.where((jnp.arange(candidates) % 2 == 1)[:, None] & (d > 1), centred, directions)

    def condition(direction: Float[jax.Array, " d"]) -> Float[jax.Array, ""]:
        z, y = jax.lax.sort_key_val(_project(inputs, direction), targets)
        return _closed_form(z, y, blocks=blocks, deep=depth > 2)[1]

    magnified = jax.lax.map(condition, directions, batch_size=16)
    best = jnp.argmin(jnp.where(jnp.isnan(magnified), jnp.inf, magnified))
    projected = _project(inputs, directions[best])
    z, y = jax.lax.sort_key_val(projected, targets)
    params = {"projection": directions[best], **_closed_form(z, y, blocks=blocks, deep=depth > 2)[0]}
    if depth == 2:
        params = {name: params[name].reshape(-1) for name in ("projection", "threshold", "weight")}
    return {**params, "weight": _solve_weights(params, z, y)}, magnified[best], jnp.argsort(projected)


def _project(inputs: Float[jax.Array, "n d"], direction: Float[Array, " d"]) -> Float[jax.Array, " n"]:
    return jnp.matmul(inputs, direction, precision=_HIGHEST)


def _closed_form(
    z: Float[jax.Array, " n"], y: Float[jax.Array, " n"], *, blocks: int, deep: bool
) -> tuple[dict[str, jax.Array], Float[jax.Array, ""]]:
    """Return the network for sorted projections and their targets, and the factor by which it magnifies rounding."""
    n, width = len(z), -(-len(z) // blocks)
    largest, span = jnp.max(jnp.abs(z)), z[-1] - z[0]
    start = z[0] - jnp.where(span > 0, span / n, 1)
    if deep:  # the first layer outputs this
        z, origin = z - start, jnp.zeros((), z.dtype)
    else:
        origin = start
    before = jnp.concatenate([origin[None], z[:-1]])
    run, rise = z - before, jnp.diff(y, prepend=0)
    counts = (run > 0) | (rise != 0)  # a repeated point continues the previous slope
    slope = jnp.where(counts, rise / jnp.where(counts, run, 1), 0)
    slope = slope[jax.lax.cummax(jnp.where(counts, jnp.arange(n), 0))]
    pad = (0, blocks * width - n)  # idle units at the end of the last block
    slope, z = (jnp.pad(values, pad, mode="edge").reshape(blocks, width) for values in (slope, z))
    threshold = jnp.pad(before, pad, constant_values=z[-1, -1]).reshape(blocks, width)
    weight = jnp.diff(slope, axis=1, prepend=0)
    terms = jnp.sum(jnp.abs(weight), axis=1) * (z[:, -1] - threshold[:, 0])
    magnified = jnp.max(terms) + jnp.max(jnp.abs(slope)) * largest
    shift = jnp.maximum(-jnp.min(y), 0)
    params = {"start": start, "end": z[:, -1], "threshold": threshold, "weight": weight, "shift": shift}
    return params, magnified / jnp.maximum(jnp.max(jnp.abs(y)), np.finfo(y.dtype).tiny)


def _solve_weights(
    params: dict[str, jax.Array], z: Float[jax.Array, " n"], y: Float[jax.Array, " n"]
) -> Float[jax.Array, "..."]:
    """Recompute the weights by forward substitution in the arithmetic in which the network is evaluated.

    Large terms of both signs add up to a target. Here each weight absorbs the rounding of the preceding terms.
    """
    deep = "end" in params
    blocks, width = params["threshold"].shape if deep else (1, len(z))
    pad = (0, blocks * width - len(z))
    z, y = (jnp.pad(values, pad, mode="edge").reshape(blocks, width) for values in (z, y))

    def block(
        total: Float[jax.Array, ""], values: tuple[jax.Array, ...]
    ) -> tuple[Float[jax.Array, ""], Float[jax.Array, " k"]]:
        z, wanted, bias, end = values
        below = jax.nn.relu(end - jax.nn.relu(z - params["start"])) if deep else -z

        def unit(total: Float[jax.Array, " k"], j: jax.Array) -> tuple[Float[jax.Array, " k"], Float[jax.Array, ""]]:
            value = jax.nn.relu(bias[j] - below)
            weight = jnp.where(value[j] > 0, (wanted[j] - total[j]) / jnp.where(value[j] > 0, value[j], 1), 0)
            return total + weight * value, weight

        totals, weight = jax.lax.scan(unit, jnp.broadcast_to(total, z.shape), jnp.arange(width))
        return jax.nn.relu(totals[-1]) if deep else total, weight

    if deep:
        ends, shift = params["end"], params["shift"]
        bias = ends[:, None] - params["threshold"]
    else:
        ends, shift, bias = jnp.zeros(1, z.dtype), jnp.zeros((), z.dtype), -params["threshold"][None]
    weight: jax.Array = jax.lax.scan(block, shift, (z, y + shift, bias, ends))[1]
    return weight if deep else weight[0]


@jit(static_argnames="depth")
def _apply(params: Params, inputs: Num[jax.Array, "m *shape"], *, depth: int) -> Float[jax.Array, " m"]:
    arrays = {name: jnp.asarray(value) for name, value in params.items()}
    flat = inputs.astype(arrays["projection"].dtype)
    z = _project(flat, arrays["projection"])
    if depth == 2:
        return _add_units(jnp.zeros_like(z), -z, -arrays["threshold"], arrays["weight"])
    carried = jax.nn.relu(z - arrays["start"])

    def layer(total: jax.Array, block: tuple[jax.Array, ...]) -> tuple[jax.Array, None]:
        end, threshold, weight = block
        below = jax.nn.relu(end - carried)
        return jax.nn.relu(_add_units(total, below, end - threshold, weight)), None

    blocks = (arrays["end"], arrays["threshold"], arrays["weight"])
    total: jax.Array = jax.lax.scan(layer, jnp.full_like(z, arrays["shift"]), blocks)[0]
    return total - arrays["shift"]


def _add_units(
    total: Float[jax.Array, " m"],
    below: Float[jax.Array, " m"],
    bias: Float[jax.Array, " n"],
    weight: Float[jax.Array, " n"],
) -> Float[jax.Array, " m"]:
    """Return `total + sum_j weight_j relu(bias_j - below)`, added in the order of j, in memory for m inputs."""

    def unit(total: jax.Array, one: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        bias, weight = one
        return total + weight * jax.nn.relu(bias - below), None

    return jnp.asarray(jax.lax.scan(unit, total, (bias, weight), unroll=8)[0])


def _dense_two(params: dict[str, np.ndarray]) -> Layers:
    n = len(params["threshold"])
    first = np.repeat(params["projection"][:, None], n, axis=1), -params["threshold"]
    return [first, (params["weight"][:, None], np.zeros(1, params["weight"].dtype))]


def _dense_deep(params: dict[str, np.ndarray]) -> Layers:
    """Return layers of each block's knots, the carried projection, its distance from the next end, and the sum."""
    projection, start, end, shift = (params[name] for name in ("projection", "start", "end", "shift"))
    blocks, width = params["threshold"].shape
    dtype = projection.dtype
    carried, below, total = 0, 1, 2  # after the knots of the previous layer, of which the first layer has none
    layers = [(np.stack([projection, -projection], axis=1), np.array([-start, end[0] + start], dtype))]
    before = 0
    for block in range(blocks):
        kernel, bias = np.zeros((before + (2 if block == 0 else 3), width + 3), dtype), np.zeros(width + 3, dtype)
        kernel[before + below, :width], bias[:width] = -1, end[block] - params["threshold"][block]
        if block + 1 < blocks:
            kernel[before + carried, width + carried] = 1
            kernel[before + carried, width + below], bias[width + below] = -1, end[block + 1]
        if block == 0:
            bias[width + total] = shift
        else:
            kernel[:before, width + total], kernel[before + total, width + total] = params["weight"][block - 1], 1
        layers.append((kernel, bias))
        before = width
    last = np.zeros((width + 3, 1), dtype)
    last[:width, 0], last[width + total] = params["weight"][-1], 1
    return [*layers, (last, np.array([-shift], dtype))]


def _check(inputs: Num[np.ndarray, "n d"], targets: Num[np.ndarray, " n"]) -> None:
    for name, values in (("inputs", inputs.reshape(len(inputs), -1)), ("targets", targets[:, None])):
        rows = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if rows.size:
            raise ValueError(f"{rows.size} rows of the {name} are not finite, the first is row {rows[0]}.")
    first: dict[bytes, int] = {}
    clashes = []
    for row, values in enumerate(np.ascontiguousarray(inputs + np.zeros((), inputs.dtype))):  # -0 becomes 0
        earlier = first.setdefault(values.tobytes(), row)
        if targets[earlier] != targets[row]:
            clashes.append((earlier, row))
    if clashes:
        pairs = ", ".join(f"{a} and {b}" for a, b in clashes[:5]) + (", ..." if len(clashes) > 5 else "")
        a, b = clashes[0]
        raise ValueError(
            f"Equal inputs have different targets, which no function fits: rows {pairs} "
            f"(targets {targets[a]} and {targets[b]} in the first pair). Drop or average them."
        )


def _raise_collision(
    params: Params, inputs: Float[jax.Array, "n d"], targets: Num[jax.Array, " n"], order: Int[np.ndarray, " n"]
) -> NoReturn:
    z, y = np.asarray(_project(inputs, params["projection"]))[order], np.asarray(targets)[order]
    z = z - np.asarray(params.get("start", z[0]))
    same = np.flatnonzero((np.diff(z) == 0) & (np.diff(y) != 0))
    rows = f", rows {order[same[0]]} and {order[same[0] + 1]} for instance" if same.size else ""
    raise ValueError(
        f"Different inputs cannot be distinguished in {inputs.dtype} along any projection tried{rows}. "
        "Scale or centre the inputs, enable x64, or increase candidates."
    )
