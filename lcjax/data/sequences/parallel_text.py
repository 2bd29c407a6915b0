"""Parallel text for translation: pairs of sentences in word pieces that both languages share."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from lcjax.data.examples import Data, Examples
from lcjax.data.sequences.task import SequenceTask, pad
from lcjax.data.sequences.text import SPLITS, find_splits, read_lines
from lcjax.data.sequences.vocabulary import Vocabulary, learn_pieces

__all__ = ["Pairs", "parallel_task", "read_parallel"]

Array = jax.Array | np.ndarray


class Pairs(NamedTuple):
    """Sentences and their translations, in the same order."""

    source: Sequence[str]
    target: Sequence[str]


def read_parallel(
    folder: str | Path, *, source: str = "de", target: str = "en", size: int = 8000, longest: int = 50
) -> SequenceTask:
    """Read a folder of parallel text, line i of one file translating line i of the other, and encode it.

    The files of a split are named alike but for their ending: `train.de.gz` and `train.en.gz`, `val.de` and `val.en`,
    `test_2016_flickr.de` and `test_2016_flickr.en` (the first test set by name is taken).

    Args:
        folder: where the files lie, UTF-8 text, compressed or not.
        source: ending of the files that are translated.
        target: ending of the files that they are translated to.
        size: see `parallel_task`.
        longest: see `parallel_task`.

    Raises:
        FileNotFoundError: no such folder, or a file is missing.
        ValueError: two files have different numbers of lines; see also `read_lines`, `parallel_task`.

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
    return parallel_task(splits, size=size, longest=longest, name=f"parallel:{folder}")


def parallel_task(
    splits: Mapping[str, Pairs], *, size: int = 8000, longest: int = 50, name: str = "parallel"
) -> SequenceTask:
    """Encode pairs of sentences in pieces (`learn_pieces`) learned on both sides of the training split.

    The decoder's inputs are the targets one step later, behind the start symbol; targets end with the end of a
    sentence. Pairs with an empty side and pairs that are too long are left out of every split, and counted in the
    notes. All splits are padded to the longest pair that is kept: 0 among inputs, -1 among targets.

    Args:
        splits: pairs of "train", "validation" and perhaps "test".
        size: symbols of the shared vocabulary, padding, unknown, start and end included. Hestness et al. (2018, A.1)
            have 36,549 for 4.5 million pairs; a text as small as Multi30k has not that many pieces.
        longest: most pieces of a source, and of a target without its end.
        name: in messages and results.

    Returns:
        The task: inputs `{"source": (n, s), "target": (n, t)}` and targets `(n, t)`, int32; its unit is "target
        tokens" (ends of sentences counted).

    Raises:
        ValueError: a split is missing, has two sides of different length or keeps no pair, or `size` does not fit the
            training text.

    Examples:
        >>> some = Pairs(["ein Hund", "ein Haus"], ["a dog", "a house"])
        >>> task = parallel_task({"train": some, "validation": some}, size=22)
        >>> train, decode = task.data.train, task.vocabulary.decode
        >>> decode(train.targets[1]), decode(train.inputs["source"][1])
        ('a house', 'ein Haus')
    """
    if longest < 1:
        raise ValueError(f"longest must be at least 1, got {longest}.")
    kept, notes = {}, []
    for split in (split for split in SPLITS if split in splits):
        kept[split], found = _without_empty(split, splits[split])
        notes += found
    for split in ("train", "validation"):
        if split not in kept:
            raise ValueError(f"The parallel text has no {split} split, only {sorted(splits)}.")
    vocabulary = learn_pieces([*kept["train"].source, *kept["train"].target], size=size)

    encoded = {}
    for split, pairs in kept.items():
        sources, targets = vocabulary.encode_batch(pairs.source), vocabulary.encode_batch(pairs.target)
        short = [max(len(s), len(t)) <= longest for s, t in zip(sources, targets, strict=True)]
        if not any(short):
            raise ValueError(f"No pair of the {split} split has at most {longest} pieces on both sides.")
        if not all(short):
            notes.append(
                f"{split}: {len(short) - sum(short)} of {len(short)} pairs have more than {longest} pieces on a side "
                "and are left out."
            )
        encoded[split] = tuple(
            [side for side, fits in zip(some, short, strict=True) if fits] for some in (sources, targets)
        )
    width = [max(len(one) for pair in encoded.values() for one in pair[side]) for side in (0, 1)]
    examples = {
        split: _examples(sources, targets, vocabulary, width[0], width[1] + 1)
        for split, (sources, targets) in encoded.items()
    }
    data = Data(examples["train"], examples["validation"], examples.get("test"), classes=len(vocabulary), name=name)
    return SequenceTask(data, vocabulary, "target tokens", tuple(notes))


def _without_empty(split: str, pairs: Pairs) -> tuple[Pairs, list[str]]:
    if len(pairs.source) != len(pairs.target):
        raise ValueError(f"{split} has {len(pairs.source)} sources and {len(pairs.target)} targets.")
    full = [(s, t) for s, t in zip(*pairs, strict=True) if s.strip() and t.strip()]
    if not full:
        raise ValueError(f"The {split} split holds no pair with text on both sides.")
    empty = len(pairs.source) - len(full)
    notes = [f"{split}: {empty} of {len(pairs.source)} pairs have an empty side and are left out."] if empty else []
    return Pairs(*map(list, zip(*full, strict=True))), notes


def _examples(
    sources: list[np.ndarray], targets: list[np.ndarray], vocabulary: Vocabulary, source_width: int, target_width: int
) -> Examples:
    start, end = np.array([vocabulary.start], np.int32), np.array([vocabulary.end], np.int32)
    inputs: dict[str, Array] = {
        "source": pad(sources, length=source_width, fill=vocabulary.padding),
        "target": pad([np.append(start, one) for one in targets], length=target_width, fill=vocabulary.padding),
    }
    return Examples(inputs, pad([np.append(one, end) for one in targets], length=target_width))
