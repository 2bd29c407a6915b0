"""Examples and data sets, in the form that training takes."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import numpy as np
from jaxtyping import Int, Num

from lcjax.data.streamed import Streamed
from lcjax.records import record
from lcjax.typing import Array

__all__ = ["SPLITS", "TOLERANCE", "Data", "Examples", "Pair", "Source", "Splits", "fingerprint"]

TOLERANCE = 0.1
"""Error of a prediction, in the units of the targets, up to which it counts as correct by default."""
SPLITS = ("train", "validation", "test")

Pair: TypeAlias = tuple[np.ndarray, np.ndarray]  # inputs and targets as a file holds them
Splits: TypeAlias = Mapping[str, tuple[np.ndarray | Streamed, np.ndarray]]  # inputs and targets by split


@dataclasses.dataclass(frozen=True)
class Source:
    """Splits as a source has them.

    Attributes:
        splits: inputs and targets by split; "train" is always present.
        notes: what was inferred or left out, one sentence each.
        encode: given the rows of each split, `(n, 1)`, returns their inputs, with the notes; for tables, whose encoding
            is fitted to the training rows. The inputs of `splits` are then numbers of rows.
        members: group of each training example, if the source has it.
    """

    splits: Splits
    notes: tuple[str, ...] = ()
    encode: Callable[[Splits], tuple[Splits, tuple[str, ...]]] | None = None
    members: np.ndarray | None = None


if TYPE_CHECKING:
    Inputs = Any  # an image reader knows that it has one array, a translation model that it has a dict
else:
    Inputs = Num[Array, "n *shape"] | Streamed | dict[str, Num[Array, "n *_"]]


@record
class Examples:
    """Inputs and targets of one split, as stored; normalized on the device.

    Attributes:
        inputs: `(n, *shape)`, uint8 or floating, or streamed if they do not fit into memory; for sequences also int32
            tokens, or a dict of such arrays.
        targets: class numbers `(n,)` int32, or real targets `(n,)` floating for regression; for sequences token numbers
            `(n, t)` int32, negative beyond the end.
        groups: number of the group of each example, such as a person, `(n,)` int32; equal numbers in two splits are one
            group. None if groups are not known.
    """

    inputs: Inputs
    targets: Num[Array, "n *_"]
    groups: Int[Array, " n"] | None = None


@record
class Data:
    """A data set: its splits, and the normalization of an input: a model receives `(input - offset) * scale`.

    Attributes:
        train: training set, from which shards are taken.
        validation: for every choice of settings.
        test: for the final score; None if it is withheld.
        offset: subtracted from an input, broadcast against one example.
        scale: multiplies a shifted input, broadcast against one example.
        classes: number of classes; 0 for regression.
        tolerance: regression only: a prediction further than this from its target counts as an error.
        target_offset: regression only, as is `target_scale`: a prediction is `target_offset + target_scale * output`.
            The objective of training compares the outputs with standardized targets, so that learning rates do not
            depend on the unit of the targets; losses and errors are reported in that unit.
        target_scale: multiplies an output.
        name: name given by the user.
        split_at_random: True if validation and test examples are random parts of the source of the training set, with
            equal expected errors.
        notes: what was inferred about the source or left out, one sentence each.
    """

    train: Examples
    validation: Examples
    test: Examples | None
    offset: Num[Array, "..."] | float = 0.0
    scale: Num[Array, "..."] | float = 1.0
    classes: int = jax.tree.static(default=0)
    tolerance: float = jax.tree.static(default=TOLERANCE)
    target_offset: float = jax.tree.static(default=0.0)
    target_scale: float = jax.tree.static(default=1.0)
    name: str = jax.tree.static(default="")
    split_at_random: bool = jax.tree.static(default=False)
    notes: tuple[str, ...] = jax.tree.static(default=())

    def without_test(self) -> "Data":
        """Return the same data with the test split withheld."""
        return dataclasses.replace(self, test=None)

    def check(self) -> None:
        """Check that the splits can be trained on.

        Raises:
            ValueError: inputs and targets differ in length, or class numbers lie outside [0, classes).

        Examples:
            >>> import numpy as np
            >>> part = Examples(np.zeros((3, 1)), np.array([1, 2, 1]))
            >>> Data(part, part, None, classes=2).check()
            Traceback (most recent call last):
            ValueError: train targets must be integers in [0, 1] for 2 classes, got int64 from 1 to 2.
        """
        for name in SPLITS:
            part = getattr(self, name)
            if part is None:
                continue
            targets = np.asarray(part.targets)
            for length in {len(leaf) for leaf in jax.tree.leaves(part.inputs)}:
                if length != len(targets):
                    raise ValueError(f"{name} has {length} inputs and {len(targets)} targets.")
            scored = targets if targets.ndim == 1 else targets[targets >= 0]
            if self.classes and scored.size:
                low, high = scored.min(), scored.max()
                if targets.dtype.kind not in "biu" or low < 0 or high >= self.classes:
                    raise ValueError(
                        f"{name} targets must be integers in [0, {self.classes - 1}] for {self.classes} classes, "
                        f"got {targets.dtype} from {low} to {high}."
                    )

    def chance_error(self) -> float:
        """Return the validation error of the best constant prediction.

        This is the largest class of the training set, the median of its targets, or for sequences its most frequent
        token at every position.

        Examples:
            >>> import numpy as np
            >>> part = Examples(np.zeros((4, 1)), np.array([0, 1, 1, 1]))
            >>> Data(part, part, None, classes=2).chance_error()
            0.25
        """
        train, validation = np.asarray(self.train.targets), np.asarray(self.validation.targets)
        if self.classes:
            train, validation = (targets[targets >= 0] for targets in (train, validation))
            return float(np.mean(validation != np.bincount(train).argmax()))
        return float(np.mean(np.abs(validation - np.median(train)) > self.tolerance))

    def fingerprint(self) -> str:
        """Return a SHA-256 over all arrays, the identities of streamed inputs, and the fields that scores depend on.

        The name is not included, because it may contain a path.
        """
        scores = (self.classes, self.tolerance)
        standardized = (self.target_offset, self.target_scale)
        return fingerprint(self, repr(scores if standardized == (0.0, 1.0) else scores + standardized))


def fingerprint(tree: object, head: str = "") -> str:
    """Return a SHA-256 over a text, all arrays of a pytree and the identities of streamed ones.

    Examples:
        >>> import numpy as np
        >>> fingerprint(np.zeros(2)) == fingerprint(np.zeros(2)), fingerprint(np.zeros(2)) == fingerprint(np.ones(2))
        (True, False)
    """
    digest = hashlib.sha256(head.encode())
    for path, leaf in jax.tree.leaves_with_path(tree):
        if isinstance(leaf, Streamed):
            digest.update(leaf.fingerprint().encode())
            continue
        array = np.ascontiguousarray(leaf)
        kind = array.dtype.str.replace("<V", "|V")  # of bfloat16 and its kin, as NumPy reads them from a file
        digest.update(f"{jax.tree_util.keystr(path)} {kind} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
