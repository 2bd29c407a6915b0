"""Types shared by all packages: arrays, pytrees of arrays, keys, paths and progress."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import numpy as np
from jaxtyping import Key

__all__ = [
    "JSON", "Array", "ArrayTree", "KeyArray", "OnProgress", "PathLike", "Progress", "Scalar", "Variables", "check_key",
]  # fmt: skip

Array: TypeAlias = jax.Array | np.ndarray
Scalar: TypeAlias = jax.Array | np.ndarray | np.generic | float | int  # int: beartype does not take one for a float
KeyArray: TypeAlias = Key[jax.Array, ""]
PathLike: TypeAlias = str | os.PathLike[str]


def check_key(key: object) -> None:
    """Raise ValueError unless this is one typed key of JAX; seeds and arrays of `jax.random.PRNGKey` are not.

    Examples:
        >>> check_key(0)
        Traceback (most recent call last):
        ValueError: key must be a random key, such as jax.random.key(0), got 0.
    """
    if not (isinstance(key, jax.Array) and jax.numpy.issubdtype(key.dtype, jax.dtypes.prng_key) and key.ndim == 0):
        raise ValueError(f"key must be a random key, such as jax.random.key(0), got {key!r}.")


if TYPE_CHECKING:
    ArrayTree: TypeAlias = Array | Mapping[str, "ArrayTree"] | Sequence["ArrayTree"]
    JSON: TypeAlias = bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"] | None
    Variables: TypeAlias = dict[str, "Variables | jax.Array"]
else:  # a recursive alias has no run-time form
    ArrayTree = JSON = Variables = Any


@dataclasses.dataclass(frozen=True)
class Progress:
    """Progress of a computation, reported between its parts.

    Attributes:
        stage: current part, for a progress bar's label.
        done: work finished, in the unit of `total`; work restored from a folder is included.
        total: all work; rows of blocks, optimizer steps or a count of operations.
        resumed: part of `done` that was restored from a folder, to be left out of an estimate of the speed.
        runs: number of training runs; 0 where nothing is trained.
        ended: number of runs that have finished or failed.
        just_ended: runs that have ended since the last report, as rows of the table.
        restored: number of finished runs that were read from a folder.
    """

    stage: str
    done: float | int
    total: float | int
    resumed: float | int = 0
    runs: int = 0
    ended: int = 0
    just_ended: tuple[int, ...] = ()
    restored: int = 0


OnProgress: TypeAlias = Callable[[Progress], None]
