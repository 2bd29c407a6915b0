"""Penalties on weights and pre-activations, with a traced strength for each run and optionally for each layer."""

from collections.abc import Mapping
from typing import TypeAlias

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict
from jaxtyping import Float, Num

from lcjax.typing import Variables

__all__ = ["NAMES", "check_penalties", "needs_preactivations", "penalty"]

NAMES = ("l1", "l2", "vc")  # first parts of the columns that are penalties

Strengths: TypeAlias = Mapping[str, Num[jax.Array, ""] | float | int]


def penalty(
    columns: Strengths, params: Variables, preactivations: Mapping[str, Float[jax.Array, ""]]
) -> Float[jax.Array, ""] | float:
    """Return the penalties that are added to a run's mean loss.

        sum over "l1" of C * sum |w|  +  sum over "l2" of C/2 * sum w^2  +  sum over "vc" of D/2 * mean_i sum_j a_ij^2

    A column "l2" applies to all layers, "l2/hidden_0" to one of them (or all below "block_0"), so that "vc/head"
    penalizes the outputs alone (Sharma et al., 2019, Eq. (16)) and "vc" all pre-activations (Eq. (18)). Weights are the
    parameters with two or more axes, as in the paper: no biases and no scales of a normalization.

    Args:
        columns: the run's row of the table; columns other than penalties are ignored.
        params: its parameters.
        preactivations: one scalar per layer, see `apply_with_preactivations`.

    Examples:
        >>> import jax.numpy as jnp
        >>> params = {"head": {"kernel": jnp.array([[3.0], [-4.0]]), "bias": jnp.array([9.0])}}
        >>> float(penalty({"l1": 1.0, "l2/head": 2.0, "size": 5}, params, {}))
        32.0
    """
    weights = {"/".join(path): leaf for path, leaf in flatten_dict(params).items() if leaf.ndim > 1}
    total: Float[jax.Array, ""] | float = 0.0
    for column in _penalties(columns):
        kind, _, layer = column.partition("/")
        if kind == "vc":
            terms = [value for path, value in preactivations.items() if _is_below(path, layer)]
        else:
            measure = jnp.abs if kind == "l1" else lambda leaf: jnp.square(leaf) / 2
            terms = [jnp.sum(measure(leaf)) for path, leaf in weights.items() if _is_below(path, layer)]
        total += columns[column] * sum(terms)
    return total


def needs_preactivations(columns: Strengths) -> bool:
    """Return True if a column penalizes pre-activations."""
    return any(column.partition("/")[0] == "vc" for column in _penalties(columns))


def check_penalties(columns: Strengths, params: Variables) -> None:
    """Raise ValueError for a penalty on a layer that the model lacks, with the column and the model's layers."""
    paths = ["/".join(path) for path in flatten_dict(params)]
    for column in _penalties(columns):
        layer = column.partition("/")[2]
        if not any(_is_below(path, layer) for path in paths):
            layers = sorted({path.rpartition("/")[0] for path in paths})
            raise ValueError(f"Column {column!r} does not match a layer of the model. Layers: {', '.join(layers)}.")


def _penalties(columns: Strengths) -> list[str]:
    return sorted(name for name in columns if name.partition("/")[0] in NAMES)


def _is_below(path: str, layer: str) -> bool:
    return not layer or path == layer or path.startswith(f"{layer}/")
