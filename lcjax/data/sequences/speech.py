"""Speech recognition: normalized log-spectrograms of utterances, with characters or words as labels."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Int32, Num

from lcjax.data.arrays import moments
from lcjax.data.examples import Examples
from lcjax.data.readers.spectrogram import HOP, log_spectrogram, normalize_power
from lcjax.data.sequences.task import SequenceTask, make_task, order_splits, pad, teacher_forcing
from lcjax.data.sequences.vocabulary import END, START, Vocabulary
from lcjax.typing import Array

__all__ = ["Utterance", "audio_seconds", "speech_task"]

BLANK = "<blank>"


class Utterance(NamedTuple):
    """Audio in one channel, and its transcript.

    Attributes:
        audio: samples, integers or floating, in any scale.
        labels: characters, as a string, or words.
    """

    audio: np.ndarray
    labels: Sequence[str]


def speech_task(
    splits: Mapping[str, Sequence[Utterance]],
    *,
    rate: int,
    attention: bool = False,
    subsampling: int = 2,
    notes: Sequence[str] = (),
    name: str = "speech",
) -> SequenceTask:
    """Convert utterances to log-spectrograms of normalized power (`log_spectrogram`), and encode their labels.

    Each bin is normalized by its mean and standard deviation over the frames of the training split; frames beyond the
    end of an utterance are 0. Symbol 0 is CTC's blank, and the padding of a decoder's inputs.

    Args:
        splits: utterances of "train", "validation" and perhaps "test".
        rate: samples per second.
        attention: also give a decoder's inputs, and targets with an end symbol: two more symbols, the last, start and
            end a string. For CTC (the default) targets are the labels alone, and an utterance with fewer frames than
            CTC needs (one per label, and a blank between equal ones) is masked: all its targets are padding, which
            counts in no loss, error or unit. The notes count such utterances.
        subsampling: input frames per output frame, for that rule: 2 for Deep Speech 2 as implemented here.
        notes: notes on the reading of the utterances, placed before those of this function.
        name: name in results.

    Returns:
        The task: inputs `{"frames": (n, f, bins) float32, "length": (n,) int32}`, with `attention` also "target"
        `(n, t)` int32; targets `(n, t)` int32, padded with -1. Lengths are those of the longest utterance of any split.
        The unit is "utterances"; `audio_seconds` gives hours.

    Raises:
        ValueError: a split is missing or empty, an utterance is silent or has no labels, or a label of another split
            does not occur in training.

    Examples:
        >>> audio = np.random.default_rng(0).normal(size=(2, 800))
        >>> utterances = [Utterance(audio[0], "ab"), Utterance(audio[1, :400], "aa")]
        >>> task = speech_task({"train": utterances, "validation": utterances}, rate=8000, subsampling=2)
        >>> {name: leaf.shape for name, leaf in task.data.train.inputs.items()}
        {'frames': (2, 9, 81), 'length': (2,)}
        >>> task.data.train.targets.tolist(), task.notes
        ([[1, 2], [-1, -1]], ('train: 1 of 2 utterances have more labels than frames...', ...))
    """
    splits = order_splits({split: utterances for split, utterances in splits.items() if utterances}, "speech")
    _check_utterances(splits)
    vocabulary = _vocabulary(splits["train"], attention)
    frames, labels = {}, {}
    for split, utterances in splits.items():
        frames[split] = [log_spectrogram(normalize_power(one.audio), rate) for one in utterances]
        labels[split] = [_label_numbers(split, one, vocabulary) for one in utterances]
    mean, deviation = (np.asarray(value, np.float32) for value in moments(frames["train"], (0,)))
    most_frames = max(len(one) for some in frames.values() for one in some)
    most_labels = max(len(one) for some in labels.values() for one in some)
    examples, remarks = {}, list(notes)
    for split in splits:
        length = np.array([len(one) for one in frames[split]], np.int32)
        spectrograms = pad([(one - mean) / deviation for one in frames[split]], length=most_frames, fill=0.0)
        inputs: dict[str, Array] = {"frames": spectrograms, "length": length}
        if attention:
            inputs["target"], targets = teacher_forcing(labels[split], vocabulary, length=most_labels + 1, fill=0)
        else:
            targets = pad(labels[split], length=most_labels)
            needed = np.array([len(one) + np.sum(one[1:] == one[:-1]) for one in labels[split]])
            masked = needed > -(-length // subsampling)
            targets[masked] = -1
            if masked.any():
                remarks.append(
                    f"{split}: {masked.sum()} of {len(length)} utterances have more labels than frames after "
                    f"subsampling by {subsampling}; they are masked and do not count."
                )
        examples[split] = Examples(inputs, targets)
    return make_task(examples, vocabulary, "utterances", remarks, name)


def audio_seconds(length: Int[np.ndarray, " n"]) -> Num[np.ndarray, " n"]:
    """Return the seconds of audio of spectrograms with `length` frames, for sizes in hours.

    Examples:
        >>> audio_seconds(np.array([99, 199])).tolist()
        [1.0, 2.0]
    """
    return (np.asarray(length) + 1) * HOP  # a window is two hops


def _check_utterances(splits: Mapping[str, Sequence[Utterance]]) -> None:
    for split, utterances in splits.items():
        for number, utterance in enumerate(utterances):
            audio = np.asarray(utterance.audio)
            place = f"Utterance {number} of the {split} split"
            if audio.ndim != 1 or not audio.size:
                raise ValueError(f"{place} is not one channel of samples but of shape {audio.shape}.")
            if not np.isfinite(audio).all() or audio.min() == audio.max():
                raise ValueError(f"{place} is silent or not finite ({audio.size} samples): leave it out.")
            if not len(utterance.labels):
                raise ValueError(f"{place} has no labels.")


def _vocabulary(utterances: Sequence[Utterance], attention: bool) -> Vocabulary:
    """Return the blank, the labels in alphabetical order, and for a decoder start and end."""
    labels = sorted({label for utterance in utterances for label in utterance.labels})
    symbols = (BLANK, *labels, START, END) if attention else (BLANK, *labels)
    start, end = (len(symbols) - 2, len(symbols) - 1) if attention else (-1, -1)
    words = any(len(label) > 1 for label in labels)
    return Vocabulary(symbols, end=end, start=start, unknown=-1, padding=0, words=words)


def _label_numbers(split: str, utterance: Utterance, vocabulary: Vocabulary) -> Int32[np.ndarray, " t"]:
    try:
        return vocabulary.number(utterance.labels)
    except ValueError as error:
        raise ValueError(f"The {split} split has a label that training lacks: {error}") from None
