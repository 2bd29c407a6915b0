"""Sequence tasks: padding, teacher forcing, the units of their sizes, and notes on what reading left out."""

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias, TypeVar

import jax
import numpy as np
from jaxtyping import Int, Int32, Integer, Num

from lcjax.data.examples import SPLITS, Data, Examples
from lcjax.data.sequences.vocabulary import Vocabulary
from lcjax.records import record
from lcjax.typing import Array

__all__ = [
    "SequenceTask",
    "examples_for",
    "make_task",
    "order_splits",
    "pad",
    "teacher_forcing",
    "token_counts",
    "units_of_prefixes",
]

PAD = -1  # a target that never counts
_PADDED_BYTES, _MOST_PADDING = 2**28, 20  # size from which padding is limited, and the limit as a factor

S = TypeVar("S")
Sizes: TypeAlias = Sequence[int | float] | Num[np.ndarray, " s"]


@record
class SequenceTask:
    """A sequence task as read from files.

    Attributes:
        data: its splits.
        vocabulary: its symbols; `vocabulary.decode` turns targets back into text.
        unit: unit of its sizes: "words", "characters", "target tokens" or "utterances".
        notes: what was left out, truncated or masked, one sentence each, with numbers.
    """

    data: Data
    vocabulary: Vocabulary
    unit: str = jax.tree.static(default="tokens")
    notes: tuple[str, ...] = jax.tree.static(default=())


def make_task(
    examples: Mapping[str, Examples], vocabulary: Vocabulary, unit: str, notes: Sequence[str], name: str
) -> SequenceTask:
    """Make a task whose classes are the symbols of its vocabulary."""
    data = Data(examples["train"], examples["validation"], examples.get("test"), classes=len(vocabulary), name=name)
    return SequenceTask(data, vocabulary, unit, tuple(notes))


def order_splits(splits: Mapping[str, S], content: str) -> dict[str, S]:
    """Return the splits in the order training, validation, test.

    Raises:
        ValueError: the training or the validation split is missing.

    Examples:
        >>> list(order_splits({"test": 3, "validation": 2, "train": 1}, "text"))
        ['train', 'validation', 'test']
    """
    for split in ("train", "validation"):
        if split not in splits:
            raise ValueError(f"The {content} has no {split} split, only {sorted(splits)}.")
    return {split: splits[split] for split in SPLITS if split in splits}


def pad(
    sequences: Sequence[Num[np.ndarray, "_ *shape"]], *, length: int | None = None, fill: int | float = PAD
) -> Num[np.ndarray, "n t *shape"]:
    """Stack sequences of different lengths into one array, padded beyond their ends.

    Args:
        sequences: at least one, `(t, *shape)` each, of one dtype and one shape after the first axis.
        length: length of the result; that of the longest sequence by default.
        fill: value of the padding.

    Raises:
        ValueError: there are no sequences, one is longer than `length`, or the result exceeds 256 MiB and is more than
            20 times as large as the sequences, because a few are much longer than the others.

    Examples:
        >>> pad([np.array([3, 1]), np.array([2])]).tolist()
        [[3, 1], [2, -1]]
    """
    if not sequences:
        raise ValueError("There are no sequences to pad.")
    longest = max(len(sequence) for sequence in sequences)
    length = longest if length is None else length
    if longest > length:
        raise ValueError(f"A sequence of {longest} is longer than the {length} to which it is to be padded.")
    content, shape = sum(map(len, sequences)), (len(sequences), length, *sequences[0].shape[1:])
    nbytes = math.prod(shape) * sequences[0].itemsize
    if nbytes > _PADDED_BYTES and len(sequences) * length > _MOST_PADDING * content:
        raise ValueError(
            f"Padded to {length} steps, {len(sequences)} sequences of {content} steps in all would take "
            f"{nbytes / 2**30:.4g} GiB, more than {_MOST_PADDING} times their own size: leave out the longest ones, "
            f"of up to {longest} steps."
        )
    padded = np.full(shape, fill, sequences[0].dtype)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    return padded


def teacher_forcing(
    labels: Sequence[Int32[np.ndarray, " _"]], vocabulary: Vocabulary, *, length: int, fill: int
) -> tuple[Int32[np.ndarray, "n t"], Int32[np.ndarray, "n t"]]:
    """Return a decoder's inputs, which begin with the start symbol, and targets, which finish with the end symbol.

    Args:
        labels: symbols of each sequence, without start and end.
        vocabulary: defines the two symbols.
        length: length of a row; longer sequences are truncated.
        fill: padding of the inputs; that of the targets is -1.

    Examples:
        >>> teacher_forcing([np.array([3, 4], np.int32)], Vocabulary(tuple("$?ab")), length=4, fill=0)
        (array([[0, 3, 4, 0]], dtype=int32), array([[ 3,  4,  0, -1]], dtype=int32))
    """
    start, end = np.int32(vocabulary.start), np.int32(vocabulary.end)
    inputs = pad([np.append(start, one)[:length] for one in labels], length=length, fill=fill)
    return inputs, pad([np.append(one, end)[:length] for one in labels], length=length)


def token_counts(targets: Integer[Array, "n t"]) -> Int[np.ndarray, " n"]:
    """Return the number of targets of each example that are not padding, int64.

    Examples:
        >>> token_counts(np.array([[4, 0, -1], [-1, -1, -1]])).tolist()
        [2, 0]
    """
    return np.asarray(np.sum(np.asarray(targets) >= 0, axis=1, dtype=np.int64))


def units_of_prefixes(units: Num[np.ndarray, " n"], sizes: Sizes) -> Num[np.ndarray, " s"]:
    """Return the number of units in the first examples.

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
    total = np.concatenate([[units.dtype.type(0)], np.cumsum(units)])
    return np.asarray(total[np.asarray(sizes, int)])


def examples_for(units: Num[np.ndarray, " n"], wanted: Sizes) -> Int[np.ndarray, " s"]:
    """Return the smallest numbers of first examples, int32, that hold at least the wanted numbers of units.

    Args:
        units: units of each example, in order, none negative.
        wanted: numbers of units, each above 0 and at most the units of all examples.

    Raises:
        ValueError: a wanted number is not positive, or exceeds the units of all examples.

    Examples:
        >>> examples_for(np.array([5, 2, 4]), [5, 6, 11]).tolist()
        [1, 2, 3]
    """
    total = np.cumsum(units)
    available = total[-1] if len(units) else 0
    outside = [number for number in wanted if not 0 < number <= available]
    if outside:
        raise ValueError(f"{outside[0]} units were asked for; the {len(units)} examples hold {available}.")
    return (np.searchsorted(total, np.asarray(wanted), side="left") + 1).astype(np.int32)
