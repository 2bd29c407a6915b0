"""Inputs that do not fit into memory, read example by example on access."""

import dataclasses
import hashlib
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from jaxtyping import Int, Num

from lcjax.threads import cores, in_threads
from lcjax.typing import Array

__all__ = ["Streamed", "fetch_rows", "read_in_threads", "take_rows"]

R = TypeVar("R")

LEAST = 8  # threads: reading waits for the disk more than for the processor


@dataclasses.dataclass(frozen=True, eq=False)
class Streamed:
    """Inputs of a split that stay in their source; indexing with an array of rows reads these, in several threads.

    It takes the place of an array in `Examples.inputs`. A sweep then prefetches its minibatches
    (`lcjax.training.execution.streamed`). Normalization, shards and minibatches are as for an array.

    Attributes:
        read: `row of the source -> one input`, always of the same shape and dtype; called from several threads.
        index: source row of each example, in the order of the split, `(n,)`.
        example_shape: shape of one input.
        dtype: dtype of an input, uint8 or floating.
        identity: name that distinguishes the source from every other one, for stored sweeps.

    Examples:
        >>> import numpy as np
        >>> squares = Streamed(lambda i: np.full(2, i**2, "f4"), np.arange(4), (2,), np.dtype("f4"), "squares")
        >>> squares.shape, squares[np.array([3, 1])].tolist()
        ((4, 2), [[9.0, 9.0], [1.0, 1.0]])
        >>> squares.take(np.array([2, 3]))[np.array([0])].tolist()
        [[4.0, 4.0]]
    """

    read: Callable[[int], np.ndarray]
    index: Int[np.ndarray, " n"]
    example_shape: tuple[int, ...]
    dtype: np.dtype
    identity: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array that this stands for."""
        return (len(self.index), *self.example_shape)

    @property
    def ndim(self) -> int:
        """Number of its axes."""
        return 1 + len(self.example_shape)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: Int[np.ndarray, " b"]) -> Num[np.ndarray, "b *shape"]:
        """Read the inputs of some rows.

        Raises:
            ValueError: an input differs from the first one in shape or dtype.
        """
        numbers = self.index[np.asarray(rows)]
        out = np.empty((len(numbers), *self.example_shape), self.dtype)

        def read(rows: range) -> None:
            for row in rows:
                value = np.asarray(self.read(int(numbers[row])))
                if value.shape != self.example_shape or value.dtype != self.dtype:
                    raise ValueError(
                        f"Input {numbers[row]} of {self.identity} is {value.dtype} of shape {value.shape}, not "
                        f"{self.dtype} of {self.example_shape}."
                    )
                out[row] = value

        read_in_threads(read, len(numbers))
        return out

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        """Raise ValueError: streamed inputs are not converted to an array."""
        raise ValueError(f"The inputs of {self.identity}, {self.shape}, are streamed: this needs them in memory.")

    def take(self, rows: Int[np.ndarray, " m"]) -> "Streamed":
        """Return some of the rows, still streamed."""
        return dataclasses.replace(self, index=self.index[np.asarray(rows)])

    def fingerprint(self) -> str:
        """Return a SHA-256 over identity, shape, dtype and source rows; the inputs themselves are not read."""
        digest = hashlib.sha256(f"{self.identity} {self.dtype} {self.shape}".encode())
        digest.update(np.ascontiguousarray(self.index, np.int64).tobytes())
        return digest.hexdigest()


def read_in_threads(read: Callable[[range], R], n: int) -> list[R]:
    """Apply a reader of several rows to `range(0, n, t)`, `range(1, n, t)`, ... in t threads; return the results.

    There is one call per thread, because each call restores the caller's JAX settings, which takes 0.1 ms.
    """
    count = min(max(LEAST, cores()), n)
    return in_threads(read, [range(first, n, count) for first in range(count)], max(count, 1))


def take_rows(inputs: Array | Streamed, rows: Int[np.ndarray, " m"]) -> np.ndarray | Streamed:
    """Return some rows of an array, or of streamed inputs without reading them."""
    return inputs.take(rows) if isinstance(inputs, Streamed) else np.asarray(inputs)[rows]


def fetch_rows(inputs: Array | Streamed, rows: Int[np.ndarray, " b"]) -> Num[np.ndarray, "b *shape"]:
    """Return some rows of an array, or of streamed inputs, in memory."""
    return inputs[rows] if isinstance(inputs, Streamed) else np.asarray(inputs)[rows]
