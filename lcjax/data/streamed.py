"""Inputs that do not fit into memory: read, example by example, when they are asked for."""

import dataclasses
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from jaxtyping import Int, Num

__all__ = ["Streamed", "fetched", "rows_of"]

LEAST = 8  # threads: reading waits for the disk more than for the processor


@dataclasses.dataclass(frozen=True, eq=False)
class Streamed:
    """Inputs of a split that stay where they are; indexing with an array of numbers reads those, by several threads.

    It stands in `Examples.inputs` where an array would be too large. A sweep then reads its minibatches ahead of the
    steps (`lcjax.training.execution.streamed`). Normalisation, shards and minibatches are as for an array.

    Attributes:
        read: `number -> one input`, always of the same shape and dtype; called from several threads at once.
        index: numbers of the examples in the source, in the order of the split, `(n,)`.
        example_shape: shape of one input.
        dtype: of an input, uint8 or floating.
        identity: what tells the source from every other one, for stored sweeps.

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

    def __getitem__(self, places: Int[np.ndarray, " b"]) -> Num[np.ndarray, "b *shape"]:
        """The inputs at these places.

        Raises:
            ValueError: an input has another shape or dtype than the first one had.
        """
        numbers = self.index[np.asarray(places)]
        out = np.empty((len(numbers), *self.example_shape), self.dtype)

        def put(i: int) -> None:
            value = np.asarray(self.read(int(numbers[i])))
            if value.shape != self.example_shape or value.dtype != self.dtype:
                raise ValueError(
                    f"Input {numbers[i]} of {self.identity} is {value.dtype} of shape {value.shape}, not {self.dtype} "
                    f"of {self.example_shape}."
                )
            out[i] = value

        with ThreadPoolExecutor(max(LEAST, os.cpu_count() or 1)) as pool:
            for _ in pool.map(put, range(len(numbers))):
                pass
        return out

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        """Refuse to be read as a whole.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"The inputs of {self.identity}, {self.shape}, are streamed: this needs them in memory.")

    def take(self, places: Int[np.ndarray, " m"]) -> "Streamed":
        """The same with some examples only; nothing is read."""
        return dataclasses.replace(self, index=self.index[np.asarray(places)])

    def fingerprint(self) -> str:
        """SHA-256 over identity, shape, dtype and the numbers of the examples; not over the inputs themselves."""
        digest = hashlib.sha256(f"{self.identity} {self.dtype} {self.shape}".encode())
        digest.update(np.ascontiguousarray(self.index, np.int64).tobytes())
        return digest.hexdigest()


def rows_of(inputs: Any, places: Int[np.ndarray, " m"]) -> Any:
    """Some rows of an array, or of streamed inputs without reading them."""
    return inputs.take(places) if isinstance(inputs, Streamed) else np.asarray(inputs)[places]


def fetched(inputs: Any, places: Int[np.ndarray, " b"]) -> Num[np.ndarray, "b *shape"]:
    """Some rows of an array, or of streamed inputs, in memory."""
    return inputs[places] if isinstance(inputs, Streamed) else np.asarray(inputs)[places]
