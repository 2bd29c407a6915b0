"""Spoken digits joined into strings, as in connected-digit recognition."""

import jax
import numpy as np
from jaxtyping import Int

from lcjax.data.examples import SPLITS
from lcjax.data.readers.recordings import Recordings, read_recordings
from lcjax.data.sequences.speech import Utterance, speech_task
from lcjax.data.sequences.task import SequenceTask
from lcjax.data.subsets import random_order
from lcjax.typing import KeyArray, PathLike

__all__ = ["DIGITS", "draw_strings", "read_spoken_digits"]

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEST_TAKES = _VALIDATION_TAKES = 5
_JOIN = 0  # random stream


def draw_strings(
    key: KeyArray, groups: Int[np.ndarray, " n"], *, shortest: int = 3, longest: int = 7, repeats: int = 1
) -> tuple[list[Int[np.ndarray, " _"]], int]:
    """Partition items into strings of random length within their groups, each item once per repeat.

    The items of a group are shuffled and cut; each cut draws one of the lengths from `shortest` to `longest` that leave
    a number of items which further strings can use up. The strings of all groups are then shuffled within a repeat; the
    first repeat comes first.

    Args:
        key: typed JAX key.
        groups: group of each item: the speaker of a recording.
        shortest: smallest number of items per string.
        longest: largest number of items per string.
        repeats: number of strings that use each item.

    Returns:
        Indices of the items of each string, and the number of items per repeat that are left over, because no lengths
        add up to the number of items of a group (3 to 7 add up to every number from 3 on).

    Raises:
        ValueError: `1 <= shortest <= longest` or `repeats >= 1` is violated, or there are too few items for one string.

    Examples:
        >>> strings, left_over = draw_strings(jax.random.key(0), np.repeat([0, 1], 50))
        >>> sorted(np.concatenate(strings).tolist()) == list(range(100)), left_over
        (True, 0)
    """
    if not 1 <= shortest <= longest or repeats < 1:
        raise ValueError(f"Need 1 <= shortest <= longest and repeats >= 1, got {shortest}, {longest} and {repeats}.")
    strings: list[np.ndarray] = []
    left_over = 0
    for repeat in range(repeats):
        repeat_key = jax.random.fold_in(key, repeat)
        cuts: list[np.ndarray] = []
        for number, group in enumerate(np.unique(groups), start=1):
            order_key, length_key = jax.random.split(jax.random.fold_in(repeat_key, number))
            items = np.flatnonzero(groups == group)
            used = next(m for m in range(items.size, -1, -1) if _is_sum_of_lengths(m, shortest, longest))
            left_over += items.size - used
            items = items[random_order(order_key, items.size)][:used]
            for draw in np.asarray(jax.random.bits(length_key, (items.size,), "uint32")):
                rest = {m: items.size - m for m in range(shortest, longest + 1)}
                lengths = [m for m in rest if _is_sum_of_lengths(rest[m], shortest, longest)]
                if not lengths:
                    break
                length = lengths[draw % len(lengths)]
                cuts.append(items[:length])
                items = items[length:]
        if not cuts:
            raise ValueError(f"No group of {np.size(groups)} items has enough for a string of {shortest} to {longest}.")
        strings += [cuts[row] for row in random_order(jax.random.fold_in(repeat_key, 0), len(cuts))]
    return strings, left_over // repeats


def read_spoken_digits(
    path: PathLike,
    *,
    seed: int = 0,
    shortest: int = 3,
    longest: int = 7,
    repeats: int = 1,
    characters: bool = True,
    attention: bool = False,
    subsampling: int = 2,
    rate: int = 8000,
) -> SequenceTask:
    """Read spoken digits and join them into strings, as a task for CTC or for an attention model.

    The official split is kept: takes 0 to 4 of each speaker and digit are the test set (300 of the 3,000 recordings of
    the Free Spoken Digit Dataset). Of the other 2,700, takes 5 to 9 are for validation and the rest for training. The
    strings of a split are joined from its own recordings, each used `repeats` times, one speaker per string, without
    pauses (`draw_strings`). All splits have the same speakers.

    Args:
        path: see `read_recordings`.
        seed: seed of the strings.
        shortest: smallest number of digits per string; 1 with `longest=1` for single digits.
        longest: largest number of digits per string.
        repeats: number of strings that use each recording. With more than one, utterances are not independent; a
            repeat of the training recordings makes about 480 strings of 3 to 7 digits.
        characters: use the letters of the digits' names and the space between names as labels; else the digits.
        attention: see `speech_task`.
        subsampling: see `speech_task`.
        rate: samples per second.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: see `read_recordings`, `draw_strings`; or a split has no recordings.

    Examples:
        >>> read_spoken_digits("/no/such.npz")
        Traceback (most recent call last):
        FileNotFoundError: No file /no/such.npz.
    """
    recordings = read_recordings(path, rate=rate)
    take, first, second = recordings.take, _TEST_TAKES, _TEST_TAKES + _VALIDATION_TAKES
    rows = {"train": take >= second, "validation": (take >= first) & (take < second), "test": take < first}
    splits, notes = {}, []
    for number, split in enumerate(SPLITS):
        index = np.flatnonzero(rows[split])
        if not index.size:
            raise ValueError(f"{path} has no recording for the {split} split: takes are {np.unique(take)}.")
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), _JOIN), number)
        speaker = recordings.speaker[index]
        strings, left_over = draw_strings(key, speaker, shortest=shortest, longest=longest, repeats=repeats)
        splits[split] = [_utterance(recordings, index[string], characters) for string in strings]
        if left_over:
            notes.append(f"{split}: {left_over} of {index.size} recordings are too few for a string.")
    name = f"fsdd:{path}"
    return speech_task(splits, rate=rate, attention=attention, subsampling=subsampling, notes=notes, name=name)


def _is_sum_of_lengths(count: int, shortest: int, longest: int) -> bool:
    """Return True if lengths between the two can add up to `count`."""
    return 0 <= -(-count // longest) * shortest <= count


def _utterance(recordings: Recordings, string: Int[np.ndarray, " t"], characters: bool) -> Utterance:
    names = [DIGITS[digit] for digit in recordings.digit[string]]
    audio = np.concatenate([recordings.audio[row] for row in string])
    return Utterance(audio, " ".join(names) if characters else names)
