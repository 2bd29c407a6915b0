"""Penalties on weights and pre-activations, with a traced strength for each run and, if wanted, for each layer."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

__all__ = ["NAMES", "check_penalties", "penalty", "sees_preactivations"]

NAMES = ("l1", "l2", "vc")  # first parts of the columns that are penalties


def penalty(columns: Mapping[str, Any], params: Any, preactivations: Mapping[str, jax.Array]) -> Any:
    """What a run's penalties add to its mean loss.

        sum over "l1" of C * sum |w|  +  sum over "l2" of C/2 * sum w^2  +  sum over "vc" of D/2 * mean_i sum_j a_ij^2

    A column "l2" means all layers, "l2/hidden_0" one of them (or all below "block_0"), so that "vc/head" penalizes the
    outputs alone (Sharma et al., Eq. 16) and "vc" all pre-activations (Eq. 18). Weights are the parameters with two or
    more axes, as in the paper: no biases and no scales of a normalization.

    Args:
        columns: of the run; those that are no penalties are left alone.
        params: its parameters.
        preactivations: one scalar a layer, see `apply_with_preactivations`.

    Examples:
        >>> import jax.numpy as jnp
        >>> params = {"head": {"kernel": jnp.array([[3.0], [-4.0]]), "bias": jnp.array([9.0])}}
        >>> float(penalty({"l1": 1.0, "l2/head": 2.0, "size": 5}, params, {}))
        32.0
    """
    weights = {"/".join(path): leaf for path, leaf in flatten_dict(params).items() if leaf.ndim > 1}
    total: Any = 0.0
    for column, strength in _penalties(columns):
        kind, _, layer = column.partition("/")
        if kind == "vc":
            total += strength * sum(value for path, value in preactivations.items() if _below(path, layer))
        else:
            chosen = [leaf for path, leaf in weights.items() if _below(path, layer)]
            measure = jnp.abs if kind == "l1" else lambda leaf: jnp.square(leaf) / 2
            total += strength * sum(jnp.sum(measure(leaf)) for leaf in chosen)
    return total


def sees_preactivations(columns: Mapping[str, Any]) -> bool:
    """Whether a table of runs penalizes pre-activations."""
    return any(column.partition("/")[0] == "vc" for column, _ in _penalties(columns))


def check_penalties(columns: Mapping[str, Any], params: Any) -> None:
    """Refuse a penalty on a layer that the model lacks.

    Raises:
        ValueError: with the column's name.
    """
    paths = ["/".join(path) for path in flatten_dict(params)]
    for column, _ in _penalties(columns):
        layer = column.partition("/")[2]
        if not any(_below(path, layer) for path in paths):
            known = sorted({path.rpartition("/")[0] for path in paths})
            raise ValueError(f"Column {column!r} names no layer of the model; it has {', '.join(known)}.")


def _penalties(columns: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in sorted(columns.items()) if name.partition("/")[0] in NAMES]


def _below(path: str, layer: str) -> bool:
    return not layer or path == layer or path.startswith(f"{layer}/")
