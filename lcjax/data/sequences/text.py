"""Text for language models: words as one continuous stream, characters as separate sentences."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int, Int32

from lcjax.data.examples import Examples
from lcjax.data.readers.files import read_lines
from lcjax.data.sequences.task import PAD, SequenceTask, make_task, order_splits, teacher_forcing
from lcjax.data.sequences.vocabulary import END, Vocabulary, most_frequent
from lcjax.data.subsets import held_out_count
from lcjax.files import require_folder
from lcjax.typing import PathLike

__all__ = ["characters_task", "cut_lines", "find_splits", "read_text", "words_task"]

_NAMES = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}


def find_splits(folder: PathLike, *, ending: str = ".txt") -> dict[str, Path]:
    """Find the file of each split in a folder: names with "train"; "validation", "valid", "val" or "dev"; "test".

    Args:
        folder: folder of the files.
        ending: ending of the names, before an optional .gz.

    Returns:
        Paths by "train", "validation", "test"; the first by name if several match. Splits without a file are absent.

    Raises:
        FileNotFoundError: there is no such folder, or no training file in it.
    """
    folder = require_folder(folder)
    files = sorted(path for path in folder.iterdir() if path.name.removesuffix(".gz").endswith(ending))
    splits: dict[str, Path] = {}
    for path in files:
        parts = path.name.removesuffix(".gz").removesuffix(ending).replace("_", ".").replace("-", ".").split(".")
        for split, names in _NAMES.items():
            if any(name in parts for name in names):
                splits.setdefault(split, path)
    if "train" not in splits:
        raise FileNotFoundError(f"No file of {folder} has train in its name and ends in {ending} or {ending}.gz.")
    return splits


def read_text(
    path: PathLike, *, validation_fraction: float = 0.05, test_fraction: float = 0.05
) -> dict[str, Sequence[str]]:
    """Read the lines of each split: a folder with one file per split (Penn Treebank), or one file (tiny Shakespeare).

    Args:
        path: the folder, or the file, of UTF-8 text with one sentence per line.
        validation_fraction: share of the lines for validation if there is no such file, before the test lines.
        test_fraction: share of the lines for testing if there is no such file: the last ones.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: see `read_lines`; or a share leaves a split empty.

    Examples:
        >>> read_text("/no/such/file")
        Traceback (most recent call last):
        FileNotFoundError: No file /no/such/file.
    """
    files = find_splits(path) if Path(path).is_dir() else {"train": Path(path)}
    return cut_lines({split: read_lines(file) for split, file in files.items()}, validation_fraction, test_fraction)


def cut_lines(
    splits: Mapping[str, Sequence[str]], validation_fraction: float, test_fraction: float
) -> dict[str, Sequence[str]]:
    """Take missing splits from the end of the training text: the last lines for testing, those before for validation.

    Lines are cut in the order of the text, not at random, because neighboring lines are not independent.
    """
    splits = dict(splits)
    n = len(splits["train"])
    for split, fraction in (("test", test_fraction), ("validation", validation_fraction)):
        if split not in splits:
            count = held_out_count(n, fraction)
            splits |= {"train": splits["train"][:-count], split: splits["train"][-count:]}
    return splits


def words_task(
    splits: Mapping[str, Sequence[str]], *, size: int | None = 10_000, unroll: int = 80, name: str = "words"
) -> SequenceTask:
    """Make continuous windows of words, as in Hestness et al. (2019, section A.2.1).

    The words of all sentences of a split, each sentence followed by its end symbol, are one stream. Example i holds its
    tokens `80 i` to `80 i + 79`, and its inputs are the tokens before them. The first input of a stream is the end
    symbol. Each token is a target once; the last window is padded. Sentences may have any length.

    Args:
        splits: sentences of "train", "validation" and perhaps "test". Empty ones are left out and noted.
        size: symbols of the vocabulary, unknown and end of sentence included; None for all words of the training text.
        unroll: tokens per example, over which gradients are propagated.
        name: name in results.

    Returns:
        The task, inputs and targets `(n, unroll)` int32; its unit is "words" (ends of sentences counted).

    Raises:
        ValueError: there is no training or validation text, `unroll` is below 1, or the vocabulary is larger than the
            training text.

    Examples:
        >>> task = words_task({"train": ["a b", "b c"], "validation": ["a d"]}, size=None, unroll=4)
        >>> task.data.train.inputs.tolist(), task.data.train.targets.tolist()
        ([[0, 3, 2, 0], [2, 4, 0, 0]], [[3, 2, 0, 2], [4, 0, -1, -1]])
        >>> task.vocabulary.decode(task.data.validation.targets[0])
        'a <unk>'
    """
    if unroll < 1:
        raise ValueError(f"unroll must be at least 1, got {unroll}.")
    sentences, notes = _drop_empty(splits)
    vocabulary = most_frequent((sentence.split() for sentence in sentences["train"]), size=size)
    examples = {}
    for split, lines in sentences.items():
        stream = vocabulary.number(word for sentence in lines for word in (*sentence.split(), END))
        examples[split] = Examples(*_windows(stream, unroll, vocabulary.end))
        notes += _note_unknown(split, examples[split], vocabulary)
    return make_task(examples, vocabulary, "words", notes, name)


def characters_task(
    splits: Mapping[str, Sequence[str]], *, size: int | None = None, longest: int = 150, name: str = "characters"
) -> SequenceTask:
    """Make separate sequences of characters, as in Hestness et al. (2019, section A.2.2).

    Example i is sentence i: the targets are its characters and its end symbol, at most `longest` of them; the rest of a
    longer sentence is truncated, including its end symbol. The first input is the end symbol, in place of a start.
    Padding is -1 among the targets, and the end symbol among the inputs.

    Args:
        splits: sentences of "train", "validation" and perhaps "test". Empty ones are left out and noted.
        size: symbols of the vocabulary, unknown and end included; None for all characters of the training text.
        longest: largest number of tokens per example.
        name: name in results.

    Returns:
        The task, inputs and targets `(n, t)` int32 with t at most `longest`, equal for all splits; its unit is
        "characters" (ends of sentences counted).

    Raises:
        ValueError: there is no training or validation text, `longest` is below 1, or the vocabulary is larger than the
            training text.

    Examples:
        >>> task = characters_task({"train": ["ab", "cabbage"], "validation": ["x"]}, longest=4)
        >>> task.data.train.inputs.tolist(), task.data.train.targets.tolist()
        ([[0, 2, 3, 0], [0, 4, 2, 3]], [[2, 3, 0, -1], [4, 2, 3, 3]])
        >>> task.notes[0]
        'train: 1 of 2 sentences are longer than 4 tokens; 4 of 11 tokens are truncated.'
    """
    if longest < 1:
        raise ValueError(f"longest must be at least 1, got {longest}.")
    sentences, notes = _drop_empty(splits)
    vocabulary = most_frequent(sentences["train"], size=size, words=False)
    encoded = {split: vocabulary.encode_batch(lines) for split, lines in sentences.items()}
    length = min(longest, 1 + max(len(one) for labels in encoded.values() for one in labels))
    examples = {}
    for split, labels in encoded.items():
        lengths = np.array([len(one) + 1 for one in labels])
        if np.any(lengths > length):
            notes.append(
                f"{split}: {np.sum(lengths > length)} of {len(labels)} sentences are longer than {length} tokens; "
                f"{np.sum(lengths - np.minimum(lengths, length))} of {lengths.sum()} tokens are truncated."
            )
        examples[split] = Examples(*teacher_forcing(labels, vocabulary, length=length, fill=vocabulary.end))
        notes += _note_unknown(split, examples[split], vocabulary)
    return make_task(examples, vocabulary, "characters", notes, name)


def _drop_empty(splits: Mapping[str, Sequence[str]]) -> tuple[dict[str, list[str]], list[str]]:
    sentences: dict[str, list[str]] = {}
    notes = []
    for split, lines in order_splits(splits, "text").items():
        sentences[split] = [sentence for sentence in lines if sentence.strip()]
        if not sentences[split]:
            raise ValueError(f"The {split} split holds no text.")
        empty = len(lines) - len(sentences[split])
        if empty:
            notes.append(f"{split}: {empty} of {len(lines)} lines are empty and left out.")
    return sentences, notes


def _windows(
    tokens: Int[np.ndarray, " t"], unroll: int, end: int
) -> tuple[Int32[np.ndarray, "n unroll"], Int32[np.ndarray, "n unroll"]]:
    """Cut a stream into inputs and targets; the first input is the end symbol."""
    n = -(-tokens.size // unroll)
    inputs, targets = np.full(n * unroll, end, np.int32), np.full(n * unroll, PAD, np.int32)
    targets[: tokens.size], inputs[1 : tokens.size] = tokens, tokens[:-1]
    return inputs.reshape(n, unroll), targets.reshape(n, unroll)


def _note_unknown(split: str, examples: Examples, vocabulary: Vocabulary) -> list[str]:
    count = np.sum(examples.targets == vocabulary.unknown)
    return [f"{split}: {count} of {np.sum(examples.targets >= 0)} tokens are unknown."] if count else []
