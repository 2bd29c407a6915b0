"""Which leaves of a pytree are compressed, and which of them make up a layer."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = [
    "Where",
    "batches",
    "chosen",
    "everything",
    "first_model",
    "layer_of",
    "under_head",
    "value_of",
    "versions_at_once",
]

Array = jax.Array | np.ndarray
Where = Callable[[str, Any], bool]  # (path "hidden_0/kernel", leaf) -> whether it is compressed


def everything(path: str, leaf: Any) -> bool:
    """Every leaf, biases included, as Sharma et al. count."""
    return True


def under_head(path: str, leaf: Any) -> bool:
    """The classifier layer's weights: what lies below a submodule named `head` and has two axes or more."""
    return "head" in path.split("/")[:-1] and np.ndim(leaf) > 1


def layer_of(path: str) -> str:
    """The layer that a leaf belongs to: the path without its last part, so that kernel and bias share one.

    Examples:
        >>> layer_of("params/hidden_0/kernel"), layer_of("kernel")
        ('params/hidden_0', '')
    """
    return path.rpartition("/")[0]


def chosen(tree: Any, where: Where) -> dict[str, bool]:
    """Path of every leaf, in the tree's order, and whether it is compressed.

    Args:
        tree: any pytree of arrays or shapes.
        where: `(path, leaf) -> bool`.

    Raises:
        ValueError: nothing is chosen, or a chosen leaf does not hold real floating numbers.

    Examples:
        >>> chosen({"head": {"bias": np.ones(2), "kernel": np.ones((3, 2))}}, under_head)
        {'head/bias': False, 'head/kernel': True}
    """
    found = {}
    for path, leaf in jax.tree.leaves_with_path(tree):
        name = "/".join(_part(part) for part in path)
        found[name] = bool(where(name, leaf))
        if found[name] and not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            raise ValueError(
                f"Leaf {name!r} holds {jnp.result_type(leaf)}, not floating numbers; leave it out by `where`."
            )
    if not any(found.values()):
        raise ValueError(f"`where` chooses none of the leaves {', '.join(map(repr, found)) or '(there are none)'}.")
    return found


def first_model(tree: Any) -> Any:
    """Shapes of one model of a batch of them.

    Raises:
        ValueError: the leaves do not share a leading axis.

    Examples:
        >>> first_model({"bias": np.ones((5, 2))})
        {'bias': ShapeDtypeStruct(shape=(2,), dtype=float64)}
    """
    counts = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(tree)}
    if len(counts) != 1 or () in counts:
        raise ValueError(f"With models=True every leaf has the models as leading axis, got {sorted(counts)}.")
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), tree)


def versions_at_once(weights: int) -> int:
    """How many versions of so many weights to make at a time: what a processor's cache holds, more on accelerators.

    Examples:
        >>> versions_at_once(10**9)
        1
    """
    return max(1, (2**18 if jax.default_backend() == "cpu" else 2**24) // max(weights, 1))


def batches(width: int) -> dict[str, int]:
    """How `jax.lax.map` goes through versions, so many at a time: one at a time without the axis of a batch.

    A convolution whose kernels have such an axis, of length one even, is a slower operation on CPU.

    Examples:
        >>> batches(4), batches(1)
        ({'batch_size': 4}, {})
    """
    return {"batch_size": width} if width > 1 else {}


def value_of(value: Any) -> np.ndarray | None:
    """The value where it is known, `None` while it is traced."""
    return None if isinstance(value, jax.core.Tracer) else np.asarray(value)


def _part(part: Any) -> str:
    for name in ("key", "name", "idx"):
        if hasattr(part, name):
            return str(getattr(part, name))
    return str(part)
