"""Selection of the leaves of a pytree that are compressed, and the layers that they form."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Num

from lcjax.kernels.arguments import as_array, as_real
from lcjax.typing import Array, ArrayTree, Scalar

__all__ = [
    "Leaf",
    "Number",
    "Where",
    "as_one_number",
    "as_params",
    "concrete_value",
    "everything",
    "layer_of",
    "leaves_by_layer",
    "path_of",
    "select_leaves",
    "under_head",
]

Tree = TypeVar("Tree")
Leaf = Scalar | jax.ShapeDtypeStruct
Number = Num[Array, ""] | float | int
Where = Callable[[str, Leaf], bool]  # (path "hidden_0/kernel", leaf) -> True to compress the leaf


def everything(path: str, leaf: Leaf) -> bool:
    """Select every leaf, biases included, as Sharma et al. (2019) count.

    Examples:
        >>> everything("params/hidden_0/bias", jnp.ones(3))
        True
    """
    return True


def under_head(path: str, leaf: Leaf) -> bool:
    """Select the weights of the output layer: leaves below a module named `head` with two axes or more.

    Examples:
        >>> under_head("params/head/kernel", jnp.ones((3, 2))), under_head("params/head/bias", jnp.ones(2))
        (True, False)
    """
    return "head" in path.split("/")[:-1] and jnp.ndim(leaf) > 1


def layer_of(path: str) -> str:
    """Return the layer of a leaf: its path without the last part, so that kernel and bias share a layer.

    Examples:
        >>> layer_of("params/hidden_0/kernel"), layer_of("kernel")
        ('params/hidden_0', '')
    """
    return path.rpartition("/")[0]


def as_params(tree: Tree) -> Tree:
    """Return a pytree whose leaves are arrays that JAX accepts; every number in a list is a leaf.

    Raises:
        ValueError: a leaf is not an array of numbers; see `lcjax.kernels.arguments.as_array`.

    Examples:
        >>> as_params({"head": {"bias": [1.0]}})
        {'head': {'bias': [array(1.)]}}
    """
    arrays: Tree = jax.tree_util.tree_map_with_path(lambda entries, leaf: as_array(leaf, path_of(entries)), tree)
    return arrays


def path_of(entries: tuple[object, ...]) -> str:
    """Return the path of a leaf; a wrapper of an array, such as an NNX variable, is not part of it.

    Examples:
        >>> from flax import nnx
        >>> [path_of(entries) for entries, _ in jax.tree.leaves_with_path({"bias": nnx.Param(jnp.ones(2))})]
        ['bias']
    """
    boxed = len(entries) > 1 and isinstance(entries[-1], jax.tree_util.GetAttrKey) and entries[-1].name == "value"
    return jax.tree_util.keystr(entries[:-1] if boxed else entries, simple=True, separator="/")


def as_one_number(value: Number | np.generic, name: str) -> Array:
    """Convert an argument to one real number, `()`.

    Raises:
        ValueError: it is something else.

    Examples:
        >>> as_one_number(0.5, "sparsity")
        array(0.5)
    """
    number = as_real(value, name)
    if number.ndim:
        raise ValueError(f"{name} must be one number, got shape {number.shape}.")
    return number


def select_leaves(tree: ArrayTree, where: Where) -> dict[str, bool]:
    """Return the path of every leaf of a pytree of arrays or shapes, in order, and True where `where` selects it.

    Raises:
        ValueError: no leaf is selected, or a selected leaf does not hold real floating-point numbers.

    Examples:
        >>> select_leaves({"head": {"bias": np.ones(2), "kernel": np.ones((3, 2))}}, under_head)
        {'head/bias': False, 'head/kernel': True}
    """
    selection = {}
    for entries, leaf in jax.tree.leaves_with_path(tree):
        path = path_of(entries)
        selection[path] = bool(where(path, leaf))
        if selection[path] and not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            raise ValueError(
                f"Leaf {path!r} holds {jnp.result_type(leaf)}, not floating-point numbers; exclude it by `where`."
            )
    if not any(selection.values()):
        raise ValueError(f"`where` selects none of the leaves {', '.join(map(repr, selection)) or '(there are none)'}.")
    return selection


def leaves_by_layer(params: ArrayTree) -> Iterator[tuple[str, Array]]:
    """Iterate over the floating-point leaves with their layers; counters and the like are skipped.

    Examples:
        >>> [layer for layer, _ in leaves_by_layer({"head": {"kernel": np.ones((3, 2))}, "step": np.int32(3)})]
        ['head']
    """
    params = as_params(params)
    selection = select_leaves(params, lambda path, leaf: jnp.issubdtype(jnp.result_type(leaf), jnp.floating))
    for (path, floating), leaf in zip(selection.items(), jax.tree.leaves(params), strict=True):
        if floating:
            yield layer_of(path), leaf


def concrete_value(value: Scalar) -> np.ndarray | None:
    """Return the value, or None under tracing."""
    return None if isinstance(value, jax.core.Tracer) else np.asarray(value)
