"""Sequence tasks as read: padding, units that sizes are counted in, and what reading left out."""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Int, Integer, Num

from lcjax.data.examples import Data
from lcjax.data.sequences.vocabulary import Vocabulary
from lcjax.records import record

__all__ = ["SequenceTask", "examples_for", "pad", "token_counts", "units_of_prefixes"]

Array = jax.Array | np.ndarray

PAD = -1  # a target that never counts


@record
class SequenceTask:
    """A sequence task as read from files.

    Attributes:
        data: its splits.
        vocabulary: its symbols; `vocabulary.decode` gives the text of targets back.
        unit: what its sizes count: "words", "characters", "target tokens" or "utterances".
        notes: what was left out, cut or masked, one line each, with numbers.
    """

    data: Data
    vocabulary: Vocabulary
    unit: str = jax.tree.static(default="tokens")
    notes: tuple[str, ...] = jax.tree.static(default=())


def pad(
    sequences: Sequence[np.ndarray], *, length: int | None = None, fill: int | float = PAD
) -> Num[np.ndarray, "n t *shape"]:
    """Sequences of different lengths as one array, filled behind their ends.

    Args:
        sequences: at least one, `(t, *shape)` each, of one dtype and one shape behind the first axis.
        length: of the result; that of the longest by default.
        fill: what stands behind an end.

    Raises:
        ValueError: there are no sequences, or one is longer than `length`.

    Examples:
        >>> pad([np.array([3, 1]), np.array([2])]).tolist()
        [[3, 1], [2, -1]]
    """
    if not sequences:
        raise ValueError("There are no sequences to pad.")
    longest = max(len(sequence) for sequence in sequences)
    length = longest if length is None else length
    if longest > length:
        raise ValueError(f"A sequence of {longest} is longer than the {length} that it is to be padded to.")
    padded = np.full((len(sequences), length, *sequences[0].shape[1:]), fill, sequences[0].dtype)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    return padded


def token_counts(targets: Integer[Array, "n t"]) -> Int[np.ndarray, " n"]:
    """Number of unpadded targets of each example: words, characters or pieces to be predicted, int64.

    Examples:
        >>> token_counts(np.array([[4, 0, -1], [-1, -1, -1]])).tolist()
        [2, 0]
    """
    return np.asarray(np.sum(np.asarray(targets) >= 0, axis=1, dtype=np.int64))


def units_of_prefixes(units: Num[np.ndarray, " n"], sizes: Sequence[int] | np.ndarray) -> Num[np.ndarray, " s"]:
    """How many units the first examples hold.

    Args:
        units: units of each example (`token_counts`, or seconds of audio), in the order of a shuffled training set.
        sizes: numbers of examples, each in [0, n].

    Raises:
        ValueError: a size is outside its range.

    Examples:
        >>> units_of_prefixes(np.array([5, 2, 4]), [1, 3]).tolist()
        [5, 11]
    """
    outside = [size for size in sizes if not 0 <= size <= len(units)]
    if outside:
        raise ValueError(f"Sizes must lie in [0, {len(units)}], the number of examples, got {outside}.")
    return np.concatenate([[units.dtype.type(0)], np.cumsum(units)])[np.asarray(sizes, int)]


def examples_for(units: Num[np.ndarray, " n"], wanted: Sequence[int | float] | np.ndarray) -> Int[np.ndarray, " s"]:
    """How many of the first examples hold at least the wanted numbers of units.

    Args:
        units: units of each example, in order, none negative.
        wanted: numbers of units, each above 0 and at most what all examples hold.

    Returns:
        The smallest such numbers of examples, int32.

    Raises:
        ValueError: a wanted number is not positive, or more than there is.

    Examples:
        >>> examples_for(np.array([5, 2, 4]), [5, 6, 11]).tolist()
        [1, 2, 3]
    """
    total = np.cumsum(units)
    outside = [number for number in wanted if not 0 < number <= (total[-1] if len(units) else 0)]
    if outside:
        raise ValueError(
            f"{outside[0]} units were asked for; the {len(units)} examples hold {total[-1] if len(units) else 0}."
        )
    return (np.searchsorted(total, np.asarray(wanted), side="left") + 1).astype(np.int32)
