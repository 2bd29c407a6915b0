"""Speech: spoken digits joined into strings, as normalised log-spectrograms with characters or digits as labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Int, Key

from lcjax.data.examples import Data, Examples
from lcjax.data.readers.recordings import Recordings, read_recordings
from lcjax.data.readers.spectrogram import HOP, log_spectrogram, normalized_power
from lcjax.data.sequences.task import SequenceTask, pad
from lcjax.data.sequences.text import SPLITS
from lcjax.data.sequences.vocabulary import END, START, Vocabulary
from lcjax.data.subsets import random_order

__all__ = ["DIGITS", "Utterance", "audio_seconds", "joined_strings", "read_digits", "speech_task"]

Array = jax.Array | np.ndarray

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
BLANK = "<blank>"
_TEST_TAKES = _VALIDATION_TAKES = 5
_JOIN = 0  # stream of random numbers


class Utterance(NamedTuple):
    """Audio in one channel, and the symbols that it says.

    Attributes:
        audio: samples, integers or floating, in any scale.
        labels: characters, as a string, or words.
    """

    audio: np.ndarray
    labels: Sequence[str]


def joined_strings(
    key: Key[jax.Array, ""],
    groups: Int[np.ndarray, " n"],
    *,
    shortest: int = 3,
    longest: int = 7,
    repeats: int = 1,
) -> tuple[list[Int[np.ndarray, "..."]], int]:
    """Which items make up each string: every item once a repeat, strings of one group, lengths drawn uniformly.

    The items of a group are shuffled and cut; each cut draws one of the lengths from `shortest` to `longest` that leave
    a number of items which further strings can use up. The strings of all groups are then shuffled, repeat by repeat:
    the first repeat comes first.

    Args:
        key: typed JAX key.
        groups: group of each item: the speaker of a recording.
        shortest: fewest items a string.
        longest: most items a string.
        repeats: how many times every item is used, in different strings.

    Returns:
        Indices of each string's items, and how many items a repeat are left over, because a group has a number of items
        that no lengths add up to (3 to 7 add up to every number from 3 on).

    Raises:
        ValueError: lengths that are not 1 <= shortest <= longest, no repeats, or too few items for one string.

    Examples:
        >>> import jax
        >>> strings, left = joined_strings(jax.random.key(0), np.repeat([0, 1], 50))
        >>> sorted(np.concatenate(strings).tolist()) == list(range(100)), left
        (True, 0)
    """
    if not 1 <= shortest <= longest or repeats < 1:
        raise ValueError(f"Need 1 <= shortest <= longest and repeats >= 1, got {shortest}, {longest} and {repeats}.")
    strings: list[np.ndarray] = []
    left = 0
    for repeat in range(repeats):
        own = jax.random.fold_in(key, repeat)
        cut: list[np.ndarray] = []
        for number, group in enumerate(np.unique(groups), start=1):
            shuffling, drawing = jax.random.split(jax.random.fold_in(own, number))
            items = np.flatnonzero(groups == group)
            used = next(m for m in range(items.size, -1, -1) if _makes_up(m, shortest, longest))
            left += items.size - used
            items = items[random_order(shuffling, items.size)][:used]
            for draw in np.asarray(jax.random.bits(drawing, (items.size,), "uint32")):
                lengths = [m for m in range(shortest, longest + 1) if _makes_up(items.size - m, shortest, longest)]
                if not lengths:
                    break
                length = lengths[draw % len(lengths)]
                cut.append(items[:length])
                items = items[length:]
        if not cut:
            raise ValueError(f"No group of {np.size(groups)} items has enough for a string of {shortest} to {longest}.")
        strings += [cut[row] for row in random_order(jax.random.fold_in(own, 0), len(cut))]
    return strings, left // repeats


def read_digits(
    path: str | Path,
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
    strings of a split are joined from its own recordings, each used `repeats` times, one speaker a string, without
    pauses (`joined_strings`). Speakers are the same in all splits.

    Args:
        path: see `read_recordings`.
        seed: of the strings.
        shortest: fewest digits a string; 1 with `longest=1` for single digits.
        longest: most digits a string.
        repeats: strings that each recording is part of. With more than one, utterances are not independent: a
            repeat of the training recordings makes about 480 strings of 3 to 7.
        characters: labels are the letters of the digits' names and the space between two names; else the digits.
        attention: see `speech_task`.
        subsampling: see `speech_task`.
        rate: samples a second.

    Raises:
        FileNotFoundError: no such file.
        ValueError: see `read_recordings`, `joined_strings`; or a split without a recording.

    Examples:
        >>> read_digits("/no/such.npz")
        Traceback (most recent call last):
        FileNotFoundError: No file /no/such.npz.
    """
    recordings = read_recordings(path, rate=rate)
    first, second = _TEST_TAKES, _TEST_TAKES + _VALIDATION_TAKES
    rows = {
        "train": recordings.take >= second,
        "validation": (recordings.take >= first) & (recordings.take < second),
        "test": recordings.take < first,
    }
    splits, left_over = {}, []
    for number, split in enumerate(SPLITS):
        chosen = np.flatnonzero(rows[split])
        if not chosen.size:
            raise ValueError(f"{path} has no recording for the {split} split: takes are {np.unique(recordings.take)}.")
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), _JOIN), number)
        strings, left = joined_strings(
            key, recordings.speaker[chosen], shortest=shortest, longest=longest, repeats=repeats
        )
        splits[split] = [_utterance(recordings, chosen[string], characters) for string in strings]
        left_over += [f"{split}: {left} of {chosen.size} recordings are too few for a string."] if left else []
    task = speech_task(splits, rate=rate, attention=attention, subsampling=subsampling, name=f"fsdd:{path}")
    return SequenceTask(task.data, task.vocabulary, task.unit, (*left_over, *task.notes))


def speech_task(
    splits: Mapping[str, Sequence[Utterance]],
    *,
    rate: int,
    attention: bool = False,
    subsampling: int = 2,
    name: str = "speech",
) -> SequenceTask:
    """Utterances as log-spectrograms (`log_spectrogram`) of audio whose power is normalized, and their labels.

    Each bin is normalised by its mean and standard deviation over the frames of the training split; behind the end of
    an utterance frames are 0. Symbol 0 is CTC's blank, and the padding of a decoder's inputs.

    Args:
        splits: utterances of "train", "validation" and perhaps "test".
        rate: samples a second.
        attention: give a decoder's inputs as well, and targets that end: two more symbols, the last, start and end
            a string. For CTC (the default) targets are the labels alone, and an utterance that has fewer frames than
            CTC needs (one a label, and a blank between equal ones) is masked: all its targets are padding, which no
            loss, error or unit counts. The notes count them.
        subsampling: frames of the input a frame of the output, for that rule: 2 for Deep Speech 2 as it is here.
        name: in messages and results.

    Returns:
        The task: inputs `{"frames": (n, f, bins) float32, "length": (n,) int32}`, with `attention` also "target"
        `(n, t)` int32; targets `(n, t)` int32, padded with -1; widths are those of the longest utterance of any
        split. Its unit is "utterances"; `audio_seconds` gives hours.

    Raises:
        ValueError: a split is missing or empty, an utterance is silent or has no labels, or a label of another split
            does not occur in training.

    Examples:
        >>> audio = np.random.default_rng(0).normal(size=(2, 800))
        >>> some = [Utterance(audio[0], "ab"), Utterance(audio[1, :400], "aa")]
        >>> task = speech_task({"train": some, "validation": some}, rate=8000, subsampling=2)
        >>> {name: leaf.shape for name, leaf in task.data.train.inputs.items()}
        {'frames': (2, 9, 81), 'length': (2,)}
        >>> task.data.train.targets.tolist(), task.notes
        ([[1, 2], [-1, -1]], ('train: 1 of 2 utterances have labels that are longer than their frames...', ...))
    """
    for split in ("train", "validation"):
        if not splits.get(split):
            raise ValueError(f"There are no utterances in the {split} split.")
    held = {split: splits[split] for split in SPLITS if splits.get(split)}
    _check(held)
    symbols = sorted({label for utterance in held["train"] for label in utterance.labels})
    words = any(len(symbol) > 1 for symbol in symbols)
    special = (START, END) if attention else ()
    size = 1 + len(symbols) + len(special)
    start, end = (size - 2, size - 1) if attention else (-1, -1)
    vocabulary = Vocabulary((BLANK, *symbols, *special), end=end, start=start, unknown=-1, padding=0, words=words)

    frames = {
        split: [log_spectrogram(normalized_power(utterance.audio), rate) for utterance in some]
        for split, some in held.items()
    }
    labels = {split: [_numbers(split, utterance, vocabulary) for utterance in some] for split, some in held.items()}
    mean, deviation = _statistics(frames["train"])
    longest = max(len(one) for some in frames.values() for one in some)
    width = max(len(one) for some in labels.values() for one in some)
    examples, notes = {}, []
    for split, some in held.items():
        length = np.array([len(one) for one in frames[split]], np.int32)
        inputs: dict[str, Array] = {
            "frames": pad([(one - mean) / deviation for one in frames[split]], length=longest, fill=0.0),
            "length": length,
        }
        if attention:
            inputs["target"] = pad([np.append(np.int32(start), one) for one in labels[split]], length=width + 1, fill=0)
            targets = pad([np.append(one, np.int32(end)) for one in labels[split]], length=width + 1)
        else:
            targets = pad(labels[split], length=width)
            needed = np.array([len(one) + np.sum(one[1:] == one[:-1]) for one in labels[split]])
            masked = needed > -(-length // subsampling)
            targets[masked] = -1
            if masked.any():
                notes.append(
                    f"{split}: {masked.sum()} of {len(some)} utterances have labels that are longer than their frames "
                    f"at one in {subsampling}; they are masked and count nowhere."
                )
        examples[split] = Examples(inputs, targets)
    data = Data(examples["train"], examples["validation"], examples.get("test"), classes=size, name=name)
    return SequenceTask(data, vocabulary, "utterances", tuple(notes))


def audio_seconds(length: Int[np.ndarray, " n"]) -> np.ndarray:
    """Seconds of audio of so many frames, `(n,)`: what sizes in hours are counted with.

    Examples:
        >>> audio_seconds(np.array([99, 199])).tolist()
        [1.0, 2.0]
    """
    return (np.asarray(length) + 1) * HOP  # a window is two hops


def _check(splits: Mapping[str, Sequence[Utterance]]) -> None:
    for split, some in splits.items():
        for number, utterance in enumerate(some):
            audio = np.asarray(utterance.audio)
            where = f"Utterance {number} of the {split} split"
            if audio.ndim != 1 or not audio.size:
                raise ValueError(f"{where} is not one channel of samples but of shape {audio.shape}.")
            if not np.isfinite(audio).all() or audio.min() == audio.max():
                raise ValueError(f"{where} is silent or not finite ({audio.size} samples): leave it out.")
            if not len(utterance.labels):
                raise ValueError(f"{where} has no labels.")


def _makes_up(count: int, shortest: int, longest: int) -> bool:
    """Whether lengths between the two can add up to `count`."""
    return 0 <= -(-count // longest) * shortest <= count


def _utterance(recordings: Recordings, string: np.ndarray, characters: bool) -> Utterance:
    names = [DIGITS[digit] for digit in recordings.digit[string]]
    return Utterance(
        np.concatenate([recordings.audio[row] for row in string]), " ".join(names) if characters else names
    )


def _numbers(split: str, utterance: Utterance, vocabulary: Vocabulary) -> np.ndarray:
    try:
        return vocabulary.number(utterance.labels)
    except ValueError as error:
        raise ValueError(f"The {split} split has a label that training lacks: {error}") from None


def _statistics(frames: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each bin; 1 for bins that never change."""
    count = sum(len(one) for one in frames)
    mean = sum(one.sum(axis=0, dtype=np.float64) for one in frames) / count
    variance = sum(np.square(one - mean).sum(axis=0) for one in frames) / count
    deviation = np.where(variance > 1e-12 * np.square(mean), np.sqrt(variance), 1.0)
    return np.asarray(mean, np.float32), np.asarray(deviation, np.float32)
