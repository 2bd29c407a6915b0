"""Evaluation of many compressed versions of a model, in chunks that fit in memory."""

from collections.abc import Callable
from typing import ParamSpec, SupportsIndex, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from lcjax.kernels.arguments import as_count
from lcjax.typing import Array, ArrayTree

__all__ = ["as_partial", "as_single", "batch_options", "chunk_size", "first_model"]

P = ParamSpec("P")
R = TypeVar("R")

CACHE_NUMBERS = 2**18  # weights evaluated together on CPU, so that they stay in a processor's cache
DEVICE_NUMBERS = 2**24  # the same on accelerators


def first_model(tree: ArrayTree) -> ArrayTree:
    """Return the shapes of one model of a batch of models.

    Raises:
        ValueError: the leaves do not share a leading axis.

    Examples:
        >>> first_model({"bias": np.ones((5, 2))})
        {'bias': ShapeDtypeStruct(shape=(2,), dtype=float32)}
    """
    counts = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(tree)}
    if len(counts) != 1 or () in counts:
        raise ValueError(f"With models=True every leaf needs the models as leading axis, got {sorted(counts)}.")
    shapes: ArrayTree = jax.eval_shape(lambda tree: jax.tree.map(lambda leaf: leaf[0], tree), tree)
    return shapes


def as_single(accuracy: Array | float) -> jax.Array:
    """Return the accuracy of one network, or raise ValueError if it is not one number.

    Examples:
        >>> as_single(0.5)
        Array(0.5, dtype=float32, weak_type=True)
    """
    if np.ndim(accuracy):
        raise ValueError(f"accuracy must return one number for a network, got shape {np.shape(accuracy)}.")
    return jnp.asarray(accuracy)


def chunk_size(params: ArrayTree, versions: int, chunk: SupportsIndex | None) -> int:
    """Choose the number of compressed versions of `params` to evaluate at a time.

    Args:
        params: the weights of one version.
        versions: number of versions.
        chunk: the user's choice; None takes as many as a processor's cache holds, or more on accelerators.

    Raises:
        ValueError: `chunk` is below 1.

    Examples:
        >>> chunk_size({"kernel": np.ones((1000, 1000))}, 50, None), chunk_size({"kernel": np.ones(10)}, 50, None)
        (1, 50)
    """
    if chunk is not None:
        return as_count(chunk, "chunk")
    weights = sum(int(np.size(leaf)) for leaf in jax.tree.leaves(params))
    numbers = CACHE_NUMBERS if jax.default_backend() == "cpu" else DEVICE_NUMBERS
    return max(1, min(versions, numbers // max(weights, 1)))


def batch_options(width: int) -> dict[str, int]:
    """Return the options with which `jax.lax.map` evaluates `width` versions at a time.

    A width of 1 gives no batch axis: a convolution whose kernels have one, even of length one, is slower on CPU.

    Examples:
        >>> batch_options(4), batch_options(1)
        ({'batch_size': 4}, {})
    """
    return {"batch_size": width} if width > 1 else {}


def as_partial(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function a pytree, so that it can be an argument of a compiled function.

    Examples:
        >>> as_partial(np.sum)(np.ones(3))
        np.float64(3.0)
    """
    return function if isinstance(function, jax.tree_util.Partial) else jax.tree_util.Partial(function)
