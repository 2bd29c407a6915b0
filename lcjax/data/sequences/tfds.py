"""Text and parallel text from TensorFlow Datasets, read without TensorFlow: LM1B, WMT."""

from collections.abc import Sequence
from typing import Any

from lcjax.data.readers.tfds import open_split, open_tfds
from lcjax.data.sequences.parallel_text import Pairs, parallel_task
from lcjax.data.sequences.task import SequenceTask
from lcjax.data.sequences.text import SPLITS, characters_task, cut_lines, words_task

__all__ = ["read_tfds_characters", "read_tfds_parallel", "read_tfds_words"]

AT_ONCE = 1000  # examples read in one go


def read_tfds_words(
    name: str,
    *,
    size: int | None = 10_000,
    unroll: int = 80,
    most: int | None = None,
    validation_fraction: float = 0.05,
    test_fraction: float = 0.05,
) -> SequenceTask:
    """A TFDS set with a feature "text", one sentence an example ("lm1b"), as a word stream; see `words_task`.

    Args:
        name: as `lcjax.data.readers.tfds.read_tfds` takes it.
        size: see `words_task`.
        unroll: see `words_task`.
        most: examples of a split that are read, the first ones; all by default. LM1B has 30 million.
        validation_fraction: share of the training sentences for validation where the set has no such split: the last.
        test_fraction: share of the training sentences for testing where the set has no such split.

    Raises:
        ValueError: as `read_tfds` and `words_task`, or a text that is not UTF-8.
        ConnectionError: the set is not on disk and its server cannot be reached.

    Examples:
        >>> read_tfds_words("no_such_set_anywhere")
        Traceback (most recent call last):
        ValueError: TFDS knows no data set 'no_such_set_anywhere', and there is no such folder.
    """
    splits = cut_lines(_texts(name, most), validation_fraction, test_fraction)
    return words_task(splits, size=size, unroll=unroll, name=f"tfds-words:{name}")


def read_tfds_characters(
    name: str,
    *,
    size: int | None = None,
    longest: int = 150,
    most: int | None = None,
    validation_fraction: float = 0.05,
    test_fraction: float = 0.05,
) -> SequenceTask:
    """A TFDS set with a feature "text", one sentence an example ("lm1b"), as characters; see `characters_task`.

    Args:
        name: as `lcjax.data.readers.tfds.read_tfds` takes it.
        size: see `characters_task`.
        longest: see `characters_task`.
        most: as in `read_tfds_words`.
        validation_fraction: as in `read_tfds_words`.
        test_fraction: as in `read_tfds_words`.

    Raises:
        ValueError: as `read_tfds` and `characters_task`, or a text that is not UTF-8.
        ConnectionError: the set is not on disk and its server cannot be reached.

    Examples:
        >>> read_tfds_characters("no_such_set_anywhere")
        Traceback (most recent call last):
        ValueError: TFDS knows no data set 'no_such_set_anywhere', and there is no such folder.
    """
    splits = cut_lines(_texts(name, most), validation_fraction, test_fraction)
    return characters_task(splits, size=size, longest=longest, name=f"tfds-characters:{name}")


def read_tfds_parallel(
    name: str, *, source: str = "de", target: str = "en", size: int = 36_549, longest: int = 50, most: int | None = None
) -> SequenceTask:
    """A TFDS set of translations ("wmt16_translate/de-en", whose validation is newstest2015); see `parallel_task`.

    Args:
        name: as `lcjax.data.readers.tfds.read_tfds` takes it.
        source: feature that is translated.
        target: feature that it is translated to.
        size: see `parallel_task`; by default that of Hestness et al. (2018, A.1).
        longest: see `parallel_task`.
        most: examples of a split that are read, the first ones; all by default.

    Raises:
        ValueError: as `read_tfds` and `parallel_task`, or a text that is not UTF-8.
        ConnectionError: the set is not on disk and its server cannot be reached.

    Examples:
        >>> read_tfds_parallel("no_such_set_anywhere")
        Traceback (most recent call last):
        ValueError: TFDS knows no data set 'no_such_set_anywhere', and there is no such folder.
    """
    columns = _columns(name, (source, target), most)
    splits = {split: Pairs(found[source], found[target]) for split, found in columns.items()}
    return parallel_task(splits, size=size, longest=longest, name=f"tfds-parallel:{name}")


def text_of(value: Any) -> str:
    """Stored text, as one line."""
    return " ".join((value.decode("utf-8") if isinstance(value, bytes) else str(value)).split())


def _texts(name: str, most: int | None) -> dict[str, list[str]]:
    return {split: columns["text"] for split, columns in _columns(name, ("text",), most).items()}


def _columns(name: str, features: Sequence[str], most: int | None) -> dict[str, dict[str, list[str]]]:
    """Texts of the first examples of each split that the set has."""
    if most is not None and most < 1:
        raise ValueError(f"most must be at least 1, got {most}.")
    builder = open_tfds(name)
    missing = sorted(set(features) - set(builder.info.features))
    if missing:
        raise ValueError(
            f"The TFDS set {name!r} has no feature {', '.join(missing)}; it has {', '.join(builder.info.features)}."
        )
    if "train" not in builder.info.splits:
        raise ValueError(f"The TFDS set {name!r} has no split train, only {', '.join(sorted(builder.info.splits))}.")
    found: dict[str, dict[str, list[str]]] = {}
    for split in (split for split in SPLITS if split in builder.info.splits):
        source = open_split(builder, name, split)
        n = len(source) if most is None else min(most, len(source))
        columns: dict[str, list[str]] = {feature: [] for feature in features}
        for first in range(0, n, AT_ONCE):
            rows = range(first, min(first + AT_ONCE, n))
            for row, example in zip(rows, source.__getitems__(list(rows)), strict=True):
                for feature in features:
                    try:
                        columns[feature].append(text_of(example[feature]))
                    except UnicodeDecodeError as error:
                        raise ValueError(
                            f"The TFDS set {name!r}, {split}, example {row}: {feature} is not UTF-8 ({error.reason} at "
                            f"byte {error.start})."
                        ) from None
        found[split] = columns
    return found
