"""Text for language models: words as one continuous stream, characters as separate sentences."""

import gzip
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Int

from lcjax.data.examples import Data, Examples
from lcjax.data.sequences.task import PAD, SequenceTask
from lcjax.data.sequences.vocabulary import END, Vocabulary, most_frequent
from lcjax.data.subsets import held_out_count

__all__ = ["characters_task", "find_splits", "read_characters", "read_lines", "read_words", "words_task"]

Array = jax.Array | np.ndarray
SPLITS = ("train", "validation", "test")

_NAMES = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}


def read_lines(path: str | Path) -> list[str]:
    r"""Lines of a UTF-8 text file, without their line ends; a name in .gz is decompressed.

    Only "\n" and "\r\n" end a line, so that line i of two parallel files stays line i. A byte order mark is dropped.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, holds no text, or is not UTF-8: the message gives line, byte and offset.

    Examples:
        >>> read_lines("/no/such/file")
        Traceback (most recent call last):
        FileNotFoundError: No file /no/such/file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"No file {path}.")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            raw = file.read()
    except (EOFError, zlib.error, OSError) as error:
        raise ValueError(f"{path} is truncated or not compressed as its name says: {error}.") from None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}, line {line}: byte 0x{raw[error.start]:02x} at offset {error.start} is not UTF-8 "
            f"({error.reason}); convert the file first."
        ) from None
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").removesuffix("\n").split("\n")
    if not any(line.strip() for line in lines):
        raise ValueError(f"{path} holds no text.")
    return lines


def find_splits(folder: str | Path, *, ending: str = ".txt") -> dict[str, Path]:
    """The files of a folder by split: names that hold "train"; "valid", "val" or "dev"; "test".

    Args:
        folder: where they lie.
        ending: how names end, a further .gz aside.

    Returns:
        Paths by "train", "validation", "test"; the first by name where several fit, splits without a file absent.

    Raises:
        FileNotFoundError: no such folder, or no training file in it.

    Examples:
        >>> find_splits("/no/such/folder")
        Traceback (most recent call last):
        FileNotFoundError: No folder /no/such/folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"No folder {folder}.")
    files = sorted(path for path in folder.iterdir() if path.name.removesuffix(".gz").endswith(ending))
    found: dict[str, Path] = {}
    for path in files:
        parts = path.name.removesuffix(".gz").removesuffix(ending).replace("_", ".").replace("-", ".").split(".")
        for split, names in _NAMES.items():
            if any(name in parts for name in names):
                found.setdefault(split, path)
    if "train" not in found:
        raise FileNotFoundError(f"No file of {folder} has train in its name and ends in {ending} or {ending}.gz.")
    return found


def read_words(
    path: str | Path,
    *,
    size: int | None = 10_000,
    unroll: int = 80,
    validation_fraction: float = 0.05,
    test_fraction: float = 0.05,
) -> SequenceTask:
    """Read text as a word stream: a folder with a file a split (Penn Treebank), or one file; see `words_task`.

    Args:
        path: the folder, or the file, of UTF-8 text with one sentence a line, words separated by white space.
        size: see `words_task`.
        unroll: see `words_task`.
        validation_fraction: share of the lines of a text without validation file, before the test part.
        test_fraction: share of the lines of a text without test file: the last ones.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: see `read_lines`, `words_task`.

    Examples:
        >>> read_words("/no/such/file")
        Traceback (most recent call last):
        FileNotFoundError: No file /no/such/file.
    """
    splits = _read_splits(path, validation_fraction, test_fraction)
    return words_task(splits, size=size, unroll=unroll, name=f"words:{path}")


def read_characters(
    path: str | Path,
    *,
    size: int | None = None,
    longest: int = 150,
    validation_fraction: float = 0.05,
    test_fraction: float = 0.05,
) -> SequenceTask:
    """Read text as sequences of characters, one a line: one file (tiny Shakespeare) or a folder with a file a split.

    Args:
        path: the file, or the folder, of UTF-8 text.
        size: see `characters_task`.
        longest: see `characters_task`.
        validation_fraction: share of the lines of a text without validation file, before the test part.
        test_fraction: share of the lines of a text without test file: the last ones.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: see `read_lines`, `characters_task`.

    Examples:
        >>> read_characters("/no/such/file")
        Traceback (most recent call last):
        FileNotFoundError: No file /no/such/file.
    """
    splits = _read_splits(path, validation_fraction, test_fraction)
    return characters_task(splits, size=size, longest=longest, name=f"characters:{path}")


def words_task(
    splits: Mapping[str, Sequence[str]], *, size: int | None = 10_000, unroll: int = 80, name: str = "words"
) -> SequenceTask:
    """Continuous minibatches of words, as Hestness et al. (2018, A.2.1) train on.

    The words of all sentences of a split, each sentence followed by its end, are one stream; example i is its tokens
    `80 i` to `80 i + 79`, and its inputs are the tokens before them. The first input of a stream is the end of a
    sentence. Each token is a target once; what the last window lacks is padding. Sentences may be of any length.

    Args:
        splits: sentences of "train", "validation" and perhaps "test". Empty ones are left out and told.
        size: how many words the vocabulary has, unknown and end of sentence included; `None`: all of the training text.
        unroll: tokens an example, over which gradients are taken.
        name: in messages and results.

    Returns:
        The task, inputs and targets `(n, unroll)` int32, its unit "words" (ends of sentences counted).

    Raises:
        ValueError: no training or validation text, an `unroll` below 1, or a vocabulary larger than the training text.

    Examples:
        >>> task = words_task({"train": ["a b", "b c"], "validation": ["a d"]}, size=None, unroll=4)
        >>> task.data.train.inputs.tolist(), task.data.train.targets.tolist()
        ([[0, 3, 2, 0], [2, 4, 0, 0]], [[3, 2, 0, 2], [4, 0, -1, -1]])
        >>> task.vocabulary.decode(task.data.validation.targets[0])
        'a <unk>'
    """
    if unroll < 1:
        raise ValueError(f"unroll must be at least 1, got {unroll}.")
    sentences, notes = _without_empty(splits)
    vocabulary = most_frequent((sentence.split() for sentence in sentences["train"]), size=size)
    examples = {}
    for split, some in sentences.items():
        stream = vocabulary.number(word for sentence in some for word in (*sentence.split(), END))
        examples[split] = Examples(*_windows(stream, unroll, vocabulary.end))
        notes += _unknown_note(split, examples[split].targets, vocabulary)
    return _task(examples, vocabulary, name, "words", notes)


def characters_task(
    splits: Mapping[str, Sequence[str]], *, size: int | None = None, longest: int = 150, name: str = "characters"
) -> SequenceTask:
    """Separate sequences of characters, as Hestness et al. (2018, A.2.2) train on.

    Example i is sentence i: its characters and its end are the targets, at most `longest` of them; of a longer
    sentence the rest is cut off, its end with it. The first input is the end of a sentence, standing for a start.
    Padding is -1 among the targets, and the end of a sentence among the inputs.

    Args:
        splits: sentences of "train", "validation" and perhaps "test". Empty ones are left out and told.
        size: how many symbols, unknown and end of sentence included; `None`: all of the training text.
        longest: most tokens an example.
        name: in messages and results.

    Returns:
        The task, inputs and targets `(n, t)` int32 with t at most `longest`, the same for all splits; its unit is
        "characters" (ends of sentences counted).

    Raises:
        ValueError: no training or validation text, a `longest` below 1, or a vocabulary larger than the training text.

    Examples:
        >>> task = characters_task({"train": ["ab", "cabbage"], "validation": ["x"]}, longest=4)
        >>> task.data.train.inputs.tolist(), task.data.train.targets.tolist()
        ([[0, 2, 3, 0], [0, 4, 2, 3]], [[2, 3, 0, -1], [4, 2, 3, 3]])
        >>> task.notes[0]
        'train: 1 of 2 sentences are longer than 4 tokens; 4 of 11 tokens are cut off.'
    """
    if longest < 1:
        raise ValueError(f"longest must be at least 1, got {longest}.")
    sentences, notes = _without_empty(splits)
    vocabulary = most_frequent(sentences["train"], size=size, words=False)
    encoded = {split: vocabulary.encode_batch(some) for split, some in sentences.items()}
    length = min(longest, 1 + max(len(one) for some in encoded.values() for one in some))
    examples = {}
    for split, some in encoded.items():
        lengths = np.array([len(one) + 1 for one in some])
        kept = np.minimum(lengths, length)
        if np.any(lengths > length):
            notes.append(
                f"{split}: {np.sum(lengths > length)} of {len(some)} sentences are longer than {length} tokens; "
                f"{np.sum(lengths - kept)} of {lengths.sum()} tokens are cut off."
            )
        targets = np.full((len(some), length), PAD, np.int32)
        for row, one in zip(targets, some, strict=True):
            row[: len(one)] = one[:length]
        rows = np.flatnonzero(lengths <= length)
        targets[rows, lengths[rows] - 1] = vocabulary.end
        before = np.concatenate([np.full((len(some), 1), vocabulary.end, np.int32), targets[:, :-1]], axis=1)
        examples[split] = Examples(np.where(before == PAD, np.int32(vocabulary.end), before), targets)
        notes += _unknown_note(split, targets, vocabulary)
    return _task(examples, vocabulary, name, "characters", notes)


def cut_lines(
    splits: Mapping[str, Sequence[str]], validation_fraction: float, test_fraction: float
) -> dict[str, Sequence[str]]:
    """Complete a text's splits: the last lines of the training text are for testing, those before for validation.

    In the order of the text, not at random: neighbouring lines are not independent.
    """
    cut = dict(splits)
    n = len(cut["train"])
    for split, fraction in (("test", test_fraction), ("validation", validation_fraction)):
        if split not in cut:
            count = held_out_count(n, fraction)
            cut |= {"train": cut["train"][:-count], split: cut["train"][-count:]}
    return cut


def _read_splits(path: str | Path, validation_fraction: float, test_fraction: float) -> dict[str, Sequence[str]]:
    files = find_splits(path) if Path(path).is_dir() else {"train": Path(path)}
    return cut_lines({split: read_lines(file) for split, file in files.items()}, validation_fraction, test_fraction)


def _without_empty(splits: Mapping[str, Sequence[str]]) -> tuple[dict[str, list[str]], list[str]]:
    kept: dict[str, list[str]] = {}
    notes = []
    for split in (split for split in SPLITS if split in splits):
        kept[split] = [sentence for sentence in splits[split] if sentence.strip()]
        if not kept[split]:
            raise ValueError(f"The {split} split holds no text.")
        empty = len(splits[split]) - len(kept[split])
        if empty:
            notes.append(f"{split}: {empty} of {len(splits[split])} lines are empty and left out.")
    for split in ("train", "validation"):
        if split not in kept:
            raise ValueError(f"The text has no {split} split, only {sorted(splits)}.")
    return kept, notes


def _windows(tokens: Int[np.ndarray, " t"], unroll: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets `(n, unroll)` of a stream whose first input is the end of a sentence."""
    n = -(-tokens.size // unroll)
    inputs, targets = np.full(n * unroll, end, np.int32), np.full(n * unroll, PAD, np.int32)
    targets[: tokens.size], inputs[1 : tokens.size] = tokens, tokens[:-1]
    return inputs.reshape(n, unroll), targets.reshape(n, unroll)


def _unknown_note(split: str, targets: Array, vocabulary: Vocabulary) -> list[str]:
    count = np.sum(targets == vocabulary.unknown)
    return [f"{split}: {count} of {np.sum(targets >= 0)} tokens are unknown."] if count else []


def _task(
    examples: dict[str, Examples], vocabulary: Vocabulary, name: str, unit: str, notes: list[str]
) -> SequenceTask:
    data = Data(examples["train"], examples["validation"], examples.get("test"), classes=len(vocabulary), name=name)
    return SequenceTask(data, vocabulary, unit, tuple(notes))
