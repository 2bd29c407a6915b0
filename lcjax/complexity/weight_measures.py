"""Measures of one trained network: norms of its weights, margins, sharpness."""

import functools
from collections.abc import Callable
from typing import SupportsIndex, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Num

from lcjax.kernels.arguments import Nested, as_count, as_floating, as_integers, power_of_two_above
from lcjax.kernels.compilation import is_hashable, is_tracing, jit
from lcjax.records import record
from lcjax.typing import Array, ArrayTree, KeyArray, check_key

__all__ = ["Norms", "margins", "mean_cross_entropy", "path_norm", "sharpness", "weight_norms"]

Params = TypeVar("Params")  # a pytree of arrays


@record
class Norms:
    """Norms of a network's weights.

    Attributes:
        frobenius: of all weights, `()`.
        spectral_product: product of the layers' largest singular values, a bound on the Lipschitz constant, `()`.
        spectral: largest singular value of each layer, `(l,)`.
    """

    frobenius: Float[Array, ""]
    spectral_product: Float[Array, ""]
    spectral: Float[Array, " l"]


def weight_norms(params: ArrayTree) -> Norms:
    """Compute Frobenius and spectral norms of the kernels, the parameters with two or more axes.

    A convolution's kernel `(rows, columns, in, out)` is a matrix `(rows * columns * in, out)` (Bartlett et al., 2017).

    Raises:
        ValueError: there is no kernel.

    Examples:
        >>> import jax.numpy as jnp
        >>> norms = weight_norms({"a": {"kernel": jnp.diag(jnp.array([3.0, 4.0])), "bias": jnp.ones(2)}})
        >>> print(norms.frobenius, norms.spectral)
        5.0 [4.]
    """
    leaves = [as_floating(leaf, "params") for leaf in jax.tree.leaves(params)]
    kernels = [leaf.reshape(-1, leaf.shape[-1]) for leaf in leaves if leaf.ndim >= 2]
    if not kernels:
        raise ValueError("The parameters hold no kernel: none has two or more axes.")
    spectral = jnp.stack([jnp.linalg.norm(kernel, ord=2) for kernel in kernels])
    unit = functools.reduce(jnp.maximum, [power_of_two_above(kernel) for kernel in kernels])  # no square vanishes
    frobenius = unit * jnp.sqrt(functools.reduce(jnp.add, [jnp.sum((kernel / unit) ** 2) for kernel in kernels]))
    return Norms(frobenius, jnp.prod(spectral), spectral)


def path_norm(
    apply: Callable[[Params, jax.Array], jax.Array], params: Params, shape: tuple[int, ...]
) -> Float[jax.Array, ""]:
    """Return the root of the sum over paths of the product of squared weights (Neyshabur et al., 2015).

    Evaluates a ReLU network with squared parameters at an input of ones; for linear layers, ReLU and pooling.

    Args:
        apply: `(params, inputs) -> outputs`.
        params: parameters of the network.
        shape: of one input.

    Examples:
        >>> import jax.numpy as jnp
        >>> print(path_norm(lambda params, x: x @ params, jnp.array([[3.0], [4.0]]), (2,)))
        5.0
    """
    params = jax.tree.map(lambda leaf: as_floating(leaf, "params"), params)
    squared = jax.tree.map(jnp.square, params)
    dtype = jax.tree.leaves(params)[0].dtype
    return jnp.sqrt(jnp.sum(apply(squared, jnp.ones((1, *shape), dtype))))


def margins(outputs: Num[Array, "n c"] | Nested, labels: Int[Array, "..."] | Nested) -> Float[jax.Array, " n"]:
    """Return the output of the true class minus the largest of the others, negative where the network is wrong.

    Labels outside the classes and outputs that are nan give nan.

    Raises:
        ValueError: there is only one class, or shapes disagree.

    Examples:
        >>> import jax.numpy as jnp
        >>> print(margins(jnp.array([[1.0, 3.0, 2.0]]), jnp.array([1])))
        [1.]
    """
    outputs, labels = as_floating(outputs, "outputs"), as_integers(labels, "labels")
    if outputs.ndim != 2 or outputs.shape[1] < 2:
        raise ValueError(f"A margin needs at least two classes, got outputs of shape {outputs.shape}.")
    if labels.shape != outputs.shape[:1]:
        raise ValueError(f"labels must be one class for each of {len(outputs)} outputs, got shape {labels.shape}.")
    is_label = jnp.arange(outputs.shape[1]) == jnp.asarray(labels)[:, None]
    right = jnp.sum(jnp.where(is_label, outputs, 0), axis=1)
    right = jnp.where(jnp.any(is_label, axis=1), right, jnp.nan)
    return right - jnp.max(jnp.where(is_label, -jnp.inf, outputs), axis=1)


def sharpness(
    key: KeyArray,
    loss: Callable[[Params], jax.Array],
    params: Params,
    *,
    radius: float = 1e-3,
    steps: SupportsIndex = 20,
) -> Float[jax.Array, ""]:
    """Estimate the largest relative increase of the loss in a small box around the weights.

        (max_v loss(w + v) - loss(w)) / (1 + loss(w)),    |v_i| <= radius (|w_i| + 1)

    Keskar et al. (2017), Metric 2.1, without its factor 100. The maximum is approached by `steps` steps of sign ascent
    from a random point of the box, so that the value is a lower bound.

    A loss is compiled once, and like a function given to `jax.jit` it must not depend on values that change.

    Args:
        key: typed key of the starting point.
        loss: `params -> ()`.
        params: parameters of the network.
        radius: of the box.
        steps: number of ascent steps.

    Raises:
        ValueError: the radius or the number of steps is not positive.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> print(sharpness(jax.random.key(0), lambda w: jnp.sum(w), jnp.zeros(3), radius=0.1).round(3))
        0.3
    """
    check_key(key)
    count = as_count(steps, "steps")
    if not radius > 0:
        raise ValueError(f"radius must be positive, got radius={radius}.")
    params = jax.tree.map(lambda leaf: as_floating(leaf, "params"), params)
    is_compiled = is_hashable(loss) and not is_tracing(jax.tree.leaves((key, params, radius)))
    run = _compiled_sharpness if is_compiled else _sharpness
    return run(key, params, radius, loss, steps=count)


def _sharpness(
    key: KeyArray, params: Params, radius: jax.Array | float, loss: Callable[[Params], jax.Array], *, steps: int
) -> Float[jax.Array, ""]:
    leaves, structure = jax.tree.flatten(params)
    box = [radius * (jnp.abs(leaf) + 1) for leaf in leaves]
    keys = jax.random.split(key, len(leaves))
    uniform = [jax.random.uniform(k, leaf.shape, leaf.dtype, -1, 1) for k, leaf in zip(keys, leaves, strict=True)]
    start = [side * share for side, share in zip(box, uniform, strict=True)]

    def shifted_loss(shift: list[jax.Array]) -> jax.Array:
        moved: Params = jax.tree.unflatten(structure, [leaf + s for leaf, s in zip(leaves, shift, strict=True)])
        return loss(moved)

    base = loss(jax.tree.unflatten(structure, leaves))
    if np.ndim(base):
        raise ValueError(f"loss must return one number, got shape {np.shape(base)}.")
    gradient = jax.grad(shifted_loss)

    def step(_: jax.Array, state: tuple[list[jax.Array], jax.Array]) -> tuple[list[jax.Array], jax.Array]:
        shift, highest = state
        slope = gradient(shift)
        triples = zip(shift, box, slope, strict=True)
        shift = [jnp.clip(s + 0.25 * side * jnp.sign(g), -side, side) for s, side, g in triples]
        return shift, jnp.maximum(highest, shifted_loss(shift))

    highest: jax.Array = jax.lax.fori_loop(0, steps, step, (start, base))[1]
    return (highest - base) / (1 + base)


_compiled_sharpness = jit(static_argnames=("loss", "steps"))(_sharpness)


def mean_cross_entropy(outputs: Num[Array, "n c"], labels: Int[Array, " n"]) -> Float[jax.Array, ""]:
    """Return the mean cross-entropy in nats."""
    is_label = jnp.arange(outputs.shape[1]) == jnp.asarray(labels)[:, None]
    return jnp.mean(jax.nn.logsumexp(outputs, axis=1) - jnp.sum(jnp.where(is_label, outputs, 0), axis=1))
