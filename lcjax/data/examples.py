"""Examples and data sets: what sources produce and the engine trains on."""

import dataclasses
import hashlib
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Num

from lcjax.data.streamed import Streamed
from lcjax.records import record

__all__ = ["Data", "Examples"]

Array = jax.Array | np.ndarray
if TYPE_CHECKING:
    Inputs = Any  # a reader of images or tables knows that it has an array
else:
    Inputs = Num[Array, "n *shape"] | Streamed | dict[str, Num[Array, "n *_"]]


@record
class Examples:
    """Inputs and targets of one split, as stored; normalised on the device.

    Attributes:
        inputs: `(n, *shape)`, uint8 or floating, or streamed where they do not fit; for sequences also int32 tokens, or
            a dict of such arrays.
        targets: class numbers `(n,)` int32, or real targets `(n,)` floating for regression; for sequences token numbers
            `(n, t)` int32, negative after the end.
    """

    inputs: Inputs
    targets: Num[Array, "n *_"]


@record
class Data:
    """A task: its splits, and how an input is normalised.

    A model sees `(input - offset) * scale`.

    Attributes:
        train: the training set that shards are taken from.
        validation: for every choice.
        test: for the final score; `None` where it is withheld.
        offset: subtracted from an input, broadcast against one example.
        scale: multiplies a shifted input, broadcast against one example.
        classes: number of classes; 0 for regression.
        tolerance: regression: a prediction further than this from its target is wrong.
        name: what the user called it.
    """

    train: Examples
    validation: Examples
    test: Examples | None
    offset: Num[Array, "..."] | float = 0.0
    scale: Num[Array, "..."] | float = 1.0
    classes: int = jax.tree.static(default=0)
    tolerance: float = jax.tree.static(default=0.1)
    name: str = jax.tree.static(default="")

    def without_test(self) -> "Data":
        """The same data with the test split withheld."""
        return dataclasses.replace(self, test=None)

    def check(self) -> None:
        """Refuse splits that cannot be trained on.

        Raises:
            ValueError: inputs and targets of different lengths, or class numbers outside [0, classes).

        Examples:
            >>> import numpy as np
            >>> part = Examples(np.zeros((3, 1)), np.array([1, 2, 1]))
            >>> Data(part, part, None, classes=2).check()
            Traceback (most recent call last):
            ValueError: train targets must be whole numbers in [0, 1] for 2 classes, got int64 from 1 to 2.
        """
        for name, part in (("train", self.train), ("validation", self.validation), ("test", self.test)):
            if part is None:
                continue
            targets = np.asarray(part.targets)
            for inputs in {len(leaf) for leaf in jax.tree.leaves(part.inputs)}:
                if inputs != len(targets):
                    raise ValueError(f"{name} has {inputs} inputs and {len(targets)} targets.")
            real = targets if targets.ndim == 1 else targets[targets >= 0]
            if self.classes and real.size:
                low, high = real.min(), real.max()
                if targets.dtype.kind not in "biu" or low < 0 or high >= self.classes:
                    raise ValueError(
                        f"{name} targets must be whole numbers in [0, {self.classes - 1}] for {self.classes} classes, "
                        f"got {targets.dtype} from {low} to {high}."
                    )

    def guessing_error(self) -> float:
        """Validation error of the best constant answer: the largest training class, or the median target.

        Of sequences: the commonest token everywhere.

        Examples:
            >>> import numpy as np
            >>> part = Examples(np.zeros((4, 1)), np.array([0, 1, 1, 1]))
            >>> Data(part, part, None, classes=2).guessing_error()
            0.25
        """
        train, validation = np.asarray(self.train.targets), np.asarray(self.validation.targets)
        if self.classes:
            train, validation = (targets[targets >= 0] for targets in (train, validation))
            return float(np.mean(validation != np.bincount(train).argmax()))
        return float(np.mean(np.abs(validation - np.median(train)) > self.tolerance))

    def fingerprint(self) -> str:
        """SHA-256 over every array's dtype, shape and bytes, streamed inputs' identities, and the static fields."""
        digest = hashlib.sha256(repr((self.classes, self.tolerance, self.name)).encode())
        for path, leaf in jax.tree.leaves_with_path(self):
            if isinstance(leaf, Streamed):
                digest.update(leaf.fingerprint().encode())
                continue
            array = np.ascontiguousarray(leaf)
            digest.update(f"{jax.tree_util.keystr(path)} {array.dtype.str} {array.shape}".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()
