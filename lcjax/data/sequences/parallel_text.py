"""Parallel text for translation: pairs of sentences in word pieces that both languages share."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lcjax.data.examples import Examples
from lcjax.data.readers.files import read_lines
from lcjax.data.sequences.task import SequenceTask, make_task, order_splits, pad, teacher_forcing
from lcjax.data.sequences.text import find_splits
from lcjax.data.sequences.vocabulary import Vocabulary, learn_pieces
from lcjax.typing import PathLike

__all__ = ["Pairs", "parallel_task", "read_parallel"]


class Pairs(NamedTuple):
    """Sentences and their translations, in the same order."""

    source: Sequence[str]
    target: Sequence[str]


def read_parallel(folder: PathLike, *, source: str = "de", target: str = "en") -> dict[str, Pairs]:
    """Read a folder of parallel text, where line i of one file is the translation of line i of the other.

    The files of a split have the same name except for the ending: `train.de.gz` and `train.en.gz`, `val.de` and
    `val.en`, `test_2016_flickr.de` and `test_2016_flickr.en` (the first test set by name is taken).

    Args:
        folder: folder of the files, UTF-8 text, compressed or not.
        source: ending of the source files.
        target: ending of the files with the translations.

    Raises:
        FileNotFoundError: there is no such folder, or a file is missing.
        ValueError: two files have different numbers of lines; see also `read_lines`.

    Examples:
        >>> read_parallel("/no/such/folder")
        Traceback (most recent call last):
        FileNotFoundError: No folder /no/such/folder.
    """
    sides = [find_splits(folder, ending=f".{language}") for language in (source, target)]
    splits = {}
    for split, path in sides[0].items():
        other = sides[1].get(split)
        stem = path.name.removesuffix(".gz").removesuffix(f".{source}")
        if other is None or other.name.removesuffix(".gz").removesuffix(f".{target}") != stem:
            raise FileNotFoundError(f"No file {stem}.{target} or {stem}.{target}.gz beside {path}.")
        pairs = Pairs(read_lines(path), read_lines(other))
        if len(pairs.source) != len(pairs.target):
            raise ValueError(
                f"{path} has {len(pairs.source)} lines and {other.name} has {len(pairs.target)}: "
                "line i of one must translate line i of the other."
            )
        splits[split] = pairs
    return splits


def parallel_task(
    splits: Mapping[str, Pairs], *, size: int = 8000, longest: int = 50, name: str = "parallel"
) -> SequenceTask:
    """Encode pairs of sentences in word pieces (`learn_pieces`) learned on both sides of the training split.

    The decoder's inputs are the targets shifted by one, after the start symbol; targets finish with the end symbol.
    Pairs with an empty side and pairs that are too long are left out of every split, and counted in the notes. All
    splits are padded to their longest pair: with 0 among inputs, with -1 among targets.

    Args:
        splits: pairs of "train", "validation" and perhaps "test".
        size: symbols of the shared vocabulary, padding, unknown, start and end included. Hestness et al. (2019, section
            A.1) have 36,549 for 4.5 million pairs; a text as small as Multi30k has fewer pieces.
        longest: largest number of pieces of a source, and of a target without its end.
        name: name in results.

    Returns:
        The task: inputs `{"source": (n, s), "target": (n, t)}` and targets `(n, t)`, int32; its unit is "target
        tokens" (ends of sentences counted).

    Raises:
        ValueError: a split is missing, its two sides differ in length, no pair is left in it, or `size` does not fit
            the training text.

    Examples:
        >>> pairs = Pairs(["ein Hund", "ein Haus"], ["a dog", "a house"])
        >>> task = parallel_task({"train": pairs, "validation": pairs}, size=22)
        >>> train, decode = task.data.train, task.vocabulary.decode
        >>> decode(train.targets[1]), decode(train.inputs["source"][1])
        ('a house', 'ein Haus')
    """
    if longest < 1:
        raise ValueError(f"longest must be at least 1, got {longest}.")
    notes: list[str] = []
    ordered = order_splits(splits, "parallel text")
    texts = {split: _drop_empty(split, pairs, notes) for split, pairs in ordered.items()}
    vocabulary = learn_pieces([*texts["train"].source, *texts["train"].target], size=size)
    encoded = {split: _encode(split, pairs, vocabulary, longest, notes) for split, pairs in texts.items()}
    lengths = [max(len(one) for sides in encoded.values() for one in sides[side]) for side in (0, 1)]
    examples = {}
    for split, (sources, targets) in encoded.items():
        source = pad(sources, length=lengths[0], fill=vocabulary.padding)
        target, labels = teacher_forcing(targets, vocabulary, length=lengths[1] + 1, fill=vocabulary.padding)
        examples[split] = Examples({"source": source, "target": target}, labels)
    return make_task(examples, vocabulary, "target tokens", notes, name)


def _drop_empty(split: str, pairs: Pairs, notes: list[str]) -> Pairs:
    """Return the pairs with text on both sides; a note is added if some are left out."""
    if len(pairs.source) != len(pairs.target):
        raise ValueError(f"{split} has {len(pairs.source)} sources and {len(pairs.target)} targets.")
    full = [(source, target) for source, target in zip(*pairs, strict=True) if source.strip() and target.strip()]
    if not full:
        raise ValueError(f"The {split} split holds no pair with text on both sides.")
    empty = len(pairs.source) - len(full)
    if empty:
        notes.append(f"{split}: {empty} of {len(pairs.source)} pairs have an empty side and are left out.")
    return Pairs(*map(list, zip(*full, strict=True)))


def _encode(
    split: str, pairs: Pairs, vocabulary: Vocabulary, longest: int, notes: list[str]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the pieces of sources and targets that are short enough; a note is added if some are left out."""
    encoded = zip(vocabulary.encode_batch(pairs.source), vocabulary.encode_batch(pairs.target), strict=True)
    short = [sides for sides in encoded if max(map(len, sides)) <= longest]
    if not short:
        raise ValueError(f"No pair of the {split} split has at most {longest} pieces on both sides.")
    n = len(pairs.source)
    if len(short) < n:
        notes.append(
            f"{split}: {n - len(short)} of {n} pairs have more than {longest} pieces on a side and are left out."
        )
    return [source for source, _ in short], [target for _, target in short]
